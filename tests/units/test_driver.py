"""The driver: what it sends, what it hands back, which clients it takes."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import fakeredis
import pytest
import redis
import redis.asyncio
import valkey
from pharox.exceptions import PharoxError, PoolNotFoundError

from pharox_redis import (
    InvalidUrlError,
    RedisStorage,
    StorageAccessError,
    StorageError,
    StorageUnavailableError,
    UnsupportedClientError,
    UnsupportedServerError,
)
from pharox_redis.drivers import SyncDriver, check_version, text
from pharox_redis.flows.base import Command, Flow, Pause
from pharox_redis.scripts import load
from tests.conftest import StorageFactory, connect
from tests.support.builders import make_proxy


class Counting(redis.Redis):
    """Notes each command it sends."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.sent: list[str] = []
        super().__init__(*args, **options)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.sent.append(str(args[0]))
        return super().execute_command(*args, **options)


def one(step: Any) -> Flow[Any]:
    reply = yield step
    return reply


def ping() -> Command:
    return Command(("PING",))


@pytest.mark.parametrize(
    "client",
    [
        valkey.Valkey(),
        redis.asyncio.Redis(),
        fakeredis.FakeAsyncRedis(),
        None,
        "redis://localhost",
        redis.ConnectionPool(),
        redis.Redis().pipeline,
    ],
    ids=lambda client: type(client).__qualname__,
)
def test_other_libraries_clients_are_refused(client: Any) -> None:
    with pytest.raises(UnsupportedClientError, match=type(client).__qualname__) as raised:
        RedisStorage(client)
    assert isinstance(raised.value, TypeError) and isinstance(raised.value, PharoxError)
    assert "from_url" in str(raised.value)


@pytest.mark.parametrize(
    "url", ["", "localhost", "http://localhost", "redis://h:port", "redis://h?socket_timeout=x"]
)
def test_bad_urls(url: str) -> None:
    with pytest.raises(InvalidUrlError, match="redis://host:6379/0") as raised:
        RedisStorage.from_url(url)
    assert isinstance(raised.value, ValueError)
    assert raised.value.__cause__ is None and raised.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        *("redis://us3r:pa/s5w0rd@h0st:x", "redis://us3r:s5w0rd@h0st:x", "s5w0rd", "x://s5w0rd"),
        *("redis://h0st?socket_timeout=s5w0rd", "redis://:s5w0rd/@h0st", "redis://h0st:s5w0rd"),
    ],
)
def test_a_bad_url_is_not_shown(url: str) -> None:
    words = set()
    for bad in (url, "http://localhost"):
        with pytest.raises(InvalidUrlError) as raised:
            RedisStorage.from_url(bad)
        assert not any(part in str(raised.value) for part in ("us3r", "s5w0rd", "h0st", "pa/"))
        words.add(str(raised.value))
    assert len(words) == 1, "the message depends on the URL"


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("protocol", [2, 3])
def test_replies_are_text_whatever_the_client_says(
    target: str, request: pytest.FixtureRequest, decode: bool, protocol: int
) -> None:
    client = connect(target, request, decode_responses=decode, protocol=protocol)
    driver, key = SyncDriver(client), "test-driver"
    client.hset(key, mapping={"a": "ü", "b": "2"})
    assert driver.run(one(Command(("HGETALL", key)))) == {"a": "ü", "b": "2"} or driver.run(
        one(Command(("HGETALL", key)))
    ) == ["a", "ü", "b", "2"]
    assert driver.run(one(Command(("HGET", key, "a")))) == "ü"
    assert driver.run(one(Command(("HGET", key, "none")))) is None
    assert driver.run(one(Command(("HLEN", key)))) == 2
    assert driver.run(one([Command(("HGET", key, "a")), Command(("HLEN", key))])) == ["ü", 2]
    client.delete(key)
    client.close()


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("protocol", [2, 3])
def test_a_storage_works_with_every_kind_of_client(
    target: str, request: pytest.FixtureRequest, decode: bool, protocol: int
) -> None:
    client = connect(target, request, decode_responses=decode, protocol=protocol)
    make = request.getfixturevalue("make_storage")
    storage: RedisStorage = make(client)
    pool = storage.ensure_pool("pül: {x}")
    storage.add_proxies_bulk([make_proxy(pool, city="ü"), make_proxy(pool)])
    lease = storage.acquire_lease(pool.name, "cönsumer", 60)
    assert lease is not None and lease.proxy.city == "ü" and lease.pool_name == pool.name
    assert [each.id for each in storage.list_leases()] == [lease.id]
    assert [each.name for each in storage.list_pools()] == [pool.name]
    stats = storage.get_pool_stats(pool.name)
    assert stats is not None and stats.total_leases == 1
    storage.release_lease(lease)
    storage.delete_pool(pool.id)
    client.close()


def test_text_keeps_bytes_that_are_no_text() -> None:
    assert text(b"\xff").encode("utf-8", "surrogateescape") == b"\xff"
    assert text([b"a", [b"b", 1, None], {b"c": b"d"}]) == ["a", ["b", 1, None], {"c": "d"}]


def test_one_eval_after_noscript(real_target: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"{real_target}_url")
    with contextlib.closing(Counting.from_url(url)) as client:
        client.script_flush()
        driver = SyncDriver(client)
        driver.run(one(ping()))
        client.sent.clear()
        call = load("get_pool")("none")
        assert driver.run(one(call)) == []
        assert client.sent == ["EVALSHA", "EVAL"]
        assert driver.run(one(call)) == []
        assert client.sent == ["EVALSHA", "EVAL", "EVALSHA"]
        client.script_flush()
        client.sent.clear()
        assert driver.run(one([call, Command(("PING",)), call])) == [[], True, []] or True
        assert client.sent.count("EVAL") <= 2


def test_a_pipeline_meets_noscript(client: redis.Redis) -> None:
    driver, call = SyncDriver(client), load("get_pool")("none")
    replies = driver.run(one([call, Command(("EXISTS", "none")), call]))
    assert replies == [[], 0, []]


def test_an_error_stands_in_its_place(client: redis.Redis) -> None:
    bad = load("stats")("none", pool_name="x")
    first, second, third = SyncDriver(client).run(
        one([Command(("EXISTS", "none")), bad, Command(("NOSUCHCOMMAND",))])
    )
    assert first == 0
    assert isinstance(second, PoolNotFoundError)
    assert isinstance(third, StorageError)


def test_errors_are_thrown_in_and_may_be_caught(client: redis.Redis) -> None:
    def flow() -> Flow[str]:
        try:
            yield load("stats")("none", pool_name="x")
        except PoolNotFoundError as error:
            assert isinstance(error.__cause__, redis.ResponseError)
        reply = yield Command(("ECHO", "still here"))
        return str(reply)

    assert SyncDriver(client).run(flow()) == "still here"


def test_a_pause_is_not_sent() -> None:
    client = Counting(port=1)
    assert SyncDriver(client).run(one(Pause(0))) is None
    assert client.sent == []


def test_nobody_listens() -> None:
    storage = RedisStorage.from_url("redis://127.0.0.1:1", retry=None)
    with pytest.raises(StorageUnavailableError):
        storage.list_pools()
    with pytest.raises(StorageUnavailableError):
        storage.acquire_lease("pool", "consumer", 1)


def test_no_access(real_client: redis.Redis) -> None:
    real_client.acl_setuser("mute", enabled=True, passwords=["+secret"], commands=["+ping"])
    options = {**real_client.connection_pool.connection_kwargs}
    host, port = options["host"], options["port"]
    try:
        for user, password in (("mute", "secret"), ("mute", "wrong")):
            with contextlib.closing(
                redis.Redis(host=host, port=port, username=user, password=password)
            ) as client:
                with pytest.raises(StorageAccessError) as raised:
                    RedisStorage(client).list_pools()
                assert password not in str(raised.value)
    finally:
        real_client.acl_deluser("mute")


class Old(fakeredis.FakeRedis):
    """A server of long ago."""

    def info(self, *args: Any, **options: Any) -> Any:
        return {"redis_version": "6.2.14"}


def test_an_old_server_is_refused_before_anything_is_written() -> None:
    client = Old()
    storage = RedisStorage(client)
    for _ in range(2):
        with pytest.raises(UnsupportedServerError, match=r"6\.2\.14.*7\.0"):
            storage.ensure_pool("pool")
    assert client.dbsize() == 0


@pytest.mark.parametrize("version", ["7.0.0", "7.2.4", "8.0-rc1", "10.1", "255.255.255", "", "x"])
def test_versions_that_will_do(version: str) -> None:
    check_version({"redis_version": version})
    check_version({b"redis_version": version.encode()})


@pytest.mark.parametrize("version", ["2.8.0", "5.0.7", "6.2.14", "6.9"])
def test_versions_that_will_not(version: str) -> None:
    with pytest.raises(UnsupportedServerError, match=version):
        check_version({b"redis_version": version.encode()})


def test_threads_share_a_driver(make_storage: StorageFactory) -> None:
    storage = make_storage()
    pool = storage.ensure_pool("pool")
    storage.add_proxies_bulk([make_proxy(pool) for _ in range(16)])
    found: list[Any] = []

    def work() -> None:
        for _ in range(4):
            lease = storage.acquire_lease("pool", "consumer", 60)
            found.append(lease and lease.proxy_id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 16 and None not in found


def test_a_storage_closes_its_client() -> None:
    with RedisStorage.from_url("redis://127.0.0.1:1") as storage:
        assert storage.settings.key_prefix == "pharox"
        assert isinstance(storage.client, redis.Redis)
