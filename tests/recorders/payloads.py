"""What managers tell their callbacks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from pharox.models import AcquireEventPayload, Lease, ReleaseEventPayload


def acquired(pool: str = "pool", microseconds: int = 300, **fields: Any) -> AcquireEventPayload:
    """What a manager tells of an attempt that took so long."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    values: dict[str, Any] = {
        "lease": Lease(
            proxy_id=uuid4(), consumer_id=uuid4(), pool_id=uuid4(), expires_at=at, acquired_at=at
        ),
        "pool_name": pool,
        "consumer_name": "c",
        "started_at": at,
        "completed_at": at + timedelta(microseconds=microseconds),
        "duration_ms": max(0, microseconds // 1000),
    }
    return AcquireEventPayload(**{**values, **fields})


def released(pool: str | None = "pool", seconds: float = 1.5, **fields: Any) -> ReleaseEventPayload:
    """What a manager tells of the release of a lease that was held for so long."""
    lease = acquired().lease
    assert lease is not None
    values: dict[str, Any] = {
        "lease": lease,
        "pool_name": pool,
        "released_at": lease.acquired_at + timedelta(seconds=seconds),
        "lease_duration_ms": max(0, int(seconds * 1000)),
    }
    return ReleaseEventPayload(**{**values, **fields})
