"""The kinds of users, as coroutines. Each goes on until ``over`` is set, and ends between calls."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress

from .async_desk import AsyncDesk
from .maintenance import Maintenance
from .mix import MISS_PAUSE, WEIGHTS, Mix
from .options import LoadOptions


class AsyncUser:
    """A consumer with a desk of its own."""

    def __init__(
        self, desk: AsyncDesk, number: int, options: LoadOptions, over: asyncio.Event
    ) -> None:
        self._desk, self._options, self._over = desk, options, over
        self._mix = Mix(options)
        # Half of the users that may choose take the manager.
        self._way = "manager" if number % 2 else "storage"

    async def hold(self, seconds: float) -> None:
        """Wait so long, or until the run is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()

    async def work(self, kind: str) -> None:
        """Be a user of that kind until the run is over."""
        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "scraper": self._scrape,
            "burst": self._burst,
            "slow holder": self._linger,
            "dying worker": self._die,
        }
        while not self._over.is_set():
            await steps[kind]()

    async def maintain(self, maintenance: Maintenance) -> None:
        """Sweep, and change proxies."""
        while not self._over.is_set():
            if self._mix.sweeps():
                await self._desk.sweep()
            else:
                await self._desk.change(maintenance, maintenance.plan())
            await self.hold(self._mix.maintainer_pause())

    async def _scrape(self) -> None:
        await self._one(self._mix.scraper_hold())
        await self.hold(self._mix.scraper_pause())

    async def _linger(self) -> None:
        await self._one(self._mix.slow_hold())

    async def _one(self, seconds: float) -> None:
        loan = await self._desk.acquire(self._way)
        if loan is None:
            await self.hold(MISS_PAUSE)
            return
        await self.hold(seconds)
        await self._desk.release(loan, self._way)

    async def _burst(self) -> None:
        loans = await self._desk.acquire_many(self._options.burst)
        await self.hold(self._mix.burst_hold())
        await self._desk.release_many(loans)
        await self.hold(self._mix.burst_silence())

    async def _die(self) -> None:
        for _ in range(self._mix.last_words()):
            await self._desk.acquire(self._way)
        await self.hold(self._mix.next_of_kin())


def kinds(count: int) -> list[str]:
    """What so many users are, by the weights: all kinds soon, whatever the number."""
    rounds = range(max(WEIGHTS.values()))
    row = [kind for turn in rounds for kind, weight in WEIGHTS.items() if turn < weight]
    return list(itertools.islice(itertools.cycle(row), count))
