"""``pharox-redis top``: the pools and their leases, live.

What the server is asked, what is made of the answers, and how that looks are three things:

* ``reading`` - one look at the server, bounded in work, and the rates since the look before
* ``tables`` - a reading as tables that fit a width and a height
* ``screen`` - the whole of a terminal: tables, what goes wrong, keys
* ``keyboard`` - a terminal that hands out single keys, and is given back as it was
* ``watching`` - looks again and again, draws, and heeds keys and signals

Everything happens in one event loop. A look that hangs is a task that is waited for, so that keys
and the clock go on meanwhile, and the end of the command is the end of one task, whatever it was
that ended it.
"""
