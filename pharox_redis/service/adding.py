"""Adding proxies so that a request may be repeated: a proxy is known by what it is.

Its id follows from the pool, the protocol, the host, the port and the user, as that of an import
does. So one that is added again is the same proxy, not a second one whose leases would not count
for the first; it keeps what the request does not say, its status and its limit among it. (One that
is being retired comes back, with the status of a new one.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from pharox.models import Proxy

from pharox_redis import AsyncRedisStorage
from pharox_redis.importing.records import Identity, identity_of, proxy_id
from pharox_redis.service.wire.proxies import ProxyIn


class Added(NamedTuple):
    """A proxy as it was saved, whether it is new, and whether it keeps the status that it has by
    then: ``proxy.status`` is that of a new one."""

    proxy: Proxy
    new: bool
    keep_status: bool


async def add_proxies(
    storage: AsyncRedisStorage, pool_id: UUID, wanted: Sequence[ProxyIn]
) -> list[Added]:
    """Save proxies; in the order given, one that comes twice is the later one.

    Some trips, and two for each proxy, which go together. Raises what ``add_proxies_bulk`` does.
    """
    latest = {_identity(each): each for each in wanted}
    made = await asyncio.gather(
        *(_made(storage, pool_id, identity, each) for identity, each in latest.items())
    )
    for keep_status in (True, False):
        some = [each.proxy for each in made if each.keep_status is keep_status]
        if some:
            await storage.add_proxies_bulk(some, keep_status=keep_status)
    return list(made)


def _identity(wanted: ProxyIn) -> Identity:
    return Identity(wanted.protocol, wanted.host, wanted.port, wanted.username)


async def _made(
    storage: AsyncRedisStorage, pool_id: UUID, identity: Identity, wanted: ProxyIn
) -> Added:
    taken: list[UUID] = []
    keep_status = "status" not in wanted.model_fields_set
    while True:
        known_as = proxy_id(pool_id, identity, unlike=taken)
        known = await storage.get_proxy_by_id(known_as)
        if known is None:
            return Added(wanted.to_proxy(pool_id, known_as), True, keep_status)
        if identity_of(known) == identity:
            changed = {**wanted.changes(), "status": wanted.status}
            return Added(known.model_copy(update=changed), False, keep_status)
        taken.append(known_as)  # somebody has given that proxy another host since
