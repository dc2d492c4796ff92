"""Script calls of asyncio tasks that wait at the same time, sent together.

redis-py's asyncio client spends some 40 us of an event loop on each command: a connection of its
own, two timeouts, six awaits. Fifty tasks that each wait for a reply keep the loop busy with that.
So a call that comes while another one is under way joins a queue. A *line* is one connection of the
client's pool with a task that takes what is in the queue, writes it in one go, reads the replies in
turn, and hands them out; then it takes what has come meanwhile. Two lines are enough: one is served
by the server while the other's replies are worked off. A call that comes alone takes the usual way.

A line makes one attempt. Whoever does not get a reply by it (the connection broke, or timed out)
makes the call again by the client's ``execute_command``, with the client's retries: every call can
be made twice. A caller that is cancelled leaves its place: what was not sent is not sent, and the
reply of what was sent is dropped. After some batches the connection goes back to its pool, which
may want to replace it.

As with connections that are kept (``kept.py``), clients that do more in between are left alone.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from types import FunctionType
from typing import Any

import hiredis
import redis.asyncio
from redis.exceptions import RedisError, ResponseError
from redis.observability.recorder import is_enabled as has_metrics

_LINES = 2
_TOGETHER = 64
_BATCHES = 100
_REDIS_PY = redis.asyncio.client.__file__

Place = tuple[bytes, "asyncio.Future[Any]"]


class _NotServed(Exception):
    """The line broke before the reply came."""


class SharedLines:
    """The lines of one client. For one event loop at a time, as the client's connections."""

    def __init__(self, client: redis.asyncio.Redis, turn: asyncio.Semaphore) -> None:
        # redis-py annotates its pools and connections in part only.
        self._client: Any = client
        self._turn = turn
        self._queue: deque[Place] = deque()
        self._lines: set[asyncio.Task[None]] = set()
        self._alone = 0

    async def call(self, words: tuple[Any, ...]) -> Any:
        """One script call's raw reply; raises ``CLIENT_ERRORS``."""
        if (not self._alone and not self._lines) or not self._may_share():
            return await self._call_alone(words)
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        self._queue.append((hiredis.pack_command(words), reply))
        if not self._lines or (len(self._lines) < _LINES and len(self._queue) > 1):
            line = loop.create_task(self._serve())
            self._lines.add(line)
            line.add_done_callback(self._closed)
        try:
            return await reply
        except _NotServed:
            return await self._call_alone(words)

    async def _call_alone(self, words: tuple[Any, ...]) -> Any:
        self._alone += 1
        try:
            async with self._turn:
                return await self._client.execute_command(*words)
        finally:
            self._alone -= 1

    def _may_share(self) -> bool:
        return shareable(self._client) and not has_metrics()

    async def _serve(self) -> None:
        pool = self._client.connection_pool
        async with self._turn:
            connection = await pool.get_connection()
            try:
                for _ in range(_BATCHES):
                    batch = self._next_batch()
                    if not batch:
                        return
                    await _exchange(connection, batch)
            finally:
                await pool.release(connection)

    def _next_batch(self) -> list[Place]:
        # The lines share what waits.
        most = min(_TOGETHER, math.ceil(len(self._queue) / len(self._lines)))
        batch: list[Place] = []
        while self._queue and len(batch) < most:
            place = self._queue.popleft()
            if not place[1].done():
                batch.append(place)
        return batch

    def _closed(self, line: asyncio.Task[None]) -> None:
        self._lines.discard(line)
        if not line.cancelled():
            line.exception()  # whoever waits makes the call alone, and meets it there
        if self._lines or not self._queue:
            return
        if line.cancelled() or line.exception() is not None:
            while self._queue:
                _tell(self._queue.popleft()[1], _NotServed())
        else:
            again = line.get_loop().create_task(self._serve())
            self._lines.add(again)
            again.add_done_callback(self._closed)


async def _exchange(connection: Any, batch: list[Place]) -> None:
    """Send a batch and hand out its replies. Raises what broke the line, after telling the rest."""
    served = 0
    try:
        await connection.send_packed_command(b"".join([packed for packed, _ in batch]))
        async with asyncio.timeout(connection.socket_timeout):
            for _, reply in batch:
                try:
                    answer = await connection.read_response(timeout=math.inf)
                except ResponseError as refusal:
                    _tell(reply, refusal)
                else:
                    if not reply.done():
                        reply.set_result(answer)
                served += 1
    except (RedisError, OSError, EOFError, AttributeError, RuntimeError):
        # As in async_links: a connection that was lost, or closed under our feet.
        await connection.disconnect(nowait=True)
        raise
    finally:
        for _, reply in batch[served:]:
            _tell(reply, _NotServed())


def _tell(reply: asyncio.Future[Any], error: Exception) -> None:
    if not reply.done():
        reply.set_exception(error)


def shareable(client: Any) -> bool:
    """Whether calls of this client can share lines."""
    pool, function = client.connection_pool, getattr(client.execute_command, "__func__", None)
    return (
        type(pool) is redis.asyncio.ConnectionPool
        and pool.connection_class.__module__ == redis.asyncio.connection.__name__
        and pool.max_connections > _LINES
        and client.connection is None
        and not client.single_connection_client
        and pool.connection_kwargs.get("credential_provider") is None
        and type(function) is FunctionType
        and function.__code__.co_filename == _REDIS_PY
    )
