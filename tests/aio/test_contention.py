"""Hundreds of tasks on one pool, and processes of them; see ``tests/faults/test_contention.py``.

A counter outside the storage's prefix is raised right after a lease was got and lowered right
before it is given back, so one that exceeds a proxy's limit proves an over-lease.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio
from pharox.models import Lease, SelectorStrategy

from pharox_redis import RedisStorage
from pharox_redis.aio import AsyncRedisStorage
from pharox_redis.aio_manager import AsyncRedisProxyManager
from pharox_redis.settings import Settings
from tests.support.contention import FILTERS, Seen, fill, judge, url_of
from tests.support.invariants import dump
from tests.support.running import run_beside

TASKS, TURNS = 300, 3
SELECTORS = list(SelectorStrategy)
LIMITS = (1, 2, 3, None)

Take = Callable[[str, str, Any, SelectorStrategy], Awaitable[Lease | None]]
GiveBack = Callable[[Any], Awaitable[None]]
Way = tuple[Take, GiveBack]


def managed(storage: AsyncRedisStorage) -> Way:
    manager = AsyncRedisProxyManager(storage)

    async def take(pool: str, name: str, filters: Any, selector: SelectorStrategy) -> Any:
        return await manager.acquire_proxy(pool, name, 60, filters, selector)

    return take, manager.release_proxy


def found_and_created(storage: AsyncRedisStorage) -> Way:
    """Two calls, as pharox's own manager makes them: the task's claim holds in between."""

    async def take(pool: str, name: str, filters: Any, selector: SelectorStrategy) -> Any:
        proxy = await storage.find_available_proxy(pool, filters, selector)
        return proxy and await storage.create_lease(proxy, name, 60)

    return take, storage.release_lease


def acquired(storage: AsyncRedisStorage) -> Way:
    async def take(pool: str, name: str, filters: Any, selector: SelectorStrategy) -> Any:
        return await storage.acquire_lease(pool, name, 60, filters, selector)

    return take, storage.release_lease


WAYS = {"managed": [managed], "found": [found_and_created]}
WAYS["mixed"] = [managed, found_and_created, acquired]


async def fight(
    storage: AsyncRedisStorage, pool: str, ways: list[Any], tasks: int, name: str
) -> list[Seen]:
    """That many tasks take and return leases, two at once every other time."""
    made = [way(storage) for way in ways]
    # The counters have a few connections of their own; tasks queue for them.
    pool_of_counters = redis.asyncio.BlockingConnectionPool(
        max_connections=8,
        timeout=None,
        **{k: storage.client.get_connection_kwargs()[k] for k in ("host", "port", "db")},
    )
    counters = redis.asyncio.Redis.from_pool(pool_of_counters)

    async def task(number: int) -> Seen:
        take, give_back = made[number % len(made)]
        seen, selector = Seen(), SELECTORS[number // len(made) % 4]
        for turn in range(TURNS):
            held = []
            try:
                for _ in range(1 + turn % 2):
                    lease = await take(pool, f"{name}-{number}", FILTERS["filtered"], selector)
                    if lease is None:
                        seen.misses += 1
                        continue
                    load = await counters.incr(f"watch:{lease.proxy_id}")
                    held.append(lease)
                    seen.held(lease.id, lease.proxy_id, load)
                for lease in held:
                    await counters.decr(f"watch:{lease.proxy_id}")
                    await give_back(lease)
            except Exception as error:
                seen.errors.append(f"{type(error).__name__}: {error}")
        return seen

    async with counters:
        return list(await asyncio.gather(*map(task, range(tasks))))


@pytest.mark.parametrize(
    ("ways", "limit"), [*(("mixed", limit) for limit in LIMITS), ("managed", 2), ("found", 2)]
)
def test_hundreds_of_tasks(
    make_real_storage: Callable[..., RedisStorage], ways: str, limit: int | None
) -> None:
    storage = make_real_storage(claim_seconds=60)
    allowed = fill(storage, 20, limit)

    async def work(aio: AsyncRedisStorage) -> list[Seen]:
        return await fight(aio, "fleet", WAYS[ways], TASKS, "t")

    seen = run_beside(storage, work)
    assert len(seen) == TASKS
    misses = judge(storage, seen, limit, allowed)
    assert (misses == 0) == (limit is None), "nobody met anybody"
    if limit is not None:
        # The fight was one: some proxy was seen full.
        assert max(peak for each in seen for peak in each.peaks.values()) == limit
    (pool,) = dump(storage)[1].values()
    assert "claims" not in pool.single, "a task's claim outlived its lease"


def test_more_tasks_than_connections(make_real_storage: Callable[..., RedisStorage]) -> None:
    """With the client that ``from_url`` makes tasks wait for a connection, and none is refused."""
    storage = make_real_storage()
    allowed = fill(storage, 20, 2)

    async def main() -> list[Seen]:
        async with AsyncRedisStorage.from_url(url_of(storage), storage.settings) as aio:
            return await fight(aio, "fleet", WAYS["managed"], TASKS, "t")

    judge(storage, asyncio.run(main()), 2, allowed)


def test_a_claim_is_the_tasks_own(make_real_storage: Callable[..., RedisStorage]) -> None:
    """A hundred tasks find a hundred proxies, all before the first of them creates a lease."""
    storage = make_real_storage(claim_seconds=60)
    allowed = fill(storage, 100, 1)

    async def work(aio: AsyncRedisStorage) -> Counter[str]:
        everybody = asyncio.Barrier(100)

        async def task(number: int) -> str:
            selector = SELECTORS[number % 4]
            found = await aio.find_available_proxy("fleet", FILTERS["filtered"], selector)
            assert found is not None
            await everybody.wait()
            await asyncio.sleep(0)
            return str((await aio.create_lease(found, f"t{number}", 60)).proxy_id)

        return Counter(await asyncio.gather(*map(task, range(100))))

    assert run_beside(storage, work) == dict.fromkeys(allowed, 1)


def process(url: str, prefix: str, number: int, pools: list[str], pipe: Any) -> None:
    """A hundred tasks on one storage; the pools one after the other."""

    async def main() -> list[list[Seen]]:
        settings = Settings(key_prefix=prefix, claim_seconds=60)
        async with AsyncRedisStorage.from_url(url, settings) as storage:
            assert await storage.list_pools()
            await asyncio.to_thread(pipe.send, "ready")
            await asyncio.to_thread(pipe.recv)
            return [await fight(storage, p, WAYS["mixed"], 100, f"{number}") for p in pools]

    pipe.send(asyncio.run(main()))


def test_processes_of_tasks(make_real_storage: Callable[..., RedisStorage]) -> None:
    storage = make_real_storage(claim_seconds=60)
    limits = {f"pool {limit}": limit for limit in LIMITS}
    allowed = {name: fill(storage, 10, limit, name) for name, limit in limits.items()}
    spawn = multiprocessing.get_context("spawn")
    url, prefix = url_of(storage), storage.settings.key_prefix
    workers, pipes = [], []
    for number in range(3):
        here, there = spawn.Pipe()
        args = (url, prefix, number, list(limits), there)
        workers.append(spawn.Process(target=process, args=args))
        workers[-1].start()
        there.close()
        pipes.append(here)
    for pipe in pipes:
        assert pipe.poll(60) and pipe.recv() == "ready"
    for pipe in pipes:
        pipe.send("go")
    seen: list[list[Seen]] = [[] for _ in limits]
    for pipe in pipes:
        assert pipe.poll(120)
        for mine, all_of_pool in zip(pipe.recv(), seen, strict=True):
            all_of_pool += mine
    for (name, limit), each in zip(limits.items(), seen, strict=True):
        misses = judge(storage, each, limit, allowed[name], name)
        assert misses == 0 or limit is not None
    for worker, pipe in zip(workers, pipes, strict=True):
        worker.join(30)
        assert worker.exitcode == 0
        pipe.close()


def test_blocking_and_asyncio_storages_share_a_pool(
    make_real_storage: Callable[..., RedisStorage],
) -> None:
    """What one flavour leased the other sees and may end."""
    storage = make_real_storage()
    fill(storage, 1, 1)

    async def work(aio: AsyncRedisStorage) -> None:
        mine = await aio.acquire_lease("fleet", "a", 60, FILTERS["filtered"])
        assert mine is not None
        assert storage.acquire_lease("fleet", "b", 60, FILTERS["filtered"]) is None
        storage.release_lease(mine)
        theirs = storage.acquire_lease("fleet", "b", 60, FILTERS["filtered"])
        assert theirs is not None and (await aio.get_lease(theirs.id)) == storage.get_lease(
            theirs.id
        )
        assert await aio.acquire_lease("fleet", "a", 60, FILTERS["filtered"]) is None
        await aio.release_lease(theirs)

    run_beside(storage, work)
