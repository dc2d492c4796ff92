"""The server that a run measures on, and what is left on it: nothing.

Everything a run writes has its prefix, its peers' keys included. When it ends, however it ends, its
pools are deleted as pools are, and then whatever else has the prefix; never anything else, and no
other database is looked at. An embedded server is simply closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pharox_redis import RedisStorage, Settings
from pharox_redis.connecting import connect
from pharox_redis.embedded import EmbeddedServer

_PROBE_SECONDS = 5.0
_CHUNK = 1_000


class UnusableServerError(Exception):
    """The benchmark cannot measure on this kind of server."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server that has answered. ``where`` says whose it is, without its address."""

    url: str
    where: str


@contextmanager
def embedded_or(url: str | None) -> Iterator[Place]:
    """The server of a URL, or an embedded one for the time of the block.

    Raises ``EmbeddedServerError``, ``InvalidUrlError``, ``UnusableServerError``, redis-py's errors.
    """
    if url is None:
        with EmbeddedServer() as server:
            yield Place(server.url, "embedded")
        return
    # redis-py's own retries would take their time to say that nobody is there.
    client: Any = connect(url, socket_connect_timeout=_PROBE_SECONDS, retry=Retry(NoBackoff(), 0))
    try:
        if not isinstance(client, redis.Redis):
            raise UnusableServerError(
                "the benchmark measures one server; a Cluster has no account of its own of what a "
                "pair cost it. Give it one server by redis:// or rediss://"
            )
        client.ping()
    finally:
        client.close()
    yield Place(url, "given by --url")


def clean(url: str, prefix: str) -> None:
    """Delete everything that begins with a run's prefix.

    By a client of its own: the run's may have been interrupted in the middle of a reply.
    """
    client: Any = connect(url)
    try:
        storage = RedisStorage(client, Settings(key_prefix=prefix))
        for pool in storage.list_pools():
            storage.delete_pool(pool.id)
        left = client.scan_iter(match=f"{prefix}:*", count=_CHUNK)
        while keys := list(islice(left, _CHUNK)):
            client.unlink(*keys)
    finally:
        client.close()
