"""Reading what may be long, page by page: a pool's proxies, its leases, and who holds them."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from pharox.exceptions import PoolNotFoundError
from pharox.models import LeaseStatus

from pharox_redis.cli.connection import NotThereError
from pharox_redis.cli.naming import checked_name, find_pool
from pharox_redis.cli.output import printable

if TYPE_CHECKING:
    from pharox.models import Lease, Proxy

    from pharox_redis.models import PoolFigures, ProxyState
    from pharox_redis.storage import RedisStorage

T = TypeVar("T")

_FIRST_PAGE = 50
_PAGE = 500


class ServerClock:
    """The server's time from one reading on: leases run by it, and this host's may be wrong."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._read = time.monotonic()

    def now(self) -> datetime:
        """The time on the server, but for the way of the reading."""
        return self._at + timedelta(seconds=time.monotonic() - self._read)


def proxy_pages(storage: RedisStorage, pool_id: UUID) -> Iterator[list[ProxyState]]:
    """Yield a pool's proxies in the order they were added; nothing more once it is deleted.

    The first page is short: whoever looks at a terminal sees something at once.
    """
    with suppress(PoolNotFoundError):
        page = storage.page_proxies(pool_id, limit=_FIRST_PAGE)
        yield page.proxies
        while page.next:
            page = storage.page_proxies(pool_id, after=page.next, limit=_PAGE)
            yield page.proxies


def lease_pages(storage: RedisStorage, pool_id: UUID) -> Iterator[list[Lease]]:
    """Yield a pool's live leases, soonest to expire first; nothing more once it is deleted."""
    with suppress(PoolNotFoundError):
        page = storage.page_leases(pool_id, limit=_FIRST_PAGE)
        yield page.leases
        while page.next:
            page = storage.page_leases(pool_id, after=page.next, limit=_PAGE)
            yield page.leases


def figures_of(storage: RedisStorage, pool: str | None) -> list[PoolFigures]:
    """Return the figures of the pool that was named, or of every pool, by name.

    Raises
    ------
        NotThereError: There is no pool of that name.
    """
    if pool is None:
        return storage.list_pool_figures()
    return [storage.get_pool_figures(find_pool(storage, pool, "--pool").id)]


def server_time(storage: RedisStorage, lease: Lease) -> datetime:
    """Return the time by which a lease runs, or this host's if its pool is gone."""
    if lease.pool_id is not None:
        with suppress(PoolNotFoundError):
            return storage.get_pool_figures(lease.pool_id).at
    return datetime.now(UTC)


def leases_held_by(
    storage: RedisStorage, consumer: str, pools: Container[UUID | None]
) -> list[Lease]:
    """Return a consumer's live leases of some pools, soonest to expire first.

    Raises
    ------
        NotThereError: There is no such consumer.
        typer.BadParameter: It can be no consumer's name.
    """
    known = storage.find_consumer(checked_name(consumer, "--consumer"))
    if known is None:
        raise NotThereError(f"There is no consumer '{printable(consumer)}'.")
    held = [
        lease
        for lease in storage.list_leases(known)
        if lease.status is LeaseStatus.ACTIVE and lease.pool_id in pools
    ]
    return sorted(held, key=lambda lease: lease.expires_at)


def leases_on(storage: RedisStorage, proxy: Proxy) -> list[Lease]:
    """Return the live leases on a proxy. All leases of its pool are looked at, if it has any, until
    there are as many as it has."""
    found: list[Lease] = []
    if proxy.current_leases:
        for page in lease_pages(storage, proxy.pool_id):
            found += [lease for lease in page if lease.proxy_id == proxy.id]
            if len(found) >= proxy.current_leases:
                break
    return found


def count_leases(storage: RedisStorage, figures: PoolFigures) -> int:
    """Return how many leases of a pool are live. Its figures also count those that ran out and wait
    to be swept; there are no more live ones than that."""
    if not figures.total_leases:
        return 0
    return sum(len(page) for page in lease_pages(storage, figures.pool.id))


def count_leases_on(storage: RedisStorage, proxies: Iterable[Proxy]) -> int:
    """Return how many live leases some proxies have, whose own numbers are as those of figures."""
    leased = {proxy.id: proxy.pool_id for proxy in proxies if proxy.current_leases}
    return sum(
        lease.proxy_id in leased
        for pool_id in set(leased.values())
        for page in lease_pages(storage, pool_id)
        for lease in page
    )


def consumers_of(storage: RedisStorage, leases: Iterable[Lease]) -> dict[UUID, str]:
    """Return the names of those who hold leases, by their ids."""
    return storage.consumer_names({lease.consumer_id for lease in leases})


def up_to(limit: int | None, pages: Iterable[list[T]]) -> Iterator[list[T]]:
    """Yield pages until there were so many items; no page is asked for that is not needed."""
    left = limit
    if left == 0:
        return
    for page in pages:
        if left is None:
            yield page
            continue
        yield page[:left]
        left -= len(page)
        if left <= 0:
            return
