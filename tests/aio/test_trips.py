"""One trip to acquire and one to release, counted where commands leave for the client."""

from __future__ import annotations

from typing import Any

import pytest
from pharox.models import ProxyFilters

from pharox_redis import RedisStorage
from pharox_redis.aio import AsyncRedisStorage
from pharox_redis.aio_manager import AsyncRedisProxyManager
from tests.support.builders import make_proxies
from tests.support.flavours import Trips
from tests.support.running import run_beside


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("filters", [None, ProxyFilters(country="DE")], ids=["all", "filtered"])
def test_one_trip_each_way(
    storage: RedisStorage, filters: ProxyFilters | None, watched: bool
) -> None:
    storage.add_proxies_bulk(make_proxies(storage.ensure_pool("pool"), 2, country="DE"))

    async def work(aio: AsyncRedisStorage) -> None:
        manager, payloads = AsyncRedisProxyManager(aio), list[Any]()
        if watched:
            manager.register_acquire_callback(payloads.append)
            manager.register_release_callback(payloads.append)
        for _ in range(4):  # the caches, the view
            async with manager.with_lease("pool", "me", 60, filters) as lease:
                assert lease is not None
        trips = Trips(aio)
        for _ in range(3):
            lease = await manager.acquire_proxy("pool", "me", 60, filters)
            assert trips.take() == ["EVALSHA"]
            assert lease is not None and lease.proxy.country == "DE"
            await manager.release_proxy(lease)
            assert trips.take() == ["EVALSHA"]
        async with manager.with_lease("pool", "me", 60, filters), manager.with_lease("pool", "me"):
            assert trips.take() == ["EVALSHA"] * 2
            assert await manager.acquire_proxy("pool", "me", 60, filters) is None
            assert trips.take() == ["EVALSHA"]
        assert trips.take() == ["EVALSHA"] * 2
        assert len(payloads) == (19 if watched else 0)
        for payload in payloads:
            assert payload.pool_stats.total_proxies == 2

    run_beside(storage, work)
