"""The event loop is never blocked: long lists are worked off in turns, and nothing uses threads.

Nothing is timed. A ticker task notes, at each of its turns, how many models were decoded, encoded
or tested since the one before; that must stay below a bound, however many there are in all.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pharox.models import (
    HealthCheckResult,
    Lease,
    ProxyFilters,
    ProxyHealthRecord,
    ProxyPool,
    ProxyProtocol,
    ProxyStatus,
)

from pharox_redis import RedisStorage
from pharox_redis.aio import AsyncRedisStorage
from pharox_redis.aio_manager import AsyncRedisProxyManager
from pharox_redis.flows import health, leases, pools, proxies
from tests.support.builders import make_proxies
from tests.support.running import run_beside

# Some twelve milliseconds of work; what a pool's page (200) would take if done at once is more than
# what in_turns does (50), and what a whole list would take is far beyond.
MOST = 250
MANY = 3_000


class Counter:
    """Counts pieces of work; ``worst`` is the most that was done between two turns of the loop."""

    def __init__(self) -> None:
        self.done = self.worst = self.total = 0

    def counting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.done += 1
            return function(*args, **kwargs)

        return counted

    async def watch(self, work: Awaitable[Any]) -> Any:
        """Await some work while the ticker ticks."""
        ticker = asyncio.create_task(self._tick())
        try:
            return await work
        finally:
            ticker.cancel()
            self._note()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0)
            self._note()

    def _note(self) -> None:
        self.worst, self.total = max(self.worst, self.done), self.total + self.done
        self.done = 0


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Counts what the flows decode and encode."""
    made = Counter()
    for module, name in (
        *((proxies, "decode_proxy"), (proxies, "encode_proxy"), (proxies, "merge_document")),
        *((leases, "decode_lease"), (pools, "decode_pool"), (health, "decode_health")),
    ):
        monkeypatch.setattr(module, name, made.counting(getattr(module, name)))
    return made


Work = Callable[[AsyncRedisStorage], Awaitable[Any]]


def watched(counter: Counter, storage: RedisStorage, work: Work, **options: Any) -> Any:
    """The result of some work, with the loop watched and no thread in sight."""
    counter.done = counter.worst = counter.total = 0

    async def main(aio: AsyncRedisStorage) -> Any:
        return await counter.watch(work(aio))

    return run_beside(storage, main, **options)


def few_at_once(counter: Counter, at_least: int) -> None:
    assert counter.total >= at_least, "the work was not seen"
    assert counter.worst <= MOST


@pytest.fixture
def crowd(make_real_storage: Callable[..., RedisStorage]) -> tuple[RedisStorage, ProxyPool]:
    """A storage, and a pool of many proxies."""
    storage = make_real_storage()
    pool = storage.ensure_pool("pool")
    storage.add_proxies_bulk(make_proxies(pool, MANY, max_concurrency=None))
    return storage, pool


def test_list_proxies(crowd: tuple[RedisStorage, ProxyPool], counter: Counter) -> None:
    storage, pool = crowd
    listed = watched(counter, storage, lambda aio: aio.list_proxies(pool.id))
    assert len(listed) == MANY
    few_at_once(counter, MANY)


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_add_proxies_bulk(
    make_real_storage: Callable[..., RedisStorage], counter: Counter, known: bool
) -> None:
    storage = make_real_storage()
    given = [p for n in "abc" for p in make_proxies(storage.ensure_pool(n), MANY // 3)]
    if known:
        storage.add_proxies_bulk(given)
    assert watched(counter, storage, lambda aio: aio.add_proxies_bulk(given)) == MANY
    few_at_once(counter, 2 * MANY)


def test_leases_of_many_pools(
    make_real_storage: Callable[..., RedisStorage], counter: Counter
) -> None:
    """A page of each of forty pools comes in one trip."""
    storage = make_real_storage()
    consumer = storage.ensure_consumer("c")
    count = 0
    for number in range(40):
        pool = storage.ensure_pool(f"pool {number}")
        storage.save_proxy(proxy := make_proxies(pool, 1, max_concurrency=None)[0])
        for _ in range(50):
            storage.create_lease(proxy, "c", 60)
            count += 1
    for asked in (None, consumer):
        listed: list[Lease] = watched(counter, storage, lambda aio, a=asked: aio.list_leases(a))
        assert len({lease.id for lease in listed}) == count
        few_at_once(counter, count)


def test_list_pools(make_real_storage: Callable[..., RedisStorage], counter: Counter) -> None:
    storage = make_real_storage()
    for number in range(1_000):
        storage.save_pool(ProxyPool(name=f"pool {number}"))
    assert len(watched(counter, storage, lambda aio: aio.list_pools())) == 1_000
    few_at_once(counter, 1_000)


def test_health_records(make_real_storage: Callable[..., RedisStorage], counter: Counter) -> None:
    storage = make_real_storage(health_history=1_000)
    pool = storage.ensure_pool("pool")
    storage.save_proxy(proxy := make_proxies(pool, 1)[0])
    for _ in range(1_000):
        storage.save_health_record(
            ProxyHealthRecord(
                proxy_id=proxy.id,
                reachable=True,
                protocol=ProxyProtocol.HTTP,
                status_after=ProxyStatus.ACTIVE,
            )
        )
    listed = watched(counter, storage, lambda aio: aio.list_health_records(proxy.id, 1_000))
    assert len(listed) == 1_000
    few_at_once(counter, 1_000)


@pytest.mark.parametrize("what", ["find", "acquire"])
def test_predicates(crowd: tuple[RedisStorage, ProxyPool], counter: Counter, what: str) -> None:
    storage, _ = crowd
    filters = ProxyFilters(predicate=counter.counting(lambda proxy: False))

    async def work(aio: AsyncRedisStorage) -> Any:
        if what == "find":
            return await aio.find_available_proxy("pool", filters)
        return await aio.acquire_lease("pool", "c", 60, filters)

    assert watched(counter, storage, work) is None
    few_at_once(counter, MANY)


def test_deletes_and_sweeps(crowd: tuple[RedisStorage, ProxyPool], counter: Counter) -> None:
    """Many trips, and a turn for others at each."""
    storage, pool = crowd
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def work(aio: AsyncRedisStorage) -> None:
        ticker = asyncio.create_task(tick())
        assert await aio.cleanup_expired_leases() == 0
        await aio.delete_pool(pool.id)
        ticker.cancel()

    watched(counter, storage, work)
    assert turns > 10 and storage.list_pools() == []


def test_everything_in_the_calling_thread(
    storage: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No thread is started, no executor is asked, whatever is done."""

    def forbidden(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a thread was asked for")

    async def work(aio: AsyncRedisStorage) -> None:
        loop = asyncio.get_running_loop()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", forbidden)
            patch.setattr(asyncio, "to_thread", forbidden)
            patch.setattr(loop, "run_in_executor", forbidden)
            patch.setattr(loop, "set_default_executor", forbidden)
            before = threading.active_count()
            await everything(aio)
            assert threading.active_count() == before

    run_beside(storage, work)


async def everything(aio: AsyncRedisStorage) -> None:
    """Each method of storage and manager at least once."""
    manager = AsyncRedisProxyManager(aio)
    manager.register_acquire_callback(lambda payload: None)
    pool = await aio.ensure_pool("pool")
    given = make_proxies(pool, 120, country="DE")
    await aio.add_proxies_bulk(given)
    await aio.save_proxy(given[0])
    filters = ProxyFilters(country="DE", predicate=lambda proxy: proxy.port > 0)
    for wanted in (None, filters):
        async with manager.with_lease("pool", "c", 60, wanted) as lease:
            assert lease is not None
        async with manager.with_retrying_lease("pool", "c", 60, wanted) as lease:
            assert lease is not None
        found = await aio.find_available_proxy("pool", wanted)
        assert found is not None
        await aio.release_lease(await aio.create_lease(found, "c", 60))
    assert await aio.acquire_lease_from(["pool"], "c", 60) is not None
    assert len(await aio.list_proxies(pool.id)) == 120
    (held,) = await aio.list_leases()
    assert await aio.get_lease(held.id) == held
    assert [p.id for p in await aio.list_pools()] == [pool.id]
    assert await aio.get_pool(pool.id) == await aio.get_pool_by_name("pool")
    assert await aio.get_pool_stats("pool") is not None
    result = HealthCheckResult(
        proxy_id=given[1].id,
        status=ProxyStatus.ACTIVE,
        latency_ms=1,
        protocol=ProxyProtocol.HTTP,
    )
    assert await aio.apply_health_check_result(result) is not None
    assert await aio.get_last_health_result(given[1].id) is not None
    assert len(await aio.list_health_records(given[1].id)) == 1
    await aio.delete_proxy(given[1].id)
    assert await aio.get_proxy_by_id(given[1].id) is None
    assert await aio.cleanup_expired_leases() == 0
    await aio.delete_pool(pool.id)
