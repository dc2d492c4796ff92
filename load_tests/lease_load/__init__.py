"""A load of leases, and the judgement of it: shared by the locustfile and by the asyncio script.

- ``options``: what a run can be told on the command line.
- ``proxy_pool``: the pool a run fills, and the filters its users ask for.
- ``mix``: what each kind of user does, in numbers.
- ``ledger``: what one process was granted and gave back, held against the server's own records.
- ``limits``, ``overlaps``: whether more leases than allowed were live on a proxy at any moment.
- ``rawkeys``: the pool's keys, read without the library.
- ``sampling``, ``judge``, ``closing``: the invariants, while a run goes on and when it is over.
- ``desk``, ``users``, ``session``, ``wiring``: all that knows locust.
- ``async_*``: the same mix in one event loop.

No module but locust's four imports locust: importing it patches the process for gevent.
"""
