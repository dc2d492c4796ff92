"""Makes redis-py's asyncio Cluster client follow ASK rightly.

After an ASK the command must follow ASKING on the same connection. redis-py (8.1) sends ASKING on
whatever connection is free and the command on another: the command is turned away, and the mark
stays on the first connection, for whichever command comes next. That one may then be answered by a
node to which only half of its slot has come. So a node that was named by an ASK is replaced by one
that sends both together. A node without slots of its own is not known to redis-py either, and is
added.
"""

from __future__ import annotations

from typing import Any

import redis
from redis.asyncio.cluster import ClusterNode, RedisCluster


def follow_asks(client: RedisCluster) -> None:
    """Change this client so; again does no harm."""
    manager: Any = client.nodes_manager

    def get_node(
        host: str | None = None, port: int | None = None, node_name: str | None = None
    ) -> Any:
        node = manager.get_node(host, port, node_name)
        if node_name is None:
            return node
        if node is None:
            host, _, at = node_name.rpartition(":")
            node = ClusterNode(host, int(at), "primary", **manager.connection_kwargs)
            node = manager.nodes_cache.setdefault(node_name, node)
        return _AskedNode(node)

    # redis-py asks for a node by its name only after an ASK.
    vars(client)["get_node"] = get_node


class _AskedNode:
    """A node as redis-py uses it after an ASK: ASKING goes before the command."""

    def __init__(self, node: Any) -> None:
        self._node = node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    async def execute_command(self, *words: Any, asking: bool = False, **options: Any) -> Any:
        node = self._node
        if words == ("ASKING",):
            return b"OK"
        connection = node.acquire_connection()
        try:
            await node.disconnect_if_needed(connection)
            packed = connection.pack_commands([("ASKING",), words])
            await connection.send_packed_command(packed)
            try:
                await connection.read_response()
            except redis.exceptions.ResponseError:
                await connection.disconnect()  # the other reply must not be the next caller's
                raise
            return await node.parse_response(connection, words[0], **options)
        finally:
            node.release(connection)
