"""Storages of either flavour: ``blocking`` is ``RedisStorage``, ``async`` is ``AsyncRedisStorage``
behind the blocking face of ``blocking.py``.

Tests hand over a blocking client, as they always did; an asyncio storage gets its twin, an asyncio
client of the same server with the same options.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Self

import fakeredis
import redis
import redis.asyncio
import redis.asyncio.cluster
from redis.asyncio.retry import Retry

from pharox_redis import RedisStorage, Settings
from pharox_redis.aio import AsyncRedisStorage
from tests.support import own_servers
from tests.support.blocking import AnyStorage, BlockingStorage, loop_thread

FLAVOURS = ("blocking", "async")
_SHARED = ("host", "port", "path", "db", "username", "password", "socket_timeout")
_SHARED_TOO = ("decode_responses", "protocol")


def twin(client: redis.Redis | redis.RedisCluster) -> Any:
    """An asyncio client of a client's server, or Cluster, which the caller closes."""
    if isinstance(client, redis.RedisCluster):
        nodes = [redis.asyncio.cluster.ClusterNode(n.host, n.port) for n in client.get_nodes()]
        return redis.asyncio.RedisCluster(startup_nodes=nodes)
    known = client.connection_pool.connection_kwargs
    options = {name: known[name] for name in (*_SHARED, *_SHARED_TOO) if name in known}
    if isinstance(client, fakeredis.FakeRedis):
        del options["host"], options["port"]
        return fakeredis.FakeAsyncRedis(server=known["server"], **options)
    if retry := known.get("retry"):
        options["retry"] = Retry(retry._backoff, retry._retries)
    # redis-py's default, a hundred, is less than the tasks of some tests.
    return redis.asyncio.Redis(max_connections=1_000, **options)


class Maker:
    """Makes storages of one flavour, and closes what it made but for the clients it was given.

    Storages of one client share one twin, as they share the client.
    """

    def __init__(self, flavour: str) -> None:
        assert flavour in FLAVOURS
        self.flavour = flavour
        self._faces: list[BlockingStorage] = []
        self._clients: list[redis.Redis] = []
        self._twins: weakref.WeakKeyDictionary[redis.Redis, redis.asyncio.Redis]
        self._twins = weakref.WeakKeyDictionary()
        self._all_twins: list[redis.asyncio.Redis] = []

    def twin(self, client: redis.Redis) -> redis.asyncio.Redis:
        """The twin that storages of a client share."""
        known = self._twins.get(client)
        if known is None:
            known = self._twins[client] = twin(client)
            self._all_twins.append(known)
        return known

    def talker(self, client: redis.Redis) -> Any:
        """The client that a storage on ``client`` talks to its server with: itself or its twin."""
        return client if self.flavour == "blocking" else self.twin(client)

    def storage(self, client: redis.Redis, settings: Settings, **options: Any) -> AnyStorage:
        """A storage on a client."""
        if self.flavour == "blocking":
            return RedisStorage(client, settings, **options)
        face = BlockingStorage(AsyncRedisStorage(self.twin(client), settings, **options), client)
        self._faces.append(face)
        return face

    def storage_on(
        self, url: str, client: redis.Redis | None = None, **settings: object
    ) -> AnyStorage:
        """As ``own_servers.storage_on``."""
        if client is None:
            client = own_servers.connect(url)
            self._clients.append(client)
        return self.storage(client, Settings.model_validate(settings))

    def dismiss(self) -> None:
        """End the tasks of the storages made so far: nobody uses those any more."""
        for face in self._faces:
            face.dismiss()
        self._faces.clear()

    def close(self) -> None:
        """Close all that was made here."""
        self.dismiss()
        for made in self._all_twins:
            loop_thread().run(made.aclose())
        for client in self._clients:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def after_each_step(storage: AnyStorage, hook: Callable[[Any], None]) -> None:
    """Have ``hook(step)`` called after each step that a storage's driver performs."""
    if isinstance(storage, BlockingStorage):
        driver = storage.aio._driver
        perform_async = driver._perform

        async def performing_async(step: Any) -> Any:
            reply = await perform_async(step)
            hook(step)
            return reply

        driver._perform = performing_async  # type: ignore[method-assign]
        return
    perform = storage._driver._perform

    def performing(step: Any) -> Any:
        reply = perform(step)
        hook(step)
        return reply

    storage._driver._perform = performing  # type: ignore[method-assign]


def before_each_trip(
    storage: AnyStorage | AsyncRedisStorage, hook: Callable[[str], object]
) -> None:
    """Have a hook called before each command, or batch of commands, that a storage sends, with the
    command's name, or with how many there are."""
    driver: Any = (storage.aio if isinstance(storage, BlockingStorage) else storage)._driver
    for name in ("send", "call", "send_all", "send_to_master"):
        send = getattr(driver._link, name)

        def sending(*words: Any, name: str = name, send: Callable[..., Any] = send) -> Any:
            first = words[0][0] if name == "call" else words[0]
            hook(first if isinstance(first, str) else f"{len(first)} at once")
            return send(*words)

        setattr(driver._link, name, sending)


class Trips:
    """Notes what a storage sends."""

    def __init__(self, storage: AnyStorage | AsyncRedisStorage) -> None:
        self._sent: list[str] = []
        before_each_trip(storage, self._sent.append)

    def take(self) -> list[str]:
        """What was sent since the last time."""
        sent = list(self._sent)
        self._sent.clear()
        return sent
