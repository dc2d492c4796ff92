"""Where shards are on a Cluster: what `pharox_redis.sharding` aims at, and this looks up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pharox.models import ProxyPool
from redis.cluster import RedisCluster

from pharox_redis.keys import Keys


def per_master(client: RedisCluster, prefix: str, pools: Sequence[ProxyPool]) -> Counter[str]:
    """How many of these pools each master has, by its address; 0 for one that has none."""
    found = Counter({node.name: 0 for node in client.get_primaries()})
    for pool in pools:
        found[client.get_node_from_key(Keys(prefix).pool(pool.id)).name] += 1
    return found
