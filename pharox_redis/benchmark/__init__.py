"""The benchmark: what leasing costs, beside what else would do the job, in one run.

A run is a list of *sections* (``sections/``, in the order of ``sections/registry.py``). Each
measures one thing and yields *rows*: what was measured, the figure, its budget, and whether it is
kept (``rows.py``). A section works on a *bench* (``bench.py``): a server, a place for progress, and
two ways to measure. ``interleave`` times several pieces of work in alternating rounds, so that a
machine that slows down slows all of them, and its ratios are medians over rounds; ``server_cost``
asks the server itself (``INFO commandstats``) what some work cost it. Peers (``peers/``) are what
we compare with; ``crowd.py`` runs processes that contend (``contender.py``).

``run.py`` is a run from start to end, on the server that ``place.py`` finds and cleans up.
``report.py`` prints the table, ``results.py`` writes and reads ``results.json``, ``plots.py`` draws
it. Nothing here asserts a time: a budget that is missed is said so, and that is all.
"""
