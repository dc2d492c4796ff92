"""Leases. ``consumer_id`` is a name where it comes in, the consumer's UUID where it goes out."""

from __future__ import annotations

import hashlib
from typing import Annotated
from uuid import UUID

from pharox.models import Lease, Proxy, SelectorStrategy
from pydantic import Field

from pharox_redis.service.wire.base import Moment, Name, Outgoing
from pharox_redis.service.wire.filters import Filtering
from pharox_redis.service.wire.proxies import LeasedProxyOut
from pharox_redis.settings import TEN_YEARS_SECONDS


class LeaseIn(Filtering):
    """A lease that is asked for."""

    pool_id: UUID
    consumer_id: Annotated[Name, Field(description="The consumer's name.")]
    ttl_seconds: Annotated[
        float,
        Field(
            strict=True,
            ge=0.001,
            le=TEN_YEARS_SECONDS,
            description="After so long the lease ends by itself. The service may allow less.",
        ),
    ] = 300
    strategy: SelectorStrategy = SelectorStrategy.FIRST_AVAILABLE

    @property
    def fingerprint(self) -> str:
        """Tells requests apart that differ in what they mean; 64 hexadecimal digits."""
        canonical = self.model_dump_json(exclude_none=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


class LeaseOut(Outgoing):
    """A lease. ``proxy`` is there while it is active."""

    id: UUID
    proxy_id: UUID
    consumer_id: UUID
    pool_id: UUID
    status: str
    acquired_at: Moment
    expires_at: Moment
    released_at: Moment | None
    proxy: LeasedProxyOut | None

    @classmethod
    def of(cls, lease: Lease, proxy: Proxy | None = None, *, secret: bool = False) -> LeaseOut:
        """As the storage has it; ``secret``: the caller may see the proxy's URL."""
        shown = None if proxy is None else LeasedProxyOut.leased(proxy, secret=secret)
        return cls(**_values(lease), proxy=shown)


class HeldLeaseOut(Outgoing):
    """An active lease in a list, with who holds it; without the proxy."""

    id: UUID
    proxy_id: UUID
    consumer_id: UUID
    consumer_name: str | None
    pool_id: UUID
    status: str
    acquired_at: Moment
    expires_at: Moment
    released_at: Moment | None
    proxy: None = None

    @classmethod
    def of(cls, lease: Lease, consumer_name: str | None) -> HeldLeaseOut:
        """As the storage has it."""
        return cls(**_values(lease), consumer_name=consumer_name)


def _values(lease: Lease) -> dict[str, object]:
    return {
        "id": lease.id,
        "proxy_id": lease.proxy_id,
        "consumer_id": lease.consumer_id,
        "pool_id": lease.pool_id,
        "status": lease.status.value,
        "acquired_at": lease.acquired_at,
        "expires_at": lease.expires_at,
        "released_at": lease.released_at,
    }
