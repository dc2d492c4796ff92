"""A fleet on one pool: processes and threads that take and return leases all at once.

Whether a proxy is over-leased is observed without the library: right after it got a lease a worker
raises a counter of that proxy under a key outside the storage's prefix, and lowers it right before
it gives the lease back. The counter is a lower bound of the load, so one that exceeds the limit
proves an over-lease, and many overlapping holds make one show.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from pharox.async_helpers import with_lease_async
from pharox.manager import ProxyManager
from pharox.models import SelectorStrategy

from tests.conftest import StorageFactory
from tests.support.blocking import AnyStorage, manager_of
from tests.support.contention import FILTERS, Seen, fill, judge, url_of
from tests.support.flavours import Maker

pytestmark = pytest.mark.async_on_redis

MANAGERS: dict[str, Callable[[Any], Any]] = {"own": manager_of, "stock": ProxyManager}


@dataclass(frozen=True)
class Job:
    """A pool to fight for, and how."""

    pool: str
    manager: str
    limit: int | None
    filters: str = "filtered"
    selector: SelectorStrategy = SelectorStrategy.LEAST_USED


def take_turns(manager: Any, watch: redis.Redis, name: str, turns: int, job: Job) -> Seen:
    """Acquire and release that many times, two leases at once every other time."""
    seen, options = Seen(), {"filters": FILTERS[job.filters], "selector": job.selector}
    for turn in range(turns):
        held = []
        try:
            for _ in range(1 + turn % 2):
                lease = manager.acquire_proxy(job.pool, name, 60, **options)
                if lease is None:
                    seen.misses += 1
                    continue
                load = watch.incr(f"watch:{lease.proxy_id}")
                held.append(lease)
                seen.held(lease.id, lease.proxy_id, load)
            for lease in held:
                watch.decr(f"watch:{lease.proxy_id}")
                manager.release_proxy(lease)
        except Exception as error:
            seen.errors.append(f"{type(error).__name__}: {error}")
    return seen


def process(url: str, prefix: str, flavour: str, number: int, jobs: list[Job], pipes: Any) -> None:
    """One worker process with four threads on one storage; the jobs one after the other."""
    maker = Maker(flavour)
    storage = maker.storage_on(url, key_prefix=prefix)
    for job in jobs:
        shared = MANAGERS[job.manager](storage)
        pipes.send("ready")
        pipes.recv()
        with ThreadPoolExecutor(4) as threads:
            seen = list(
                threads.map(
                    lambda i, job=job, shared=shared: take_turns(
                        shared, storage.client, f"w{number}-{i}", 8, job
                    ),
                    range(4),
                )
            )
        pipes.send(seen)
    maker.close()


def test_processes(real_storage: AnyStorage, flavour: str) -> None:
    """Four processes with four threads each, three proxies; with no limit nobody ever misses."""
    jobs = [Job(f"{m} {limit}", m, limit) for m in MANAGERS for limit in (1, 2, 3, None)]
    allowed = {job: fill(real_storage, 3, job.limit, job.pool) for job in jobs}
    spawn = multiprocessing.get_context("spawn")
    url, prefix = url_of(real_storage), real_storage.settings.key_prefix
    workers, pipes = [], []
    for number in range(4):
        here, there = spawn.Pipe()
        task = (url, prefix, flavour, number, jobs, there)
        workers.append(spawn.Process(target=process, args=task))
        workers[-1].start()
        there.close()
        pipes.append(here)
    for job in jobs:
        for pipe in pipes:
            assert pipe.poll(60) and pipe.recv() == "ready"
        for pipe in pipes:
            pipe.send("go")
        seen: list[Seen] = []
        for pipe in pipes:
            assert pipe.poll(60)
            seen += pipe.recv()
        misses = judge(real_storage, seen, job.limit, allowed[job], job.pool)
        assert misses == 0 or job.limit is not None
    for worker, pipe in zip(workers, pipes, strict=True):
        worker.join(30)
        assert worker.exitcode == 0
        pipe.close()


@pytest.mark.parametrize("manager", MANAGERS)
@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("selector", list(SelectorStrategy))
@pytest.mark.parametrize(("count", "limit"), [(3, 2), (40, 1)])
def test_threads(
    make_real_storage: StorageFactory,
    manager: str,
    filters: str,
    selector: SelectorStrategy,
    count: int,
    limit: int,
) -> None:
    storage = make_real_storage()
    matching = fill(storage, count, limit)
    shared = MANAGERS[manager](storage)
    job = Job("fleet", manager, limit, filters, selector)
    with ThreadPoolExecutor(16) as threads:
        seen = list(
            threads.map(lambda i: take_turns(shared, storage.client, f"w{i}", 3, job), range(16))
        )
    misses = judge(storage, seen, limit, matching if FILTERS[filters] else None)
    if count == 40:  # 16 workers hold at most two leases each
        assert misses == 0


@pytest.mark.parametrize("manager", MANAGERS)
def test_tasks(real_storage: AnyStorage, manager: str) -> None:
    """pharox's async helpers run the manager in worker threads, on behalf of many tasks; tasks that
    await an asyncio storage by themselves are in ``tests/aio/test_contention.py``."""
    fill(real_storage, 10, 2)
    shared = MANAGERS[manager](real_storage)
    watch, seen = real_storage.client, Seen()

    async def task(number: int) -> None:
        for _ in range(2):
            async with with_lease_async(shared, "fleet", f"t{number}", 60) as lease:
                if lease is None:
                    seen.misses += 1
                    continue
                load = await asyncio.to_thread(watch.incr, f"watch:{lease.proxy_id}")
                seen.held(lease.id, lease.proxy_id, load)
                await asyncio.to_thread(watch.decr, f"watch:{lease.proxy_id}")

    async def everybody() -> None:
        await asyncio.gather(*(task(number) for number in range(60)))

    asyncio.run(everybody())
    judge(real_storage, [seen], 2, None)
