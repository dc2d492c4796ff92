"""Pools, and their figures."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pharox.models import ProxyPool
from pydantic import Field

from pharox_redis.models import PoolFigures
from pharox_redis.service.wire.base import Incoming, Moment, Name, Outgoing, Text


class PoolIn(Incoming):
    """A pool to be made."""

    name: Name
    description: Text = ""


class PoolOut(Outgoing):
    """A pool."""

    id: UUID
    name: str
    description: str

    @classmethod
    def of(cls, pool: ProxyPool) -> PoolOut:
        """As the storage has it."""
        return cls(id=pool.id, name=pool.name, description=pool.description or "")


class OverviewOut(Outgoing):
    """A pool and its figures; those that count do so since the pool was made."""

    pool: PoolOut
    at: Moment
    total_proxies: int
    active_proxies: int
    available_proxies: int
    saturated_proxies: int
    leased_proxies: int
    total_leases: int
    views: Annotated[int, Field(description="Views of filters.")]
    acquired: Annotated[int, Field(description="Leases granted so far.")]
    missed: Annotated[int, Field(description="Acquires that found nothing free, so far.")]
    reclaimed: Annotated[int, Field(description="Leases that ran out and were swept, so far.")]

    @classmethod
    def of(cls, figures: PoolFigures) -> OverviewOut:
        """As the storage tells."""
        values = {name: getattr(figures, name) for name in cls.model_fields if name != "pool"}
        return cls(pool=PoolOut.of(figures.pool), **values)
