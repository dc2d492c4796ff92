"""What pharox-redis is compared with: one module a peer, each used as its documents say is best.

A peer is a *piece of work*: a callable that does one pair (acquire and release) or, for EVALSHA,
one call. What it has to set up is set up before, so that only the pair is timed. Where a peer can
be used in several ways, the fastest one is taken that still does the job, and the module says
which. Peers on the server keep their keys under the run's prefix.
"""
