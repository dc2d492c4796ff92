"""What ``/metrics`` tells, and where it is counted.

Three sources, one page. What this service did (acquires, releases, sweeps, requests, failures of
the storage) is counted here, by an observer of outcomes and an ASGI middleware. What the pools hold
is read from Redis when it is asked for, as ``recorders.pools`` does, but awaited; one reading
serves all who ask within a second. And the process says what it costs.

With several workers a scrape reaches any one of them. What they count stands in files of a shared
directory then (prometheus-client's multiprocess mode, ``workers``), and whoever is asked adds them
up. Figures of pools need no adding: every worker reads the same ones.

Everything has a bounded number of series: pools by ``PoolLabels``, requests by their route's
template, failures by their kind.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from pharox.exceptions import PharoxError
from pharox.models import SelectorStrategy
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pharox_redis.models import PoolFigures
from pharox_redis.recorders.base import ACQUIRE_BUCKETS
from pharox_redis.recorders.base import Outcome as Ended
from pharox_redis.recorders.labels import DEFAULT_MAX_POOLS, NAMESPACE
from pharox_redis.recorders.pools import pool_metrics
from pharox_redis.recorders.prometheus import PrometheusRecorder
from pharox_redis.service import workers
from pharox_redis.service.outcomes import (
    AcquireOutcome,
    FailureOutcome,
    Outcome,
    ReleaseOutcome,
    SweepOutcome,
)

FIGURES_SECONDS: Final = 1.0
"""Seconds that figures of pools are used for."""

FIGURES_TIMEOUT: Final = 2.0
"""Seconds that a scrape waits for them."""

REQUEST_BUCKETS: Final = (*ACQUIRE_BUCKETS, 10.0, 30.0)
"""Upper bounds, in seconds, for the time that a request takes; a bulk takes long."""

ReadFigures = Callable[[], Awaitable[list[PoolFigures]]]

_ENDED: Final[dict[str, Ended]] = {
    # A client that went away or asked wrongly says nothing about the pool, nor does a repeated
    # request whose lease is over.
    "leased": "granted",
    "none": "none",
    "unavailable": "error",
    "error": "error",
}

logger = logging.getLogger("pharox_redis.service")


class Metrics:
    """The metrics of one worker; see ``docs/observability.md``. For one event loop."""

    def __init__(self, read_figures: ReadFigures, *, max_pools: int = DEFAULT_MAX_POOLS) -> None:
        """Make the metrics, in a registry of their own.

        ``read_figures`` is ``AsyncRedisStorage.list_pool_figures``. In prometheus-client's
        multiprocess mode (``PROMETHEUS_MULTIPROC_DIR``) the directory is made if it is not there;
        raises ``OSError`` if it cannot be.
        """
        self._read_figures = read_figures
        self._max_pools = max_pools
        self._figures: list[PoolFigures] | None = None
        self._figures_until = 0.0
        self._reading = asyncio.Lock()
        self.registry = CollectorRegistry()
        shared = workers.share(self.registry)
        own = None if shared else self.registry
        if not shared:
            ProcessCollector(registry=self.registry)
        self._recorder = PrometheusRecorder(own, max_pools=max_pools)
        self._failures = Counter(
            "script_errors",
            "Calls of the storage that failed.",
            ("kind",),
            namespace=NAMESPACE,
            registry=own,
        )
        self._sweeps = Counter(
            "sweeps",
            "Sweeps of all pools by this service.",
            ("outcome",),
            namespace=NAMESPACE,
            registry=own,
        )
        self._swept = Counter(
            "swept_leases",
            "Leases that ended by themselves, found by this service's sweeps.",
            namespace=NAMESPACE,
            registry=own,
        )
        self._requests = Counter(
            "http_requests",
            "Requests that were answered.",
            ("route", "method", "status"),
            namespace=NAMESPACE,
            registry=own,
        )
        self._request_seconds = Histogram(
            "http_request_seconds",
            "Seconds from a request to the end of its answer.",
            ("route", "method"),
            namespace=NAMESPACE,
            registry=own,
            buckets=REQUEST_BUCKETS,
        )
        self.requests_open = Gauge(
            "http_requests_open",
            "Requests that are being answered.",
            namespace=NAMESPACE,
            registry=own,
            multiprocess_mode="livesum",
        )

    def observe(self, outcome: Outcome) -> None:
        """Count an outcome: an observer for ``create_app``. O(1)."""
        match outcome:
            case AcquireOutcome():
                ended = _ENDED.get(outcome.outcome)
                if ended is not None:
                    selector = SelectorStrategy(outcome.selector)
                    pool = outcome.pool or None
                    self._recorder.observe_acquire(pool, selector, ended, outcome.seconds)
            case ReleaseOutcome(outcome="released"):
                self._recorder.observe_release(outcome.pool or None, outcome.held_seconds)
            case SweepOutcome():
                self._sweeps.labels("failed" if outcome.failed else "done").inc()
                self._swept.inc(outcome.leases)
            case FailureOutcome():
                self._failures.labels(outcome.kind).inc()

    def observe_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request by its route's template; status 0 is one that was not answered. O(1)."""
        answered = f"{status // 100}xx" if status else "none"
        self._requests.labels(route, method, answered).inc()
        self._request_seconds.labels(route, method).observe(seconds)

    async def page(self, accept: str) -> tuple[bytes, str]:
        """The page, and its content type: OpenMetrics if the Accept header asks for it.

        At most two trips, none within a second of the last. A server that is away makes a page with
        ``up`` 0 and no figures, after ``FIGURES_TIMEOUT`` seconds at the most. Written in a thread:
        a thousand series take some ms.
        """
        figures = await self._fresh_figures()
        encode, content_type = choose_encoder(accept)
        page = _Page(self.registry, figures, self._max_pools)
        return await asyncio.to_thread(encode, page), content_type

    async def _fresh_figures(self) -> list[PoolFigures] | None:
        """The figures, not older than ``FIGURES_SECONDS``; None if there are none to be had."""
        async with self._reading:
            if time.monotonic() >= self._figures_until:
                self._figures = None
                try:
                    async with asyncio.timeout(FIGURES_TIMEOUT):
                        self._figures = await self._read_figures()
                except PharoxError as error:
                    logger.warning("No figures of pools for /metrics: %s", error)
                    self.observe(FailureOutcome.of(error))
                except TimeoutError:
                    logger.warning("No figures of pools for /metrics: the server is silent.")
                self._figures_until = time.monotonic() + FIGURES_SECONDS
            return self._figures


class _Page(Collector):
    """What one scrape is told: what is counted, and figures."""

    def __init__(
        self, registry: CollectorRegistry, figures: list[PoolFigures] | None, max_pools: int
    ) -> None:
        self._registry, self._figures, self._max_pools = registry, figures, max_pools

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        yield from self._registry.collect()
        yield from pool_metrics(self._figures, max_pools=self._max_pools)
