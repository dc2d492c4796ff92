"""From a URL to a redis-py client: one server, a cluster, or what sentinels watch.

======================================================  =========================================
``redis://[user:password@]host[:6379][/db]``            one server; ``rediss://`` with TLS
``unix://[user:password@]/path[?db=0]``                 one server, by its socket
``redis+cluster://[user:password@]host[:6379],...``     a cluster; the hosts are where to ask first
``redis+sentinel://...host[:26379],.../service[/db]``   the service's master, as the sentinels say
======================================================  =========================================

``rediss+cluster`` and ``rediss+sentinel`` speak TLS with every server and sentinel. Any URL may end
in ``?option=value``; redis-py's ``parse_url`` reads all of them. With several hosts it is shown a
URL with one, so credentials, database and options mean the same everywhere: keywords go to redis-py
like the URL's options, and where both name one the URL wins. The URL's credentials are the
servers'; the sentinels' own are ``sentinel_username`` and ``sentinel_password``, and
``sentinel_kwargs`` has whatever else is theirs alone.

redis-py's own ``from_url`` and its Sentinel never send a command twice. Here they do, as often as
its clients that are made otherwise: ten times more, 0.01 to 1 s apart, unless ``retry=`` says
something else. That is some four seconds if a server refuses connections, and a minute if it says
nothing (``socket_timeout`` is 5 s). A cluster's client repeats by itself, without waiting.

Nothing connects before its first use; a connection object that never connects finds the mistakes in
the options. No error shows what the URL says: any part of it may be a password.
"""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import redis
import redis.asyncio
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.cluster import REDIS_ALLOWED_KEYS, ClusterNode
from redis.connection import parse_url
from redis.exceptions import RedisClusterException, RedisError

from pharox_redis.errors import InvalidUrlError

# redis-py annotates these in part only; so it is with Sentinel's methods further down.
_parse_url: Any = parse_url
_ClusterNode: Any = ClusterNode

_SHAPES: Final = {
    "server": "redis://host:6379/0, redis://user:password@host:6379/0, unix:///path/to/socket, "
    "redis+cluster://host1:6379,host2:6379 or redis+sentinel://host1:26379,host2:26379/service/0",
    "cluster": "redis+cluster://user:password@host1:6379,host2:6379",
    "sentinel": "redis+sentinel://user:password@host1:26379,host2:26379/service/0",
}
_PORTS: Final = {"cluster": 6379, "sentinel": 26379}
_ADDRESSES: Final = {"host", "port", "startup_nodes", "url", "kwargs"}
_CLUSTER_OPTIONS: Final = inspect.signature(redis.RedisCluster).parameters.keys() - _ADDRESSES


def connect(url: str, **options: Any) -> redis.Redis | redis.RedisCluster:
    """A blocking client for a URL; connects when first used. Close it with ``close()``.

    Raises ``InvalidUrlError`` for a URL, or an option, that cannot be used.
    """
    client: redis.Redis | redis.RedisCluster
    client = _make(url, options, redis, _cluster, _MasterClient)
    return client


def connect_async(url: str, **options: Any) -> redis.asyncio.Redis | redis.asyncio.RedisCluster:
    """A client for asyncio; needs no running loop yet. Close it with ``aclose()``.

    Raises ``InvalidUrlError`` for a URL, or an option, that cannot be used.
    """
    client: redis.asyncio.Redis | redis.asyncio.RedisCluster
    client = _make(url, options, redis.asyncio, _async_cluster, _AsyncMasterClient)
    return client


class _Refused(Exception):
    """Why a URL cannot be used, in words that do not depend on what it says."""


class _Target(NamedTuple):
    hosts: list[tuple[str, int]]
    service: str
    tls: bool
    options: dict[str, Any]


def _make(
    url: str, options: dict[str, Any], library: Any, cluster: Callable[[_Target], Any], master: type
) -> Any:
    """``library`` is redis or redis.asyncio: the names are the same in both."""
    kind, reason = _kind(url), "redis-py does not take one of the options, or its value"
    if kind != "cluster":
        backoff = ExponentialWithJitterBackoff(base=0.01, cap=1)
        options = {"retry": library.retry.Retry(backoff, 10), **options}
        if library is redis:
            # redis-py turns the hundred and first thread away; tasks wait their turn (async_links).
            options.setdefault("max_connections", 1_000)
    try:
        if kind == "server":
            _check_one_server(url)
            return library.Redis.from_pool(_tried(library.ConnectionPool.from_url(url, **options)))
        target = _read(kind, url, options)
        return cluster(target) if kind == "cluster" else _master(target, library, master)
    except _Refused as refused:
        reason = str(refused)
    except (ValueError, TypeError, AttributeError, RedisError, RedisClusterException):
        pass
    # Of one server's URL no reason is told: a "/" in its password, say, looks like a bad port.
    # Raised out here, so that not even the context is redis-py's error: that may quote the URL.
    raise InvalidUrlError(
        f"The {kind}'s URL, or an option, cannot be used"
        f"{'' if kind == 'server' else f' ({reason})'}; it looks like {_SHAPES[kind]}, special "
        "characters percent-encoded."
    ) from None


def _master(target: _Target, library: Any, client_class: type) -> Any:
    given = dict(target.options.pop("sentinel_kwargs", None) or {})
    for name in ("username", "password"):
        if f"sentinel_{name}" in target.options:
            given[name] = target.options.pop(f"sentinel_{name}")
    shared = {k: v for k, v in target.options.items() if k.startswith(("socket_", "ssl_"))}
    # A sentinel that is down is not tried again before the next one was: that is what there are
    # several for, and redis-py's ten attempts would take seconds each time.
    once = library.retry.Retry(NoBackoff(), 0)
    own = {**shared, "ssl": target.tls, "retry": once, **given}
    kind = _AsyncSentinels if library is redis.asyncio else _Sentinels
    sentinels: Any = kind(target.hosts, sentinel_kwargs=own, **target.options)
    client = sentinels.master_for(target.service, redis_class=client_class, ssl=target.tls)
    for each in (client, *sentinels.sentinels):
        _tried(each.connection_pool)
    return client


def _cluster(target: _Target) -> redis.RedisCluster:
    nodes = {key: target.options[key] for key in target.options.keys() - _CLUSTER_OPTIONS}
    if not nodes.keys() <= set(REDIS_ALLOWED_KEYS):
        raise _Refused("redis-py's RedisCluster would drop one of the options without a word")
    _tried(redis.Redis(ssl=target.tls, **nodes).connection_pool)
    return _LazyCluster(target.hosts, ssl=target.tls, **target.options)


def _async_cluster(target: _Target) -> redis.asyncio.RedisCluster:
    nodes = [redis.asyncio.cluster.ClusterNode(*host) for host in target.hosts]
    client = redis.asyncio.RedisCluster(startup_nodes=nodes, ssl=target.tls, **target.options)
    _tried(client.startup_nodes[0])
    return client


def _tried(pool: Any) -> Any:
    """Make one of a pool's connections, without connecting, to see that it takes its options."""
    pool.connection_class(**pool.connection_kwargs)
    return pool


def _kind(url: object) -> str:
    scheme = re.match(r"rediss?\+(cluster|sentinel)://", url) if isinstance(url, str) else None
    return scheme[1] if scheme else "server"  # or nobody knows what


def _check_one_server(url: str) -> None:
    """Refuse what redis-py would take for another server or database than was meant."""
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise _Refused("it begins with no scheme that is known")
    parts = urlsplit(url)
    _check_query(parts.query, parts.fragment)
    if "," in parts.netloc.rpartition("@")[2]:
        raise _Refused("several hosts")
    if not (parts.path if parts.scheme == "unix" else re.fullmatch("/?[0-9]*/?", parts.path)):
        raise _Refused("the database is not a number, or the path is missing")


def _check_query(query: str, fragment: str) -> None:
    if fragment or not re.fullmatch("([^=&]+=[^&]*(&|$))*", query):
        raise _Refused("it has a # or a ? which does not begin options; encoded: %23, %3F")


def _read(kind: str, url: str, options: dict[str, Any]) -> _Target:
    scheme, _, rest = url.partition("://")
    # Not by urlsplit: it takes what stands before the path for one host.
    rest, _, fragment = rest.partition("#")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    _check_query(query, fragment)
    (credentials, at, hosts), service = authority.rpartition("@"), ""
    if kind == "sentinel":
        service, _, path = path.partition("/")
        if not service or "@" in service:
            raise _Refused("the service's name is missing or has an @")
    if not re.fullmatch("[0-9]*/?", path):
        raise _Refused("the database is not a number")
    named = _parse_url(f"redis://{credentials}{at}host/{path}?{query}")
    merged, tls = {**options, **named}, scheme == f"rediss+{kind}"
    del merged["host"]
    if not {"ssl", "connection_class", "port"}.isdisjoint(merged):
        raise _Refused("TLS is asked for by rediss+, and ports stand with their hosts")
    if not tls and any(name.startswith("ssl_") for name in merged):  # it would not be heeded
        raise _Refused("there are options for TLS, which is asked for by rediss+")
    if kind == "cluster" and merged.pop("db", 0):
        raise _Refused("a cluster has no database but 0")
    if kind == "cluster" and not _CLUSTER_OPTIONS.isdisjoint(named):  # they would stay text
        raise _Refused("what is not an option of each connection is given by keyword")
    found = [_host(each, _PORTS[kind]) for each in hosts.split(",")]
    return _Target(found, unquote(service), tls, merged)


def _host(text: str, default_port: int) -> tuple[str, int]:
    with suppress(ValueError):
        parts = urlsplit(f"redis://{text}")
        if parts.hostname and parts.port != 0 and not re.search(r"\s", text):
            return unquote(parts.hostname), parts.port or default_port
    raise _Refused("a host is missing, or a host or port cannot be read")


class _Sentinels(redis.Sentinel):
    """Knows all its sentinels at any time.

    redis-py puts the one that answered in front by exchanging two of its list. Two callers that do
    so at once put one there twice and lose another: it is never asked again, nor closed.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]  # redis-py's
        self.all = tuple(self.sentinels)

    def discover_master(self, service_name: str) -> Any:
        try:
            return super().discover_master(service_name)  # type: ignore[no-untyped-call]  # redis-py's
        finally:
            self.sentinels = _all_again(self.sentinels[0], self.all)


class _AsyncSentinels(redis.asyncio.Sentinel):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]  # redis-py's
        self.all = tuple(self.sentinels)

    async def discover_master(self, service_name: str) -> Any:
        try:
            return await super().discover_master(service_name)
        finally:
            self.sentinels = _all_again(self.sentinels[0], self.all)


def _all_again(first: Any, every: tuple[Any, ...]) -> list[Any]:
    return [first, *(each for each in every if each is not first)]


class _MasterClient(redis.Redis):
    """Closes the connections to the sentinels, too: its owner has no other hold of them."""

    def close(self) -> None:
        super().close()
        pool: Any = self.connection_pool
        for sentinel in pool.sentinel_manager.all:
            sentinel.close()


class _AsyncMasterClient(redis.asyncio.Redis):
    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        pool: Any = self.connection_pool
        for sentinel in pool.sentinel_manager.all:
            await sentinel.aclose()


class _LazyCluster(redis.RedisCluster):
    """redis-py's client, made when first used, and again after that failed.

    The constructor of redis-py's asks the cluster for its topology. Here it runs when the first
    attribute is missed that it would have set; until then there is nothing to close.
    """

    def __init__(self, hosts: list[tuple[str, int]], **options: Any) -> None:
        lock, running = threading.RLock(), False

        def make() -> None:
            nonlocal running
            with lock:
                if running or "_make" not in vars(self):  # missed by the constructor, or made
                    return
                running = True
                try:
                    nodes = [_ClusterNode(*each) for each in hosts]
                    super(_LazyCluster, self).__init__(startup_nodes=nodes, **options)
                    del self._make
                finally:
                    running = False

        self._make = make

    def __getattr__(self, name: str) -> Any:
        make = vars(self).get("_make")
        if make is not None and not name.startswith("__"):
            make()
        return object.__getattribute__(self, name)

    def close(self) -> None:
        """Close all connections; the client may be used again."""
        if "_make" not in vars(self):
            super().close()
