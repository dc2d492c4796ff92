"""``RedisProxyManager``: pharox's manager over ``acquire_lease``, one trip each way.

pharox's own manager takes six trips for an acquire and a release (sweep, find, create, figures,
release, figures); it works on ``RedisStorage`` too. This one has the same methods, callbacks and
payloads. The pool's figures come in the same reply, and only when a callback wants them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pharox.exceptions import InvalidLeaseError, PoolNotFoundError
from pharox.manager import ProxyManager
from pharox.models import (
    AcquireEventPayload,
    Lease,
    PoolStatsSnapshot,
    ProxyFilters,
    ReleaseEventPayload,
    RetryConfig,
    SelectorStrategy,
)

from pharox_redis.flows import leases, leasing
from pharox_redis.models import ProxyLease
from pharox_redis.storage import RedisStorage


class RedisProxyManager(ProxyManager):
    """Acquires and releases leases; see pharox's ``ProxyManager``. Leases carry their proxy."""

    if TYPE_CHECKING:
        # pharox's own methods, which call acquire_proxy: only what they return is narrower.
        def acquire_proxy_with_retry(
            self,
            pool_name: str,
            consumer_name: str | None = None,
            duration_seconds: float = 300,
            filters: ProxyFilters | None = None,
            selector: SelectorStrategy | None = None,
            retry_config: RetryConfig | None = None,
            sleep_fn: Callable[[float], None] | None = None,
            max_attempts: int = 3,
            backoff_seconds: float = 0.5,
            backoff_multiplier: float = 2.0,
            max_backoff_seconds: float | None = None,
        ) -> ProxyLease | None:
            """As pharox's."""

        @contextmanager
        def with_lease(
            self,
            pool_name: str,
            consumer_name: str | None = None,
            duration_seconds: float = 300,
            filters: ProxyFilters | None = None,
            selector: SelectorStrategy | None = None,
        ) -> Iterator[ProxyLease | None]:
            """As pharox's."""
            yield None

        @contextmanager
        def with_retrying_lease(
            self,
            pool_name: str,
            consumer_name: str | None = None,
            duration_seconds: float = 300,
            filters: ProxyFilters | None = None,
            selector: SelectorStrategy | None = None,
            retry_config: RetryConfig | None = None,
            sleep_fn: Callable[[float], None] | None = None,
            max_attempts: int = 3,
            backoff_seconds: float = 0.5,
            backoff_multiplier: float = 2.0,
            max_backoff_seconds: float | None = None,
        ) -> Iterator[ProxyLease | None]:
            """As pharox's."""
            yield None

    def __init__(self, storage: RedisStorage) -> None:
        """Manage a storage's leases. Raises ``TypeError`` for another kind of storage."""
        if not isinstance(storage, RedisStorage):
            raise TypeError(
                f"RedisProxyManager needs a RedisStorage, not {type(storage).__qualname__}; "
                "pharox's ProxyManager takes any storage."
            )
        super().__init__(storage)
        self._redis = storage

    def acquire_proxy(
        self,
        pool_name: str,
        consumer_name: str | None = None,
        duration_seconds: float = 300,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
    ) -> ProxyLease | None:
        """Lease the best free proxy; None if nothing free matches or there is no such pool.

        Raises ``InvalidLeaseError``, ``PredicateScanLimitError``. One trip in the steady state.
        """
        if duration_seconds <= 0:
            raise InvalidLeaseError("duration_seconds must be greater than zero.")
        consumer = consumer_name or self.DEFAULT_CONSUMER_NAME
        strategy = selector or SelectorStrategy.FIRST_AVAILABLE
        context = self._redis._context
        watched = bool(self._acquire_callbacks)
        started_at = datetime.now(UTC) if watched else None
        lease: ProxyLease | None = None
        stats: PoolStatsSnapshot | None = None
        try:
            lease, stats = self._redis._run(
                leasing.acquire(
                    context, pool_name, consumer, duration_seconds, filters, strategy, None, watched
                )
            )
        except PoolNotFoundError as error:
            context.warn_once(pool_name, str(error))
        if started_at is not None:
            completed_at = datetime.now(UTC)
            elapsed = (completed_at - started_at).total_seconds()
            self._notify_acquire(
                AcquireEventPayload(
                    lease=lease,
                    pool_name=pool_name,
                    consumer_name=consumer,
                    filters=filters,
                    selector=strategy,
                    started_at=started_at,
                    completed_at=completed_at,
                    duration_ms=max(0, int(elapsed * 1000)),
                    pool_stats=stats,
                )
            )
        return lease

    def release_proxy(self, lease: Lease) -> None:
        """End a lease, and note when in ``lease.released_at``. One trip."""
        lease.released_at = lease.released_at or datetime.now(UTC)
        watched = bool(self._release_callbacks) and lease.pool_name is not None
        _, stats = self._redis._run(leases.release(self._redis._context, lease, watched))
        if not self._release_callbacks:
            return
        held = (lease.released_at - lease.acquired_at).total_seconds()
        self._notify_release(
            ReleaseEventPayload(
                lease=lease,
                pool_name=lease.pool_name,
                released_at=lease.released_at,
                lease_duration_ms=max(0, int(held * 1000)),
                pool_stats=stats,
            )
        )
