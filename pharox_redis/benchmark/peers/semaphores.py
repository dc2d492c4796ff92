"""py-redis-semaphore: a counting semaphore on one resource.

One object, acquired without waiting. It has no option to do without its heartbeat (a thread an
acquire) nor without waking waiters (a pipeline of three commands a release); server time is
compared by scripts alone, so neither counts against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis_semaphore import Semaphore, SemaphoreConfig

from pharox_redis.benchmark.bench import Work
from pharox_redis.benchmark.peers.managers import DURATION, NothingLeasedError


@contextmanager
def semaphore_pair(client: redis.Redis, prefix: str) -> Iterator[Work]:
    """Acquire and release the one slot; it is free again when the block ends, however it ends."""
    config = SemaphoreConfig("semaphore", limit=1, lock_timeout=DURATION, namespace=prefix)
    semaphore = Semaphore(client, config)

    def work() -> None:
        if not semaphore.acquire(blocking=False).success:
            raise NothingLeasedError("py-redis-semaphore")
        semaphore.release()

    try:
        yield work
    finally:
        if semaphore.is_acquired:
            semaphore.release()
