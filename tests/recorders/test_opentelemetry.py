"""``OpenTelemetryRecorder`` with the SDK, read from its in-memory reader."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import pharox_redis
from pharox_redis import RedisProxyManager, RedisStorage, StorageUnavailableError
from pharox_redis.recorders.base import ACQUIRE_BUCKETS, HELD_BUCKETS
from pharox_redis.recorders.opentelemetry import OpenTelemetryRecorder
from tests.recorders.payloads import acquired, released
from tests.support.builders import make_proxies

POOL, SELECTOR, OUTCOME = "pharox.pool.name", "pharox.selector", "pharox.outcome"
Points = dict[frozenset[tuple[str, Any]], Any]


class Reading:
    """A provider of meters, and what its reader has."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)

    def metrics(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        (scope,) = data.resource_metrics[0].scope_metrics
        assert (scope.scope.name, scope.scope.version) == ("pharox_redis", pharox_redis.__version__)
        return {metric.name: metric for metric in scope.metrics}

    def points(self, name: str) -> Points:
        return {
            frozenset((point.attributes or {}).items()): point
            for point in self.metrics()[name].data.data_points
        }


@pytest.fixture
def reading() -> Iterator[Reading]:
    """A provider of a test's own."""
    made = Reading()
    yield made
    made.provider.shutdown()


def key(**attributes: str) -> frozenset[tuple[str, str]]:
    names = {"pool": POOL, "selector": SELECTOR, "outcome": OUTCOME}
    return frozenset((names[name], value) for name, value in attributes.items())


@pytest.mark.blocking_only("the managers are")
def test_a_manager_s_work_is_recorded(real_storage: RedisStorage, reading: Reading) -> None:
    pool = real_storage.ensure_pool("pool")
    real_storage.add_proxies_bulk(make_proxies(pool, 1))
    manager = RedisProxyManager(real_storage)
    recorder = OpenTelemetryRecorder(meter_provider=reading.provider).attach(manager)
    with manager.with_lease("pool"):
        assert manager.acquire_proxy("pool") is None
    with pytest.raises(StorageUnavailableError), recorder.acquiring("pool"):
        raise StorageUnavailableError("away")
    counts = {k: p.value for k, p in reading.points("pharox.lease.acquires").items()}
    assert counts == {
        key(pool="pool", selector="first_available", outcome=outcome): 1
        for outcome in ("granted", "none", "error")
    }
    took = reading.points("pharox.lease.acquire.duration")[key(pool="pool", outcome="granted")]
    assert took.count == 1 and 0 < took.sum < 60
    assert {k: p.value for k, p in reading.points("pharox.lease.releases").items()} == {
        key(pool="pool"): 1
    }
    assert reading.points("pharox.lease.held.duration")[key(pool="pool")].count == 1
    recorder.detach(manager)
    with manager.with_lease("pool"):
        pass
    assert reading.points("pharox.lease.releases")[key(pool="pool")].value == 1


def test_durations_are_seconds_in_buckets_that_fit(reading: Reading) -> None:
    recorder = OpenTelemetryRecorder(meter_provider=reading.provider)
    recorder.handle_acquire(acquired(microseconds=300))
    recorder.handle_release(released(seconds=1.2345))
    recorder.handle_release(released(seconds=-1))
    took = reading.points("pharox.lease.acquire.duration")[key(pool="pool", outcome="granted")]
    assert (took.sum, took.explicit_bounds) == (0.0003, ACQUIRE_BUCKETS)
    assert took.bucket_counts[1] == 1
    held = reading.points("pharox.lease.held.duration")[key(pool="pool")]
    assert (held.sum, held.count, held.explicit_bounds) == (1.2345, 2, HELD_BUCKETS)


def test_units_are_those_of_the_conventions(reading: Reading) -> None:
    recorder = OpenTelemetryRecorder(reading.provider.get_meter("pharox_redis", "0.1.0"))
    recorder.handle_acquire(acquired())
    recorder.handle_release(released(None))
    assert {name: metric.unit for name, metric in reading.metrics().items()} == {
        "pharox.lease.acquires": "{acquire}",
        "pharox.lease.acquire.duration": "s",
        "pharox.lease.releases": "{release}",
        "pharox.lease.held.duration": "s",
    }
    assert reading.points("pharox.lease.releases")[key(pool="unknown")].value == 1


def test_five_thousand_pools_are_a_hundred_attributes(reading: Reading) -> None:
    recorder = OpenTelemetryRecorder(meter_provider=reading.provider)
    for number in range(5000):
        recorder.handle_release(released(f"pool-{number}"))
    points = reading.points("pharox.lease.releases")
    assert len(points) == 101
    assert points[key(pool="other")].value == 4900
    with pytest.raises(ValueError, match="max_pools is -1"):
        OpenTelemetryRecorder(max_pools=-1)


def test_two_recorders_of_a_provider_count_together(reading: Reading) -> None:
    for _ in range(2):
        OpenTelemetryRecorder(meter_provider=reading.provider).handle_release(released())
    assert reading.points("pharox.lease.releases")[key(pool="pool")].value == 2


def test_without_an_sdk_nothing_is_counted_and_nothing_fails() -> None:
    """In an interpreter of its own, where the global provider is nobody's."""
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from pharox_redis.recorders.opentelemetry import OpenTelemetryRecorder\n"
        "OpenTelemetryRecorder().observe_release('a', 1)\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=root)
