"""The links of ``links.py`` on ``redis.asyncio``."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from inspect import signature
from typing import Any, Literal, Protocol

import redis.asyncio
from redis.asyncio.cluster import ClusterNode, PipelineCommand, RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.exceptions import AskError, TryAgainError

from pharox_redis.drivers.asking import follow_asks
from pharox_redis.drivers.links import Words, key_of
from pharox_redis.drivers.replies import CLIENT_ERRORS
from pharox_redis.drivers.shared_lines import SharedLines
from pharox_redis.errors import UnsupportedClientError

_ATTEMPTS = 5
_SOCKET_TIMEOUT: Any = signature(AbstractConnection).parameters["socket_timeout"].default
# A connection that was closed under a command's feet, by another task or with another event loop.
_BROKEN = (AttributeError, OSError, EOFError, RuntimeError)
_GONE = (*_BROKEN, redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)


class AsyncLink(Protocol):
    """What the asyncio driver needs of a client; see ``Link``."""

    async def send(self, *words: Any) -> Any:
        """One command's raw reply; raises ``CLIENT_ERRORS``."""

    async def call(self, words: Words) -> Any:
        """One script call's raw reply; raises ``CLIENT_ERRORS``."""

    async def send_all(self, commands: Sequence[Words]) -> list[Any]:
        """The raw replies of many commands; one that failed is its exception."""

    async def send_to_master(self, key: str, commands: Sequence[Words]) -> list[Any]:
        """As ``send_all``, all on one connection to the master that has ``key``."""

    async def info(self) -> Any:
        """What INFO tells of a server."""


class _Turns(asyncio.Semaphore):
    """Lets no more callers in than the client has connections; the others wait their turn.

    redis-py's pool turns them away instead (``Too many connections``), and its pool that waits is a
    fifth slower (50 tasks, EVALSHA of ``return 1``).

    Nobody waits longer than a silent server is waited for, all attempts together: else, while it is
    silent, the line would grow with each caller, and the last one hear after minutes.
    """

    def __init__(self, connections: int, options: dict[str, Any], retry: Any) -> None:
        super().__init__(max(1, connections))
        timeout = options.get("socket_timeout", _SOCKET_TIMEOUT)
        attempts = 1 + (retry.get_retries() if isinstance(retry, Retry) else 0)
        self._seconds = timeout * attempts if timeout and attempts > 0 else None

    async def acquire(self) -> Literal[True]:
        """Wait for a turn. Raises redis-py's ``TimeoutError``."""
        if not self.locked():
            return await super().acquire()
        try:
            async with asyncio.timeout(self._seconds):
                return await super().acquire()
        except TimeoutError:
            raise redis.exceptions.TimeoutError(
                "All connections are waiting for the server."
            ) from None


class AsyncServerLink:
    """One server, or whichever server Sentinel says is the master."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        pool: Any = client.connection_pool
        options = getattr(pool, "connection_kwargs", {})
        self._turn = _Turns(getattr(pool, "max_connections", 100), options, options.get("retry"))
        # redis-py does not annotate execute_command.
        self._client: Any = client
        self._lines = SharedLines(client, self._turn)

    async def call(self, words: Words) -> Any:
        """Alone, or together with those of other tasks."""
        try:
            return await self._lines.call(words)
        except _BROKEN as error:
            raise _lost(error) from error

    async def send(self, *words: Any) -> Any:
        """One command."""
        async with self._turn:
            try:
                return await self._client.execute_command(*words)
            except _BROKEN as error:
                raise _lost(error) from error

    async def send_all(self, commands: Sequence[Words]) -> list[Any]:
        """One pipeline."""
        async with self._turn, self._client.pipeline(transaction=False) as pipe:
            for words in commands:
                pipe.execute_command(*words)
            try:
                replies: list[Any] = await pipe.execute(raise_on_error=False)
            except _BROKEN as error:
                raise _lost(error) from error
        return replies

    async def send_to_master(self, key: str, commands: Sequence[Words]) -> list[Any]:
        """One pipeline, too."""
        return await self.send_all(commands)

    async def info(self) -> Any:
        """Of the server."""
        async with self._turn:
            return await self._client.info("server")


class AsyncClusterLink:
    """A Cluster: the master of each command's slot.

    When a node is lost or slots have moved, redis-py (8.1) closes connections that other tasks are
    using, and those fail with an ``AttributeError``, or have it for a reply. That is a lost
    connection, and everything can be sent twice.

    Its pipeline is not used: when one node fails it closes those to all others, too.
    """

    def __init__(self, client: RedisCluster) -> None:
        options = client.connection_kwargs
        self._turn = _Turns(options.get("max_connections", 100), options, client.retry)
        self._client = client
        follow_asks(client)

    async def send(self, *words: Any) -> Any:
        """One command."""
        return await self._routed(words)

    async def call(self, words: Words) -> Any:
        """As every command."""
        return await self._routed(words)

    async def _routed(self, words: Words) -> Any:
        async with self._turn:
            for attempts_left in reversed(range(_ATTEMPTS)):
                try:
                    return await self._client.execute_command(*words)
                except _BROKEN as error:
                    if not attempts_left:
                        raise _lost(error) from error

    async def send_all(self, commands: Sequence[Words]) -> list[Any]:
        """One batch a master, all at once."""
        await self._client.initialize()
        places: defaultdict[ClusterNode, list[int]] = defaultdict(list)
        for place, words in enumerate(commands):
            places[self._node_of(key_of(words))].append(place)
        replies: list[Any] = [None] * len(commands)

        async def ask(node: ClusterNode, mine: list[int]) -> None:
            found = await self._batch(node, [commands[place] for place in mine])
            for place, reply in zip(mine, found, strict=True):
                replies[place] = reply

        await asyncio.gather(*(ask(node, mine) for node, mine in places.items()))
        return replies

    def _node_of(self, key: str) -> ClusterNode:
        node = self._client.get_node_from_key(key)
        if node is None:
            raise redis.exceptions.ClusterDownError(f"No node has the slot of {key}.")
        return node

    async def _batch(self, node: ClusterNode, commands: Sequence[Words]) -> list[Any]:
        """One node's part, and what it did not answer, or sends elsewhere, one by one. Of a node
        that is away the first command tells: it is not waited for again and again."""
        replies = await self._on(node, commands)
        away: Exception | None = None
        for place, reply in enumerate(replies):
            if isinstance(reply, _GONE) and away is not None:
                replies[place] = away
            elif isinstance(reply, (*_GONE, AskError, TryAgainError)):
                try:
                    replies[place] = await self.send(*commands[place])
                except CLIENT_ERRORS as error:
                    replies[place] = error
                    if isinstance(reply, _GONE):
                        away = error
        return replies

    async def _on(self, node: ClusterNode, commands: Sequence[Words]) -> list[Any]:
        batch = [PipelineCommand(place, *words) for place, words in enumerate(commands)]
        async with self._turn:
            try:
                await node.execute_pipeline(batch)
            except (*CLIENT_ERRORS, *_BROKEN) as error:
                return [error] * len(batch)
        return [command.result for command in batch]

    async def send_to_master(self, key: str, commands: Sequence[Words]) -> list[Any]:
        """One batch on the node that has the key, as far as the client knows; nothing of it is sent
        elsewhere."""
        await self._client.initialize()
        replies = await self._on(self._node_of(key), commands)
        return [_lost(reply) if isinstance(reply, _BROKEN) else reply for reply in replies]

    async def info(self) -> Any:
        """Of one of its nodes."""
        async with self._turn:
            return await self._client.execute_command(
                "INFO", "server", target_nodes=RedisCluster.RANDOM
            )


def _lost(error: Exception) -> redis.exceptions.ConnectionError:
    if isinstance(error, RuntimeError):
        return redis.exceptions.ConnectionError(
            f"{error} (An AsyncRedisStorage belongs to one event loop; make one for each.)"
        )
    return redis.exceptions.ConnectionError(f"The connection was lost: {error}")


def async_link_of(client: object) -> AsyncLink:
    """The link for a client. Raises ``UnsupportedClientError``."""
    if isinstance(client, redis.asyncio.Redis):
        return AsyncServerLink(client)
    if isinstance(client, RedisCluster):
        return AsyncClusterLink(client)
    kind = f"{type(client).__module__}.{type(client).__qualname__}"
    raise UnsupportedClientError(
        "AsyncRedisStorage needs a redis.asyncio.Redis or redis.asyncio.cluster.RedisCluster "
        f"client, not {kind}; AsyncRedisStorage.from_url(url) makes one, RedisStorage takes those "
        "of redis."
    )
