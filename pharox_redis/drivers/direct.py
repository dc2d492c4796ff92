"""Script calls over the open connections of a client's pool, past redis-py's ``execute_command``.

A call spends half of its time on the way through ``execute_command``: every step of it is offered
to metrics and events, most of them in the pool. A scraper makes its calls one after the other, over
a connection that is open already. So a call is: take the connection that was used last out of the
pool's list, pack, send, read, put it back.

What redis-py promises still holds. A connection that was closed meanwhile, or has a reply that
nobody read, is found out before it is used, and opened anew; redis-py makes it, connects it and
checks its health. A call that fails is repeated by the connection's own ``Retry``, and the first
attempt counts. Whatever is raised between sending and reading, by a signal's handler perhaps,
closes the connection: the next caller would have that reply. In between no connection is ours: the
pool can lend all of them to others, close them, and forget them after a fork.

A client that does more in between is left alone (:func:`direct_possible`): one whose pool waits or
follows Sentinel, that caches, has a single connection or credentials that expire, and one whose
``execute_command`` is not redis-py's, as tracers replace it. So is every client while redis-py's
own metrics are on.
"""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import Any

import hiredis
import redis
from redis.exceptions import RedisError, ResponseError
from redis.observability.recorder import is_enabled as has_metrics

# What execute_command does, method by method; a subclass may have its own.
_PARTS = ("_execute_command", "_send_command_parse_response", "parse_response")


class DirectCalls:
    """Calls over one client's pool. As safe to share among threads, and to fork, as
    the pool."""

    def __init__(self, client: redis.Redis) -> None:
        # redis-py annotates its pools and connections in part only.
        self._client: Any = client
        self._pool: Any = client.connection_pool

    def call(self, words: tuple[Any, ...]) -> Any:
        """One script call's raw reply; raises ``CLIENT_ERRORS``. The connection's retries apply."""
        client, pool = self._client, self._pool
        if client.connection_pool is pool and is_own(client, redis.client) and not has_metrics():
            packed = hiredis.pack_command(words)
            connection = self._taken()
            try:
                return _reply(connection, packed)
            finally:
                self._put_back(connection)
        return client.execute_command(*words)

    def _taken(self) -> Any:
        """The connection that was used last, or a new one; connected or not."""
        pool = self._pool
        pool._checkpid()
        with pool._lock:
            free = pool._available_connections
            connection = free.pop() if free else pool.make_connection()
            pool._in_use_connections.add(connection)
        return connection

    def _put_back(self, connection: Any) -> None:
        pool = self._pool
        if connection.should_reconnect():
            pool.release(connection)
            return
        with pool._lock:
            # Unless the pool was reset meanwhile.
            if connection in pool._in_use_connections:
                pool._in_use_connections.remove(connection)
                pool._available_connections.append(connection)


def _reply(connection: Any, packed: bytes) -> Any:
    try:
        _make_ready(connection)
        try:
            connection.send_packed_command((packed,))
            return connection.read_response()
        except RedisError as error:
            return _repeated(connection, packed, error)
    except ResponseError:
        raise  # that was the reply
    except BaseException:
        connection.disconnect()
        raise


def _make_ready(connection: Any) -> None:
    """Have it open, with nothing to read. Raises ``CLIENT_ERRORS``, after the client's retries."""
    if connection.is_connected:
        try:
            if not connection.can_read():
                return
        except (RedisError, OSError):
            pass
        # redis-py's pool lends it with what there is to read (8.1, if the server can announce its
        # maintenance), and that may be the reply of a call that was interrupted.
        connection.disconnect()
    connection.connect()


def _repeated(connection: Any, packed: bytes, error: RedisError) -> Any:
    """The reply after a first attempt that failed, if the client's ``Retry`` allows another."""
    failed = [error]

    def attempt() -> Any:
        if failed:
            raise failed.pop()
        connection.send_packed_command((packed,))
        return connection.read_response()

    return connection.retry.call_with_retry(attempt, lambda _: connection.disconnect())


def is_own(client: Any, module: Any) -> bool:
    """Whether ``execute_command`` is what redis-py's module has, and nothing around it."""
    # By their types: the proxies that tracers use pass for what they wrap in everything else.
    method = client.execute_command
    if type(method) is not MethodType:
        return False
    function = method.__func__
    return type(function) is FunctionType and function.__code__.co_filename == module.__file__


def is_plain(client: Any, original: type, parts: tuple[str, ...]) -> bool:
    """Whether all that ``execute_command`` does of itself is the original's."""
    return not {"EVAL", "EVALSHA"} & set(client.response_callbacks) and all(
        getattr(type(client), part, None) is getattr(original, part) for part in parts
    )


def direct_possible(client: redis.Redis) -> bool:
    """Whether this client's connections can be used past ``execute_command``."""
    pool: Any = client.connection_pool
    return (
        type(pool) is redis.ConnectionPool
        and pool.connection_class.__module__ == redis.connection.__name__
        and client.connection is None
        and pool.cache is None
        and pool.connection_kwargs.get("credential_provider") is None
        and pool.connection_kwargs.get("command_packer") is None
        and is_plain(client, redis.Redis, _PARTS)
    )
