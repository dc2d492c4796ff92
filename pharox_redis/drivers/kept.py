"""Script calls over connections that are kept, past redis-py's ``execute_command``.

A call spends a fifth of its time on the way through ``execute_command``: a connection is taken from
the pool, asked whether it is still open, and given back, and each step is offered to metrics. A
scraper makes its calls one after the other. So some connections of the client's own pool stay with
us between calls, and a call is: pack, send, read.

What the client is set up for still holds. The connections are made, checked for their health and
closed by redis-py, and a call that fails is repeated by the client's own ``Retry``, as often as it
says. A connection that was closed while nobody used it is not counted as a failure (redis-py's pool
would have found out). No more than a quarter of the pool is kept.

A client that does more in between is left alone (:func:`keepable`): one whose pool waits or follows
Sentinel, that caches, has a single connection or credentials that expire, and one whose
``execute_command`` is not redis-py's, as tracers replace it. So is every client while redis-py's
own metrics are on.
"""

from __future__ import annotations

import os
from types import FunctionType
from typing import Any

import hiredis
import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.observability.recorder import is_enabled as has_metrics

_SHARE = 4
_REDIS_PY = redis.client.__file__


class KeptConnections:
    """The connections of one client that stay with us. Safe to share among threads and to fork."""

    def __init__(self, client: redis.Redis) -> None:
        # redis-py annotates its pools and connections in part only.
        self._client: Any = client
        self._pool: Any = client.connection_pool
        self._most = self._pool.max_connections // _SHARE
        self._idle: list[Any] = []
        self._pid = os.getpid()

    def call(self, words: tuple[Any, ...]) -> Any:
        """One script call's raw reply; raises ``CLIENT_ERRORS``. The connection's retries apply."""
        if has_metrics() or not _stock(self._client):
            return self._client.execute_command(*words)
        packed = hiredis.pack_command(words)
        if self._pid != os.getpid():
            # The parent's sockets: redis-py's pool leaves them to it, too.
            self._idle, self._pid = [], os.getpid()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._pool.get_connection()
        try:
            try:
                connection.send_packed_command((packed,))
                return connection.read_response()
            except NoScriptError:
                raise
            except RedisError as error:
                return _repeated(connection, packed, error)
        finally:
            if connection.should_reconnect() or len(self._idle) >= self._most:
                self._pool.release(connection)
            else:
                self._idle.append(connection)


def _repeated(connection: Any, packed: bytes, error: RedisError) -> Any:
    """The reply after a first attempt that failed, if it can be had."""
    failed = [] if isinstance(error, RedisConnectionError) else [error]

    def attempt() -> Any:
        if failed:
            raise failed.pop()
        connection.send_packed_command((packed,))
        return connection.read_response()

    return connection.retry.call_with_retry(attempt, lambda _: connection.disconnect())


def _stock(client: Any) -> bool:
    """Whether ``execute_command`` is redis-py's own."""
    function = getattr(client.execute_command, "__func__", None)
    return type(function) is FunctionType and function.__code__.co_filename == _REDIS_PY


def keepable(client: redis.Redis) -> bool:
    """Whether connections of this client can be kept."""
    pool: Any = client.connection_pool
    return (
        type(pool) is redis.ConnectionPool
        and pool.connection_class.__module__ == redis.connection.__name__
        and pool.max_connections >= _SHARE
        and client.connection is None
        and pool.cache is None
        and pool.connection_kwargs.get("credential_provider") is None
    )
