"""``/v1/pools/``: pools, made and deleted by their id."""

from __future__ import annotations

from uuid import UUID, uuid4

from fastapi import APIRouter, Request, Response
from pharox.exceptions import PoolNotFoundError
from pharox.models import ProxyPool

from pharox_redis.service.access import GuardedRoute, needs
from pharox_redis.service.api_keys import Role
from pharox_redis.service.limits import LARGEST_PAGE
from pharox_redis.service.paging import PAGED, AfterName, Limit, cursor_of, name_next, name_of
from pharox_redis.service.problems import no_pool
from pharox_redis.service.state import TheService
from pharox_redis.service.wire.pools import PoolIn, PoolOut

router = APIRouter(prefix="/v1/pools", tags=["pools"], route_class=GuardedRoute)


@router.post("/", status_code=201, **needs(Role.ADMIN, 409, 413, 422))
async def create_pool(pool: PoolIn, service: TheService) -> PoolOut:
    """Make a pool; 409 if another one has the name."""
    made = ProxyPool(id=uuid4(), name=pool.name, description=pool.description)
    await service.storage.save_pool(made)
    return PoolOut.of(made)


@router.get("/", **needs(Role.READ, 422, also=PAGED))
async def list_pools(
    request: Request,
    response: Response,
    service: TheService,
    limit: Limit = LARGEST_PAGE,
    after: AfterName = "",
) -> list[PoolOut]:
    """Pools, by name. ``after`` is the name of the last one seen, percent-encoded."""
    seen = name_of(after)
    pools = [pool for pool in await service.storage.list_pools() if pool.name > seen]
    page = pools[:limit]
    name_next(request, response, cursor_of(page[-1].name) if len(pools) > limit else "")
    return [PoolOut.of(pool) for pool in page]


@router.get("/{pool_id}", **needs(Role.READ, 404, 422))
async def get_pool(pool_id: UUID, service: TheService) -> PoolOut:
    """One pool."""
    try:
        return PoolOut.of(await service.storage.get_pool(pool_id))
    except PoolNotFoundError:
        raise no_pool(pool_id) from None


@router.delete("/{pool_id}", status_code=204, **needs(Role.ADMIN, 404, 422))
async def delete_pool(pool_id: UUID, service: TheService) -> None:
    """Delete a pool with its proxies; their leases end."""
    try:
        await service.storage.delete_pool(pool_id)
    except PoolNotFoundError:
        raise no_pool(pool_id) from None
