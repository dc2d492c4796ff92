"""One run in one event loop: fill the pool, set the users going, audit each second, judge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pharox.exceptions import PharoxError
from redis import RedisError

from pharox_redis import AsyncRedisStorage, CorruptRecordError, Settings

from .async_desk import AsyncDesk, Timings
from .async_users import AsyncUser, kinds
from .closing import FIGURES, KEYS, SWEEP, audit, close
from .judge import Judge
from .ledger import Ledger
from .maintenance import Maintenance
from .options import LoadOptions
from .proxy_pool import proxies
from .rawkeys import PoolKeys, text

PERIOD = 1.0
"""Seconds between two audits, and between two looks."""

SAMPLE = 200
"""Proxies a look takes."""

TASKS = "tasks"


@dataclass
class Outcome:
    """What a run has brought."""

    judge: Judge
    timings: Timings
    seconds: float = 0.0
    troubles: list[str] = field(default_factory=list)
    """Looks that failed."""


class AsyncRun:
    """A run of ``seconds`` with ``tasks`` users and a maintainer, on the options' URL.

    ``say`` is told when they have begun.
    """

    def __init__(
        self, options: LoadOptions, tasks: int, seconds: float, say: Callable[[str], None]
    ) -> None:
        self._options, self._tasks, self._seconds, self._say = options, tasks, seconds, say
        self._settings = Settings(key_prefix=options.prefix)
        self._ledger = Ledger(self._settings.retention_ms)
        self._outcome = Outcome(Judge(), Timings())
        self._over = asyncio.Event()

    async def run(self) -> Outcome:
        """Do it. Raises what keeps a run from beginning or from being judged."""
        async with AsyncRedisStorage.from_url(self._options.url, self._settings) as storage:
            self._storage = storage
            pool_id = await self._fill_pool()
            self._keys = PoolKeys(self._options.prefix, pool_id)
            await self._work(pool_id)
            judge = self._outcome.judge
            judge.take(TASKS, await self._report(last=True))
            await self._perform(close(self._keys, judge, self._settings.retention_ms))
            if not judge.problems:
                await storage.delete_pool(pool_id)
        return self._outcome

    async def _fill_pool(self) -> Any:
        storage, judge = self._storage, self._outcome.judge
        old = await storage.get_pool_by_name(self._options.pool)
        if old is not None:
            await storage.delete_pool(old.id)
        pool = await storage.ensure_pool(self._options.pool)
        self._filled = proxies(pool.id, self._options)
        await storage.add_proxies_bulk(self._filled)
        for proxy in self._filled:
            judge.limits.change(str(proxy.id), proxy.max_concurrency or 0, 0, 0)
            judge.statuses[str(proxy.id)] = proxy.status.value
        return pool.id

    async def _work(self, pool_id: Any) -> None:
        options, start = self._options, time.perf_counter()
        maintenance = Maintenance(pool_id, self._filled, options, self._ledger)
        async with asyncio.TaskGroup() as group:
            for number, kind in enumerate(kinds(self._tasks)):
                group.create_task(self._user(f"{kind} {number}", number).work(kind))
            group.create_task(self._user("maintainer", 0).maintain(maintenance))
            group.create_task(self._rounds())
            self._say(f"{self._tasks} tasks are at work for {self._seconds:g} s")
            await asyncio.sleep(self._seconds)
            self._over.set()
        self._outcome.seconds = time.perf_counter() - start

    def _user(self, consumer: str, number: int) -> AsyncUser:
        timings = self._outcome.timings
        desk = AsyncDesk(self._storage, self._ledger, self._options, consumer, timings)
        return AsyncUser(desk, number, self._options, self._over)

    async def _rounds(self) -> None:
        judge = self._outcome.judge
        while not self._over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    await self._over.wait()
            try:
                judge.take_look(*await self._perform(self._keys.look(SAMPLE)))
                judge.take(TASKS, await self._report())
            except (PharoxError, RedisError) as error:
                self._outcome.troubles.append(f"a look at the pool failed: {error}")

    async def _report(self, last: bool = False) -> dict[str, Any]:
        return self._ledger.report(await self._perform(audit(self._keys, self._ledger)), last)

    async def _perform(self, steps: Generator[Any, Any, Any]) -> Any:
        reply: Any = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                return end.value
            reply = await self._do(step)

    async def _do(self, step: Any) -> Any:
        client = self._storage.client
        if isinstance(step, list):
            async with client.pipeline(transaction=False) as pipeline:
                for command in step:
                    pipeline.execute_command(*command)
                return await pipeline.execute()
        if step == KEYS:
            found = client.scan_iter(match=self._keys.pattern, count=1000)
            return sorted({text(key) async for key in found})
        if step == SWEEP:
            return await self._storage.cleanup_expired_leases()
        if step == FIGURES:
            try:
                return await self._storage.get_pool_stats(self._options.pool)
            except CorruptRecordError as error:
                return error  # the judge's to blame, like figures that are only wrong
        await asyncio.sleep(step)
        return None
