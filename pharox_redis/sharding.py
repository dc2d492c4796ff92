"""Several pools, *shards*, in the place of one that is too hot for a core. No I/O.

A pool is one Cluster slot, the slot of its key, and the key is made of the pool's id. So the id
decides on which master a pool lives, and whoever creates a pool chooses its id: here ids are tried
until shard ``i`` of ``count`` has a slot in the ``i``-th part of all slots. If the masters have
equal ranges, in order, each of M masters then has ``count / M`` shards, for every M that divides
``count``. The ids derive from the name: made twice, the shards are the same.

``docs/scaling.md`` tells when to split a pool, and what it costs.
"""

from __future__ import annotations

import hashlib
from uuid import NAMESPACE_URL, uuid5

from pharox.models import ProxyPool
from redis.crc import key_slot

from pharox_redis.keys import Keys
from pharox_redis.settings import Settings

SLOTS = 16384
"""Slots of a Cluster."""


def shard_names(name: str, count: int) -> list[str]:
    """The shards' names, ``name/0`` and so on: what ``acquire_lease_from`` takes."""
    return [f"{name}/{number}" for number in range(count)]


def shard_pools(name: str, count: int, settings: Settings | None = None) -> list[ProxyPool]:
    """The shards, each to be saved with ``save_pool`` (again does no harm); some 5 us an id tried.

    ``settings`` are those of the storage: the prefix is part of the key. Raises ``ValueError``
    unless ``count`` is 1 to 1,024.
    """
    if not 1 <= count <= 1024:
        raise ValueError(f"count must be 1 to 1024, not {count!r}.")
    keys = Keys((settings or Settings()).key_prefix)
    pools = []
    for number, shard in enumerate(shard_names(name, count)):
        attempt, slot = 0, -1
        while slot * count // SLOTS != number:
            pool_id = uuid5(NAMESPACE_URL, f"pharox-redis:{keys.root}:shard:{shard}:{attempt}")
            attempt, slot = attempt + 1, int(key_slot(keys.pool(pool_id).encode()))
        pools.append(ProxyPool(id=pool_id, name=shard))
    return pools


def shard_of(count: int, host: str, port: int, user: str | None = None) -> int:
    """The number of the shard a proxy belongs to, 0 to ``count - 1``; everywhere the same.

    The user is part of it: a gateway's proxies may differ in nothing else, and would all be in one
    shard.
    """
    digest = hashlib.sha256(f"{host}:{port}:{user or ''}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % count
