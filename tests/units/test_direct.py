"""Script calls past ``execute_command``: each has its own reply, and the pool has its connections.

The script is one that returns its argument, so that a reply which is somebody else's shows.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pharox_redis.drivers import direct
from pharox_redis.drivers.direct import DirectCalls, direct_possible
from pharox_redis.drivers.links import ServerLink
from tests.support.own_servers import KINDS, REDIS_SERVER, own_server
from tests.support.silent import SilentServer

NUMBERS = itertools.count()


def words(marker: str) -> tuple[Any, ...]:
    return ("EVAL", "return ARGV[1]", 1, "key", marker)


def ask(calls: Any, count: int = 1) -> None:
    """Each reply is the call's own."""
    for _ in range(count):
        marker = f"{os.getpid()}-{next(NUMBERS)}"
        reply = calls.call(words(marker))
        assert (reply if isinstance(reply, str) else reply.decode()) == marker


def make(url: str, retries: int = 0, **options: Any) -> redis.Redis:
    client: redis.Redis = redis.Redis.from_url(
        url, **{"retry": Retry(NoBackoff(), retries), **options}
    )
    return client


@pytest.fixture
def client(valkey_url: str) -> Iterator[redis.Redis]:
    with make(valkey_url, max_connections=10_000) as made:
        yield made


@pytest.fixture
def calls(client: redis.Redis) -> DirectCalls:
    """With a connection that is open."""
    made = DirectCalls(client)
    ask(made, 2)
    return made


def the_open_one(client: redis.Redis) -> Any:
    (connection,) = client.connection_pool._available_connections
    return connection


def kill_all(url: str) -> None:
    with make(url) as other:
        other.client_kill_filter(_type="normal", skipme=True)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
def test_execute_command_is_passed_by(valkey_url: str, protocol: int, decode: bool) -> None:
    with make(valkey_url, protocol=protocol, decode_responses=decode) as client:
        assert direct_possible(client)
        calls = DirectCalls(client)
        ask(calls)
        client._execute_command = None  # type: ignore[assignment,method-assign]
        ask(calls, 3)
        assert type(calls.call(words("x"))) is (str if decode else bytes)


@pytest.mark.skipif(not REDIS_SERVER, reason="the embedded server has no socket to choose")
def test_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with own_server("redis", {"unixsocket": path}), make(f"unix://{path}") as client:
        assert direct_possible(client)
        calls = DirectCalls(client)
        ask(calls)
        client._execute_command = None  # type: ignore[assignment,method-assign]
        ask(calls, 3)


def test_interrupted_before_the_reply_is_read(client: redis.Redis, calls: DirectCalls) -> None:
    connection = the_open_one(client)
    read = connection.read_response

    def interrupted() -> Any:
        connection.read_response = read
        raise KeyboardInterrupt

    connection.read_response = interrupted
    with pytest.raises(KeyboardInterrupt):
        calls.call(words("not read"))
    ask(calls, 3)


class Rung(Exception):
    pass


FILES = (direct.__file__, redis.connection.__file__, redis.retry.__file__)


def interrupted_at(line: int, calls: DirectCalls) -> bool:
    """Whether a call came to that many lines of Python, where it was then interrupted."""
    passed = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal passed
        if frame.f_code.co_filename not in FILES:
            return None
        passed += event == "line"
        if passed == line:
            raise Rung
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        calls.call(words(f"interrupted at {line}"))
    except Rung:
        pass
    finally:
        sys.settrace(before)
    # A trace function can raise where a signal's handler cannot, before a lock is given back.
    while calls._pool._lock._is_owned():
        calls._pool._lock.release()
    return passed == line


# redis-py leaves a socket open that it was about to connect.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("cold", [False, True], ids=["open", "none open"])
def test_interrupted_anywhere(client: redis.Redis, calls: DirectCalls, cold: bool) -> None:
    """As the handlers of signals do: Ctrl-C, or the time limits of task queues."""
    for line in itertools.count(1):
        if cold:
            client.close()
        if not interrupted_at(line, calls):
            break
        ask(calls, 3)
    assert line > 50


def test_a_reply_that_others_left_unread(client: redis.Redis, calls: DirectCalls) -> None:
    pool: Any = client.connection_pool
    connection = pool.get_connection()
    connection.send_command("ECHO", "stray")
    assert connection.can_read(5)
    pool.release(connection)
    ask(calls, 3)


@pytest.mark.parametrize("most", [1, 2, 3, 4, 8])
def test_the_pool_can_lend_all_connections(valkey_url: str, most: int) -> None:
    with make(valkey_url, max_connections=most) as client:
        calls, pool = DirectCalls(client), client.connection_pool
        for _ in range(2):
            everybody = threading.Barrier(most)

            def work(calls: Any = calls, everybody: Any = everybody) -> None:
                everybody.wait()
                ask(calls, 5)

            in_threads(most, work)
            lent = [pool.get_connection() for _ in range(most)]
            with pytest.raises(redis.exceptions.MaxConnectionsError):
                calls.call(words("x"))
            for connection in lent:
                pool.release(connection)
            ask(calls, 2)


def in_threads(count: int, work: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert errors == []


def test_forty_threads_and_connections_that_are_killed(valkey_url: str) -> None:
    with make(valkey_url, retries=50) as client:
        calls, over = DirectCalls(client), threading.Event()

        def kill() -> None:
            while not over.wait(0.03):
                kill_all(valkey_url)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            in_threads(40, lambda: ask(calls, 50))
        finally:
            over.set()
            killer.join()
        pool: Any = client.connection_pool
        assert not pool._in_use_connections
        assert len(pool._available_connections) == pool._created_connections <= 40


def test_closed_while_nobody_uses_it(
    valkey_url: str, client: redis.Redis, calls: DirectCalls
) -> None:
    """It is no failed attempt: there are no retries here."""
    for _ in range(3):
        kill_all(valkey_url)
        ask(calls, 2)
    client.close()
    ask(calls, 2)
    client.connection_pool.disconnect()
    ask(calls, 2)
    client.connection_pool.reset()
    ask(calls, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_was_restarted(kind: str) -> None:
    with own_server(kind) as server, make(server.url) as client:
        calls = DirectCalls(client)
        ask(calls, 2)
        server.restart()
        ask(calls, 2)
        server.kill()
        with pytest.raises(redis.ConnectionError):
            ask(calls)
        server.restart()
        ask(calls, 2)


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_attempts_while_the_server_is_away(retries: int) -> None:
    """As many as redis-py makes that has no connection open, not as many again for each."""
    with own_server("valkey") as server, make(server.url, retries=retries) as client:
        calls = DirectCalls(client)
        ask(calls, 2)
        connection = the_open_one(client)
        connect, tried = connection._connect, []

        def counting() -> Any:
            tried.append(1)
            return connect()

        connection._connect = counting
        server.kill()
        with pytest.raises(redis.ConnectionError):
            ask(calls)
        assert len(tried) == retries + 1


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_attempts_while_the_server_does_not_answer(retries: int) -> None:
    with SilentServer() as server:
        with make(server.url, retries=retries, socket_timeout=0.1) as client:
            client.ping()
            calls = DirectCalls(client)
            for marker in ("a", "b"):
                with pytest.raises(redis.TimeoutError):
                    calls.call(words(marker))
            client.ping()
        assert server.sent == {b"a": retries + 1, b"b": retries + 1}


def test_an_error_is_the_reply(client: redis.Redis, calls: DirectCalls) -> None:
    for _ in range(3):
        with pytest.raises(redis.exceptions.NoScriptError):
            calls.call(("EVALSHA", "0" * 40, 1, "key"))
        with pytest.raises(redis.ResponseError, match="mine"):
            calls.call(("EVAL", "return redis.error_reply('mine')", 1, "key"))
        ask(calls)
    assert client.connection_pool._created_connections == 1  # type: ignore[attr-defined]


def test_errors_that_the_client_repeats(valkey_url: str) -> None:
    script = (
        "if redis.call('incr', KEYS[1]) % 3 > 0 then return redis.error_reply('READONLY not yet') "
        "end return ARGV[1]"
    )
    errors = [redis.exceptions.ReadOnlyError]
    with make(valkey_url, retries=2, retry_on_error=errors) as client:
        client.delete("test-direct")
        calls = DirectCalls(client)
        for marker in (b"a", b"b"):
            assert calls.call(("EVAL", script, 1, "test-direct", marker)) == marker
        client.delete("test-direct")


def test_a_health_check_that_is_due(valkey_url: str) -> None:
    with make(valkey_url, health_check_interval=60) as client:
        calls = DirectCalls(client)
        ask(calls, 2)

        def pings() -> int:
            known: Any = client.info("commandstats")
            return int(known["cmdstat_ping"]["calls"]) if "cmdstat_ping" in known else 0

        before = pings()
        ask(calls, 3)
        assert pings() == before
        the_open_one(client).next_health_check = 0
        ask(calls, 3)
        assert pings() == before + 1


def test_after_a_fork(client: redis.Redis, calls: DirectCalls) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads may be there: Python 3.12
        child = os.fork()
    if child == 0:
        try:
            ask(calls, 300)
            os._exit(0)
        except BaseException:
            os._exit(1)
    ask(calls, 300)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ask(calls, 3)


class Proxy:
    """A tracer's: it passes for what it wraps, but counts calls."""

    def __init__(self, wrapped: Any) -> None:
        self.__dict__.update(wrapped=wrapped, traced=0)

    @property
    def __class__(self) -> Any:
        return type(self.wrapped)

    @__class__.setter
    def __class__(self, _: Any) -> None:
        raise TypeError

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.traced += 1
        return self.wrapped(*args, **options)


def test_a_tracer_sees_all(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    link = ServerLink(client)
    ask(link, 2)
    seen: list[Any] = []
    original = redis.Redis.execute_command

    def traced(self: Any, *given: Any, **options: Any) -> Any:
        seen.append(given[0])
        return original(self, *given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(redis.Redis, "execute_command", traced)
        ask(link, 2)
        link.send("PING")
        assert seen == ["EVAL", "EVAL", "PING"]
    tracer = Proxy(client.execute_command)
    client.execute_command = tracer  # type: ignore[method-assign,assignment]
    ask(link, 2)
    link.send("PING")
    assert tracer.traced == 3


def test_metrics_see_all(
    client: redis.Redis, calls: DirectCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "has_metrics", lambda: True)
    ask(calls)
    client._execute_command = lambda *_: b"measured"  # type: ignore[method-assign]
    assert calls.call(words("x")) == b"measured"
    monkeypatch.setattr(direct, "has_metrics", lambda: False)
    ask(calls)


def test_another_pool_under_the_client(
    client: redis.Redis, calls: DirectCalls, valkey_url: str
) -> None:
    with make(valkey_url) as other:
        client.connection_pool = other.connection_pool
        ask(calls)
        assert other.connection_pool._created_connections == 1  # type: ignore[attr-defined]


class Parsing(redis.Redis):
    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        return super().parse_response(connection, command_name, **options)


class Executing(redis.Redis):
    def execute_command(self, *given: Any, **options: Any) -> Any:
        return b"mine"


class OwnConnection(redis.Connection):
    pass


def with_callback() -> redis.Redis:
    client = redis.Redis()
    client.set_response_callback("EVALSHA", lambda reply, **_: reply)
    return client


@pytest.mark.parametrize(
    "made",
    [
        lambda: Parsing(),
        with_callback,
        lambda: redis.Redis(connection_pool=redis.BlockingConnectionPool()),
        lambda: redis.Redis(connection_pool=redis.ConnectionPool(connection_class=OwnConnection)),
        lambda: redis.Redis(protocol=3, cache_config=redis.cache.CacheConfig()),
        lambda: redis.Redis(credential_provider=redis.UsernamePasswordCredentialProvider("u", "p")),
        lambda: redis.sentinel.Sentinel([("127.0.0.1", 1)]).master_for("service"),
    ],
)
def test_clients_that_are_left_alone(made: Callable[[], redis.Redis]) -> None:
    assert not direct_possible(made())


def test_a_subclass_with_its_own_execute_command() -> None:
    assert DirectCalls(Executing()).call(words("x")) == b"mine"


def test_a_client_of_one_connection(valkey_url: str) -> None:
    with make(valkey_url, single_connection_client=True) as client:
        assert not direct_possible(client)
        ask(ServerLink(client), 2)
