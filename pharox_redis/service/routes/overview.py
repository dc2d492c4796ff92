"""``/v1/overview`` and ``/v1/whoami``: what the dashboard asks first."""

from __future__ import annotations

from fastapi import APIRouter

from pharox_redis.service.access import GuardedRoute, needs
from pharox_redis.service.api_keys import Role
from pharox_redis.service.state import TheCaller, TheService
from pharox_redis.service.wire.base import Outgoing
from pharox_redis.service.wire.pools import OverviewOut

router = APIRouter(prefix="/v1", tags=["overview"], route_class=GuardedRoute)


class CallerOut(Outgoing):
    """The key that a request came with, by name."""

    name: str
    role: Role


@router.get("/overview", **needs(Role.READ))
async def overview(service: TheService) -> list[OverviewOut]:
    """Every pool with its figures, by name, on the clock of the Redis server.

    ``acquired``, ``missed`` and ``reclaimed`` count since the pool was made: the difference of two
    readings, over that of their ``at``, is a rate.
    """
    return [OverviewOut.of(figures) for figures in await service.storage.list_pool_figures()]


@router.get("/whoami", **needs(Role.READ))
async def whoami(caller: TheCaller) -> CallerOut:
    """The name and role of the key that was sent."""
    return CallerOut(name=caller.name, role=caller.role)
