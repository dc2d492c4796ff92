"""``PoolCollector`` on real servers: what everybody took from pools, read when it is scraped."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from pharox import ProxyFilters, ProxyPool, ProxyStatus
from prometheus_client import CollectorRegistry
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pharox_redis import AsyncRedisStorage, RedisStorage, Settings
from pharox_redis.embedded import EmbeddedServer
from pharox_redis.models import PoolFigures
from pharox_redis.recorders.pools import COUNTERS, GAUGES, PoolCollector, pool_metrics
from tests.recorders.exposition import Samples, labels_of, samples, value
from tests.support.builders import make_proxies
from tests.support.timetravel import expire_leases

UP, POOLS = "pharox_redis_up", "pharox_redis_pools"
only_one_flavour = pytest.mark.blocking_only("a scrape has a thread of its own")


def of_pool(found: Samples, pool: str) -> dict[str, float]:
    """A pool's metrics by name, without what all of them begin with."""
    return {
        name.removeprefix("pharox_redis_pool_"): number
        for (name, labels), number in found.items()
        if labels == frozenset({("pool", pool)})
    }


def registry_of(storage: RedisStorage, **options: Any) -> CollectorRegistry:
    """A registry with a collector, as the global one is: it asks what a collector has."""
    registry = CollectorRegistry(auto_describe=True)
    registry.register(PoolCollector(storage, **options))
    return registry


@only_one_flavour
def test_figures_are_those_of_the_moment(real_storage: RedisStorage) -> None:
    pool = real_storage.ensure_pool("pool")
    proxies = make_proxies(pool, 3, country="AR")
    proxies += make_proxies(pool, 2, status=ProxyStatus.INACTIVE)
    real_storage.add_proxies_bulk(proxies)
    registry = registry_of(real_storage)
    assert of_pool(samples(registry), "pool") == {
        "leases_held": 0,
        "proxies": 5,
        "proxies_active": 3,
        "proxies_available": 3,
        "proxies_saturated": 0,
        "proxies_leased": 0,
        "views": 0,
        "acquired_total": 0,
        "missed_total": 0,
        "reclaimed_total": 0,
    }
    for _ in range(4):
        lease = real_storage.acquire_lease("pool", "c", 60, ProxyFilters(country="AR"))
        assert lease is not None
        real_storage.release_lease(lease)
    held = [real_storage.acquire_lease("pool", "c", 60) for _ in range(3)]
    assert held[0] is not None
    assert real_storage.acquire_lease("pool", "c", 60) is None
    expire_leases(real_storage, [held[0]])
    assert real_storage.cleanup_expired_leases() == 1
    found = samples(registry)
    assert of_pool(found, "pool") == {
        "leases_held": 2,
        "proxies": 5,
        "proxies_active": 3,
        "proxies_available": 1,
        "proxies_saturated": 2,
        "proxies_leased": 2,
        "views": 1,
        "acquired_total": 7,
        "missed_total": 1,
        "reclaimed_total": 1,
    }
    assert value(found, UP) == value(found, POOLS) == 1
    real_storage.delete_pool(pool.id)
    assert samples(registry) == {(UP, frozenset()): 1, (POOLS, frozenset()): 0}


@only_one_flavour
def test_pools_beyond_the_limit_are_added_up(real_storage: RedisStorage) -> None:
    for name in ("a", "b", "c", "d", "e\x00"):
        pool = real_storage.ensure_pool(name)
        real_storage.add_proxies_bulk(make_proxies(pool, 2))
        real_storage.acquire_lease(name, "c", 60)
    found = samples(registry_of(real_storage, max_pools=2))
    assert labels_of(found, "pool") == {"a", "b", "other"}
    other = of_pool(found, "other")
    assert other["proxies"] == 6 and other["leases_held"] == 3
    assert not [name for name in other if name.endswith("_total")], "a sum of counters may fall"
    assert of_pool(found, "b")["acquired_total"] == 1
    assert value(found, POOLS) == 5
    assert "e\\x00" in labels_of(samples(registry_of(real_storage)), "pool")


def figures(name: str, number: int) -> PoolFigures:
    """Figures of a pool that all are one number."""
    fields = [figure.field for figure in (*GAUGES, *COUNTERS)]
    return PoolFigures(
        pool=ProxyPool(name=name), at=datetime.now(UTC), **dict.fromkeys(fields, number)
    )


def test_five_thousand_pools_are_a_hundred_labels() -> None:
    class Fixed:
        def collect(self) -> Any:
            # In no order; the first by name is called what the others are.
            return pool_metrics(
                [figures(f"z{n:04}", 1) for n in range(4999)] + [figures("other", 1)]
            )

    registry = CollectorRegistry()
    registry.register(Fixed())
    found = samples(registry)
    assert labels_of(found, "pool") == {f"z{n:04}" for n in range(99)} | {"other"}
    assert value(found, "pharox_redis_pool_proxies", pool="other") == 4901
    assert value(found, POOLS) == 5000


def test_every_figure_is_exported() -> None:
    told = {figure.field for figure in (*GAUGES, *COUNTERS)}
    assert told == set(PoolFigures.model_fields) - {"pool", "at"}


def test_a_server_that_is_away_has_no_figures_and_no_old_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with EmbeddedServer() as server:
        client = Redis.from_url(server.url, retry=Retry(NoBackoff(), 0))
        with client, RedisStorage(client) as storage:
            # Before the server is asked anything: to register is not to scrape.
            server.stop()
            registry = registry_of(storage)
            assert caplog.text == ""
            assert samples(registry) == {(UP, frozenset()): 0}
            assert "not available" in caplog.text
            server.restart()
            storage.ensure_pool("pool")
            found = samples(registry)
            assert value(found, UP) == 1 and "pool" in labels_of(found, "pool")
            server.kill()
            assert samples(registry) == {(UP, frozenset()): 0}


def test_a_server_that_is_silent_holds_no_scrape(caplog: pytest.LogCaptureFixture) -> None:
    with (
        EmbeddedServer() as server,
        Redis.from_url(server.url) as client,
        Redis.from_url(server.url) as other,
        RedisStorage(client, Settings()) as storage,
    ):
        storage.ensure_pool("pool")
        registry = registry_of(storage, timeout=0.1)
        assert value(samples(registry), UP) == 1
        other.client_pause(3_000)
        began = time.monotonic()
        for _ in range(2):  # of two formats each
            assert samples(registry) == {(UP, frozenset()): 0}
        assert time.monotonic() - began < 2.5
        readers = [thread for thread in threading.enumerate() if thread.name == "pool-figures"]
        assert len(readers) == 1, "one reading hangs, not one a scrape"
        assert "is silent" in caplog.text
        readers[0].join(30)
        assert value(samples(registry), UP) == 1


def test_scrapes_at_the_same_time_share_a_reading(
    valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisStorage.from_url(valkey_url, settings=Settings(key_prefix="scrapes")) as storage:
        collector = PoolCollector(storage)
        caplog.set_level(logging.WARNING)
        threads = [threading.Thread(target=lambda: list(collector.collect())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert caplog.text == ""


def test_what_makes_no_sense_is_refused(valkey_url: str) -> None:
    with pytest.raises(TypeError, match="not AsyncRedisStorage"):
        PoolCollector(AsyncRedisStorage.from_url(valkey_url))  # type: ignore[arg-type]
    with RedisStorage.from_url(valkey_url) as storage:
        with pytest.raises(ValueError, match="max_pools is -1"):
            PoolCollector(storage, max_pools=-1)
        with pytest.raises(ValueError, match="timeout is 0 s"):
            PoolCollector(storage, timeout=0)
        registry = registry_of(storage)
        with pytest.raises(ValueError, match="Duplicated"):
            registry.register(PoolCollector(storage))
        registry.register(PoolCollector(storage, "fleet_b"))
