"""The servers behind a client: one, or every master of a Cluster."""

from __future__ import annotations

from typing import Any

from redis.cluster import RedisCluster


def masters(client: Any) -> list[tuple[str, Any]]:
    """A name and a client for each server that has data: ``server``, or a Cluster's nodes."""
    if not isinstance(client, RedisCluster):
        return [("server", client)]
    cluster: Any = client  # redis-py annotates it in part only
    return [
        (str(node.name), cluster.get_redis_connection(node)) for node in cluster.get_primaries()
    ]
