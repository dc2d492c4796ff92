"""What docs/observability.md says of metrics is what is exported, and its examples run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from pharox.models import SelectorStrategy
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import Metric

from pharox_redis import RedisStorage, Settings
from pharox_redis.models import PoolFigures
from pharox_redis.recorders.opentelemetry import OpenTelemetryRecorder
from pharox_redis.recorders.pools import PoolCollector
from pharox_redis.recorders.prometheus import PrometheusRecorder
from pharox_redis.service.metrics import Metrics
from pharox_redis.service.outcomes import FailureOutcome, SweepOutcome
from tests.support.builders import make_proxies

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")


def table(name: str) -> list[list[str]]:
    """The rows of the table that stands between markers, a list of cells each."""
    found = re.search(rf"<!-- {name}: .*? -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert found, name
    rows = [line for line in found[1].splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def metric_names(families: list[Metric]) -> set[str]:
    """Names as the page has them: counters with their ``_total``."""
    return {f.name + ("_total" if f.type == "counter" else "") for f in families}


def python() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_recorders_metrics_are_those_of_the_table() -> None:
    registry, reader = CollectorRegistry(), InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    for recorder in (
        PrometheusRecorder(registry),
        OpenTelemetryRecorder(meter_provider=provider),
    ):
        recorder.observe_acquire("a", SelectorStrategy.LEAST_USED, "granted", 0.001)
        recorder.observe_release("a", 1.0)
    families = list(registry.collect())
    rows = table("recorder")
    assert {row[0].strip("`") for row in rows} == metric_names(families)
    labels = {
        family.name: ", ".join(name for name in family.samples[0].labels if name != "le")
        for family in families
    }
    assert {row[0].strip("`").removesuffix("_total"): row[2] for row in rows} == labels
    data = reader.get_metrics_data()
    assert data is not None
    (scope,) = data.resource_metrics[0].scope_metrics
    assert {row[1].strip("`") for row in rows} == {metric.name for metric in scope.metrics}
    for metric in scope.metrics:
        for point in metric.data.data_points:
            for attribute in point.attributes or {}:
                assert f"`{attribute}`" in PAGE
    provider.shutdown()


def test_the_pools_metrics_are_those_of_the_table(valkey_url: str) -> None:
    with RedisStorage.from_url(valkey_url, settings=Settings(key_prefix="doc")) as storage:
        families = list(PoolCollector(storage).describe())
    assert {row[0].strip("`") for row in table("pools")} == metric_names(families)


def test_the_examples_run(valkey_url: str) -> None:
    scraped, acquired, recorded, collected = python()
    with RedisStorage.from_url(valkey_url, settings=Settings(key_prefix="doc")) as storage:
        pool = storage.ensure_pool("latam")
        storage.add_proxies_bulk(make_proxies(pool, 1))
        before = set(REGISTRY._collector_to_names)
        try:
            scope: dict[str, Any] = {}
            exec(acquired, scope)
            recorder = PrometheusRecorder(CollectorRegistry())
            lease = scope["acquire"](storage, recorder)
            storage.release_lease(lease)
            exec(recorded, scope)
            manager, provider = scope["record"](storage)
            with manager.with_lease("latam") as held:
                assert held is not None
            provider.shutdown()
            exec(collected, scope)
            scope["collect"](storage)
            assert REGISTRY.get_sample_value("pharox_redis_pool_proxies", {"pool": "latam"}) == 1
            assert "start_http_server" in scraped
        finally:
            for added in set(REGISTRY._collector_to_names) - before:
                REGISTRY.unregister(added)
            storage.delete_pool(pool.id)


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL))
def test_rules_speak_of_metrics_that_there_are(block: str) -> None:
    documents = yaml.safe_load(block)
    known = {row[0].strip("`") for name in ("recorder", "pools", "service") for row in table(name)}
    known |= {f"{name}{suffix}" for name in known for suffix in ("_bucket", "_sum", "_count")}
    for group in documents.get("groups", []):
        for rule in group["rules"]:
            assert set(re.findall(r"pharox_redis_\w+", rule["expr"])) <= known


def test_the_service_s_metrics_are_those_of_the_table(valkey_url: str) -> None:
    async def none() -> list[PoolFigures]:
        return []

    metrics = Metrics(none)
    own = {n for n in metric_names(list(metrics.registry.collect())) if "process_" not in n}
    own -= {row[0].strip("`") for row in table("recorder")}
    rows = {row[0].strip("`"): row[1] for row in table("service")}
    assert rows.pop("process_*")
    assert own == set(rows)
    metrics.observe(SweepOutcome(1, 0.1, False))
    metrics.observe(FailureOutcome("StorageError"))
    metrics.observe_request("/", "GET", 200, 0.1)
    labels = {
        f"{family.name}{'_total' if family.type == 'counter' else ''}": ", ".join(
            name for name in family.samples[0].labels if name != "le"
        )
        for family in metrics.registry.collect()
        if family.samples
    }
    assert {name: labels[name] for name in rows} == rows
