"""Targets: fakeredis, the embedded Valkey, and a Redis: the server named by PHAROX_REDIS_TEST_URL,
else one of our own if ``redis-server`` is installed.

A test that asks for ``storage`` runs on each target, under a key prefix of its own, and the
invariants are checked when it ends. It runs for both flavours from the same body: ``valkey`` is
``RedisStorage`` on Valkey, ``valkey-async`` is ``AsyncRedisStorage`` behind a blocking face. What
makes no sense for asyncio has the marker ``blocking_only``, with the reason. Which
of all that is in the normal run says ``tests/support/matrix.py``.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import fakeredis
import hypothesis
import pytest
import redis

from pharox_redis import Settings
from pharox_redis.embedded import EmbeddedServer
from tests.support.blocking import AnyStorage
from tests.support.flavours import FLAVOURS, Maker
from tests.support.invariants import check_invariants
from tests.support.matrix import has_both, mark_slow, put_into_groups
from tests.support.own_servers import REDIS_SERVER, started_redis
from tests.support.ports import free_ports, on_free_ports

TEST_URL = os.environ.get("PHAROX_REDIS_TEST_URL")
REAL_TARGETS = ["valkey"] + (["redis"] if TEST_URL or REDIS_SERVER else [])
TARGETS = ["fake", *REAL_TARGETS]
# What an asyncio storage meets on one server it meets on the other: it runs on Redis, too, where a
# test has the marker ``async_on_redis``. The suite's time is the reason.
ASYNC_TARGETS = ["fake", "valkey"]

# How long an example takes tells of the machine, not of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

StorageFactory = Callable[..., AnyStorage]


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell has what it runs in the background ignore it, and what tests start inherits that:
        # there no Ctrl-C would end anything.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for marker in (
        "blocking_only(why): the test makes no sense for the asyncio storage",
        "async_in_slow(why): the asyncio storage runs this in the slow run",
        "async_on_redis: the asyncio storage runs this on Redis, too, not on Valkey only",
    ):
        config.addinivalue_line("markers", marker)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Servers and flavours are one parameter: ``fake``, ``fake-async``, ``valkey``, ..."""
    asked, test = metafunc.fixturenames, metafunc.definition
    both = "flavour" in asked and has_both(test)
    for name, targets in (("target", TARGETS), ("real_target", REAL_TARGETS)):
        if name in asked:
            if "flavour" not in asked:
                metafunc.parametrize(name, targets, indirect=True)
                return
            known = targets if test.get_closest_marker("async_on_redis") else ASYNC_TARGETS
            cases = [
                (target, flavour, target if flavour == "blocking" else f"{target}-{flavour}")
                for target in targets
                for flavour in FLAVOURS
                if flavour == "blocking" or (both and target in known)
            ]
            ids = [case[2] for case in cases]
            metafunc.parametrize((name, "flavour"), [c[:2] for c in cases], ids=ids, indirect=True)
            return
    if "flavour" in asked:
        metafunc.parametrize("flavour", FLAVOURS if both else FLAVOURS[:1], indirect=True)


@pytest.hookimpl(tryfirst=True)  # the markers are looked at by those that come after
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Some combinations are left to the slow run, and neighbours share a process."""
    mark_slow(items, TARGETS)
    put_into_groups(items)


own_servers: list[str] = []
"""The servers of this process, which nobody else uses."""


@pytest.fixture(scope="module", autouse=True)
def nothing_left() -> Iterator[None]:
    """The next module finds the servers empty: what a load test leaves of a failed run, or a test
    of a big pool, is looked at by every SCAN, and expires while another test compares all keys."""
    yield
    for url in own_servers:
        with redis.Redis.from_url(url) as client:
            client.flushall()


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The embedded server, one a test process."""
    with EmbeddedServer() as server:
        own_servers.append(server.url)
        yield server.url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Redis to test on."""
    if TEST_URL:
        yield TEST_URL
        return
    directory = tmp_path_factory.mktemp("redis")

    def start() -> tuple[subprocess.Popen[bytes], int]:
        (port,) = free_ports(1)
        return started_redis(port, ["--save", ""], directory), port

    server, port = on_free_ports(start)
    own_servers.append(f"redis://127.0.0.1:{port}/0")
    yield own_servers[-1]
    server.terminate()
    server.wait(10)
    assert server.stdout
    server.stdout.close()


@pytest.fixture
def target(request: pytest.FixtureRequest) -> str:
    """The server a test runs on."""
    return str(request.param)


@pytest.fixture
def real_target(request: pytest.FixtureRequest) -> str:
    """A real server, for what fakeredis cannot show (processes, memory, INFO)."""
    return str(request.param)


def connect(target: str, request: pytest.FixtureRequest, **options: Any) -> redis.Redis:
    """A client of a target; its scripts are not loaded yet."""
    client: redis.Redis
    if target == "fake":
        client = fakeredis.FakeRedis(server=fakeredis.FakeServer(), **options)
    else:
        url = request.getfixturevalue(f"{target}_url")
        client = redis.Redis.from_url(url, **options)
    client.script_flush()
    return client


@pytest.fixture
def client(target: str, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """A client of the target."""
    client = connect(target, request)
    yield client
    client.close()


@pytest.fixture
def real_client(real_target: str, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """A client of a real server."""
    client = connect(real_target, request)
    yield client
    client.close()


@pytest.fixture
def flavour(request: pytest.FixtureRequest) -> str:
    """The kind of storage a test gets: blocking or async."""
    return str(getattr(request, "param", FLAVOURS[0]))


@pytest.fixture
def maker(flavour: str) -> Iterator[Maker]:
    """Makes storages of the test's flavour, on servers of its own."""
    with Maker(flavour) as made:
        yield made


def _factory(client: redis.Redis, maker: Maker) -> Iterator[StorageFactory]:
    made: list[AnyStorage] = []
    prefix = f"t{secrets.token_hex(5)}"

    def make(other: redis.Redis | None = None, /, **settings: Any) -> AnyStorage:
        options = {"key_prefix": prefix, **settings}
        model = options.pop("proxy_model", None)
        extra = {"proxy_model": model} if model else {}
        storage = maker.storage(other or client, Settings(**options), **extra)
        made.append(storage)
        return storage

    yield make
    for storage in made[:1]:
        check_invariants(storage)
    prefixes = {storage.settings.key_prefix for storage in made}
    for known in prefixes:
        for keys in iter(lambda p=known: list(client.scan_iter(match=f"{p}:*", count=1000)), []):
            client.unlink(*keys)


@pytest.fixture
def make_storage(client: redis.Redis, maker: Maker) -> Iterator[StorageFactory]:
    """Makes storages that share this test's prefix: ``make_storage(client=None, **settings)``.

    The invariants are checked at the end on the first one made.
    """
    yield from _factory(client, maker)


@pytest.fixture
def make_real_storage(real_client: redis.Redis, maker: Maker) -> Iterator[StorageFactory]:
    """As ``make_storage``, on real servers only."""
    yield from _factory(real_client, maker)


@pytest.fixture
def storage(make_storage: StorageFactory) -> AnyStorage:
    """A storage with default settings on each target."""
    return make_storage()


@pytest.fixture
def real_storage(make_real_storage: StorageFactory) -> AnyStorage:
    """A storage with default settings on real servers only."""
    return make_real_storage()
