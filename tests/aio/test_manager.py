"""``AsyncRedisProxyManager`` against pharox's ``ProxyManager`` on pharox's own storage.

One story is told to both, and what they return, raise and tell their callbacks is compared field by
field. Ids and moments differ, so they are replaced by what they refer to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pharox.exceptions import InvalidLeaseError
from pharox.manager import ProxyManager
from pharox.models import Lease, Proxy, ProxyFilters, ProxyPool, SelectorStrategy
from pharox.storage import InMemoryStorage
from pydantic import BaseModel

from pharox_redis import ProxyLease, RedisStorage
from pharox_redis.aio import AsyncRedisStorage
from pharox_redis.aio_manager import AsyncRedisProxyManager
from tests.support.builders import make_proxies
from tests.support.running import run_beside

NOBODY = ProxyFilters(country="XX")
POOL = ProxyPool(name="pool")


class Awaited:
    """pharox's manager with methods that can be awaited, so that one story fits both."""

    def __init__(self, manager: ProxyManager) -> None:
        self._manager = manager

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._manager, name)
        if name.startswith("register_"):
            return method

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        @asynccontextmanager
        async def entered(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            with method(*args, **kwargs) as lease:
                yield lease

        return entered if name.startswith("with_") else awaited


Story = Callable[[Any, Callable[[object], None]], Awaitable[None]]


def told(value: Any, names: dict[UUID, str]) -> Any:
    """A value with ids numbered in order of appearance, and without its moments and spans."""
    if isinstance(value, BaseModel):
        kind = Lease if isinstance(value, ProxyLease) else type(value)  # ours carries its proxy
        return {
            name: told(getattr(value, name), names)
            if not name.endswith("_ms")
            else type(getattr(value, name))
            for name in kind.model_fields
        }
    if isinstance(value, UUID):
        return names.setdefault(value, f"id {len(names)}")
    if isinstance(value, datetime):
        return f"a moment in {value.tzinfo}"
    if isinstance(value, tuple | list):
        return [told(item, names) for item in value]
    if isinstance(value, BaseException):
        return type(value).__name__, str(value)
    return value


async def listen(manager: Any, story: Story) -> list[Any]:
    """What a story's callbacks are told, in order, and what the story notes."""
    names: dict[UUID, str] = {}
    heard: list[Any] = []

    def note(value: object) -> None:
        heard.append(told(value, names))

    manager.register_acquire_callback(
        lambda payload: heard.append(("acquire", told(payload, names)))
    )
    manager.register_release_callback(
        lambda payload: heard.append(("release", told(payload, names)))
    )
    await story(manager, note)
    return heard


async def hits(manager: Any, note: Callable[[object], None]) -> None:
    for selector in SelectorStrategy:
        lease = await manager.acquire_proxy("pool", None, 60, ProxyFilters(), selector)
        note(lease)
        await manager.release_proxy(lease)
        note(lease.released_at)


async def misses(manager: Any, note: Callable[[object], None]) -> None:
    note(await manager.acquire_proxy("pool", "default", 60, NOBODY))
    note(await manager.acquire_proxy("nowhere"))
    leases = [await manager.acquire_proxy("pool") for _ in range(3)]
    note([lease is None for lease in leases])
    note(await manager.cleanup_expired_leases())


async def releases(manager: Any, note: Callable[[object], None]) -> None:
    lease = await manager.acquire_proxy("pool")
    for _ in range(2):
        await manager.release_proxy(lease)
        note(lease.released_at)
    nameless = lease.model_copy(update={"pool_name": None})
    await manager.release_proxy(nameless)


async def refusals(manager: Any, note: Callable[[object], None]) -> None:
    for seconds in (0, -1):
        for name in ("acquire_proxy", "acquire_proxy_with_retry"):
            try:
                await getattr(manager, name)("pool", "default", seconds)
            except InvalidLeaseError as error:
                note(type(error).__name__)


async def blocks(manager: Any, note: Callable[[object], None]) -> None:
    async with manager.with_lease("pool", duration_seconds=60) as lease:
        note(lease)
    async with manager.with_lease("pool", filters=NOBODY) as lease:
        note(lease)
    async with manager.with_retrying_lease("pool", max_attempts=1) as lease:
        note(lease)
    try:
        async with manager.with_lease("pool"):
            raise LookupError("in the block")
    except LookupError as error:
        note(error)
    async with manager.with_retrying_lease("pool", filters=NOBODY, max_attempts=1) as lease:
        note(lease)


async def nobody_free(manager: Any, note: Callable[[object], None]) -> None:
    pauses: list[float] = []
    note(
        await manager.acquire_proxy_with_retry(
            "pool", filters=NOBODY, sleep_fn=pauses.append, max_attempts=4, backoff_seconds=0.25
        )
    )
    note(pauses)


STORIES: list[Story] = [hits, misses, releases, refusals, blocks, nobody_free]


@pytest.fixture
def proxies() -> list[Proxy]:
    """Unlike in all that selectors look at: of equals pharox's storages and ours may differ."""
    made = make_proxies(POOL, 2, country="DE")
    for number, proxy in enumerate(made):
        proxy.id = UUID(int=number + 1)
        proxy.checked_at = datetime(2024, 1, 1 + number, tzinfo=UTC)
    return made


@pytest.fixture
def seeded(storage: RedisStorage, proxies: list[Proxy]) -> Iterator[RedisStorage]:
    storage.save_pool(POOL)
    storage.add_proxies_bulk(proxies)
    return storage


def in_memory(proxies: list[Proxy]) -> ProxyManager:
    memory = InMemoryStorage()
    memory.save_pool(POOL)
    memory.add_proxies_bulk([proxy.model_copy() for proxy in proxies])
    return ProxyManager(memory)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_story(seeded: RedisStorage, proxies: list[Proxy], story: Story) -> None:
    async def ours(storage: AsyncRedisStorage) -> list[Any]:
        return await listen(AsyncRedisProxyManager(storage), story)

    theirs = asyncio.run(listen(Awaited(in_memory(proxies)), story))
    assert len(theirs) > 2
    assert run_beside(seeded, ours) == theirs


# -- callbacks -------------------------------------------------------------------------------------


def test_callbacks_are_awaited_one_after_the_other(seeded: RedisStorage) -> None:
    heard: list[str] = []

    def plain(payload: Any) -> None:
        heard.append("plain")

    async def coroutine(payload: Any) -> None:
        heard.append("begins")
        await asyncio.sleep(0)
        heard.append("ends")

    class Callable:
        async def __call__(self, payload: Any) -> None:
            heard.append(f"object in {asyncio.current_task() is task}")

    task: Any = None

    async def work(storage: AsyncRedisStorage) -> None:
        nonlocal task
        task = asyncio.current_task()
        manager = AsyncRedisProxyManager(storage)
        for callback in (coroutine, plain, Callable(), lambda _: coroutine(_), coroutine):
            manager.register_acquire_callback(callback)
            manager.register_release_callback(callback)
        order = ["begins", "ends", "plain", "object in True", *["begins", "ends"] * 2]
        lease = await manager.acquire_proxy("pool")
        assert lease is not None and heard == order
        await manager.release_proxy(lease)
        assert heard == order * 2

    run_beside(seeded, work)


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
@pytest.mark.parametrize("via", ["acquire_proxy", "acquire_proxy_with_retry", "with_lease"])
def test_a_callback_that_raises(seeded: RedisStorage, kind: str, via: str) -> None:
    """The lease is nobody's: it is given back before the error goes on."""
    live: list[int] = []

    async def coroutine(payload: Any) -> None:
        live.append(len(await storage_in_use[0].list_leases()))
        raise LookupError("told too much")

    def plain(payload: Any) -> None:
        live.append(len(seeded.list_leases()))
        raise LookupError("told too much")

    storage_in_use: list[AsyncRedisStorage] = []

    async def work(storage: AsyncRedisStorage) -> None:
        storage_in_use.append(storage)
        manager, later = AsyncRedisProxyManager(storage), list[Any]()
        manager.register_acquire_callback(coroutine if kind == "coroutine" else plain)
        manager.register_acquire_callback(later.append)
        with pytest.raises(LookupError, match="told too much"):
            if via == "with_lease":
                async with manager.with_lease("pool"):
                    pytest.fail("the block is not entered")
            await getattr(manager, via)("pool")
        assert live == [1] and later == []
        assert await storage.list_leases() == []

    run_beside(seeded, work)


def test_a_release_callback_that_raises(seeded: RedisStorage) -> None:
    def raising(payload: Any) -> None:
        raise LookupError("told too much")

    async def work(storage: AsyncRedisStorage) -> None:
        manager = AsyncRedisProxyManager(storage)
        manager.register_release_callback(raising)
        lease = await manager.acquire_proxy("pool")
        assert lease is not None
        with pytest.raises(LookupError, match="told too much"):
            await manager.release_proxy(lease)
        assert await storage.list_leases() == []

    run_beside(seeded, work)


def test_a_manager_wants_an_asyncio_storage(storage: RedisStorage) -> None:
    for wrong in (storage, InMemoryStorage()):
        with pytest.raises(TypeError, match=type(wrong).__name__):
            AsyncRedisProxyManager(wrong)  # type: ignore[arg-type]
