"""``/v1/pools/{pool_id}/proxies/``: the proxies of a pool."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pharox.exceptions import PoolNotFoundError, ProxyNotFoundError
from pharox.models import Proxy, ProxyProtocol, ProxyStatus

from pharox_redis.errors import CorruptRecordError
from pharox_redis.models import ProxyState
from pharox_redis.service.access import GuardedRoute, needs
from pharox_redis.service.adding import add_proxies
from pharox_redis.service.api_keys import Role
from pharox_redis.service.limits import LARGEST_PAGE, LONGEST_NAME
from pharox_redis.service.paging import PAGED, STORAGE_PAGE, After, Limit, name_next
from pharox_redis.service.problems import bad_parameter, no_pool, no_proxy
from pharox_redis.service.state import Service, TheService
from pharox_redis.service.wire.proxies import ProxyIn, ProxyOut, StatusIn

router = APIRouter(prefix="/v1/pools/{pool_id}/proxies", tags=["proxies"], route_class=GuardedRoute)

MOST_READ: Final = 10_000
"""Proxies that one request looks at, in search of those that match."""


_KNOWN: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": ProxyOut, "description": "It was there already."}
}


@router.post("/", status_code=201, **needs(Role.ADMIN, 404, 413, 422, also=_KNOWN))
async def add_proxy(
    pool_id: UUID, proxy: ProxyIn, response: Response, service: TheService
) -> ProxyOut:
    """Add a proxy. It is active, so that it can be leased, unless ``status`` says otherwise.

    A proxy is known by protocol, host, port and user. One that is there already is not added a
    second time: it is given what the request says, keeps the rest, and the reply is 200.
    """
    try:
        (added,) = await add_proxies(service.storage, pool_id, [proxy])
    except PoolNotFoundError:
        raise no_pool(pool_id) from None
    if added.new:
        return ProxyOut.of(added.proxy, None)
    response.status_code = 200
    return await _shown(service, await _in_pool(service, pool_id, added.proxy.id))


@router.get("/", **needs(Role.READ, 404, 422, also=PAGED))
async def list_proxies(
    pool_id: UUID,
    request: Request,
    response: Response,
    service: TheService,
    status: ProxyStatus | None = None,
    country: Annotated[str | None, Query(max_length=LONGEST_NAME)] = None,
    protocol: ProxyProtocol | None = None,
    q: Annotated[
        str | None,
        Query(max_length=LONGEST_NAME, description="Part of host, user, city, isp or source."),
    ] = None,
    limit: Limit = LARGEST_PAGE,
    after: After = "",
) -> list[ProxyOut]:
    """Proxies in the order in which they were added.

    One request looks at 10,000 of them at most. So with filters a page may have fewer entries than
    ``limit``, or none, though more pages follow: the ``Link`` header tells.
    """
    found: list[ProxyOut] = []
    read, size = 0, 0
    chosen = any(each is not None for each in (status, country, protocol, q))
    while True:
        room = limit - len(found)
        # Few may match, so a small page is not read in small steps.
        size = size or (STORAGE_PAGE if chosen else min(STORAGE_PAGE, room))
        try:
            page = await service.storage.page_proxies(pool_id, after=after, limit=size)
        except PoolNotFoundError:
            raise no_pool(pool_id) from None
        except ValueError:
            raise bad_parameter("after", "it is not one of this list's") from None
        matching = [
            place
            for place, state in enumerate(page.proxies)
            if _matches(state, status, country, protocol, q)
        ]
        if len(matching) > room:
            # Once more, so far as is wanted: the page ends where the next one begins.
            size = matching[room - 1] + 1
            continue
        for place in matching:
            state = page.proxies[place]
            found.append(ProxyOut.of(state.proxy, state.latency_ms))
        read, size, after = read + size, 0, page.next
        if not after or len(found) >= limit or read >= MOST_READ:
            break
    name_next(request, response, after)
    return found


@router.get("/{proxy_id}", **needs(Role.READ, 404, 422))
async def get_proxy(pool_id: UUID, proxy_id: UUID, service: TheService) -> ProxyOut:
    """One proxy."""
    return await _shown(service, await _in_pool(service, pool_id, proxy_id))


@router.patch("/{proxy_id}", **needs(Role.ADMIN, 404, 413, 422))
async def set_status(
    pool_id: UUID, proxy_id: UUID, change: StatusIn, service: TheService
) -> ProxyOut:
    """Give a proxy another status. Only active ones are leased; leases there are go on."""
    await _in_pool(service, pool_id, proxy_id)
    try:
        proxy = await service.storage.set_proxy_status(proxy_id, change.status)
    except ProxyNotFoundError:
        raise no_proxy(proxy_id) from None
    return await _shown(service, proxy)


@router.delete("/{proxy_id}", status_code=204, **needs(Role.ADMIN, 404, 422))
async def delete_proxy(pool_id: UUID, proxy_id: UUID, service: TheService) -> None:
    """Delete a proxy; its leases end. One whose record is damaged can be deleted, too."""
    try:
        await _in_pool(service, pool_id, proxy_id)
    except CorruptRecordError as error:
        if error.pool_id != pool_id:
            raise
    try:
        await service.storage.delete_proxy(proxy_id)
    except ProxyNotFoundError:
        raise no_proxy(proxy_id) from None


async def _in_pool(service: Service, pool_id: UUID, proxy_id: UUID) -> Proxy:
    try:
        proxy = await service.storage.get_proxy(proxy_id)
    except ProxyNotFoundError:
        proxy = None
    if proxy is None or proxy.pool_id != pool_id:
        await service.names.name_of(pool_id, refresh=True)  # rather say that there is no pool
        raise no_proxy(proxy_id)
    return proxy


async def _shown(service: Service, proxy: Proxy) -> ProxyOut:
    try:
        records = await service.storage.list_health_records(proxy.id, limit=1)
    except ProxyNotFoundError:
        records = []
    latest = records[0].latency_ms if records and records[0].reachable else None
    return ProxyOut.of(proxy, latest)


def _matches(
    state: ProxyState,
    status: ProxyStatus | None,
    country: str | None,
    protocol: ProxyProtocol | None,
    q: str | None,
) -> bool:
    proxy = state.proxy
    if status is not None and proxy.status != status:
        return False
    if country is not None and proxy.country != country:
        return False
    if protocol is not None and proxy.protocol != protocol:
        return False
    if not q:
        return True
    user = proxy.credentials.user if proxy.credentials else None
    texts = (str(proxy.host), user, proxy.city, proxy.isp, proxy.source)
    return any(q.casefold() in text.casefold() for text in texts if text)
