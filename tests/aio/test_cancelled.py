"""A task that is cancelled, at any await, leaves no lease behind.

Every case runs one call again and again, cancelled at its first wait, its second, ... until it
comes to its end first; each both before and after what it waits for has come. The client has two
connections and no more, so that one that is lost to a cancelled call is missed. Whatever a blocking
storage then finds in Redis is what was left behind.

Python 3.11's ``wait_for``, which redis-py writes through, drops a cancellation that meets the end
of the write. The driver notices, so that these tests demand that every one ends its task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from pharox.models import AcquireEventPayload, Lease, LeaseStatus, ProxyFilters

from pharox_redis import (
    AsyncRedisProxyManager,
    AsyncRedisStorage,
    ProxyLease,
    RedisStorage,
    Settings,
    StorageUnavailableError,
    new_lease_id,
)
from pharox_redis.drivers import asynchronous
from tests.support.builders import make_proxies
from tests.support.cancelling import MOMENTS, Moment, cancelled_at
from tests.support.invariants import check_invariants
from tests.support.own_servers import KINDS, own_server

LONGEST = 40
# Enough for the claims that cancelled finds leave for a second.
PROXIES = 60
GERMAN = ProxyFilters(country="DE", predicate=lambda proxy: proxy.port > 0)


class Bed(NamedTuple):
    """Where a case runs: a server, and a blocking storage on the same prefix."""

    url: str
    there: RedisStorage

    @asynccontextmanager
    async def storage(self, **settings: Any) -> AsyncIterator[AsyncRedisStorage]:
        chosen = Settings(key_prefix=self.there.settings.key_prefix, **settings)
        async with AsyncRedisStorage.from_url(self.url, chosen, max_connections=2) as storage:
            yield storage

    def left(self) -> list[Lease]:
        return self.there.list_leases()


@pytest.fixture
def bed(real_storage: RedisStorage) -> Iterator[Bed]:
    options = real_storage.client.connection_pool.connection_kwargs
    pool = real_storage.ensure_pool("a")
    real_storage.add_proxies_bulk(make_proxies(pool, PROXIES, country="DE", max_concurrency=2))
    yield Bed(f"redis://{options['host']}:{options['port']}/{options.get('db', 0)}", real_storage)
    stats = real_storage.get_pool_stats("a")
    assert stats is not None and stats.available_proxies == PROXIES


async def no_op(payload: AcquireEventPayload) -> None:
    await asyncio.sleep(0)


Call = Callable[[AsyncRedisStorage], Coroutine[Any, Any, Lease | list[ProxyLease] | None]]


async def give_back(storage: AsyncRedisStorage, granted: Lease | list[ProxyLease] | None) -> None:
    if isinstance(granted, list):
        assert await storage.release_leases(granted) == len(granted)
    elif granted is not None:
        await storage.release_lease(granted)


async def with_the_manager(storage: AsyncRedisStorage) -> Lease | None:
    return await AsyncRedisProxyManager(storage).acquire_proxy("a")


async def with_callbacks(storage: AsyncRedisStorage) -> Lease | None:
    manager = AsyncRedisProxyManager(storage)
    manager.register_acquire_callback(no_op)
    manager.register_acquire_callback(no_op)
    return await manager.acquire_proxy("a")


async def with_retry(storage: AsyncRedisStorage) -> Lease | None:
    return await AsyncRedisProxyManager(storage).acquire_proxy_with_retry("a")


async def in_one_call(storage: AsyncRedisStorage) -> Lease | None:
    return await storage.acquire_lease("a", "c", 60)


async def by_a_predicate(storage: AsyncRedisStorage) -> Lease | None:
    return await storage.acquire_lease("a", "c", 60, GERMAN)


async def from_several(storage: AsyncRedisStorage) -> Lease | None:
    return await storage.acquire_lease_from(["empty", "a"], "c", 60, shuffle=False)


async def found_and_created(storage: AsyncRedisStorage) -> Lease | None:
    proxy = await storage.find_available_proxy("a")
    assert proxy is not None
    return await storage.create_lease(proxy, "c", 60)


async def in_a_batch(storage: AsyncRedisStorage) -> list[ProxyLease]:
    return await storage.acquire_leases("a", "c", 60, 5)


async def in_a_batch_of_many_calls(storage: AsyncRedisStorage) -> list[ProxyLease]:
    """The more so where a chunk is short: eight leases a call."""
    return await storage.acquire_leases("a", "c", 60, 120, distinct=False)


async def in_a_batch_by_a_predicate(storage: AsyncRedisStorage) -> list[ProxyLease]:
    return await storage.acquire_leases("a", "c", 60, 3, GERMAN)


async def in_a_with_block(storage: AsyncRedisStorage) -> Lease | None:
    async with AsyncRedisProxyManager(storage).with_lease("a"):
        await asyncio.sleep(0)
    return None


async def in_a_with_block_that_retries(storage: AsyncRedisStorage) -> Lease | None:
    async with AsyncRedisProxyManager(storage).with_retrying_lease("a"):
        await asyncio.sleep(0)
    return None


CALLS: list[Call] = [
    *(with_the_manager, with_callbacks, with_retry, in_one_call, by_a_predicate),
    *(from_several, found_and_created, in_a_with_block, in_a_with_block_that_retries),
    *(in_a_batch, in_a_batch_of_many_calls, in_a_batch_by_a_predicate),
]


async def cancel_everywhere(
    bed: Bed, call: Call, moment: Moment, cold: bool, times: int = 1, **settings: Any
) -> int:
    """How often it was cancelled. Fails if anything is left."""
    for wait in range(1, LONGEST):
        async with bed.storage(**settings) as storage:
            if not cold:
                await give_back(storage, await call(storage))
                assert bed.left() == []
            outcome = await cancelled_at(wait, moment, lambda storage=storage: call(storage), times)
            if times > 1:
                await storage._driver.settle()
            assert outcome.cancelled == outcome.reached, f"wait {wait}"
            await give_back(storage, outcome.result)
            assert bed.left() == [], f"cancelled at wait {wait}"
            # The client still has both its connections.
            answers = await asyncio.gather(*(storage.get_pool_stats("a") for _ in range(2)))
            assert all(answers)
        if not outcome.reached:
            return wait - 1
    raise AssertionError(f"{call.__name__} waits more than {LONGEST} times")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_at_every_wait(bed: Bed, call: Call, cold: bool, moment: Moment) -> None:
    bed.there.ensure_pool("empty")
    assert asyncio.run(cancel_everywhere(bed, call, moment, cold)) > (10 if cold else 0)
    check_invariants(bed.there)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_once_more_while_it_is_wound_up(bed: Bed, call: Call, moment: Moment) -> None:
    bed.there.ensure_pool("empty")
    asyncio.run(cancel_everywhere(bed, call, moment, False, times=2))
    check_invariants(bed.there)


@pytest.mark.parametrize("moment", MOMENTS)
def test_while_the_server_has_no_scripts(bed: Bed, moment: Moment) -> None:
    async def flushed(storage: AsyncRedisStorage) -> Lease | None:
        bed.there.client.script_flush()
        return await storage.acquire_lease("a", "c", 60)

    asyncio.run(cancel_everywhere(bed, flushed, moment, False))


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("own", [False, True], ids=["storage", "manager"])
def test_a_release_is_sent_all_the_same(bed: Bed, own: bool, moment: Moment) -> None:
    async def main() -> None:
        for wait in range(1, LONGEST):
            async with bed.storage() as storage:
                lease = await storage.acquire_lease("a", "c", 60)
                assert lease is not None
                if wait % 2:
                    # A storage that has yet to learn which pools there are.
                    lease.pool_id = None
                manager = AsyncRedisProxyManager(storage)
                release: Callable[[Lease], Any] = (
                    manager.release_proxy if own else storage.release_lease
                )
                outcome = await cancelled_at(
                    wait, moment, lambda release=release, lease=lease: release(lease)
                )
                assert bed.left() == [], f"cancelled at wait {wait}"
                known = bed.there.get_lease(lease.id)
                assert known is not None and known.status is LeaseStatus.RELEASED
            if not outcome.reached and wait > 2:
                return
        raise AssertionError("the release waits too often")

    asyncio.run(main())
    check_invariants(bed.there)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_batch_in_short_chunks(bed: Bed, moment: Moment) -> None:
    """Cancelled between its calls, too: what the earlier ones brought goes back."""
    waits = asyncio.run(
        cancel_everywhere(bed, in_a_batch_of_many_calls, moment, False, chunk_ms=0.001)
    )
    assert waits > 15
    check_invariants(bed.there)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("chunk_ms", [0.001, 2.0])
def test_a_release_of_a_batch_is_sent_all_the_same(
    bed: Bed, chunk_ms: float, moment: Moment
) -> None:
    async def main() -> None:
        for wait in range(1, LONGEST):
            async with bed.storage(chunk_ms=chunk_ms) as storage:
                leases = await storage.acquire_leases("a", "c", 60, 110, distinct=False)
                for lease in leases[::50]:
                    lease.pool_id = None
                outcome = await cancelled_at(
                    wait,
                    moment,
                    lambda storage=storage, leases=leases: storage.release_leases(leases),
                )
                assert len(leases) == 110 and bed.left() == [], f"cancelled at wait {wait}"
            if not outcome.reached:
                assert wait > 1
                return
        raise AssertionError("the release waits too often")

    asyncio.run(main())
    check_invariants(bed.there)


def test_hundreds_at_random_turns(bed: Bed) -> None:
    """Not one by one: a crowd on one client, each cancelled some turns of the loop later."""
    ended = {"cancelled": 0, "leased": 0, "missed": 0}

    async def main() -> None:
        async with bed.storage() as storage:
            manager = AsyncRedisProxyManager(storage)
            await manager.cleanup_expired_leases()
            gate = asyncio.Semaphore(2)  # as many as there are connections

            async def use() -> None:
                async with gate, manager.with_lease("a") as lease:
                    ended["leased" if lease else "missed"] += 1
                    await asyncio.sleep(0)

            for turns in range(300):
                tasks = [asyncio.create_task(use()) for _ in range(4)]
                for _ in range(turns % 23):
                    await asyncio.sleep(0)
                for task in tasks[: 1 + turns % 4]:
                    ended["cancelled"] += task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                errors = [r for r in results if r and not isinstance(r, asyncio.CancelledError)]
                assert errors == []
            await storage._driver.settle()

    asyncio.run(main())
    assert bed.left() == [] and ended["missed"] == 0
    assert ended["cancelled"] > 300 and ended["leased"] > 100
    check_invariants(bed.there)


@pytest.mark.parametrize("how", ["timeout", "wait_for", "group"])
def test_by_the_ways_of_asyncio(bed: Bed, how: str) -> None:
    async def boom() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with bed.storage() as storage:
            call = lambda: storage.acquire_lease("a", "c", 60)  # noqa: E731
            if how == "timeout":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await call()
            elif how == "wait_for":
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(call(), 0.0001)
            else:
                with pytest.raises(ExceptionGroup):
                    async with asyncio.TaskGroup() as group:
                        group.create_task(call())
                        group.create_task(boom())
            assert bed.left() == []

    asyncio.run(main())


def test_when_the_loop_closes_down(bed: Bed) -> None:
    """``asyncio.run`` cancels what is left when its main function returns."""

    async def main() -> None:
        storage = AsyncRedisStorage.from_url(bed.url, bed.there.settings)
        await storage.cleanup_expired_leases()
        for _ in range(5):
            asyncio.create_task(storage.acquire_lease("a", "c", 60))  # noqa: RUF006
        await asyncio.sleep(0)
        for _ in range(5):
            asyncio.get_running_loop().call_soon(lambda: None)
        await asyncio.sleep(0)
        storages.append(storage)

    storages: list[AsyncRedisStorage] = []
    with asyncio.Runner() as runner:
        runner.run(main())
        loop = runner.get_loop()
        asyncio.runners._cancel_all_tasks(loop)  # type: ignore[attr-defined]
        assert bed.left() == []
        runner.run(storages[0].aclose())


def test_an_id_of_ones_own_stays_for_who_asks_again(bed: Bed) -> None:
    """Ended, it could be ended under somebody who has it already."""
    pool = bed.there.ensure_pool("a")
    lease_id = new_lease_id(pool.id, b"job")
    first = bed.there.acquire_lease("a", "c", 60, lease_id=lease_id)

    async def main() -> None:
        async with bed.storage() as storage:
            await storage.get_pool_stats("a")
            for consumer in ("c", "another"):
                await storage.ensure_consumer(consumer)
                outcome = await cancelled_at(
                    1,
                    "late",
                    lambda who=consumer: storage.acquire_lease("a", who, 60, lease_id=lease_id),
                )
                assert outcome.cancelled
            again = await storage.acquire_lease("a", "c", 60, lease_id=lease_id)
            assert again is not None and first is not None
            assert again.model_dump() == first.model_dump()
            assert again.status is LeaseStatus.ACTIVE
            await storage.release_lease(again)

    asyncio.run(main())


class Stalled:
    """A driver's link that does not answer until it is let go."""

    def __init__(self, storage: AsyncRedisStorage) -> None:
        self.go, self.asked = asyncio.Event(), 0
        self._call = storage._driver._link.call
        storage._driver._link.call = self.call  # type: ignore[method-assign]

    async def call(self, words: Any) -> Any:
        self.asked += 1
        await self.go.wait()
        return await self._call(words)


def test_a_server_that_does_not_answer_keeps_nobody(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller goes on after a moment; what is left to do is done when the server is back."""
    monkeypatch.setattr(asynchronous, "GRACE_SECONDS", 0.01)

    async def main() -> None:
        async with bed.storage() as storage:
            await storage.release_lease((await in_one_call(storage)) or pytest.fail())
            # Granted, and the answer lost:
            lease = await storage.acquire_lease("a", "c", 60)
            assert lease is not None
            stalled = Stalled(storage)
            task = asyncio.create_task(storage.release_lease(lease))
            while not stalled.asked:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert storage._driver._windings and bed.left() != []
            stalled.go.set()
        assert bed.left() == []  # leaving the storage waited for it

    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_does_not_come_back(
    kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning says what it means; the cancellation goes on, and no other error."""
    monkeypatch.setattr(asynchronous, "PATIENCE_SECONDS", 0.1)

    async def main(url: str, kill: Callable[[], None]) -> None:
        async with AsyncRedisStorage.from_url(url, retry=None) as storage:
            lease = await in_one_call(storage)
            assert lease is not None
            kill()
            with pytest.raises(StorageUnavailableError):
                await in_one_call(storage)
            stalled = Stalled(storage)
            task: asyncio.Task[Any] = asyncio.create_task(storage.release_lease(lease))
            while not stalled.asked:
                await asyncio.sleep(0)
            task.cancel()
            stalled.go.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            await storage._driver.settle()

    with own_server(kind) as server, caplog.at_level(logging.WARNING, "pharox_redis"):
        there = RedisStorage.from_url(server.url)
        there.add_proxies_bulk(make_proxies(there.ensure_pool("a"), 1))
        there.close()
        asyncio.run(main(server.url, server.kill))
    assert "ends at its expiry" in caplog.text


def test_other_methods_stop_where_they_are(bed: Bed) -> None:
    """Nothing is sent for them any more, and the next call finds all in order."""
    pool = bed.there.ensure_pool("a")

    async def everything(storage: AsyncRedisStorage) -> None:
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: storage.list_leases(),
            lambda: storage.list_proxies(pool.id),
            lambda: storage.cleanup_expired_leases(),
            lambda: storage.add_proxies_bulk(bed.there.list_proxies(pool.id)),
            lambda: storage.find_available_proxy("a"),
            lambda: storage.ensure_pool("another"),
        ]
        for call in calls:
            await call()

    async def main() -> None:
        for wait in range(1, LONGEST):
            async with bed.storage(claim_seconds=0) as storage:
                outcome = await cancelled_at(
                    wait, "late", lambda storage=storage: everything(storage)
                )
                assert not storage._driver._windings
            check_invariants(bed.there)
            if not outcome.reached:
                return
        assert wait > 10

    asyncio.run(main())
