"""Lets time pass for chosen leases: their raw scores and TTLs move into the past.

The library has no clock parameter; the servers' clock is real. What a lease that ended long ago
looks like is what these functions leave behind.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from pharox.models import Lease

from pharox_redis import RedisStorage
from pharox_redis.drivers import text
from pharox_redis.keys import Keys, lease_tail


def expire_leases(
    storage: RedisStorage, leases: Iterable[Lease], *, ago_ms: int = 1000, forget: bool = False
) -> None:
    """End these leases ``ago_ms`` ago, unswept. ``forget``: their records are gone too, as they
    are once the retention is over."""
    client, keys = storage.client, Keys(storage.settings.key_prefix)
    ended = int(time.time() * 1000) - ago_ms
    for lease in leases:
        assert lease.pool_id is not None
        pool, proxy_id = lease.pool_id, str(lease.proxy_id)
        lease_id = lease_tail(str(lease.id))
        assert client.zadd(keys.expiry(pool), {f"{lease_id}:{proxy_id}": ended}, xx=True, ch=True)
        client.zadd(keys.held(pool, proxy_id), {lease_id: ended}, xx=True)
        key = keys.lease(pool, lease_id)
        index = keys.leases(pool, str(lease.consumer_id))
        if forget:
            client.delete(key)
            client.zrem(index, lease_id)
            continue
        record = text(client.get(key))
        if record is not None:
            proxy, consumer, acquired, _ = record.split(" ")
            acquired = str(min(int(acquired), ended - 1))
            until = ended + storage.settings.retention_ms
            client.set(key, f"{proxy} {consumer} {acquired} {ended}")
            client.pexpireat(key, until)
            client.zadd(index, {lease_id: until}, xx=True)


def lapse_claims(storage: RedisStorage, pool_id: UUID) -> int:
    """Let every claim of a pool be over now, unswept; how many there were."""
    client, keys = storage.client, Keys(storage.settings.key_prefix)
    ended = int(time.time() * 1000) - 1
    found = 0
    members: list[Any] = client.zrange(keys.expiry(pool_id), 0, -1)
    for member in map(text, members):
        holder, _, proxy_id = member.rpartition(":")
        if holder.startswith("!"):
            client.zadd(keys.expiry(pool_id), {member: ended}, xx=True)
            client.zadd(keys.held(pool_id, proxy_id), {holder: ended}, xx=True)
            found += 1
    return found
