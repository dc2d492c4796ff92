"""Blocking ways to reach the data: one server, or a Cluster.

On a Cluster redis-py routes each command by its key and follows MOVED, ASK and TRYAGAIN. A batch is
written to all masters before the first reply is read, so it takes as long as its slowest master.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import redis
from redis.cluster import RedisCluster

from pharox_redis.drivers.direct import DirectCalls, direct_possible
from pharox_redis.errors import UnsupportedClientError

Words = tuple[Any, ...]


def key_of(words: Words) -> str:
    """The key of one of our commands."""
    return str(words[3] if words[0] in ("EVALSHA", "EVAL") else words[1])


class Link(Protocol):
    """What the blocking driver needs of a client."""

    def send(self, *words: Any) -> Any:
        """One command's raw reply; raises ``CLIENT_ERRORS``."""

    def call(self, words: Words) -> Any:
        """One script call's raw reply; raises ``CLIENT_ERRORS``."""

    def send_all(self, commands: Sequence[Words]) -> list[Any]:
        """The raw replies of many commands; one that failed is its exception."""

    def send_to_master(self, key: str, commands: Sequence[Words]) -> list[Any]:
        """As ``send_all``, all on one connection to the master that has ``key``."""

    def info(self) -> Any:
        """What INFO tells of a server."""


class ServerLink:
    """One server, or whichever server Sentinel says is the master."""

    def __init__(self, client: redis.Redis) -> None:
        # redis-py does not annotate execute_command.
        self._client: Any = client
        self._direct = DirectCalls(client) if direct_possible(client) else None

    def send(self, *words: Any) -> Any:
        """By what ``execute_command`` is now: a tracer may have come."""
        return self._client.execute_command(*words)

    def call(self, words: Words) -> Any:
        """Over an open connection, if the client allows it."""
        return self._direct.call(words) if self._direct else self._client.execute_command(*words)

    def send_all(self, commands: Sequence[Words]) -> list[Any]:
        """One pipeline."""
        return _in_a_pipeline(self._client, commands)

    def send_to_master(self, key: str, commands: Sequence[Words]) -> list[Any]:
        """One pipeline, too."""
        return _in_a_pipeline(self._client, commands)

    def info(self) -> Any:
        """Of the server."""
        return self._client.info("server")


class ClusterLink:
    """A Cluster: the master of each command's slot."""

    def __init__(self, client: RedisCluster) -> None:
        # redis-py annotates its blocking cluster client in part only.
        self._client: Any = client

    def send(self, *words: Any) -> Any:
        """To the master that has the command's key."""
        return self._routed(words)

    def call(self, words: Words) -> Any:
        """To the master that has the pool."""
        return self._routed(words)

    def _routed(self, words: Words) -> Any:
        try:
            return self._client.execute_command(*words)
        except AttributeError as error:
            raise stranger() from error

    def send_all(self, commands: Sequence[Words]) -> list[Any]:
        """One pipeline a master, all at once."""
        # The methods eval() and evalsha() of a cluster pipeline are blocked; the commands are not.
        try:
            with self._client.pipeline() as pipe:
                # redis-py's pipeline has a server tell it the keys of each script call, in a trip
                # of its own; outside of pipelines it knows them by itself.
                pipe._get_command_keys = lambda *words: [key_of(words)]
                return _executed(pipe, commands)
        except AttributeError as error:
            raise stranger() from error

    def send_to_master(self, key: str, commands: Sequence[Words]) -> list[Any]:
        """One pipeline on the node that has the key, as far as the client knows."""
        node = self._client.get_node_from_key(key)
        if node is None:
            raise redis.exceptions.ClusterDownError(f"No node has the slot of {key}.")
        return _in_a_pipeline(self._client.get_redis_connection(node), commands)

    def info(self) -> Any:
        """Of one of its nodes."""
        return self._client.execute_command("INFO", "server", target_nodes=RedisCluster.RANDOM)


def stranger() -> redis.exceptions.ClusterError:
    """What redis-py's ``AttributeError`` means: ASK names a node it does not know, one without a
    slot of its own yet. When the slot has moved there MOVED will name it, and that is followed."""
    return redis.exceptions.ClusterError("A slot is being moved to a node that has none yet.")


def link_of(client: object) -> Link:
    """The link for a client. Raises ``UnsupportedClientError``."""
    if isinstance(client, redis.Redis):
        return ServerLink(client)
    if isinstance(client, RedisCluster):
        return ClusterLink(client)
    kind = f"{type(client).__module__}.{type(client).__qualname__}"
    raise UnsupportedClientError(
        f"RedisStorage needs a redis.Redis or redis.cluster.RedisCluster client, not {kind}; "
        "RedisStorage.from_url(url) makes one, AsyncRedisStorage takes those of redis.asyncio."
    )


def _in_a_pipeline(client: Any, commands: Sequence[Words]) -> list[Any]:
    with client.pipeline(transaction=False) as pipe:
        return _executed(pipe, commands)


def _executed(pipe: Any, commands: Sequence[Words]) -> list[Any]:
    for words in commands:
        pipe.execute_command(*words)
    replies: list[Any] = pipe.execute(raise_on_error=False)
    return replies
