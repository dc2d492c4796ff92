"""One look at the server: figures of the pools, rates since the look before, longest-held leases.

A look is bounded. Figures are one script call a pool. Of the leases at most `LEASES_OF_A_POOL` of a
pool and some `LEASES_IN_ALL` of all are read, in pages, soonest to expire first: where leases are
given for equal times these are the ones held longest. A reading says how many it looked at, so that
whoever shows it can say that there are more.

Names of consumers and addresses of proxies are asked for only for the leases that are shown, and
remembered as long as they are.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from pharox.exceptions import PoolNotFoundError
from pharox.models import Lease, Proxy

from pharox_redis.models import LeasePage, PoolFigures

LEASES_OF_A_POOL = 2_000
LEASES_IN_ALL = 4_000
_PAGE = 200


class Source(Protocol):
    """What is asked of a storage."""

    async def list_pool_figures(self) -> list[PoolFigures]:
        """Return the figures of every pool."""

    async def get_pool_figures(self, pool_id: UUID | str) -> PoolFigures:
        """Return the figures of one pool, or raise ``PoolNotFoundError``."""

    async def page_leases(
        self, pool_id: UUID | str, *, after: str = "", limit: int = 200
    ) -> LeasePage:
        """Return active leases, soonest to expire first."""

    async def consumer_names(self, ids: Collection[UUID]) -> dict[UUID, str]:
        """Return the names of consumers."""

    async def get_proxy_by_id(self, proxy_id: UUID | str) -> Proxy | None:
        """Return a proxy, or ``None`` if it is unknown."""


@dataclass(frozen=True)
class Row:
    """A pool's figures. The rates are events a second, ``None`` as long as there is nothing to
    compare with."""

    figures: PoolFigures
    acquires: float | None = None
    misses: float | None = None

    @property
    def activity(self) -> tuple[float, int]:
        """What busy pools have more of."""
        return (self.acquires or 0.0) + (self.misses or 0.0), self.figures.total_leases


@dataclass(frozen=True)
class Held:
    """A lease in the list of those held longest. ``holder`` and ``proxy`` (host:port) are ``None``
    where the consumer or the proxy is unknown by now."""

    lease: Lease
    pool: str
    holder: str | None
    proxy: str | None
    at: datetime

    @property
    def held_seconds(self) -> float:
        """How long it has been held; by its own server's clock, as ``at`` is."""
        return _held(self.lease, self.at)

    @property
    def left_seconds(self) -> float:
        """How long it goes on at most."""
        return max(0.0, (self.lease.expires_at - self.at).total_seconds())


@dataclass(frozen=True)
class Reading:
    """What one look saw. ``at`` is the server's clock, ``None`` where there is no pool."""

    at: datetime | None
    rows: list[Row]
    held: list[Held]
    looked_at: int
    leases: int
    partly: bool


class Reader:
    """Looks at all pools, or at one, and remembers the look before."""

    def __init__(self, source: Source, *, pool_id: UUID | None = None, limit: int = 10) -> None:
        self._source = source
        self._pool_id = pool_id
        self._limit = limit
        self._before: dict[UUID, PoolFigures] = {}
        self._names: dict[UUID, str | None] = {}
        self._addresses: dict[UUID, str | None] = {}

    async def read(self) -> Reading:
        """Look once: two trips for the figures, and some for the leases.

        Raises
        ------
            PoolNotFoundError: There is no such pool any more.
            PharoxError: The server failed.
        """
        if self._pool_id is None:
            figures = await self._source.list_pool_figures()
        else:
            figures = [await self._source.get_pool_figures(self._pool_id)]
        looks = await self._leases(figures)
        longest = heapq.nlargest(
            self._limit,
            ((lease, known) for known, leases, _ in looks for lease in leases),
            key=lambda each: _held(each[0], each[1].at),
        )
        await self._learn([lease for lease, _ in longest])
        rows = [compare(self._before.get(each.pool.id), each) for each in figures]
        self._before = {each.pool.id: each for each in figures}
        looked_at = sum(len(leases) for _, leases, _ in looks)
        whole = {known.pool.id for known, _, partly in looks if not partly}
        return Reading(
            at=max((each.at for each in figures), default=None),
            rows=rows,
            held=[self._as_held(*each) for each in longest],
            looked_at=looked_at,
            leases=sum(each.total_leases for each in figures),
            partly=any(each.total_leases and each.pool.id not in whole for each in figures),
        )

    async def _leases(
        self, figures: Iterable[PoolFigures]
    ) -> list[tuple[PoolFigures, list[Lease], bool]]:
        """Return pools with leases of theirs, and whether there are more than these."""
        having = sorted(
            (each for each in figures if each.total_leases),
            key=lambda each: each.total_leases,
            reverse=True,
        )
        share = max(_PAGE, min(LEASES_OF_A_POOL, LEASES_IN_ALL // max(1, len(having))))
        looked = having[: LEASES_IN_ALL // share]
        found = await asyncio.gather(*(self._leases_of(each.pool.id, share) for each in looked))
        return [(each, *rest) for each, rest in zip(looked, found, strict=True)]

    async def _leases_of(self, pool_id: UUID, bound: int) -> tuple[list[Lease], bool]:
        found: list[Lease] = []
        after = ""
        while len(found) < bound:
            try:
                page = await self._source.page_leases(pool_id, after=after, limit=_PAGE)
            except PoolNotFoundError:
                return [], False  # deleted since its figures were read
            found += page.leases
            after = page.next
            if not after:
                break
        return found, bool(after)

    async def _learn(self, leases: list[Lease]) -> None:
        """Ask for names and addresses that are not known yet, and forget those of no use now."""
        holders = {lease.consumer_id for lease in leases}
        proxies = {lease.proxy_id for lease in leases}
        names = {known: name for known, name in self._names.items() if known in holders}
        addresses = {known: text for known, text in self._addresses.items() if known in proxies}
        if missing := holders - names.keys():
            # Names that nobody has are remembered, too: to look for them is costly.
            names |= dict.fromkeys(missing) | await self._source.consumer_names(missing)
        asked = list(proxies - addresses.keys())
        found = await asyncio.gather(*map(self._source.get_proxy_by_id, asked))
        for proxy_id, proxy in zip(asked, found, strict=True):
            addresses[proxy_id] = None if proxy is None else address(proxy)
        self._names, self._addresses = names, addresses

    def _as_held(self, lease: Lease, figures: PoolFigures) -> Held:
        return Held(
            lease=lease,
            pool=figures.pool.name,
            holder=self._names.get(lease.consumer_id),
            proxy=self._addresses.get(lease.proxy_id),
            at=figures.at,
        )


def compare(before: PoolFigures | None, now: PoolFigures) -> Row:
    """Return a pool's row with its rates.

    They are unknown where time stood still, or where a count went back: the server lost its data.
    """
    if before is None or now.acquired < before.acquired or now.missed < before.missed:
        return Row(now)
    seconds = (now.at - before.at).total_seconds()
    if seconds <= 0:
        return Row(now)
    return Row(
        now, (now.acquired - before.acquired) / seconds, (now.missed - before.missed) / seconds
    )


def address(proxy: Proxy) -> str:
    """Return ``host:port`` of a proxy, an IPv6 address in brackets."""
    host = str(proxy.host)
    return f"[{host}]:{proxy.port}" if ":" in host else f"{host}:{proxy.port}"


def _held(lease: Lease, at: datetime) -> float:
    # A lease that was granted since the figures were read has not been held for less than nothing.
    return max(0.0, (at - lease.acquired_at).total_seconds())
