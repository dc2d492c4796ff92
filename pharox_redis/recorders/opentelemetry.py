"""``OpenTelemetryRecorder``: what managers acquire and release, for an OpenTelemetry meter.

Needs the API only (extra ``opentelemetry``); which SDK exports what it records, and where to, is
the program's choice. Without one the API counts nothing and costs next to nothing.
"""

from __future__ import annotations

from pharox.models import SelectorStrategy

from pharox_redis.recorders.base import ACQUIRE_BUCKETS, HELD_BUCKETS, Outcome, Recorder
from pharox_redis.recorders.extras import not_installed
from pharox_redis.recorders.labels import DEFAULT_MAX_POOLS, PoolLabels

try:
    from opentelemetry.metrics import Meter, MeterProvider, get_meter
except ModuleNotFoundError as error:
    raise not_installed(error, "opentelemetry") from error

__all__ = ["OpenTelemetryRecorder"]

POOL = "pharox.pool.name"
SELECTOR = "pharox.selector"
OUTCOME = "pharox.outcome"


class OpenTelemetryRecorder(Recorder):
    """Counts what managers do with a meter's instruments.

    Counters ``pharox.lease.acquires`` and ``pharox.lease.releases``; histograms
    ``pharox.lease.acquire.duration`` and ``pharox.lease.held.duration``, in seconds; see
    ``docs/observability.md``.
    """

    def __init__(
        self,
        meter: Meter | None = None,
        *,
        meter_provider: MeterProvider | None = None,
        max_pools: int = DEFAULT_MAX_POOLS,
    ) -> None:
        """Make the instruments, by ``meter`` or by one named ``pharox_redis`` of the provider's.

        Without either it is the global provider. ``max_pools`` pools have an attribute of their
        own, the others are ``other``. Raises ``ValueError`` for a negative ``max_pools``.
        """
        from pharox_redis import __version__

        super().__init__(PoolLabels(max_pools))
        meter = meter or get_meter("pharox_redis", __version__, meter_provider)
        self._acquires = meter.create_counter(
            "pharox.lease.acquires", "{acquire}", "Attempts to acquire a lease."
        )
        self._acquire_seconds = meter.create_histogram(
            "pharox.lease.acquire.duration",
            "s",
            "Duration of an attempt to acquire a lease.",
            explicit_bucket_boundaries_advisory=ACQUIRE_BUCKETS,
        )
        self._releases = meter.create_counter(
            "pharox.lease.releases", "{release}", "Leases released."
        )
        self._held_seconds = meter.create_histogram(
            "pharox.lease.held.duration",
            "s",
            "Duration from a lease's beginning to its release.",
            explicit_bucket_boundaries_advisory=HELD_BUCKETS,
        )

    def observe_acquire(
        self, pool_name: str | None, selector: SelectorStrategy, outcome: Outcome, seconds: float
    ) -> None:
        """Count an attempt to acquire that took so many seconds. O(1)."""
        pool = self._labels.label(pool_name)
        self._acquires.add(1, {POOL: pool, SELECTOR: selector.value, OUTCOME: outcome})
        self._acquire_seconds.record(seconds, {POOL: pool, OUTCOME: outcome})

    def observe_release(self, pool_name: str | None, held_seconds: float | None) -> None:
        """Count a release of a lease that was held for so many seconds, if that is known. O(1)."""
        pool = self._labels.label(pool_name)
        self._releases.add(1, {POOL: pool})
        if held_seconds is not None:
            self._held_seconds.record(held_seconds, {POOL: pool})
