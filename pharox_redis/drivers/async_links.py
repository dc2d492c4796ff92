"""The links of ``links.py`` on ``redis.asyncio``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import redis.asyncio
from redis.asyncio.cluster import RedisCluster

from pharox_redis.drivers.asking import follow_asks
from pharox_redis.drivers.links import Words
from pharox_redis.errors import UnsupportedClientError


class AsyncLink(Protocol):
    """What the asyncio driver needs of a client; see ``Link``."""

    async def send(self, *words: Any) -> Any:
        """One command's raw reply; raises ``CLIENT_ERRORS``."""

    async def send_all(self, commands: Sequence[Words]) -> list[Any]:
        """The raw replies of many commands; one that failed is its exception."""

    async def send_to_master(self, key: str, commands: Sequence[Words]) -> list[Any]:
        """As ``send_all``, all on one connection to the master that has ``key``."""

    async def info(self) -> Any:
        """What INFO tells of a server."""


class AsyncServerLink:
    """One server, or whichever server Sentinel says is the master."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self.send = client.execute_command

    async def send_all(self, commands: Sequence[Words]) -> list[Any]:
        """One pipeline."""
        async with self._client.pipeline(transaction=False) as pipe:
            for words in commands:
                pipe.execute_command(*words)
            replies: list[Any] = await pipe.execute(raise_on_error=False)
        return replies

    async def send_to_master(self, key: str, commands: Sequence[Words]) -> list[Any]:
        """One pipeline, too."""
        return await self.send_all(commands)

    async def info(self) -> Any:
        """Of the server."""
        return await self._client.info("server")


_ATTEMPTS = 5
_BROKEN = (AttributeError, OSError, EOFError)


class AsyncClusterLink:
    """A Cluster: the master of each command's slot.

    When a node is lost or slots have moved, redis-py (8.1) closes connections that other tasks are
    using, and those fail with an ``AttributeError``, or have it for a reply. That is a lost
    connection, and everything can be sent twice.
    """

    def __init__(self, client: RedisCluster) -> None:
        self._client = client
        follow_asks(client)

    async def send(self, *words: Any) -> Any:
        """One command."""
        return await self._repeated(lambda: self._client.execute_command(*words))

    async def send_all(self, commands: Sequence[Words]) -> list[Any]:
        """One pipeline a master, all at once."""
        return await self._in_a_pipeline(commands)

    async def send_to_master(self, key: str, commands: Sequence[Words]) -> list[Any]:
        """One pipeline on the node that has the key, as far as the client knows."""
        await self._client.initialize()
        return await self._in_a_pipeline(commands, self._client.get_node_from_key(key))

    async def _in_a_pipeline(
        self, commands: Sequence[Words], node: object | None = None
    ) -> list[Any]:
        to_node = {} if node is None else {"target_nodes": node}

        async def once() -> list[Any]:
            async with self._client.pipeline() as pipe:
                for words in commands:
                    pipe.execute_command(*words, **to_node)
                replies: list[Any] = await pipe.execute(raise_on_error=False)
            return [_lost(reply) if isinstance(reply, _BROKEN) else reply for reply in replies]

        replies: list[Any] = await self._repeated(once)
        return replies

    @staticmethod
    async def _repeated(send: Callable[[], Awaitable[Any]]) -> Any:
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                return await send()
            except _BROKEN as error:
                if not attempts_left:
                    raise _lost(error) from error

    async def info(self) -> Any:
        """Of one of its nodes."""
        return await self._repeated(
            lambda: self._client.execute_command("INFO", "server", target_nodes=RedisCluster.RANDOM)
        )


def _lost(error: Exception) -> redis.exceptions.ConnectionError:
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
