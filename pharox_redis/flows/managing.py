"""What a manager does around a lease: defaults, and the payloads of its callbacks.

The managers, one blocking and one for asyncio, only call the callbacks.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pharox.exceptions import InvalidLeaseError, PoolNotFoundError
from pharox.models import (
    AcquireEventPayload,
    Lease,
    PoolStatsSnapshot,
    ProxyFilters,
    ReleaseEventPayload,
    SelectorStrategy,
)

from pharox_redis.flows import leases, leasing
from pharox_redis.flows.base import Context, Flow
from pharox_redis.models import ProxyLease


def acquire(
    ctx: Context,
    pool_name: str,
    consumer_name: str,
    duration_seconds: float,
    filters: ProxyFilters | None,
    selector: SelectorStrategy | None,
    watched: bool,
) -> Flow[tuple[ProxyLease | None, AcquireEventPayload | None]]:
    """A lease or none, and what callbacks are told of it if anybody watches. One trip.

    An unknown pool is a warning, once a name, and no lease. Raises ``InvalidLeaseError``.
    """
    if duration_seconds <= 0:
        raise InvalidLeaseError("duration_seconds must be greater than zero.")
    strategy = selector or SelectorStrategy.FIRST_AVAILABLE
    started_at = datetime.now(UTC) if watched else None
    lease: ProxyLease | None = None
    stats: PoolStatsSnapshot | None = None
    try:
        lease, stats = yield from leasing.acquire(
            ctx, pool_name, consumer_name, duration_seconds, filters, strategy, None, watched
        )
    except PoolNotFoundError as error:
        ctx.warn_once(pool_name, str(error))
    if started_at is None:
        return lease, None
    completed_at = datetime.now(UTC)
    elapsed = (completed_at - started_at).total_seconds()
    return lease, AcquireEventPayload(
        lease=lease,
        pool_name=pool_name,
        consumer_name=consumer_name,
        filters=filters,
        selector=strategy,
        started_at=started_at,
        completed_at=completed_at,
        duration_ms=max(0, int(elapsed * 1000)),
        pool_stats=stats,
    )


def release(ctx: Context, lease: Lease, watched: bool) -> Flow[ReleaseEventPayload | None]:
    """End a lease and note when in ``lease.released_at``; what callbacks are told. One trip."""
    lease.released_at = lease.released_at or datetime.now(UTC)
    _, stats = yield from leases.release(ctx, lease, watched and lease.pool_name is not None)
    if not watched:
        return None
    held = (lease.released_at - lease.acquired_at).total_seconds()
    return ReleaseEventPayload(
        lease=lease,
        pool_name=lease.pool_name,
        released_at=lease.released_at,
        lease_duration_ms=max(0, int(held * 1000)),
        pool_stats=stats,
    )
