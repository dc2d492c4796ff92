"""``desk`` for asyncio: a task's way to its leases, timed, and told to the ledger.

Requests have the types and names that locust's have; :class:`Timings` keeps them. One batch is the
storage's batch call where it has one, else as many single calls.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pharox.exceptions import PharoxError
from pharox.models import Lease
from redis import RedisError

from pharox_redis import AsyncRedisProxyManager, AsyncRedisStorage

from .ledger import Holding, Ledger
from .maintenance import Change, Maintenance
from .options import LoadOptions
from .proxy_pool import any_filter, any_selector
from .rawkeys import milliseconds

Loan = tuple[Lease, Holding]


class Timings:
    """How long each request took, in ms, and which failed, by type and name."""

    def __init__(self) -> None:
        self.took: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.errors: defaultdict[tuple[str, str], list[str]] = defaultdict(list)


class AsyncDesk:
    """One task's way to its leases."""

    def __init__(
        self,
        storage: AsyncRedisStorage,
        ledger: Ledger,
        options: LoadOptions,
        consumer: str,
        timings: Timings,
    ) -> None:
        self._storage, self._ledger, self._timings = storage, ledger, timings
        self._manager = AsyncRedisProxyManager(storage)
        self._consumer, self._options = consumer, options

    async def acquire(self, kind: str = "storage") -> Loan | None:
        """A lease, or None for a miss or a failure."""
        call = self._storage.acquire_lease if kind == "storage" else self._manager.acquire_proxy
        options, loans = self._options, []
        async with self._asking(kind, 1) as (asked, answer):
            lease = await call(
                options.pool, self._consumer, options.lease_seconds, any_filter(), any_selector()
            )
            loans = self._granted(asked, answer, [lease] if lease else [])
        return loans[0] if loans else None

    async def acquire_many(self, count: int) -> list[Loan]:
        """Up to so many leases of different proxies."""
        batch = getattr(self._storage, "acquire_leases", None)
        if batch is None:
            one_by_one = [await self.acquire() for _ in range(count)]
            return [loan for loan in one_by_one if loan is not None]
        options, loans = self._options, []
        async with self._asking("batch", count) as (asked, answer):
            leases = await batch(
                options.pool,
                self._consumer,
                options.lease_seconds,
                count=count,
                filters=any_filter(),
                selector=any_selector(),
                distinct=True,
            )
            loans = self._granted(asked, answer, leases)
        return loans

    async def release(self, loan: Loan, kind: str = "storage") -> None:
        """Give a lease back, perhaps after its end."""
        call = self._storage.release_lease if kind == "storage" else self._manager.release_proxy
        async with self._giving_back(kind, [loan]):
            await call(loan[0])

    async def release_many(self, loans: Sequence[Loan]) -> None:
        """Give many leases back."""
        batch = getattr(self._storage, "release_leases", None)
        if batch is None:
            for loan in loans:
                await self.release(loan)
        elif loans:
            async with self._giving_back("batch", loans):
                await batch([lease for lease, _ in loans])

    async def sweep(self) -> None:
        """End all leases that are over."""
        async with self._timed("storage", ["sweep"]):
            self._ledger.counts["swept"] += await self._storage.cleanup_expired_leases()

    async def change(self, maintenance: Maintenance, change: Change) -> None:
        """Save a proxy, or delete one."""
        with self._ledger.under_way():
            before, after, saved = await self._server_time(), None, False
            maintenance.begin(change)
            try:
                async with self._timed("storage", ["delete" if change.delete else "save"]):
                    if change.delete:
                        await self._storage.delete_proxy(change.proxy.id)
                    else:
                        await self._storage.save_proxy(change.proxy)
                    saved = True
                if saved:
                    after = await self._server_time()
            finally:
                if after is None:
                    maintenance.failed(change, before)
                else:
                    maintenance.done(change, before, after)

    async def _server_time(self) -> int:
        return milliseconds(await self._storage.client.time())

    def _granted(self, asked: float, answer: list[str], leases: Sequence[Lease]) -> list[Loan]:
        answer[:] = ["acquire" if leases else "miss"]
        return [(lease, self._ledger.granted(lease, asked)) for lease in leases]

    @asynccontextmanager
    async def _asking(self, kind: str, count: int) -> AsyncIterator[tuple[float, list[str]]]:
        """Around an acquire: if it ends without an answer, so many leases may have been granted."""
        answer: list[str] = []
        with self._ledger.under_way() as asked:
            try:
                async with self._timed(kind, answer, otherwise="acquire"):
                    yield asked, answer
            finally:
                if not answer:
                    self._ledger.unclear(count)

    @asynccontextmanager
    async def _giving_back(self, kind: str, loans: Sequence[Loan]) -> AsyncIterator[None]:
        """Around a release: from here on the server may end the leases."""
        answered, asked = False, time.monotonic()
        for _, holding in loans:
            holding.release_asked = asked
        async with self._timed(kind, ["release"]):
            yield
            answered = True
        done = time.monotonic() if answered else None
        for _, holding in loans:
            holding.release_done = done

    @asynccontextmanager
    async def _timed(self, kind: str, answer: list[str], otherwise: str = "") -> AsyncIterator[Any]:
        """Time one call. ``answer`` has its name by the end, unless it failed."""
        start = time.perf_counter()
        try:
            yield None
        except (PharoxError, RedisError) as error:
            name = otherwise or answer[0]
            self._timings.errors[kind, name].append(f"{type(error).__name__}: {error}")
            return
        self._timings.took[kind, answer[0]].append((time.perf_counter() - start) * 1000)
