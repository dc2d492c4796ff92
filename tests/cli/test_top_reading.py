"""One look of ``pharox-redis top`` at a real server: what it finds, and that it is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from pharox.exceptions import PoolNotFoundError

from pharox_redis import AsyncRedisStorage, RedisStorage
from pharox_redis.cli.top import reading
from pharox_redis.cli.top.reading import Reader, address
from tests.support.builders import make_proxies, make_proxy
from tests.support.timetravel import expire_leases

T = TypeVar("T")


class Counting:
    """A storage that counts what is asked of it."""

    def __init__(self, storage: AsyncRedisStorage) -> None:
        self._storage = storage
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._storage, name)

        def ask(*args: Any, **options: Any) -> Any:
            self.asked.append((name, args, options))
            return method(*args, **options)

        return ask

    def count(self, name: str) -> int:
        return sum(asked == name for asked, *_ in self.asked)


@pytest.fixture
def looking(valkey_url: str, stored: RedisStorage) -> Callable[..., T]:
    def run(look: Callable[[Counting], Awaitable[T]]) -> T:
        async def main() -> T:
            async with AsyncRedisStorage.from_url(valkey_url, stored.settings) as storage:
                return await look(Counting(storage))

        return asyncio.run(main())

    return run


def test_two_looks(looking: Callable[..., None], stored: RedisStorage) -> None:
    shop, other = stored.ensure_pool("shop"), stored.ensure_pool("other")
    stored.add_proxies_bulk(make_proxies(shop, 3))
    stored.add_proxy(make_proxy(other, host="2001:db8::1", port=80))
    first = stored.acquire_lease("other", "first", 60)
    second = stored.acquire_lease("shop", "second", 60)
    assert first and second

    async def look(source: Counting) -> None:
        reader = Reader(source, limit=2)
        before = await reader.read()
        assert [row.acquires for row in before.rows] == [None, None]
        assert [(each.lease.id, each.pool, each.holder) for each in before.held] == [
            (first.id, "other", "first"), (second.id, "shop", "second")
        ]  # fmt: skip
        assert before.held[0].proxy == "[2001:db8::1]:80"
        assert (before.leases, before.looked_at, before.partly) == (2, 2, False)
        stored.acquire_lease("shop", "third", 60)
        assert stored.acquire_lease("other", "third", 60) is None
        stored.release_lease(second)
        asked = source.count("get_proxy_by_id"), source.count("consumer_names")
        now = await reader.read()
        rows = {row.figures.pool.name: row for row in now.rows}
        assert rows["shop"].acquires and rows["shop"].acquires > 0 == rows["shop"].misses
        assert rows["other"].misses and rows["other"].misses > 0 == rows["other"].acquires
        assert [each.holder for each in now.held] == ["first", "third"]
        # Only what was not known yet was asked for.
        assert source.count("get_proxy_by_id") == asked[0] + 1
        assert source.count("consumer_names") == asked[1] + 1
        assert source.asked[-2][0] == "consumer_names" and len(source.asked[-2][1][0]) == 1
        await reader.read()
        assert source.count("consumer_names") == asked[1] + 1

    looking(look)


def test_what_is_unknown_is_not_asked_for_again(
    looking: Callable[..., None], stored: RedisStorage
) -> None:
    shop = stored.ensure_pool("shop")
    stored.add_proxy(make_proxy(shop))
    assert stored.acquire_lease("shop", "holder", 60)

    async def look(source: Counting) -> None:
        async def nobody(ids: object) -> dict[Any, str]:
            source.asked.append(("nobody", (), {}))
            return {}

        source.consumer_names = nobody  # type: ignore[attr-defined]
        reader = Reader(source)  # type: ignore[arg-type]
        assert [each.holder for each in (await reader.read()).held] == [None]
        await reader.read()
        assert source.count("nobody") == 1

    looking(look)


def test_the_look_is_bounded(
    looking: Callable[..., None], stored: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PAGE", 5)
    monkeypatch.setattr(reading, "LEASES_OF_A_POOL", 20)
    monkeypatch.setattr(reading, "LEASES_IN_ALL", 40)
    for number, count in enumerate((60, 9, 3, 0)):
        pool = stored.ensure_pool(f"pool-{number}")
        stored.add_proxies_bulk(make_proxies(pool, max(1, count)))
        if count:
            assert len(stored.acquire_leases(pool.name, "holder", 60, count)) == count

    async def look(source: Counting) -> None:
        seen = await Reader(source, limit=1000).read()  # type: ignore[arg-type]
        # A third of 40 each, in whole pages; pools without leases are not asked.
        assert (seen.leases, seen.looked_at, seen.partly) == (72, 15 + 9 + 3, True)
        assert source.count("page_leases") == 3 + 2 + 1
        assert len(seen.held) == 27
        monkeypatch.setattr(reading, "LEASES_IN_ALL", 10)
        seen = await Reader(source, limit=1).read()  # type: ignore[arg-type]
        # Two pools of the three, those with most leases.
        assert (seen.looked_at, seen.partly, len(seen.held)) == (10, True, 1)
        one = await Reader(source, pool_id=stored.ensure_pool("pool-1").id).read()  # type: ignore[arg-type]
        assert (one.leases, one.looked_at, one.partly) == (9, 9, False)

    looking(look)


def test_a_pool_that_is_deleted_meanwhile(
    looking: Callable[..., None], stored: RedisStorage
) -> None:
    pools = [stored.ensure_pool(name) for name in ("a", "b")]
    for pool in pools:
        stored.add_proxy(make_proxy(pool))
        assert stored.acquire_lease(pool.name, "holder", 60)

    async def look(source: Counting) -> None:
        reader = Reader(source)  # type: ignore[arg-type]
        real = source.list_pool_figures

        async def then_deleted() -> Any:
            figures = await real()
            stored.delete_pool(pools[0].id)
            return figures

        source.list_pool_figures = then_deleted  # type: ignore[method-assign]
        seen = await reader.read()
        assert [each.pool for each in seen.held] == ["b"] and not seen.partly
        with pytest.raises(PoolNotFoundError):
            await Reader(source, pool_id=pools[0].id).read()  # type: ignore[arg-type]

    looking(look)


def test_a_lease_that_is_over_has_no_time_left(
    looking: Callable[..., None], stored: RedisStorage
) -> None:
    shop = stored.ensure_pool("shop")
    stored.add_proxies_bulk(make_proxies(shop, 2))
    leases = stored.acquire_leases("shop", "holder", 60, 2)
    expire_leases(stored, leases[:1])

    async def look(source: Counting) -> None:
        seen = await Reader(source).read()  # type: ignore[arg-type]
        assert all(each.left_seconds >= 0 and each.held_seconds >= 0 for each in seen.held)

    looking(look)
    assert stored.cleanup_expired_leases() == 1


def test_addresses(stored: RedisStorage) -> None:
    pool = stored.ensure_pool("shop")
    assert address(make_proxy(pool, host="192.0.2.9", port=1)) == "192.0.2.9:1"
    assert address(make_proxy(pool, host="gate.example.com", port=2)) == "gate.example.com:2"
