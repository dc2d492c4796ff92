"""From URLs to clients: what each form means, what is refused, and that nothing connects early."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import socket
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import redis
import redis.asyncio
import redis.cluster
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from pharox_redis import InvalidUrlError, RedisStorage
from pharox_redis.connecting import connect, connect_async
from pharox_redis.embedded import EmbeddedServer
from tests.support.clusters import Cluster, Server
from tests.support.sentinels import Sentinels

HOST = "127.0.0.1"
SECRET = "s3cr3t"
KINDS = ["redis", "redis+cluster", "redis+sentinel"]
BOTH = pytest.mark.parametrize("make", [connect, connect_async])


class Facts(NamedTuple):
    """What a client would do."""

    client: str
    hosts: list[tuple[str, int]]  # where it connects first
    service: str
    connection: Any  # one to a server, not connected
    sentinel: Any  # one to a sentinel, not connected

    @property
    def tls(self) -> bool:
        return "SSL" in type(self.connection).__name__

    @property
    def credentials(self) -> tuple[str | None, str | None]:
        return self.connection.username, self.connection.password


def made(pool: Any) -> Any:
    return pool.connection_class(**pool.connection_kwargs)


def without_initializing(client: redis.RedisCluster) -> redis.cluster.NodesManager:
    """What the client knows of its nodes before it has asked them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis.cluster.NodesManager, "initialize", lambda self: None)
        patch.setattr(redis.cluster, "CommandsParser", lambda client: None)
        return client.nodes_manager


def facts(client: Any) -> Facts:
    """Look into a client. Nothing is connected."""
    if isinstance(client, redis.RedisCluster):
        manager = without_initializing(client)
        nodes = list(manager.startup_nodes.values())
        one = manager.create_redis_node(HOST, 1, **manager.connection_kwargs)
        where = [(node.host, node.port) for node in nodes]
        return Facts("RedisCluster", where, "", made(one.connection_pool), None)
    if isinstance(client, redis.asyncio.RedisCluster):
        where = [(node.host, int(node.port)) for node in client.startup_nodes]
        return Facts("RedisCluster", where, "", made(client.startup_nodes[0]), None)
    assert isinstance(client, redis.Redis | redis.asyncio.Redis)
    pool: Any = client.connection_pool
    connection = made(pool)
    if (manager := getattr(pool, "sentinel_manager", None)) is not None:
        assert pool.is_master
        each = [sentinel.connection_pool for sentinel in manager.sentinels]
        where = [(one.connection_kwargs["host"], one.connection_kwargs["port"]) for one in each]
        return Facts("Sentinel", where, pool.service_name, connection, made(each[-1]))
    if hasattr(connection, "path"):
        return Facts("unix", [(connection.path, 0)], "", connection, None)
    return Facts("Redis", [(connection.host, connection.port)], "", connection, None)


def text_of(error: BaseException | None) -> str:
    """Everything an exception shows or keeps: its chain, suppressed or not."""
    words = ""
    while error is not None:
        words += "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    return words


# -- what each form means --------------------------------------------------------------------------

H, S = ("h", 6379), ("h", 26379)
FORMS: list[tuple[str, str, list[tuple[str, int]], int, tuple[str | None, str | None]]] = [
    ("redis://h", "Redis", [H], 0, (None, None)),
    ("redis://", "Redis", [("localhost", 6379)], 0, (None, None)),
    ("redis://h:7/3", "Redis", [("h", 7)], 3, (None, None)),
    ("redis://h/", "Redis", [H], 0, (None, None)),
    ("redis://h?db=4", "Redis", [H], 4, (None, None)),
    ("redis://u:p@h", "Redis", [H], 0, ("u", "p")),
    ("redis://:p@h", "Redis", [H], 0, (None, "p")),
    ("redis://[::1]:7", "Redis", [("::1", 7)], 0, (None, None)),
    ("rediss://u:p@h:7/3", "Redis", [("h", 7)], 3, ("u", "p")),
    ("unix:///a/b.sock", "unix", [("/a/b.sock", 0)], 0, (None, None)),
    ("unix://u:p@/a%20b.sock?db=2", "unix", [("/a b.sock", 0)], 2, ("u", "p")),
    ("redis+cluster://h", "RedisCluster", [H], 0, (None, None)),
    ("redis+cluster://h/", "RedisCluster", [H], 0, (None, None)),
    ("redis+cluster://h/0", "RedisCluster", [H], 0, (None, None)),
    ("redis+cluster://h?db=0", "RedisCluster", [H], 0, (None, None)),
    ("redis+cluster://h:1,i:2", "RedisCluster", [("h", 1), ("i", 2)], 0, (None, None)),
    ("redis+cluster://h,i:2", "RedisCluster", [H, ("i", 2)], 0, (None, None)),
    ("redis+cluster://H:,i:2", "RedisCluster", [H, ("i", 2)], 0, (None, None)),
    ("redis+cluster://u:p@h:1,i:2", "RedisCluster", [("h", 1), ("i", 2)], 0, ("u", "p")),
    ("redis+cluster://:p@h", "RedisCluster", [H], 0, (None, "p")),
    ("redis+cluster://u@h", "RedisCluster", [H], 0, ("u", None)),
    ("redis+cluster://:a%40b%2C%2F%25@h", "RedisCluster", [H], 0, (None, "a@b,/%")),
    ("redis+cluster://:a@b@h", "RedisCluster", [H], 0, (None, "a@b")),
    ("redis+cluster://:a,b@h", "RedisCluster", [H], 0, (None, "a,b")),
    ("redis+cluster://h?username=u&password=p%26", "RedisCluster", [H], 0, ("u", "p&")),
    ("redis+cluster://[::1]:1,h,[2001:db8::2]", "RedisCluster",
     [("::1", 1), H, ("2001:db8::2", 6379)], 0, (None, None)),
    ("redis+cluster://h,[::1]:1", "RedisCluster", [H, ("::1", 1)], 0, (None, None)),
    ("rediss+cluster://u:p@h:1,i:2/0", "RedisCluster", [("h", 1), ("i", 2)], 0, ("u", "p")),
    ("redis+sentinel://h/service", "Sentinel", [S], 0, (None, None)),
    ("redis+sentinel://h/service/", "Sentinel", [S], 0, (None, None)),
    ("redis+sentinel://h/service/2", "Sentinel", [S], 2, (None, None)),
    ("redis+sentinel://h/service/2/", "Sentinel", [S], 2, (None, None)),
    ("redis+sentinel://h/service?db=5", "Sentinel", [S], 5, (None, None)),
    ("redis+sentinel://h:1,i/service", "Sentinel", [("h", 1), ("i", 26379)], 0, (None, None)),
    ("redis+sentinel://u:p@h:1,i:2/service/1", "Sentinel", [("h", 1), ("i", 2)], 1, ("u", "p")),
    ("redis+sentinel://:a%2Fb@h/service", "Sentinel", [S], 0, (None, "a/b")),
    ("redis+sentinel://h/ser%76ice", "Sentinel", [S], 0, (None, None)),
    ("redis+sentinel://[::1],[::2]:1/service", "Sentinel",
     [("::1", 26379), ("::2", 1)], 0, (None, None)),
    ("rediss+sentinel://u:p@h/service/1", "Sentinel", [S], 1, ("u", "p")),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize(
    ("url", "client", "hosts", "db", "credentials"), FORMS, ids=[form[0] for form in FORMS]
)
def test_forms(
    make: Any, url: str, client: str, hosts: Any, db: int, credentials: tuple[str, str]
) -> None:
    found = facts(make(url))
    assert (found.client, found.hosts, found.credentials) == (client, hosts, credentials)
    assert found.connection.db == db and found.tls == url.startswith("rediss")
    assert found.service == ("service" if client == "Sentinel" else "")
    if found.sentinel is not None:
        assert ("SSL" in type(found.sentinel).__name__) == found.tls
        assert (found.sentinel.username, found.sentinel.password) == (None, None)
        assert found.sentinel.db == 0


URLS = {
    "server": "rediss://u:p@h/0",
    "cluster": "rediss+cluster://u:p@h,i/0",
    "sentinel": "rediss+sentinel://u:p@h,i/service/0",
}
OF_ALL = pytest.mark.parametrize("kind", URLS)
OPTIONS: dict[str, tuple[str, Any]] = {  # as a URL spells them, and as they are
    "socket_timeout": ("2.5", 2.5),
    "socket_connect_timeout": ("1", 1.0),
    "socket_keepalive": ("no", False),
    "client_name": ("worker%201", "worker 1"),
    "protocol": ("2", 2),
    "ssl_ca_certs": ("%2Fca.pem", "/ca.pem"),
    "ssl_certfile": ("/cert.pem", "/cert.pem"),
    "ssl_keyfile": ("/key.pem", "/key.pem"),
    "ssl_check_hostname": ("False", False),
}
NAMES = {
    "ssl_ca_certs": "ca_certs",
    "ssl_certfile": "certfile",
    "ssl_keyfile": "keyfile",
    "ssl_check_hostname": "check_hostname",
}


@BOTH
@OF_ALL
@pytest.mark.parametrize("by_keyword", [False, True])
def test_options_pass_through(make: Any, kind: str, by_keyword: bool) -> None:
    query = "&".join(f"{name}={spelt}" for name, (spelt, _) in OPTIONS.items())
    keywords = {name: value for name, (_, value) in OPTIONS.items()}
    client = make(URLS[kind], **keywords) if by_keyword else make(f"{URLS[kind]}?{query}")
    found = facts(client)
    for name, value in keywords.items():
        assert getattr(found.connection, NAMES.get(name, name)) == value, name
        if found.sentinel is not None and name.startswith(("socket_", "ssl_")):
            assert getattr(found.sentinel, NAMES.get(name, name)) == value, name
    assert found.credentials == ("u", "p")


@BOTH
@OF_ALL
def test_credentials_may_be_keywords(make: Any, kind: str) -> None:
    url = URLS[kind].replace("u:p@", "")
    assert facts(make(url, username="me", password="@,/")).credentials == ("me", "@,/")


@BOTH
@OF_ALL
def test_the_url_wins(make: Any, kind: str) -> None:
    found = facts(make(f"{URLS[kind]}?socket_timeout=1", socket_timeout=9, password="other"))
    assert found.connection.socket_timeout == 1 and found.credentials == ("u", "p")


@BOTH
def test_the_database_may_be_a_keyword(make: Any) -> None:
    assert facts(make("redis://h", db=3)).connection.db == 3
    assert facts(make("redis+sentinel://h/s", db=3)).connection.db == 3
    assert facts(make("redis+sentinel://h/s/2", db=3)).connection.db == 2
    assert facts(make("redis+cluster://h", db=0)).connection.db == 0
    with pytest.raises(InvalidUrlError, match="no database but 0"):
        make("redis+cluster://h", db=1)


@BOTH
def test_a_clusters_own_options(make: Any) -> None:
    client = make("redis+cluster://h", reinitialize_steps=1, require_full_coverage=False)
    facts(client)
    assert client.reinitialize_steps == 1


@BOTH
def test_sentinels_own_credentials_and_options(make: Any) -> None:
    url = "rediss+sentinel://u:p@h,i/service?socket_timeout=2&ssl_ca_certs=ca"
    by_url = f"{url}&sentinel_username=su&sentinel_password=s%40p"
    found = facts(make(by_url, sentinel_kwargs={"socket_timeout": 1}))
    assert found.credentials == ("u", "p") and found.connection.socket_timeout == 2
    assert (found.sentinel.username, found.sentinel.password) == ("su", "s@p")
    assert found.sentinel.socket_timeout == 1 and found.sentinel.ca_certs == "ca"

    given = {"username": "a", "password": "b", "ssl": False}
    found = facts(make(url, sentinel_password="c", sentinel_kwargs=given))
    assert (found.sentinel.username, found.sentinel.password) == ("a", "c")
    assert found.tls and "SSL" not in type(found.sentinel).__name__
    assert given["password"] == "b", "the caller's dict was changed"


@BOTH
def test_a_sentinel_that_is_down_is_not_asked_again_and_again(make: Any) -> None:
    assert facts(make("redis+sentinel://h/s")).sentinel.retry.get_retries() == 0


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(deadline=None)  # whatever else the machine is doing
@given(user=TEXT, password=TEXT, make=st.sampled_from([connect, connect_async]))
@pytest.mark.parametrize("end", ["redis://{}h:1/0", "redis+cluster://{}h:1,i:2",
                                 "redis+sentinel://{}h:1,[::1]:2/service"])  # fmt: skip
def test_any_credentials(end: str, user: str, password: str, make: Callable[[str], object]) -> None:
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    found = facts(make(end.format(credentials)))
    assert found.credentials == (user, password)
    assert {host for host, _ in found.hosts} <= {"h", "i", "::1"}


# -- what is refused -------------------------------------------------------------------------------

BAD_HOSTS = [
    *("", "h,", ",h", "h,,i", "h:x", "h:0", "h:65536", "h:1:2", "::1", "[::1", "::1]:1", "[x]:1"),
    *("h i", " h", "h:-1", "h:1,i:x"),
]
BAD = [
    *("", "localhost", "http://h", "h:6379", "redis:/h", "REDIS+CLUSTER://h", "redis+clutser://h"),
    *("redis://h:x", "redis://h:1,i:2", "redis://h,i", "redis://h/x", "redis://h/1/2", "unix://"),
    *("redis://h?socket_timeout=x", "redis://h/-1", "redis://u:12/34@h", "redis://u:12#34@h"),
    *("redis://u:12?34@h", "redis://h?nonsense=1", "redis://h?ssl_ca_certs=x", "unix://u:p@"),
    *(f"redis+cluster://{hosts}" for hosts in BAD_HOSTS),
    *(f"redis+sentinel://{hosts}/service" for hosts in BAD_HOSTS),
    *("redis+cluster://h/1", "redis+cluster://h/x", "redis+cluster://h/0/0", "redis+cluster://h/00x"),
    *("redis+cluster://h?db=1", "redis+cluster://h?db=x", "redis+cluster://u:12/34@h"),
    *("redis+cluster://u:12?34@h", "redis+cluster://u:12#34@h"),
    *("redis+cluster://h?socket_timeout=x", "redis+cluster://h?nonsense=1", "redis+cluster://h?x"),
    *("redis+cluster://h?ssl=1", "redis+cluster://h?ssl_ca_certs=x", "redis+cluster://h?port=1"),
    *("redis+cluster://h?require_full_coverage=no", "redis+cluster://h?retry=1"),
    *("redis+cluster://h?startup_nodes=x", "redis+cluster://h?url=x", "redis+cluster://h?path=x"),
    *("rediss+cluster://h?ssl_cert_reqs=maybe", "redis+cluster://h?protocol=4"),
    *("redis+sentinel://h", "redis+sentinel://h/", "redis+sentinel://h//1", "redis+sentinel://"),
    *("redis+sentinel://h/s/x", "redis+sentinel://h/s/1/2", "redis+sentinel://h/s/-1"),
    *("redis+sentinel://u:12/34@h,i", "redis+sentinel://u:12/34@h/s", "redis+sentinel://h/s#x"),
    *("redis+sentinel://h/s?socket_timeout=x", "redis+sentinel://h/s?nonsense=1"),
    *("redis+sentinel://h/s?ssl=1", "redis+sentinel://h/s?sentinel_kwargs=x"),
    *("redis+sentinel://h/s?ssl_ca_certs=x", "rediss+sentinel://h/s?ssl_cert_reqs=maybe"),
    *("redis+sentinel://h/s?is_master=x&nonsense=1", "redis+sentinel://h/s?service_name=x"),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("url", BAD)
def test_bad_urls(make: Any, url: str) -> None:
    with pytest.raises(InvalidUrlError, match=r"cannot be used.*it looks like redis") as raised:
        make(url)
    assert raised.value.__cause__ is None and raised.value.__context__ is None
    assert raised.value.__suppress_context__ and isinstance(raised.value, ValueError)


@BOTH
@pytest.mark.parametrize("url", [None, 1, b"redis://h", ["redis://h"], object()])
def test_what_is_not_text(make: Any, url: Any) -> None:
    with pytest.raises(InvalidUrlError):
        make(url)


@BOTH
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis+cluster://h/1", "no database but 0"),
        ("redis+cluster://h:x", "host or port"),
        ("redis+cluster://h?x", "%3F"),
        ("redis+cluster://h?socket_timeout=x", "options"),
        ("redis+cluster://h?ssl=1", r"rediss\+"),
        ("redis+cluster://h?retry=1", "keyword"),
        ("redis+sentinel://h", "service's name"),
        ("redis+sentinel://h/s/x", "not a number"),
    ],
)
def test_the_reason_is_told(make: Any, url: str, reason: str) -> None:
    with pytest.raises(InvalidUrlError, match=reason) as raised:
        make(url)
    example = str(raised.value).split("it looks like ")[1].split(", special")[0]
    facts(make(example))  # what is shown works


LEAKS = [
    *("redis://us3r:{}@h0st:x", "redis://us3r:{}/x@h0st", "redis://us3r:x/{}@h0st", "{}", "x://{}"),
    *("redis://h0st?socket_timeout={}", "redis://h0st?{}=1", "redis://h0st?{}", "redis://h0st:{}"),
    *("redis://[{}]", "redis://us3r:[{}@h0st", "redis://us3r:\u2100{}@h0st", "redis://h0st#{}"),
    *("redis+{0}://us3r:{1}@h0st:x/service", "redis+{0}://us3r:{1}/x@h0st/service"),
    *("redis+{0}://us3r:x/{1}@h0st/service", "redis+{0}://us3r:{1}@h0st/service/x"),
    *("redis+{0}://h0st:{1}/service", "redis+{0}://h0st/service/{1}", "redis+{0}://[{1}]/service"),
    *("redis+{0}://h0st/service?{1}=1", "redis+{0}://h0st/service?socket_timeout={1}"),
    *("redis+{0}://h0st/service?{1}", "redis+{0}://h0st/service#{1}", "redis+{0}://h0st/a/{1}/b"),
    *("redis+{0}://us3r:[{1}@h0st/service/x", "redis+{0}://us3r:\u2100{1}@h0st/service/x"),
    *("rediss+{0}://h0st/service/0?ssl_cert_reqs={1}", "redis+{0}://h0st/s?sentinel_kwargs={1}"),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("shape", LEAKS)
@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
def test_no_part_of_the_url_is_shown(make: Any, shape: str, kind: str) -> None:
    url = shape.format(kind, SECRET) if "{0}" in shape else shape.format(SECRET)
    shown = ""
    try:
        make(url)
    except InvalidUrlError as error:
        # Tracebacks quote the lines of source files only; their frames are not looked at.
        shown = text_of(error)
    assert "InvalidUrlError" in shown
    assert not any(word in shown for word in (SECRET, "us3r", "h0st", "\u2100"))


@BOTH
@OF_ALL
@pytest.mark.parametrize("by_keyword", [False, True])
def test_unknown_options_fail_at_once(make: Any, kind: str, by_keyword: bool) -> None:
    url = URLS[kind].replace("u:p", f"u:{SECRET}")
    with pytest.raises(InvalidUrlError) as raised:
        make(url, passwort=SECRET) if by_keyword else make(f"{url}?passwort={SECRET}")
    assert SECRET not in text_of(raised.value)


@BOTH
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("server", {"ssl": True}),
        ("cluster", {"ssl": True}),
        ("cluster", {"port": 1}),
        ("cluster", {"startup_nodes": []}),
        ("cluster", {"path": "/x"}),
        ("cluster", {"protocol": 7}),
        ("cluster", {"connection_class": redis.Connection}),
        ("cluster", {"sentinel_password": SECRET}),
        ("sentinel", {"ssl": False}),
        ("sentinel", {"connection_class": redis.Connection}),
        ("sentinel", {"require_full_coverage": False}),
        ("sentinel", {"sentinel_kwargs": {"passwort": SECRET}}),
        ("sentinel", {"sentinel_kwargs": {"protocol": 7}}),
        ("sentinel", {"sentinel_kwargs": SECRET}),
        ("sentinel", {"sentinel_passwort": SECRET}),
        ("sentinel", {"sentinels": []}),
    ],
)
def test_options_of_something_else_fail_at_once(
    make: Any, kind: str, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidUrlError) as raised:
        make(URLS[kind], **options)
    assert SECRET not in text_of(raised.value)


@pytest.mark.parametrize("option", ["ssl_min_version", "ssl_ciphers", "health_check_interval"])
def test_what_redis_py_would_drop_is_refused(option: str) -> None:
    """Its blocking cluster client takes these, and then does not use them."""
    assert option not in redis.cluster.REDIS_ALLOWED_KEYS
    with pytest.raises(InvalidUrlError, match="drop"):
        connect("rediss+cluster://h", **{option: 1})


def test_the_asyncio_cluster_takes_them() -> None:
    found = facts(connect_async("rediss+cluster://h", ssl_min_version=771, ssl_ciphers="x"))
    assert found.connection.min_version == 771


# -- nothing connects early ------------------------------------------------------------------------

NOBODY = ["redis://127.0.0.1:1", "unix:///nowhere", "redis+cluster://127.0.0.1:1,127.0.0.1:2",
          "rediss+cluster://localhost:1", "redis+sentinel://127.0.0.1:1,127.0.0.1:2/s",
          "rediss+sentinel://127.0.0.1:1/s"]  # fmt: skip


@pytest.mark.parametrize("url", NOBODY)
def test_nothing_connects_before_the_first_use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    def forbidden(*args: Any, **options: Any) -> Any:
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    client = connect(url)
    client.close()
    repr(client)
    assert not hasattr(client, "__deepcopy__")  # what copy, pickle and the like look for
    client.close()
    del client
    gc.collect()
    if "localhost" not in url:
        connect_async(url)


@pytest.mark.parametrize("url", [url for url in NOBODY if "localhost" not in url])
def test_nobody_listens(url: str) -> None:
    options: dict[str, Any] = {} if "cluster" in url else {"retry": Retry(NoBackoff(), 0)}
    with contextlib.closing(connect(url, **options)) as client:
        for _ in range(2):
            with pytest.raises((redis.ConnectionError, RedisClusterException)):
                client.ping()

    async def use() -> None:
        if options:
            options["retry"] = redis.asyncio.retry.Retry(NoBackoff(), 0)
        other = connect_async(url, **options)
        for _ in range(2):
            with pytest.raises((redis.ConnectionError, RedisClusterException)):
                await other.ping()
        await other.aclose()

    asyncio.run(use())


@pytest.fixture(scope="module")
def alone() -> Iterator[EmbeddedServer]:
    """A cluster of one node."""
    with EmbeddedServer({"cluster-enabled": True}) as server:
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                pass
        yield server


def test_a_cluster_that_was_down_at_first(alone: EmbeddedServer) -> None:
    client = connect(f"redis+cluster://{HOST}:{alone.port}")
    alone.stop()
    try:
        with pytest.raises(RedisClusterException):
            client.set("key", 1)
        client.close()
    finally:
        alone.restart()
    assert client.set("key", 1) and client.get("key") == b"1"
    client.close()
    assert client.get("key") == b"1", "a closed client may be used again"
    with client.pipeline() as pipe:
        pipe.get("key")
        pipe.get("other")
        assert pipe.execute() == [b"1", None]
    client.close()


def test_threads_that_use_a_cluster_first_make_it_once(
    alone: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, original = [0], redis.cluster.NodesManager.__init__

    def counting(self: Any, *args: Any, **options: Any) -> None:
        count[0] += 1
        original(self, *args, **options)

    monkeypatch.setattr(redis.cluster.NodesManager, "__init__", counting)
    threads = 16
    for _ in range(5):
        count[0] = 0
        start = threading.Barrier(threads)

        def use(client: Any, start: threading.Barrier) -> Any:
            start.wait()
            return client.set("key", 1)

        with (
            contextlib.closing(connect(f"redis+cluster://{HOST}:{alone.port}")) as client,
            ThreadPoolExecutor(threads) as pool,
        ):
            assert all(pool.map(use, [client] * threads, [start] * threads))
        assert count == [1]


def test_an_attribute_nobody_has(alone: EmbeddedServer) -> None:
    with contextlib.closing(connect(f"redis+cluster://{HOST}:{alone.port}")) as client:
        for _ in range(2):
            with pytest.raises(AttributeError, match="nonsense"):
                client.nonsense  # type: ignore[union-attr]  # noqa: B018


def test_a_server_that_is_no_cluster(valkey_url: str) -> None:
    url = valkey_url.replace("redis://", "redis+cluster://")
    with contextlib.closing(connect(url)) as client, pytest.raises(RedisClusterException):
        client.get("key")


# -- real servers ----------------------------------------------------------------------------------


def use_it(url: str, **options: Any) -> None:
    """Write with the blocking client, read with the other one, and close both."""
    key = "test-connecting"
    with contextlib.closing(connect(url, **options)) as client:
        for _ in range(4):  # which host is asked first is a matter of luck
            assert client.set(key, "value")

    async def read() -> Any:
        other = connect_async(url, **options)
        try:
            return await other.get(key)
        finally:
            await other.aclose()

    assert asyncio.run(read()) == b"value"
    with contextlib.closing(connect(url, **options)) as client:
        assert client.delete(key) == 1
    gc.collect()  # what was not closed warns


def test_one_server(valkey_url: str) -> None:
    use_it(valkey_url)
    use_it(f"{valkey_url}?socket_timeout=5", db=0)
    client = connect(valkey_url)
    assert isinstance(client, redis.Redis)
    with RedisStorage(client) as storage:
        assert storage.get_pool_by_name("nowhere") is None


def test_a_unix_socket() -> None:
    with tempfile.TemporaryDirectory() as directory:  # pytest's may be too long for a socket
        path = Path(directory, "a socket")
        server = Server("valkey", Path(directory), "one", {"unixsocket": f'"{path}"'}, password="#")
        try:
            server.start()
            use_it(f"unix://:%23@{quote(str(path))}?db=3")
        finally:
            server.kill()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(replicas=0, password=f"{SECRET}@/,#") as found:
        yield found


def test_a_cluster(cluster: Cluster) -> None:
    use_it(cluster.url)


def test_a_cluster_with_listed_nodes_down(cluster: Cluster) -> None:
    start, at, hosts = cluster.url.rpartition("@")
    use_it(f"{start}{at}127.0.0.1:1,{hosts},127.0.0.1:2")


def test_a_cluster_with_another_password(cluster: Cluster) -> None:
    url = cluster.url.replace(SECRET, "wrong")
    with contextlib.closing(connect(url)) as client:
        with pytest.raises(RedisClusterException) as raised:
            client.get("key")
        assert isinstance(raised.value.__cause__, redis.AuthenticationError)


@pytest.fixture(scope="module")
def watched() -> Iterator[Sentinels]:
    with Sentinels(password=f"{SECRET}@/,#", sentinel_password="?&=") as found:
        yield found


@pytest.mark.parametrize("down", [0, 1])
def test_sentinels(watched: Sentinels, down: int) -> None:
    url, options = watched.url, "sentinel_password=%3F%26%3D"
    if down:
        start, at, hosts = url.rpartition("@")
        url = f"{start}{at}127.0.0.1:1,127.0.0.1:2,{hosts}"
    use_it(f"{url}?{options}")
    use_it(url, sentinel_kwargs={"password": "?&="})


def test_closing_closes_the_connections_to_sentinels(watched: Sentinels) -> None:
    def clients() -> int:
        return sum(int(each.info("clients")["connected_clients"]) for each in watched.sentinels)

    def settled(wanted: int) -> None:
        # A server takes note of a closed connection in its own time.
        for _ in range(10_000):
            if clients() == wanted:
                return
        raise AssertionError(f"{clients()} connections, not {wanted}")

    before = clients()
    client = connect(watched.url, sentinel_password="?&=")
    assert client.ping() and clients() == before + 1
    client.close()
    settled(before)
    assert client.ping(), "a closed client may be used again"
    client.close()
    settled(before)

    async def use() -> None:
        other = connect_async(watched.url, sentinel_password="?&=")
        assert await other.ping() and clients() == before + 1
        await other.aclose()

    asyncio.run(use())
    settled(before)


def test_both_functions_say_what_they_do() -> None:
    for function in (connect, connect_async):
        assert "InvalidUrlError" in (inspect.getdoc(function) or "")
