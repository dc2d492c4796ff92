"""redis-py's ``Lock``: one key and no choice.

One lock object is used again and again, which saves it its construction, and
``thread_local=False`` saves a look into thread storage. It has a timeout, as a lease has. Acquire
is a ``SET NX PX``, release a script of two commands.
"""

from __future__ import annotations

import redis
from redis.lock import Lock

from pharox_redis.benchmark.bench import Work
from pharox_redis.benchmark.peers.managers import DURATION, NothingLeasedError


def lock_name(prefix: str, number: int = 0) -> str:
    """The key of a lock of this run."""
    return f"{prefix}:lock:{number}"


def make_lock(client: redis.Redis, name: str) -> Lock:
    """A lock that does not wait: acquire returns at once, with or without it."""
    return Lock(client, name, timeout=DURATION, blocking=False, thread_local=False)


def lock_pair(client: redis.Redis, prefix: str) -> Work:
    """Acquire and release one lock that nobody else wants."""
    lock = make_lock(client, lock_name(prefix))

    def work() -> None:
        if not lock.acquire():
            raise NothingLeasedError("Lock")
        lock.release()

    return work
