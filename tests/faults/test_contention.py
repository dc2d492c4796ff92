"""A fleet on one pool: processes and threads that take and return leases all at once.

Whether a proxy is over-leased is observed without the library: right after it got a lease a worker
raises a counter of that proxy under a key outside the storage's prefix, and lowers it right before
it gives the lease back. The counter is a lower bound of the load, so one that exceeds the limit
proves an over-lease, and many overlapping holds make one show.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from pharox.async_helpers import with_lease_async
from pharox.manager import ProxyManager
from pharox.models import ProxyFilters, ProxyPool, SelectorStrategy

from pharox_redis import RedisProxyManager, RedisStorage
from tests.conftest import StorageFactory
from tests.support.builders import make_proxies
from tests.support.own_servers import storage_on

MANAGERS: dict[str, type[ProxyManager]] = {"own": RedisProxyManager, "stock": ProxyManager}
FILTERS = {"all": None, "filtered": ProxyFilters(country="DE", none_of=[ProxyFilters(asn=7)])}


@dataclass
class Seen:
    """What one worker saw."""

    leases: list[str] = field(default_factory=list)
    peaks: dict[str, int] = field(default_factory=dict)
    misses: int = 0
    errors: list[str] = field(default_factory=list)


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
                seen.leases.append(str(lease.id))
                seen.peaks[str(lease.proxy_id)] = max(load, seen.peaks.get(str(lease.proxy_id), 0))
            for lease in held:
                watch.decr(f"watch:{lease.proxy_id}")
                manager.release_proxy(lease)
        except Exception as error:
            seen.errors.append(f"{type(error).__name__}: {error}")
    return seen


def process(url: str, prefix: str, number: int, jobs: list[Job], pipes: Any) -> None:
    """One worker process with four threads on one storage; the jobs one after the other."""
    storage = storage_on(url, key_prefix=prefix)
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
    storage.close()


def url_of(storage: RedisStorage) -> str:
    options = storage.client.connection_pool.connection_kwargs
    return f"redis://{options['host']}:{options['port']}/{options.get('db', 0)}"


def fill(storage: RedisStorage, count: int, limit: int | None, name: str = "fleet") -> set[str]:
    """``count`` proxies that match the filter and some that do not; the ids of the former."""
    pool = ProxyPool(name=name)
    storage.save_pool(pool)
    matching = make_proxies(pool, count, country="DE", max_concurrency=limit)
    storage.add_proxies_bulk(
        [
            *make_proxies(pool, 3, country="DE", asn=7, max_concurrency=limit),
            *matching,
            *make_proxies(pool, 3, country="FR", max_concurrency=limit),
        ]
    )
    return {str(proxy.id) for proxy in matching}


def judge(
    storage: RedisStorage,
    seen: list[Seen],
    limit: int | None,
    allowed: set[str] | None,
    name: str = "fleet",
) -> int:
    """What must hold of every run; returns the misses."""
    assert [error for worker in seen for error in worker.errors] == []
    ids = [lease for worker in seen for lease in worker.leases]
    assert len(ids) == len(set(ids)) > 0
    for worker in seen:
        for proxy, peak in worker.peaks.items():
            assert limit is None or peak <= limit, f"{proxy} had {peak} leases"
            assert allowed is None or proxy in allowed, f"{proxy} does not match"
    # Claims of the stock manager that nobody used (there are none) would still be held here.
    stats = storage.get_pool_stats(name)
    assert stats is not None
    assert (stats.total_leases, stats.leased_proxies) == (0, 0)
    assert stats.available_proxies == stats.total_proxies
    assert storage.list_leases() == []
    return sum(worker.misses for worker in seen)


def test_processes(real_storage: RedisStorage) -> None:
    """Four processes with four threads each, three proxies; with no limit nobody ever misses."""
    jobs = [Job(f"{m} {limit}", m, limit) for m in MANAGERS for limit in (1, 2, 3, None)]
    allowed = {job: fill(real_storage, 3, job.limit, job.pool) for job in jobs}
    spawn = multiprocessing.get_context("spawn")
    url, prefix = url_of(real_storage), real_storage.settings.key_prefix
    workers, pipes = [], []
    for number in range(4):
        here, there = spawn.Pipe()
        workers.append(spawn.Process(target=process, args=(url, prefix, number, jobs, there)))
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
def test_tasks(real_storage: RedisStorage, manager: str) -> None:
    """pharox's async helpers run the manager in worker threads, on behalf of many tasks."""
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
                seen.leases.append(str(lease.id))
                peak = seen.peaks.get(str(lease.proxy_id), 0)
                seen.peaks[str(lease.proxy_id)] = max(load, peak)
                await asyncio.to_thread(watch.decr, f"watch:{lease.proxy_id}")

    async def everybody() -> None:
        await asyncio.gather(*(task(number) for number in range(60)))

    asyncio.run(everybody())
    judge(real_storage, [seen], 2, None)
