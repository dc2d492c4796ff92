"""``PrometheusRecorder`` on real managers, read back as Prometheus would read it."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pharox import ProxyPool
from pharox.exceptions import PoolNotFoundError
from pharox.manager import ProxyManager
from pharox.models import SelectorStrategy
from pharox.storage import InMemoryStorage
from prometheus_client import CollectorRegistry, Counter, generate_latest

from pharox_redis import (
    AsyncRedisProxyManager,
    AsyncRedisStorage,
    RedisProxyManager,
    RedisStorage,
    Settings,
    StorageUnavailableError,
)
from pharox_redis.recorders.prometheus import PrometheusRecorder
from tests.recorders.exposition import labels_of, samples, value
from tests.recorders.payloads import acquired, released
from tests.support.builders import make_proxies

ROOT = Path(__file__).parents[2]
ROUND = SelectorStrategy.ROUND_ROBIN


def two_grants_a_miss_and_a_stranger(manager: Any) -> None:
    """Leases two of two proxies, asks for a third, and in a pool that is none; releases one."""
    first = manager.acquire_proxy("pool")
    assert manager.acquire_proxy("pool", selector=ROUND) is not None
    assert manager.acquire_proxy("pool") is None
    assert manager.acquire_proxy("nowhere") is None
    manager.release_proxy(first)


async def the_same_awaited(manager: AsyncRedisProxyManager) -> None:
    first = await manager.acquire_proxy("pool")
    assert first is not None
    assert await manager.acquire_proxy("pool", selector=ROUND) is not None
    assert await manager.acquire_proxy("pool") is None
    assert await manager.acquire_proxy("nowhere") is None
    await manager.release_proxy(first)


def check(registry: CollectorRegistry) -> None:
    found = samples(registry)

    def acquires(pool: str, selector: str, outcome: str) -> float | None:
        labels = {"pool": pool, "selector": selector, "outcome": outcome}
        return value(found, "pharox_redis_acquires_total", **labels)

    assert acquires("pool", "first_available", "granted") == 1
    assert acquires("pool", "round_robin", "granted") == 1
    assert acquires("pool", "first_available", "none") == 1
    assert acquires("unknown", "first_available", "none") == 1
    assert labels_of(found, "pool") == {"pool", "unknown"}
    took = {"pool": "pool", "outcome": "granted"}
    assert value(found, "pharox_redis_acquire_seconds_count", **took) == 2
    assert value(found, "pharox_redis_acquire_seconds_bucket", le="+Inf", **took) == 2
    seconds = value(found, "pharox_redis_acquire_seconds_sum", **took)
    assert seconds is not None and 0 < seconds < 60
    assert value(found, "pharox_redis_releases_total", pool="pool") == 1
    assert value(found, "pharox_redis_lease_held_seconds_count", pool="pool") == 1


def fill(storage: Any) -> None:
    pool = storage.ensure_pool("pool") if hasattr(storage, "ensure_pool") else None
    if pool is None:
        pool = ProxyPool(name="pool")
        storage.add_pool(pool)
    for proxy in make_proxies(pool, 2):
        storage.add_proxy(proxy)


@pytest.mark.blocking_only("the managers are")
def test_our_manager_counts(real_storage: RedisStorage) -> None:
    fill(real_storage)
    manager, registry = RedisProxyManager(real_storage), CollectorRegistry()
    PrometheusRecorder(registry).attach(manager)
    two_grants_a_miss_and_a_stranger(manager)
    check(registry)


def test_pharox_s_own_manager_counts(real_storage: RedisStorage) -> None:
    for storage in (real_storage, InMemoryStorage()):
        fill(storage)
        manager, registry = ProxyManager(storage), CollectorRegistry()
        PrometheusRecorder(registry).attach(manager)
        two_grants_a_miss_and_a_stranger(manager)
        check(registry)


def test_asyncio_s_manager_counts(valkey_url: str) -> None:
    registry = CollectorRegistry()

    async def main() -> None:
        settings = Settings(key_prefix="recorder-aio")
        async with AsyncRedisStorage.from_url(valkey_url, settings=settings) as storage:
            pool = await storage.ensure_pool("pool")
            await storage.add_proxies_bulk(make_proxies(pool, 2))
            manager = AsyncRedisProxyManager(storage)
            PrometheusRecorder(registry).attach(manager)
            await the_same_awaited(manager)
            await storage.delete_pool(pool.id)

    asyncio.run(main())
    check(registry)


def test_durations_have_microseconds() -> None:
    registry = CollectorRegistry()
    recorder = PrometheusRecorder(registry)
    recorder.handle_acquire(acquired(microseconds=300))
    recorder.handle_release(released(seconds=1.2345))
    found = samples(registry)
    took = {"pool": "pool", "outcome": "granted"}
    assert value(found, "pharox_redis_acquire_seconds_sum", **took) == 0.0003
    assert value(found, "pharox_redis_acquire_seconds_bucket", le="0.00025", **took) == 0
    assert value(found, "pharox_redis_acquire_seconds_bucket", le="0.0005", **took) == 1
    assert value(found, "pharox_redis_lease_held_seconds_sum", pool="pool") == 1.2345


def test_a_clock_that_was_set_back_counts_as_no_time() -> None:
    registry = CollectorRegistry()
    recorder = PrometheusRecorder(registry)
    recorder.handle_acquire(acquired(microseconds=-5_000_000))
    recorder.handle_release(released(seconds=-5))
    found = samples(registry)
    took = {"pool": "pool", "outcome": "granted"}
    assert value(found, "pharox_redis_acquire_seconds_sum", **took) == 0
    assert value(found, "pharox_redis_acquire_seconds_count", **took) == 1
    assert value(found, "pharox_redis_lease_held_seconds_sum", pool="pool") == 0


def test_moments_without_a_time_zone_do_not_cost_a_lease() -> None:
    """Payloads of managers that are not ours; what a callback raises ends the lease."""
    registry = CollectorRegistry()
    recorder = PrometheusRecorder(registry)
    naive = datetime(2026, 1, 1)
    recorder.handle_acquire(acquired(completed_at=naive, duration_ms=250))
    recorder.handle_release(released(released_at=naive, lease_duration_ms=2000))
    recorder.handle_release(released(None, released_at=naive, lease_duration_ms=None))
    found = samples(registry)
    took = {"pool": "pool", "outcome": "granted"}
    assert value(found, "pharox_redis_acquire_seconds_sum", **took) == 0.25
    assert value(found, "pharox_redis_lease_held_seconds_sum", pool="pool") == 2
    assert value(found, "pharox_redis_releases_total", pool="unknown") == 1
    assert value(found, "pharox_redis_lease_held_seconds_count", pool="unknown") == 0


def test_a_storage_without_a_manager_is_counted_too(real_storage: RedisStorage) -> None:
    fill(real_storage)
    registry = CollectorRegistry()
    recorder = PrometheusRecorder(registry)
    for _ in range(3):
        with recorder.acquiring("pool") as attempt:
            attempt.lease = real_storage.acquire_lease("pool", "c", 60)
    with pytest.raises(StorageUnavailableError), recorder.acquiring("pool", ROUND):
        raise StorageUnavailableError("away")
    with pytest.raises(PoolNotFoundError), recorder.acquiring("nowhere"):
        real_storage.acquire_lease("nowhere", "c", 60)
    found = samples(registry)
    counts = {
        (dict(labels)["pool"], dict(labels)["selector"], dict(labels)["outcome"]): number
        for (name, labels), number in found.items()
        if name == "pharox_redis_acquires_total"
    }
    assert counts == {
        ("pool", "first_available", "granted"): 2,
        ("pool", "first_available", "none"): 1,
        ("pool", "round_robin", "error"): 1,
    }


def test_five_thousand_pools_are_a_hundred_labels() -> None:
    registry = CollectorRegistry()
    recorder = PrometheusRecorder(registry)
    for number in range(5000):
        recorder.handle_acquire(acquired(f"pool-{number}"))
        recorder.handle_release(released(f"pool-{number}"))
    for _ in range(3):  # those that came first keep their names
        recorder.handle_acquire(acquired("pool-7"))
    found = samples(registry)
    assert labels_of(found, "pool") == {f"pool-{number}" for number in range(100)} | {"other"}
    took = {"selector": "first_available", "outcome": "granted"}
    assert value(found, "pharox_redis_acquires_total", pool="pool-7", **took) == 4
    assert value(found, "pharox_redis_acquires_total", pool="other", **took) == 4900
    assert value(found, "pharox_redis_releases_total", pool="other") == 4900
    assert len(found) < 5000


def test_wrong_names_take_no_label() -> None:
    registry = CollectorRegistry()
    recorder = PrometheusRecorder(registry, max_pools=1)
    for number in range(10):
        recorder.handle_acquire(acquired(f"wrong-{number}", lease=None))
    recorder.handle_acquire(acquired("right"))
    assert labels_of(samples(registry), "pool") == {"unknown", "right"}


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ('quote " backslash \\ brace }', 'quote " backslash \\ brace }'),
        ("línea ✓ 池", "línea ✓ 池"),
        ("two\nlines", "two\\nlines"),
        ("nul\0, half \ud800", "nul\\x00, half \\ud800"),
    ],
)
def test_any_name_can_be_read_back(name: str, label: str) -> None:
    registry = CollectorRegistry()
    PrometheusRecorder(registry).observe_acquire(name, ROUND, "granted", 0.001)
    assert labels_of(samples(registry), "pool") == {label}
    assert b"\0" not in generate_latest(registry)


def test_threads_count_together() -> None:
    registry = CollectorRegistry()
    recorder = PrometheusRecorder(registry, max_pools=5)
    gate = threading.Barrier(8)

    def work() -> None:
        gate.wait()
        for number in range(200):
            recorder.observe_acquire(f"pool-{number % 20}", ROUND, "granted", 0.001)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = samples(registry)
    assert len(labels_of(found, "pool")) == 6
    counts = [n for (name, _), n in found.items() if name == "pharox_redis_acquires_total"]
    assert sum(counts) == 1600


@pytest.mark.blocking_only("the managers are")
def test_attached_twice_counts_once_and_detached_not_at_all(real_storage: RedisStorage) -> None:
    fill(real_storage)
    manager, registry = RedisProxyManager(real_storage), CollectorRegistry()
    heard: list[object] = []
    manager.register_acquire_callback(heard.append)
    recorder = PrometheusRecorder(registry)
    assert recorder.attach(manager).attach(manager) is recorder
    with manager.with_lease("pool"):
        pass
    took = {"pool": "pool", "outcome": "granted"}
    assert value(samples(registry), "pharox_redis_acquire_seconds_count", **took) == 1
    for _ in range(2):
        recorder.detach(manager)
        with manager.with_lease("pool"):
            pass
    assert value(samples(registry), "pharox_redis_acquire_seconds_count", **took) == 1
    assert value(samples(registry), "pharox_redis_releases_total", pool="pool") == 1
    assert len(heard) == 3, "a stranger's callback stays"


@pytest.mark.parametrize("thing", [None, "manager", InMemoryStorage()])
def test_only_managers_can_be_attached(thing: Any) -> None:
    recorder = PrometheusRecorder(CollectorRegistry())
    for method in (recorder.attach, recorder.detach):
        with pytest.raises(TypeError, match=type(thing).__qualname__):
            method(thing)


def test_recorders_of_a_registry_share_their_metrics() -> None:
    registry = CollectorRegistry()
    one, two = PrometheusRecorder(registry, max_pools=1), PrometheusRecorder(registry, max_pools=1)
    one.observe_release("a", 1)
    two.observe_release("b", 1)
    two.observe_release("a", 1)
    found = samples(registry)
    assert value(found, "pharox_redis_releases_total", pool="a") == 2
    assert value(found, "pharox_redis_releases_total", pool="other") == 1
    with pytest.raises(ValueError, match="max_pools or buckets"):
        PrometheusRecorder(registry, max_pools=2)
    other = PrometheusRecorder(registry, "mine", max_pools=2, acquire_buckets=[1], held_buckets=[2])
    other.observe_release("a", 1)
    found = samples(registry)
    assert value(found, "mine_lease_held_seconds_bucket", pool="a", le="2.0") == 1
    assert value(found, "pharox_redis_releases_total", pool="a") == 2


def test_metrics_can_be_taken_out_and_put_back() -> None:
    registry = CollectorRegistry()
    recorder = PrometheusRecorder(registry)
    recorder.observe_release("a", 1)
    for _ in range(2):
        recorder.unregister()
        assert samples(registry) == {}
    recorder.observe_release("a", 1)
    again = PrometheusRecorder(registry, max_pools=3)
    again.observe_release("a", 1)
    assert value(samples(registry), "pharox_redis_releases_total", pool="a") == 1
    recorder.unregister()  # those of another recorder are not its own
    PrometheusRecorder(registry, max_pools=3)
    assert value(samples(registry), "pharox_redis_releases_total", pool="a") == 1


def test_somebody_else_s_metrics_are_left_alone() -> None:
    registry = CollectorRegistry()
    theirs = Counter("pharox_redis_releases", "Theirs.", registry=registry)
    with pytest.raises(ValueError, match="Duplicated"):
        PrometheusRecorder(registry)
    registry.unregister(theirs)
    PrometheusRecorder(registry).observe_release("a", 1)
    assert value(samples(registry), "pharox_redis_releases_total", pool="a") == 1


def test_a_registry_that_is_not_used_any_more_goes() -> None:
    registry = CollectorRegistry()
    PrometheusRecorder(registry).observe_release("a", 1)
    gone = weakref.ref(registry)
    del registry
    gc.collect()
    assert gone() is None


def test_metrics_outlive_their_recorder() -> None:
    registry = CollectorRegistry()
    PrometheusRecorder(registry).observe_release("a", 1)
    gc.collect()
    PrometheusRecorder(registry).observe_release("a", 1)
    assert value(samples(registry), "pharox_redis_releases_total", pool="a") == 2


def test_a_negative_number_of_pools_is_refused() -> None:
    with pytest.raises(ValueError, match="max_pools is -1"):
        PrometheusRecorder(CollectorRegistry(), max_pools=-1)


def test_the_default_registry_is_prometheus_s() -> None:
    """In an interpreter of its own: that registry is everybody's."""
    code = (
        "from prometheus_client import generate_latest\n"
        "from pharox_redis.recorders.prometheus import PrometheusRecorder\n"
        "PrometheusRecorder().observe_release('a', 1)\n"
        "PrometheusRecorder().observe_release('a', 1)\n"
        "assert b'pharox_redis_releases_total{pool=\"a\"} 2.0' in generate_latest()\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=ROOT)


def test_without_its_library_a_module_says_what_to_install() -> None:
    code = (
        "import importlib, sys\n"
        "sys.modules['prometheus_client'] = sys.modules['opentelemetry'] = None\n"
        "import pharox_redis.recorders\n"
        "for name in ('prometheus', 'pools', 'opentelemetry'):\n"
        "    try: importlib.import_module(f'pharox_redis.recorders.{name}')\n"
        "    except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True
    )
    extras = [line.split("pip install ")[1] for line in done.stdout.splitlines()]
    ours, theirs = "'pharox-redis[prometheus]'", "'pharox-redis[opentelemetry]'"
    assert extras == [ours, ours, theirs]
