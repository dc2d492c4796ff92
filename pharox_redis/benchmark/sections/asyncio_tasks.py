"""Pairs of many tasks in one process, against EVALSHA by as many tasks on the same client."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from pharox_redis import AsyncRedisProxyManager, AsyncRedisStorage, Settings
from pharox_redis.benchmark.bench import Bench, ratio
from pharox_redis.benchmark.peers.evalsha import SCRIPT
from pharox_redis.benchmark.peers.managers import CONSUMER, DURATION, FILTERS, NothingLeasedError
from pharox_redis.benchmark.rows import Budget, Limit, Row

AsyncWork = Callable[[], Awaitable[object]]


def asyncio_tasks(bench: Bench) -> Iterator[Row]:
    """AsyncRedisProxyManager against EVALSHA of redis.asyncio."""
    pool = bench.pool(bench.profile.usual).name
    tasks = bench.profile.tasks
    bench.reporter.status(f"{tasks} tasks")
    ours, floor = asyncio.run(_alternate(bench, pool))
    rates = [1 / statistics.median(seconds) for seconds in (ours, floor)]
    yield Row(
        "asyncio",
        f"AsyncRedisProxyManager / EVALSHA, {tasks} tasks",
        ratio(floor, ours),
        "x",
        Budget(Limit.AT_LEAST, 0.40),
        f"{rates[0]:,.0f} / {rates[1]:,.0f} a second",
        {"AsyncRedisProxyManager a second": rates[0], "EVALSHA a second": rates[1]},
    )


async def _alternate(bench: Bench, pool: str) -> tuple[list[float], list[float]]:
    """Seconds a pair and seconds an EVALSHA, of all tasks together, one figure a round."""
    settings = Settings(key_prefix=bench.prefix)
    async with AsyncRedisStorage.from_url(bench.url, settings) as storage:
        manager = AsyncRedisProxyManager(storage)
        client: Any = storage.client
        sha = await client.script_load(SCRIPT)

        async def pair() -> None:
            lease = await manager.acquire_proxy(pool, CONSUMER, DURATION, FILTERS)
            if lease is None:
                raise NothingLeasedError("AsyncRedisProxyManager")
            await manager.release_proxy(lease)

        async def call() -> None:
            await client.evalsha(sha, 0)

        seconds: tuple[list[float], list[float]] = ([], [])
        for number in range(bench.profile.rounds + 1):
            for work, figures in zip((pair, call), seconds, strict=True):
                taken = await _crowd(work, bench.profile.tasks, bench.profile.round_seconds)
                if number:  # the first round connects
                    figures.append(taken)
            bench.reporter.advance()
        return seconds


async def _crowd(work: AsyncWork, tasks: int, round_seconds: float) -> float:
    """Seconds a call when ``tasks`` tasks do nothing else for a round."""
    start = time.perf_counter()
    until = start + round_seconds

    async def repeat() -> int:
        calls = 0
        while calls == 0 or time.perf_counter() < until:
            await work()
            calls += 1
        return calls

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(repeat()) for _ in range(tasks)]
    return (time.perf_counter() - start) / sum(task.result() for task in running)
