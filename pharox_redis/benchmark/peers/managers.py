"""A pair through a pharox manager, whatever its storage: ours and pharox's are driven alike."""

from __future__ import annotations

from pharox.manager import ProxyManager
from pharox.models import ProxyFilters

from pharox_redis.benchmark.bench import Work

CONSUMER = "bench"
DURATION = 60
"""Seconds a lease, or a lock, would last if nobody gave it back."""

FILTERS = ProxyFilters(country="PE")
"""What is asked for: matched by one proxy in ten of a bench pool."""


class NothingLeasedError(RuntimeError):
    """A free pool had no proxy to lease: the figures would mean nothing."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} got nothing from a pool that nobody else uses")


def pair(manager: ProxyManager, pool_name: str, filters: ProxyFilters | None = FILTERS) -> Work:
    """Acquire and release one lease; the consumer is named, which saves pharox's manager a call.

    The work raises ``NothingLeasedError`` when nothing is free.
    """

    def work() -> None:
        lease = manager.acquire_proxy(pool_name, CONSUMER, DURATION, filters)
        if lease is None:
            raise NothingLeasedError(type(manager).__name__)
        manager.release_proxy(lease)

    return work
