"""What lists need of a storage, and the one way in which they read a pool: in pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol
from uuid import UUID

from pharox.models import Proxy, ProxyPool

from pharox_redis.models import ProxyPage, ProxyState


class ProxyWriter(Protocol):
    """What writing proxies needs."""

    def add_proxies_bulk(self, proxies: Sequence[Proxy], /) -> int:
        """Add proxies, or replace those with the same id; none of them is retired afterwards."""


class PoolReader(Protocol):
    """What reading a pool needs."""

    def get_pool_by_name(self, name: str, /) -> ProxyPool | None:
        """Return the pool of this name, if there is one."""

    def page_proxies(self, pool_id: UUID | str, /, *, after: str = "") -> ProxyPage:
        """Return the proxies that follow, in insertion order."""


class ImportStorage(ProxyWriter, PoolReader, Protocol):
    """What an import needs of a storage."""

    def ensure_pool(self, name: str, /) -> ProxyPool:
        """Return the pool of this name, making it if need be."""


class SyncStorage(ImportStorage, Protocol):
    """What a sync needs of a storage."""

    def retire_proxy(self, proxy_id: UUID | str, /) -> bool:
        """Delete a proxy, now if nobody has it (true), else when its leases are over (false)."""


def states_of(storage: PoolReader, pool_id: UUID) -> Iterator[ProxyState]:
    """Yield every proxy of a pool in insertion order, a page at a time.

    A proxy that is there all the while comes once; one that is added or deleted meanwhile may come.

    Raises
    ------
        PoolNotFoundError: There is no such pool, or no longer.
    """
    after = ""
    while True:
        page = storage.page_proxies(pool_id, after=after)
        yield from page.proxies
        if not page.next:
            return
        after = page.next
