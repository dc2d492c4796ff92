"""Script calls of asyncio tasks that wait at the same time, sent together.

redis-py's asyncio client spends some 40 us of an event loop on each command: a connection of its
own, two timeouts, six awaits. Fifty tasks that each wait for a reply keep the loop busy with that.
So a call that comes while another one is under way joins a queue. A *line* is one connection of the
client's pool with a task that takes a batch from the queue, writes it in one go, reads the replies
in turn, and hands them out; then it takes what has come meanwhile. Two lines are enough: one is
served by the server while the other's replies are worked off. A call that comes alone takes the
usual way. After some batches the connection goes back to its pool, which may want to replace it.

A batch is tried as often as the client's ``Retry`` says, as redis-py tries a pipeline; what has its
reply is not sent again. What is left then has the error, each call an exception of its own. If it
was not the server's doing (the line's task was cancelled, the pool had no connection, another task
closed it) they are made again by ``execute_command``: every call can be made twice. A reply that is
an error is its caller's alone. A caller that is cancelled leaves its place: what was not sent is
not sent, and the reply of what was sent is dropped. A connection with replies to come is closed.

All this belongs to one event loop; when that is closed, to the next one that comes.

Clients that do more in between are left alone, as in ``direct.py``, and those that encode
otherwise.
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections import deque
from collections.abc import Iterable
from typing import Any

import hiredis
import redis.asyncio
from redis._parsers import Encoder
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MaxConnectionsError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.observability.recorder import is_enabled as has_metrics

from pharox_redis.drivers.direct import is_own, is_plain

_LINES = 2
_TOGETHER = 64
_BATCHES = 100
_PARTS = ("initialize", "_send_command_parse_response", "parse_response")

Place = tuple[bytes, "asyncio.Future[Any]"]


class _NotServed(Exception):
    """No reply, and nothing that the caller's own attempt must meet, too."""


class SharedLines:
    """The lines of one client."""

    def __init__(self, client: redis.asyncio.Redis, turn: asyncio.Semaphore) -> None:
        # redis-py annotates its pools and connections in part only.
        self._client: Any = client
        self._pool: Any = client.connection_pool
        self._turn = turn
        self._shareable = shareable(client)
        self._here: _LinesOfLoop | None = None

    async def call(self, words: tuple[Any, ...]) -> Any:
        """One script call's raw reply; raises ``CLIENT_ERRORS``."""
        here = self._lines()
        if here is None:
            async with self._turn:
                return await self._client.execute_command(*words)
        if here.busy and self._may_share():
            try:
                return await here.join(hiredis.pack_command(words))
            except _NotServed:
                pass  # not from within: what comes of it is no part of what comes next
        here.alone += 1
        try:
            async with self._turn:
                return await self._client.execute_command(*words)
        finally:
            here.alone -= 1

    def _lines(self) -> _LinesOfLoop | None:
        """Those of the running loop, unless there are some of another."""
        here, loop = self._here, asyncio.get_running_loop()
        if here is None or (here.loop is not loop and here.loop.is_closed()):
            here = self._here = _LinesOfLoop(loop, self._pool, self._turn)
        return here if here.loop is loop else None

    def _may_share(self) -> bool:
        client = self._client
        return (
            self._shareable
            and client.connection_pool is self._pool
            and is_own(client, redis.asyncio.client)
            and not has_metrics()
        )


class _LinesOfLoop:
    """The queue and the lines on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: Any, turn: asyncio.Semaphore) -> None:
        self.loop = loop
        self.alone = 0
        self._pool, self._turn = pool, turn
        self._queue: deque[Place] = deque()
        # The loop has but weak references to its tasks. The number is right before a task is there:
        # loops can have their tasks begin at once (asyncio.eager_task_factory).
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = 0

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return bool(self.alone or self._open)

    def join(self, packed: bytes) -> asyncio.Future[Any]:
        """The reply to come; ``_NotServed`` if it does not."""
        reply: asyncio.Future[Any] = self.loop.create_future()
        self._queue.append((packed, reply))
        self._open_line()
        return reply

    def _open_line(self) -> None:
        queue = self._queue
        while queue and queue[0][1].done():
            queue.popleft()
        if queue and (not self._open or (self._open < _LINES and len(queue) > 1)):
            self._open += 1
            line = self.loop.create_task(self._serve())
            self._tasks.add(line)
            line.add_done_callback(self._closed)

    def _closed(self, line: asyncio.Task[None]) -> None:
        self._open -= 1
        self._tasks.discard(line)
        if line.cancelled() or line.exception() is not None:
            # Whatever it was, whoever waits makes the call alone, and may meet it there.
            while not self._open and self._queue:
                _tell(self._queue.popleft()[1], _NotServed())
        self._open_line()

    async def _serve(self) -> None:
        async with self._turn:
            batch = self._next_batch()
            if not batch:
                return
            try:
                connection = await _clean(self._pool)
            except BaseException as error:
                _give_up(batch, error)
                if isinstance(error, RedisError):
                    return
                raise
            try:
                for number in range(_BATCHES):
                    batch = batch if number == 0 else self._next_batch()
                    if not batch or not await _exchange(connection, batch):
                        return
            finally:
                await self._pool.release(connection)

    def _next_batch(self) -> list[Place]:
        # The lines share what waits.
        most = min(_TOGETHER, math.ceil(len(self._queue) / self._open))
        batch: list[Place] = []
        while self._queue and len(batch) < most:
            place = self._queue.popleft()
            if not place[1].done():
                batch.append(place)
        return batch


async def _clean(pool: Any) -> Any:
    """One of the pool's connections, with no reply of others in it."""
    connection = await pool.get_connection()
    # As in direct.py: redis-py's pool may lend it with what there is to read, or closed. Nothing
    # here lets another task run, so that the connection is not lost to a cancellation.
    if connection.is_connected and await connection.can_read():
        await connection.disconnect(nowait=True)
    return connection


async def _exchange(connection: Any, batch: list[Place]) -> bool:
    """Send a batch and hand out its replies; whether the connection is good for another one."""
    left, retry = deque(batch), connection.retry
    try:
        await retry.call_with_retry(
            lambda: _attempt(connection, left), lambda _: connection.disconnect()
        )
    except BaseException as error:
        if retry.get_retries() == 0 and isinstance(error, RedisConnectionError):
            # Many calls would fail by one connection, where each had one of its own.
            _give_up(left, None)
        else:
            _give_up(left, error)
        if isinstance(error, RedisError):
            return False
        raise
    return not connection.should_reconnect()


async def _attempt(connection: Any, left: deque[Place]) -> None:
    """Send what is left, and take away what has its reply."""
    waiting = [place for place in left if not place[1].done()]
    left.clear()
    left.extend(waiting)
    if not left:
        return
    try:
        await connection.send_packed_command(b"".join([packed for packed, _ in left]))
        async with asyncio.timeout(connection.socket_timeout or None):
            while left:
                # Not read_response: without a timeout of its own it takes the one of a network
                # (ETIMEDOUT) for none, and the reply is None.
                answer = await connection._read_response_from_parser()
                _hand_out(left[0][1], answer, connection)
                left.popleft()
    except TimeoutError as error:
        raise RedisTimeoutError(f"Timeout reading from {connection._host_error()}") from error
    except (OSError, EOFError) as error:
        raise RedisConnectionError(f"The connection was lost: {error}") from error
    finally:
        if left:
            # Its replies are nobody's any more.
            await connection.disconnect(nowait=True)


def _hand_out(reply: asyncio.Future[Any], answer: Any, connection: Any) -> None:
    if isinstance(answer, tuple(connection.retry_on_error)):
        _tell(reply, _NotServed())
    elif isinstance(answer, ResponseError):
        _tell(reply, answer)
    elif not reply.done():
        reply.set_result(answer)


def _give_up(places: Iterable[Place], error: BaseException | None) -> None:
    """Tell those who wait of an error; if it is not the server's, that they were not served."""
    for _, reply in places:
        if isinstance(error, MaxConnectionsError) or not isinstance(
            error, (RedisConnectionError, RedisTimeoutError)
        ):
            _tell(reply, _NotServed())
        else:
            _tell(reply, copy.copy(error))


def _tell(reply: asyncio.Future[Any], error: Exception) -> None:
    # A line that is left over from a loop is ended when it is collected, and tells nobody.
    if not reply.done() and not reply.get_loop().is_closed():
        reply.set_exception(error)


def shareable(client: Any) -> bool:
    """Whether calls of this client can share lines."""
    pool = client.connection_pool
    options = pool.connection_kwargs
    return (
        type(pool) is redis.asyncio.ConnectionPool
        and pool.connection_class.__module__ == redis.asyncio.connection.__name__
        and pool.max_connections > _LINES
        and client.connection is None
        and not client.single_connection_client
        and options.get("credential_provider") is None
        # hiredis packs UTF-8, and refuses what is none.
        and str(options.get("encoding", "utf-8")).lower() in ("utf-8", "utf8")
        and options.get("encoding_errors", "strict") == "strict"
        and pool.encoder_class is Encoder
        and is_plain(client, redis.asyncio.Redis, _PARTS)
    )
