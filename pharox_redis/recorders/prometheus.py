"""``PrometheusRecorder``: what managers acquire and release, for prometheus-client.

A registry has one set of these metrics a namespace, however many recorders are made for it, so
that a module that is loaded twice, or two parts of a program that do not know of each other, count
together instead of failing. The set is one collector, so that it comes and goes as a whole.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from threading import Lock

from pharox.models import SelectorStrategy

from pharox_redis.recorders.base import ACQUIRE_BUCKETS, HELD_BUCKETS, Outcome, Recorder
from pharox_redis.recorders.extras import not_installed
from pharox_redis.recorders.labels import DEFAULT_MAX_POOLS, NAMESPACE, PoolLabels

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise not_installed(error, "prometheus") from error

__all__ = ["PrometheusRecorder"]


class PrometheusRecorder(Recorder):
    """Counts what managers do in a Prometheus registry.

    ``pharox_redis_acquires_total{pool, selector, outcome}``,
    ``pharox_redis_acquire_seconds{pool, outcome}``, ``pharox_redis_releases_total{pool}`` and
    ``pharox_redis_lease_held_seconds{pool}``; see ``docs/observability.md``.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = REGISTRY,
        namespace: str = NAMESPACE,
        *,
        max_pools: int = DEFAULT_MAX_POOLS,
        acquire_buckets: Sequence[float] = ACQUIRE_BUCKETS,
        held_buckets: Sequence[float] = HELD_BUCKETS,
    ) -> None:
        """Register the metrics, or share those that a registry has under this namespace.

        ``registry=None`` registers nothing: for prometheus-client's multiprocess mode, where
        another registry collects. ``max_pools`` pools have a label, the others are ``other``; the
        buckets are in seconds. Raises ``ValueError`` if the registry has such metrics with other
        options, or of somebody else's under one of these names.
        """
        self._registry = registry
        options = (namespace, max_pools, tuple(acquire_buckets), tuple(held_buckets))
        self._metrics = _Metrics(*options) if registry is None else _shared(registry, options)
        super().__init__(self._metrics.labels)

    def observe_acquire(
        self, pool_name: str | None, selector: SelectorStrategy, outcome: Outcome, seconds: float
    ) -> None:
        """Count an attempt to acquire that took so many seconds. O(1)."""
        count, duration = self._metrics.of_acquires(
            self._labels.label(pool_name), selector.value, outcome
        )
        count.inc()
        duration.observe(seconds)

    def observe_release(self, pool_name: str | None, held_seconds: float | None) -> None:
        """Count a release of a lease that was held for so many seconds, if that is known. O(1)."""
        count, held = self._metrics.of_releases(self._labels.label(pool_name))
        count.inc()
        if held_seconds is not None:
            held.observe(held_seconds)

    def unregister(self) -> None:
        """Take the metrics out of the registry, for all recorders that share them.

        Nothing happens if they are not in it. A recorder made afterwards begins at zero; what is
        still attached goes on counting where nobody looks.
        """
        if self._registry is not None:
            with _lock:
                with suppress(KeyError):
                    self._registry.unregister(self._metrics)
                known = _known.get(self._registry, {})
                if known.get(self._metrics.options[0]) is self._metrics:
                    del known[self._metrics.options[0]]


class _Metrics(Collector):
    """The metrics of one namespace; one collector, so that they come and go together."""

    def __init__(
        self,
        namespace: str,
        max_pools: int,
        acquire_buckets: tuple[float, ...],
        held_buckets: tuple[float, ...],
    ) -> None:
        self.options = (namespace, max_pools, acquire_buckets, held_buckets)
        self.labels = PoolLabels(max_pools)
        self.acquires = Counter(
            "acquires",
            "Attempts to acquire a lease.",
            ("pool", "selector", "outcome"),
            namespace=namespace,
            registry=None,
        )
        self.acquire_seconds = Histogram(
            "acquire_seconds",
            "Seconds that an attempt to acquire a lease took.",
            ("pool", "outcome"),
            namespace=namespace,
            registry=None,
            buckets=acquire_buckets,
        )
        self.releases = Counter(
            "releases", "Leases released.", ("pool",), namespace=namespace, registry=None
        )
        self.held_seconds = Histogram(
            "lease_held_seconds",
            "Seconds from a lease's beginning to its release.",
            ("pool",),
            namespace=namespace,
            registry=None,
            buckets=held_buckets,
        )
        self._all = (self.acquires, self.acquire_seconds, self.releases, self.held_seconds)
        # To look for the series by its labels takes longer than to count.
        self.of_acquires = lru_cache(maxsize=None)(self._of_acquires)
        self.of_releases = lru_cache(maxsize=None)(self._of_releases)

    def _of_acquires(self, pool: str, selector: str, outcome: str) -> tuple[Counter, Histogram]:
        return (
            self.acquires.labels(pool, selector, outcome),
            self.acquire_seconds.labels(pool, outcome),
        )

    def _of_releases(self, pool: str) -> tuple[Counter, Histogram]:
        return self.releases.labels(pool), self.held_seconds.labels(pool)

    def collect(self) -> Iterator[Metric]:
        """All metrics with their samples."""
        for each in self._all:
            yield from each.collect()

    def describe(self) -> Iterator[Metric]:
        """All metrics without samples: their names, for the registry."""
        for each in self._all:
            yield from each.describe()


_Options = tuple[str, int, tuple[float, ...], tuple[float, ...]]
_lock = Lock()
# Metrics do not refer to their registry, so one that nobody uses any more goes.
_known: weakref.WeakKeyDictionary[CollectorRegistry, dict[str, _Metrics]]
_known = weakref.WeakKeyDictionary()


def _shared(registry: CollectorRegistry, options: _Options) -> _Metrics:
    """The metrics that a registry has under a namespace; made and registered if it has none."""
    namespace = options[0]
    with _lock:
        known = _known.setdefault(registry, {})
        metrics = known.get(namespace)
        if metrics is None:
            metrics = _Metrics(*options)
            registry.register(metrics)
            known[namespace] = metrics
        elif metrics.options != options:
            raise ValueError(
                f"The registry has metrics of a PrometheusRecorder under {namespace!r} already, "
                "with other max_pools or buckets. Use the same, another namespace, or call "
                "unregister() on that recorder first."
            )
        return metrics
