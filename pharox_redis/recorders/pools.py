"""``PoolCollector``: the figures of a storage's pools, read when Prometheus asks for them.

What one process acquires a recorder counts. What a pool holds, and what everybody together took
from it, stands in Redis: there is one answer, whoever is asked. Nothing of it is kept between two
scrapes. If Redis does not answer, ``up`` is 0 and there is nothing else: no figure is better than
an old one, which an alert would take for the present.

The pools that come first by name have series of their own, so that all processes name the same
ones. The others are added up as ``other``, but for the counters: a sum of counters falls when a
pool is deleted, and Prometheus takes what falls for a counter that began anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Lock, Thread
from typing import Final, NamedTuple

from pharox.exceptions import PharoxError

from pharox_redis.models import PoolFigures
from pharox_redis.recorders.extras import not_installed
from pharox_redis.recorders.labels import DEFAULT_MAX_POOLS, NAMESPACE, OTHER, printable
from pharox_redis.storage import RedisStorage

try:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise not_installed(error, "prometheus") from error

__all__ = ["PoolCollector", "pool_metrics"]

_log = logging.getLogger(__name__)


class _Figure(NamedTuple):
    """A field of ``PoolFigures`` and the metric it becomes."""

    field: str
    metric: str
    text: str


GAUGES: Final = (
    _Figure("total_leases", "pool_leases_held", "Leases that are held."),
    _Figure("total_proxies", "pool_proxies", "Proxies, of any status."),
    _Figure("active_proxies", "pool_proxies_active", "Proxies that are active."),
    _Figure("available_proxies", "pool_proxies_available", "Proxies that can be leased."),
    _Figure(
        "saturated_proxies",
        "pool_proxies_saturated",
        "Active proxies with as many leases as they may have.",
    ),
    _Figure("leased_proxies", "pool_proxies_leased", "Proxies with at least one lease."),
    _Figure("views", "pool_views", "Filtered views that are kept."),
)
COUNTERS: Final = (
    _Figure("acquired", "pool_acquired", "Leases acquired, by all clients."),
    _Figure("missed", "pool_missed", "Acquires that found nothing free, by all clients."),
    _Figure("reclaimed", "pool_reclaimed", "Leases that ended by themselves and were swept."),
)


class PoolCollector(Collector):
    """A custom collector: ``REGISTRY.register(PoolCollector(storage))``.

    Gauges of each pool's leases, proxies and views, counters of what was acquired, missed and
    reclaimed by all clients, how many pools there are, and ``pharox_redis_up``.
    """

    def __init__(
        self,
        storage: RedisStorage,
        namespace: str = NAMESPACE,
        *,
        max_pools: int = DEFAULT_MAX_POOLS,
        timeout: float = 2.0,
    ) -> None:
        """Read a storage's figures, which may take ``timeout`` seconds.

        Raises ``TypeError`` for another kind of storage (an asyncio program makes a blocking one
        for this: scrapes have threads of their own) and ``ValueError`` for options that make no
        sense.
        """
        if not isinstance(storage, RedisStorage):
            raise TypeError(
                f"PoolCollector needs a RedisStorage, not {type(storage).__qualname__}."
            )
        if max_pools < 0 or timeout <= 0:
            raise ValueError(
                f"max_pools is {max_pools} and must not be negative; timeout is {timeout} s and "
                "must be above 0."
            )
        self._storage = storage
        self._namespace, self._max_pools, self._timeout = namespace, max_pools, timeout
        self._lock = Lock()
        self._reading: Future[list[PoolFigures]] | None = None

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now. Two trips, in at most ``timeout`` seconds; never raises for
        a server that is away."""
        try:
            figures = self._figures()
        except (PharoxError, TimeoutError) as error:
            _log.warning("No figures for this scrape: %s", str(error) or "the server is silent.")
            figures = None
        yield from pool_metrics(figures, self._namespace, self._max_pools)

    def describe(self) -> Iterator[Metric]:
        """The metrics without samples; no I/O."""
        yield from pool_metrics([], self._namespace, self._max_pools)

    def _figures(self) -> list[PoolFigures]:
        """The figures, read in a thread: a server that is silent would hold a scrape for as long as
        the client repeats. While one reading hangs there is no other; its waiters share it."""
        with self._lock:
            reading = self._reading
            if reading is None:
                reading = self._reading = Future()
                Thread(target=self._read, args=(reading,), name="pool-figures", daemon=True).start()
        return reading.result(self._timeout)

    def _read(self, reading: Future[list[PoolFigures]]) -> None:
        finish: Callable[[], None]
        try:
            finish = partial(reading.set_result, self._storage.list_pool_figures())
        except BaseException as error:
            finish = partial(reading.set_exception, error)
        with self._lock:
            self._reading = None
        finish()


def pool_metrics(
    figures: Sequence[PoolFigures] | None,
    namespace: str = NAMESPACE,
    max_pools: int = DEFAULT_MAX_POOLS,
) -> list[Metric]:
    """The metrics of figures by pool name; only ``up``, which is 0, if there are none to be had
    (``None``). O(pools)."""
    up = GaugeMetricFamily(
        f"{namespace}_up", "Whether the server told its figures for this scrape."
    )
    up.add_metric([], 0 if figures is None else 1)
    if figures is None:
        return [up]
    pools = GaugeMetricFamily(f"{namespace}_pools", "Pools.", value=len(figures))
    metrics: list[Metric] = [up, pools]
    ordered = sorted(figures, key=lambda each: each.pool.name)
    named = {printable(each.pool.name): each for each in ordered[:max_pools]}
    others = ordered[max_pools:]
    for figure in GAUGES:
        gauge = GaugeMetricFamily(f"{namespace}_{figure.metric}", figure.text, labels=["pool"])
        values = {name: getattr(each, figure.field) for name, each in named.items()}
        if others:
            rest = sum(getattr(each, figure.field) for each in others)
            values[OTHER] = values.get(OTHER, 0) + rest
        for name, value in values.items():
            gauge.add_metric([name], value)
        metrics.append(gauge)
    for figure in COUNTERS:
        counter = CounterMetricFamily(f"{namespace}_{figure.metric}", figure.text, labels=["pool"])
        for name, each in named.items():
            counter.add_metric([name], getattr(each, figure.field))
        metrics.append(counter)
    return metrics
