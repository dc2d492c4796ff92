"""Reads what a registry exports, by prometheus-client's own parsers, in both formats."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(registry: CollectorRegistry) -> Samples:
    """Every sample of a registry by name and labels; both formats must say the same."""
    found = read(plain(generate_latest(registry).decode()))
    assert found == read(openmetrics(openmetrics_latest(registry).decode()))
    return found


def read(families: Any) -> Samples:
    """Every sample of a page by name and labels; none may come twice."""
    found: Samples = {}
    for family in families:
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue  # a moment; formats disagree on where it stands
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float | None:
    """One sample, or None if it is not exported."""
    return found.get((name, frozenset(labels.items())))


def labels_of(found: Samples, label: str) -> set[str]:
    """Every value a label has anywhere."""
    return {v for _, labels in found for name, v in labels if name == label}
