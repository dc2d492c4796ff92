"""The drivers: what they send, what they hand back, which clients they take. What both promise is
one body for the blocking one and the one for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any

import fakeredis
import pytest
import redis
import redis.asyncio
import valkey
from pharox.exceptions import PharoxError, PoolNotFoundError
from redis.backoff import NoBackoff
from redis.retry import Retry

from pharox_redis import (
    AsyncRedisStorage,
    InvalidUrlError,
    RedisStorage,
    StorageAccessError,
    StorageError,
    StorageUnavailableError,
    UnsupportedClientError,
    UnsupportedServerError,
)
from pharox_redis.drivers import AsyncDriver, SyncDriver, check_version, text
from pharox_redis.errors import PoolMismatchError
from pharox_redis.flows.base import BREATH, Command, Flow, OnMaster, Pause
from pharox_redis.scripts import load
from tests.conftest import StorageFactory, connect
from tests.support.builders import make_proxy
from tests.support.flavours import twin


class Driving:
    """A driver on a client, or on the client's twin for asyncio: flows run one after the other, and
    ``sent`` has the first word of each command that was not in a pipeline."""

    def __init__(self, client: Any) -> None:
        self.client, self.sent = client, list[str]()
        self._aio = isinstance(client, redis.asyncio.Redis)
        # One loop for all flows, as a driver has it: its connections belong to that.
        self._runner = asyncio.Runner()
        execute = client.execute_command

        def noting(*words: Any, **options: Any) -> Any:
            self.sent.append(str(words[0]))
            return execute(*words, **options)

        client.execute_command = noting
        self.driver: Any = AsyncDriver(client) if self._aio else SyncDriver(client)

    def run(self, flow: Flow[Any]) -> Any:
        """Drive a flow to its result."""
        return self._runner.run(self.driver.run(flow)) if self._aio else self.driver.run(flow)

    def close(self) -> None:
        """Close the loop, and the twin's connections; a blocking client is its maker's."""
        if self._aio:
            self._runner.run(self.client.aclose())
        self._runner.close()


@pytest.fixture(params=["blocking", "async"])
def drive(request: pytest.FixtureRequest) -> Iterator[Callable[[redis.Redis], Driving]]:
    """Makes a driver of either kind on a client's server."""
    made: list[Driving] = []

    def driving(client: redis.Redis) -> Driving:
        made.append(Driving(client if request.param == "blocking" else twin(client)))
        return made[-1]

    yield driving
    for each in made:
        each.close()


Drive = Callable[[redis.Redis], Driving]


def one(step: Any) -> Flow[Any]:
    reply = yield step
    return reply


def ping() -> Command:
    return Command(("PING",))


NO_CLIENTS = [valkey.Valkey(), None, "redis://localhost", redis.Redis().pipeline]
BLOCKING_CLIENTS = [redis.Redis(), fakeredis.FakeRedis(), redis.ConnectionPool()]
ASYNC_CLIENTS = [
    *(redis.asyncio.Redis(), fakeredis.FakeAsyncRedis(), redis.asyncio.ConnectionPool()),
    redis.asyncio.RedisCluster("127.0.0.1", 1),
]


def refused(make: Callable[[Any], object], client: Any) -> str:
    """What is told of a client that a storage, and a driver, does not take."""
    kind = f"{type(client).__module__}.{type(client).__qualname__}"
    with pytest.raises(UnsupportedClientError, match=re.escape(f"not {kind};")) as raised:
        make(client)
    assert isinstance(raised.value, TypeError) and isinstance(raised.value, PharoxError)
    return str(raised.value)


def kind_of(client: Any) -> str:
    return f"{type(client).__module__}.{type(client).__qualname__}"


@pytest.mark.parametrize("make", [RedisStorage, SyncDriver])
@pytest.mark.parametrize("client", [*NO_CLIENTS, *ASYNC_CLIENTS], ids=kind_of)
def test_other_libraries_clients_are_refused(make: Callable[[Any], object], client: Any) -> None:
    told = refused(make, client)
    assert told.startswith("RedisStorage needs a redis.Redis or redis.cluster.RedisCluster")
    assert " RedisStorage.from_url(url) makes one" in told
    assert "AsyncRedisStorage takes those of redis.asyncio" in told


@pytest.mark.parametrize("make", [AsyncRedisStorage, AsyncDriver])
@pytest.mark.parametrize("client", [*NO_CLIENTS, *BLOCKING_CLIENTS], ids=kind_of)
def test_blocking_clients_are_refused_for_asyncio(
    make: Callable[[Any], object], client: Any
) -> None:
    told = refused(make, client)
    assert told.startswith("AsyncRedisStorage needs a redis.asyncio.Redis or redis.asyncio.cluster")
    assert " AsyncRedisStorage.from_url(url) makes one" in told
    assert " RedisStorage takes those of redis" in told


@pytest.mark.parametrize("make", [RedisStorage, SyncDriver])
def test_blocking_clients_are_taken(make: Callable[[Any], object]) -> None:
    for client in BLOCKING_CLIENTS[:2]:
        make(client)


@pytest.mark.parametrize("make", [AsyncRedisStorage, AsyncDriver])
def test_asyncio_clients_are_taken_without_a_loop(make: Callable[[Any], object]) -> None:
    for client in (*ASYNC_CLIENTS[:2], ASYNC_CLIENTS[3]):
        make(client)


@pytest.mark.parametrize(
    "url", ["", "localhost", "http://localhost", "redis://h:port", "redis://h?socket_timeout=x"]
)
def test_bad_urls(url: str) -> None:
    with pytest.raises(InvalidUrlError, match="redis://host:6379/0") as raised:
        RedisStorage.from_url(url)
    assert isinstance(raised.value, ValueError)
    assert raised.value.__cause__ is None and raised.value.__context__ is None


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


PAIRS = ["a", "ü", "b", "2"]


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("protocol", [2, 3])
def test_replies_are_text_whatever_the_client_says(
    target: str, request: pytest.FixtureRequest, drive: Drive, decode: bool, protocol: int
) -> None:
    client = connect(target, request, decode_responses=decode, protocol=protocol)
    driver, key = drive(client), f"test-driver-{secrets.token_hex(5)}"
    client.hset(key, mapping={"a": "ü", "b": "2"})
    assert driver.run(one(Command(("HGETALL", key)))) in ({"a": "ü", "b": "2"}, PAIRS)
    assert driver.run(one(Command(("HGET", key, "a")))) == "ü"
    assert driver.run(one(Command(("HGET", key, "none")))) is None
    assert driver.run(one(Command(("HLEN", key)))) == 2
    asked = (Command(("HGET", key, "a")), Command(("HLEN", key)), Command(("HGET", key, "none")))
    assert driver.run(one(list(asked))) == ["ü", 2, None]
    assert driver.run(one(OnMaster(key, asked))) == ["ü", 2, None]
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


def test_one_eval_after_noscript(real_client: redis.Redis, drive: Drive) -> None:
    driver, call = drive(real_client), load("get_pool")("none")
    driver.run(one(ping()))
    real_client.script_flush()
    driver.sent.clear()
    assert driver.run(one(call)) == []
    assert driver.sent == ["EVALSHA", "EVAL"]
    assert driver.run(one(call)) == []
    assert driver.sent == ["EVALSHA", "EVAL", "EVALSHA"]


def test_a_list_meets_noscript(real_client: redis.Redis, drive: Drive) -> None:
    """The first of them loads it, alone; the others are sent again together."""
    driver, call = drive(real_client), load("get_pool")("none")
    driver.run(one(ping()))
    real_client.script_flush()
    driver.sent.clear()
    assert driver.run(one([call, Command(("EXISTS", "none")), call])) == [[], 0, []]
    assert driver.sent == ["EVALSHA", "EVAL"]
    driver.sent.clear()
    assert driver.run(one([call, call])) == [[], []]
    assert driver.sent == [], "all in the pipeline"


def test_a_list_meets_noscript_everywhere(client: redis.Redis, drive: Drive) -> None:
    call = load("get_pool")("none")
    replies = drive(client).run(one([call, Command(("EXISTS", "none")), call]))
    assert replies == [[], 0, []]


def test_a_scripts_refusal_after_noscript(client: redis.Redis, drive: Drive) -> None:
    driver, bad = drive(client), load("stats")("none", pool_name="x")
    for _ in range(2):
        assert [type(reply) for reply in driver.run(one([bad, bad]))] == [PoolMismatchError] * 2
        client.script_flush()
    for _ in range(2):
        with pytest.raises(PoolMismatchError) as raised:
            driver.run(one(bad))
        assert isinstance(raised.value.__cause__, redis.ResponseError)
        assert not isinstance(raised.value.__cause__, redis.exceptions.NoScriptError)


def test_noscript_from_what_is_no_script_is_an_error(client: redis.Redis, drive: Drive) -> None:
    unknown = Command(("EVALSHA", "0" * 40, 0))
    driver = drive(client)
    with pytest.raises(StorageError, match=r"(?i)no matching script|NOSCRIPT"):
        driver.run(one(unknown))
    (reply,) = driver.run(one([unknown]))
    assert isinstance(reply, StorageError)


def test_an_error_stands_in_its_place(client: redis.Redis, drive: Drive) -> None:
    bad = load("stats")("none", pool_name="x")
    first, second, third = drive(client).run(
        one([Command(("EXISTS", "none")), bad, Command(("NOSUCHCOMMAND",))])
    )
    assert first == 0
    assert isinstance(second, PoolNotFoundError)
    assert isinstance(third, StorageError)


def test_an_error_stands_in_its_place_on_a_master(client: redis.Redis, drive: Drive) -> None:
    words = (Command(("EXISTS", "none")), Command(("NOSUCHCOMMAND",)), Command(("EXISTS", "none")))
    first, second, third = drive(client).run(one(OnMaster("none", words)))
    assert (first, third) == (0, 0) and isinstance(second, StorageError)


def test_errors_are_thrown_in_and_may_be_caught(client: redis.Redis, drive: Drive) -> None:
    def flow() -> Flow[str]:
        try:
            yield load("stats")("none", pool_name="x")
        except PoolNotFoundError as error:
            assert isinstance(error.__cause__, redis.ResponseError)
        reply = yield Command(("ECHO", "still here"))
        return str(reply)

    assert drive(client).run(flow()) == "still here"


def test_a_flow_may_end_with_what_is_thrown_in(client: redis.Redis, drive: Drive) -> None:
    def flow() -> Flow[str]:
        try:
            yield Command(("NOSUCHCOMMAND",))
        except StorageError:
            return "caught"
        return "not thrown"

    assert drive(client).run(flow()) == "caught"


def test_a_flow_without_steps(drive: Drive) -> None:
    def flow() -> Flow[str]:
        return "done"
        yield ping()

    driver = drive(redis.Redis(port=1))
    assert driver.run(flow()) == "done" and driver.sent == []


def test_a_flows_own_error_goes_through(drive: Drive) -> None:
    def flow() -> Flow[None]:
        yield Pause(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        drive(redis.Redis(port=1)).run(flow())


@pytest.mark.parametrize("seconds", [0, 0.001])
def test_a_pause_is_not_sent(drive: Drive, seconds: float) -> None:
    driver = drive(redis.Redis(port=1))
    assert driver.run(one(Pause(seconds))) is None
    assert driver.sent == []


def test_a_breath_lets_other_tasks_run() -> None:
    seen: list[str] = []

    def flow(name: str) -> Flow[None]:
        for _ in range(3):
            seen.append(name)
            yield BREATH

    async def main() -> None:
        driver = AsyncDriver(redis.asyncio.Redis(port=1))
        await asyncio.gather(driver.run(flow("a")), driver.run(flow("b")))

    asyncio.run(main())
    assert seen == ["a", "b"] * 3


def lone(words: str) -> list[Any]:
    """Steps with a text that UTF-8 does not have."""
    command, call = Command(("ECHO", words)), load("stats")("none", pool_name=words)
    return [command, call, [ping(), command], [call], OnMaster("x", (command,))]


@pytest.mark.parametrize("number", range(len(lone("x"))))
def test_lone_surrogates_cannot_be_sent(client: redis.Redis, drive: Drive, number: int) -> None:
    driver, step = drive(client), lone("s5w0rd\ud800")[number]
    with pytest.raises(StorageError, match="UTF-8") as raised:
        driver.run(one(step))
    assert "s5w0rd" not in str(raised.value)
    assert raised.value.__cause__ is None and raised.value.__context__ is None
    assert driver.run(one(Command(("ECHO", "next")))) == "next", "the connection is usable"


def test_nobody_is_there(drive: Drive) -> None:
    driver = drive(redis.Redis(port=1, retry=Retry(NoBackoff(), 0)))
    for step in (ping(), [ping(), ping()], load("get_pool")("x"), OnMaster("x", (ping(),))):
        with pytest.raises(StorageUnavailableError) as raised:
            driver.run(one(step))
        assert isinstance(raised.value.__cause__, redis.ConnectionError)


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
                redis.Redis(
                    host=host,
                    port=port,
                    username=user,
                    password=password,
                    retry=Retry(NoBackoff(), 0),
                )
            ) as client:
                with pytest.raises(StorageAccessError) as raised:
                    RedisStorage(client).list_pools()
                assert password not in str(raised.value)
    finally:
        real_client.acl_deluser("mute")


class Telling:
    """INFO as a server of some version has it, and how often it was asked for."""

    def __init__(self, driving: Driving, reply: Any) -> None:
        self.asked, link = 0, driving.driver._link

        def info() -> Any:
            self.asked += 1
            if isinstance(reply, Exception):
                raise reply
            return reply

        async def info_async() -> Any:
            return info()

        link.info = info_async if isinstance(driving.driver, AsyncDriver) else info


OLD = {b"redis_version": b"6.2.14"}


def test_an_old_server_is_refused_before_anything_is_sent(
    client: redis.Redis, drive: Drive
) -> None:
    driver, key = drive(client), f"test-driver-{secrets.token_hex(5)}"
    telling = Telling(driver, OLD)
    write = Command(("SET", key, "x"))
    for number, step in enumerate((write, [write], OnMaster(key, (write,))), 1):
        with pytest.raises(UnsupportedServerError, match=r"6\.2\.14.*7\.0"):
            driver.run(one(step))
        assert telling.asked == number, "asked again: the server may have been replaced"
    assert driver.sent == [] and not client.exists(key)


@pytest.mark.parametrize(
    "reply",
    [
        *({"redis_version": "7.0.0"}, {b"redis_version": b"9.1.0"}, {}),
        # Not allowed to ask: whether the server will do shows by itself.
        *(redis.exceptions.NoPermissionError("INFO"), redis.ResponseError("unknown command")),
    ],
    ids=str,
)
def test_a_server_is_asked_for_its_version_once(
    client: redis.Redis, drive: Drive, reply: Any
) -> None:
    driver = drive(client)
    telling = Telling(driver, reply)
    driver.run(one(Pause(0)))
    assert telling.asked == 0, "a pause needs no server"
    for step in (ping(), [ping()], load("get_pool")("none")):
        driver.run(one(step))
    assert telling.asked == 1


def test_a_server_that_did_not_answer_is_asked_once_more(client: redis.Redis, drive: Drive) -> None:
    driver = drive(client)
    Telling(driver, redis.ConnectionError("away"))
    with pytest.raises(StorageUnavailableError, match="away"):
        driver.run(one(ping()))
    telling = Telling(driver, {"redis_version": "7.0.0"})
    driver.run(one(ping()))
    assert telling.asked == 1


def test_a_servers_own_info_is_understood(real_client: redis.Redis, drive: Drive) -> None:
    driver = drive(real_client)
    driver.run(one(ping()))
    assert driver.driver._version_checked
    assert driver.sent[0] == "INFO"


def test_an_old_server_is_refused_before_anything_is_written() -> None:
    class Old(fakeredis.FakeRedis):
        def info(self, *args: Any, **options: Any) -> Any:
            return {"redis_version": "6.2.14"}

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
