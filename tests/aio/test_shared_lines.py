"""Script calls that share lines: each caller has its own reply, and nobody waits for ever.

The script is one that returns its argument, so that a reply which is somebody else's shows. Where a
batch must be under way a real server is paused.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pharox_redis.drivers import shared_lines
from pharox_redis.drivers.async_links import AsyncServerLink
from pharox_redis.drivers.shared_lines import SharedLines, shareable
from tests.support.cancelling import MOMENTS, Moment, cancelled_at
from tests.support.own_servers import own_server
from tests.support.silent import SilentServer

NUMBERS = itertools.count()


def words(marker: str) -> tuple[Any, ...]:
    return ("EVAL", "return ARGV[1]", 1, "key", marker)


async def ask(calls: Any, count: int = 1) -> None:
    """Each reply is the call's own."""
    for _ in range(count):
        marker = f"call {next(NUMBERS)}"
        reply = await calls.call(words(marker))
        assert (reply if isinstance(reply, str) else reply.decode()) == marker


async def ask_together(calls: Any, tasks: int, count: int = 1) -> None:
    await asyncio.gather(*(ask(calls, count) for _ in range(tasks)))


def make(url: str, retries: int = 0, **options: Any) -> redis.asyncio.Redis:
    client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
        url, **{"retry": Retry(NoBackoff(), retries), **options}
    )
    return client


@asynccontextmanager
async def lines_on(url: str, retries: int = 0, **options: Any) -> AsyncIterator[SharedLines]:
    """In the end every connection is back, no line is open and the loop heard of no error."""
    errors: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    async with make(url, retries, **options) as client:
        lines = SharedLines(client, asyncio.Semaphore(client.connection_pool.max_connections))
        yield lines
        await settled(lines)
    assert errors == []


async def settled(lines: SharedLines) -> None:
    here = lines._here
    assert here is not None
    while here._tasks:
        await asyncio.wait(here._tasks)
        await asyncio.sleep(0)
    assert (here._open, here.alone, len(here._queue)) == (0, 0, 0)
    pool: Any = lines._pool
    assert not pool._in_use_connections
    assert lines._turn._value == pool.max_connections


@asynccontextmanager
async def paused(url: str) -> AsyncIterator[Any]:
    """A server that answers no script until the block ends."""
    async with make(url) as other:
        await other.client_pause(20_000, all=False)
        try:
            yield other
        finally:
            await other.client_unpause()


async def a_batch_sent(lines: SharedLines, calls: int) -> tuple[list[asyncio.Task[None]], Any]:
    """Calls that wait for a paused server, one alone and the others on a line; its connection."""
    sent = asyncio.Event()
    exchange = shared_lines._attempt
    used: list[Any] = []

    class Watching:
        def __init__(self, connection: Any) -> None:
            send = connection.send_packed_command

            async def sending(*given: Any, **options: Any) -> None:
                await send(*given, **options)
                used.append(connection)
                sent.set()

            connection.send_packed_command = sending

    async def attempt(connection: Any, left: Any) -> None:
        if not used:
            Watching(connection)
        await exchange(connection, left)

    shared_lines._attempt = attempt
    try:
        tasks = [asyncio.create_task(ask(lines)) for _ in range(calls)]
        await sent.wait()
    finally:
        shared_lines._attempt = exchange
    del used[0].send_packed_command
    return tasks, used[0]


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
def test_calls_share_lines(valkey_url: str, protocol: int, decode: bool) -> None:
    async def main() -> None:
        options = {"protocol": protocol, "decode_responses": decode}
        async with lines_on(valkey_url, **options) as lines:
            await ask(lines)
            await ask_together(lines, 100, 5)
            assert len(lines._pool._available_connections) <= 3

    asyncio.run(main())


def test_replies_under_fire(valkey_url: str) -> None:
    """Callers are cancelled at any time, and connections killed."""
    rolls = random.Random(1)

    async def main() -> None:
        over, ended = asyncio.Event(), {"cancelled": 0, "answered": 0}

        async def kill() -> None:
            async with make(valkey_url) as other:
                while not over.is_set():
                    await other.client_kill_filter(_type="normal", skipme=True)
                    await asyncio.sleep(0.02)

        async def use(lines: SharedLines) -> None:
            for _ in range(20):
                task = asyncio.create_task(ask(lines))
                if rolls.random() < 0.3:
                    for _ in range(rolls.randrange(30)):
                        await asyncio.sleep(0)
                    task.cancel()
                try:
                    await task
                    ended["answered"] += 1
                except asyncio.CancelledError:
                    ended["cancelled"] += 1

        async with lines_on(valkey_url, retries=50) as lines:
            killer = asyncio.create_task(kill())
            await asyncio.gather(*(use(lines) for _ in range(200)))
            over.set()
            await killer
        assert ended["answered"] > 2_000 and ended["cancelled"] > 300

    asyncio.run(main())


def test_an_error_is_its_callers_alone(valkey_url: str) -> None:
    async def main() -> None:
        async with lines_on(valkey_url) as lines:
            script = ("EVAL", "return redis.error_reply(ARGV[1])", 1, "key")
            missing = ("EVALSHA", "0" * 40, 1, "key")
            calls: list[Awaitable[Any]] = []
            for number in range(30):
                calls += [lines.call((*script, f"no {number}")), lines.call(missing), ask(lines)]
            replies = await asyncio.gather(*calls, return_exceptions=True)
            assert [str(reply) for reply in replies[0::3]] == [f"no {n}" for n in range(30)]
            for refused in (replies[0::3], replies[1::3]):
                assert len({id(reply) for reply in refused}) == 30
            assert {type(reply) for reply in replies[1::3]} == {redis.exceptions.NoScriptError}
            assert set(replies[2::3]) == {None}

    asyncio.run(main())


def test_errors_that_the_client_repeats(valkey_url: str) -> None:
    script = (
        "if redis.call('incr', KEYS[1]) % 2 > 0 then return redis.error_reply('READONLY not yet') "
        "end return ARGV[1]"
    )
    errors = [redis.exceptions.ReadOnlyError]

    async def main() -> None:
        async with lines_on(valkey_url, retries=3, retry_on_error=errors) as lines:
            names = [f"test-lines-{number}" for number in range(30)]
            calls = [lines.call(("EVAL", script, 1, name, name)) for name in names]
            assert await asyncio.gather(*calls) == [name.encode() for name in names]
            await lines._client.delete(*names)

    asyncio.run(main())


LOSSES = [
    # What TCP says when a peer is silent for too long; for asyncio that is a TimeoutError.
    (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), 1),
    (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), 0),
    (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), 1),
    (None, 0),
]


@pytest.mark.parametrize(("error", "retries"), LOSSES, ids=str)
def test_a_connection_that_is_lost(valkey_url: str, error: Any, retries: int) -> None:
    async def main() -> None:
        async with lines_on(valkey_url, retries) as lines:
            async with paused(valkey_url):
                tasks, connection = await a_batch_sent(lines, 10)
                connection._writer.transport._force_close(error)
            await asyncio.gather(*tasks)
            await ask_together(lines, 10)

    asyncio.run(main())


def test_a_line_that_is_cancelled(valkey_url: str) -> None:
    """Whoever cancels all tasks cancels lines, too; who still waits has a reply all the same."""

    async def main() -> None:
        async with lines_on(valkey_url) as lines:
            for started in (False, True):
                async with paused(valkey_url):
                    if started:
                        tasks, _ = await a_batch_sent(lines, 10)
                    else:
                        tasks = [asyncio.create_task(ask(lines)) for _ in range(10)]
                        await asyncio.sleep(0)
                    here: Any = lines._here
                    assert here._tasks
                    for line in here._tasks:
                        line.cancel()
                await asyncio.gather(*tasks)

    asyncio.run(main())


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("cold", [False, True])
def test_cancelled_at_every_wait(valkey_url: str, moment: Moment, cold: bool) -> None:
    async def main() -> None:
        for wait in range(1, 40):
            async with lines_on(valkey_url, max_connections=3) as lines:
                if not cold:
                    await ask_together(lines, 3)
                others = [asyncio.create_task(ask(lines)) for _ in range(5)]
                outcome = await cancelled_at(wait, moment, lambda lines=lines: ask(lines))
                await asyncio.gather(*others)
                await ask_together(lines, 5)
                if not outcome.reached:
                    return
        raise AssertionError("waits too often")

    asyncio.run(main())


def test_nothing_is_sent_for_who_is_gone(valkey_url: str) -> None:
    script = "return redis.call('incr', KEYS[1])"

    async def main() -> None:
        async with lines_on(valkey_url) as lines:
            name = "test-lines-gone"
            async with paused(valkey_url):
                tasks, _ = await a_batch_sent(lines, 10)
                counts = [
                    asyncio.create_task(lines.call(("EVAL", script, 1, name))) for _ in range(500)
                ]
                await asyncio.sleep(0)
                here: Any = lines._here
                assert len(here._queue) > 300
                for count in counts:
                    count.cancel()
            await asyncio.gather(*tasks, *counts, return_exceptions=True)
            await settled(lines)
            assert int(await lines._client.get(name) or 0) < 200
            await lines._client.delete(name)

    asyncio.run(main())


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_attempts_while_the_server_does_not_answer(retries: int) -> None:
    async def main(server: SilentServer) -> None:
        async with lines_on(server.url, retries, socket_timeout=0.3) as lines:
            calls = [lines.call(words(f"{number}")) for number in range(10)]
            replies: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(reply) for reply in replies} == {redis.TimeoutError}
            assert len({id(reply) for reply in replies}) == 10
        assert server.sent == {b"%d" % number: retries + 1 for number in range(10)}

    with SilentServer() as server:
        asyncio.run(main(server))


async def heard_of(lines: SharedLines) -> None:
    """Wait until the loop knows that all idle connections were closed."""
    async with asyncio.timeout(5):
        for connection in lines._pool._available_connections:
            while connection.is_connected and not connection._reader.at_eof():
                await asyncio.sleep(0.001)


def test_a_server_that_goes_and_comes() -> None:
    """In RESP3 redis-py (8.1) does not see that an idle connection was closed."""

    async def main(server: Any) -> None:
        async with lines_on(server.url, protocol=2) as lines:
            await ask_together(lines, 20)
            server.restart()
            await heard_of(lines)
            await ask_together(lines, 20)
            server.kill()
            await heard_of(lines)
            asked = [ask(lines) for _ in range(200)]
            replies = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(reply, redis.ConnectionError) for reply in replies)
            server.restart()
            await ask_together(lines, 20)

    with own_server("valkey") as server:
        asyncio.run(main(server))


def test_connections_that_are_killed_while_idle(valkey_url: str) -> None:
    async def main() -> None:
        async with lines_on(valkey_url, protocol=2) as lines, make(valkey_url) as other:
            for _ in range(3):
                await ask_together(lines, 20)
                await other.client_kill_filter(_type="normal", skipme=True)
                await heard_of(lines)
            await ask_together(lines, 20)

    asyncio.run(main())


def test_a_reply_that_others_left_unread(valkey_url: str) -> None:
    async def main() -> None:
        async with lines_on(valkey_url) as lines:
            lent = [await lines._pool.get_connection() for _ in range(3)]
            for connection in lent[1:]:
                await connection.send_command("ECHO", "stray")
                while not await connection.can_read():
                    await asyncio.sleep(0.001)
            # The one that comes alone has the last.
            for connection in [*lent[1:], lent[0]]:
                await lines._pool.release(connection)
            await ask_together(lines, 20)

    asyncio.run(main())


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_small_pools(valkey_url: str, most: int) -> None:
    async def main() -> None:
        async with lines_on(valkey_url, max_connections=most) as lines:
            assert shareable(lines._client) == (most > 2)
            await ask_together(lines, 50, 5)

    asyncio.run(main())


def test_a_pool_that_others_have_emptied(valkey_url: str) -> None:
    async def main() -> None:
        async with lines_on(valkey_url, max_connections=3) as lines:
            lent = [await lines._pool.get_connection() for _ in range(3)]
            async with asyncio.timeout(5):
                asked = [ask(lines) for _ in range(20)]
                for reply in await asyncio.gather(*asked, return_exceptions=True):
                    assert isinstance(reply, redis.exceptions.MaxConnectionsError)
            for connection in lent:
                await lines._pool.release(connection)
            await ask_together(lines, 20)

    asyncio.run(main())


def test_closed_under_a_batch_and_used_again(valkey_url: str) -> None:
    async def main() -> None:
        async with lines_on(valkey_url, retries=1) as lines:
            async with paused(valkey_url):
                tasks, _ = await a_batch_sent(lines, 10)
                await lines._client.aclose()
            replies = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(r) for r in replies} <= {type(None), AttributeError}
            await ask_together(lines, 20)

    asyncio.run(main())


def begun(loop: asyncio.AbstractEventLoop, lines: SharedLines) -> list[asyncio.Task[None]]:
    """Calls of a loop that stops with lines open."""

    async def begin() -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(ask(lines)) for _ in range(10)]
        await asyncio.sleep(0)
        return tasks

    tasks = loop.run_until_complete(begin())
    assert lines._here is not None and lines._here._tasks
    return tasks


def test_two_loops_that_take_turns(valkey_url: str) -> None:
    client = make(valkey_url)
    lines = SharedLines(client, asyncio.Semaphore(100))
    with asyncio.Runner() as first, asyncio.Runner() as second:
        tasks = begun(first.get_loop(), lines)

        async def other() -> None:
            async with asyncio.timeout(5):
                await ask_together(lines, 10)
            await client.connection_pool.disconnect(inuse_connections=False)

        second.run(other())

        async def rest() -> None:
            await asyncio.gather(*tasks)
            await settled_all()

        async def settled_all() -> None:
            await ask_together(lines, 10)
            await client.aclose()

        first.run(rest())


@pytest.mark.filterwarnings("ignore")
def test_a_loop_after_one_that_was_closed(valkey_url: str) -> None:
    """Whatever the first left, the calls of the second do not wait for it."""
    client = make(valkey_url)
    lines = SharedLines(client, asyncio.Semaphore(100))
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    tasks = begun(loop, lines)
    loop.close()

    async def main() -> None:
        client.connection_pool.reset()
        async with asyncio.timeout(5):
            await ask_together(lines, 50)
        assert lines._here is not None and lines._here.loop is asyncio.get_running_loop()
        await client.aclose()

    asyncio.run(main())
    # What the first loop left is told of here, not in the next test.
    del tasks, loop
    gc.collect()


def test_run_twice(valkey_url: str) -> None:
    client = make(valkey_url)
    lines = SharedLines(client, asyncio.Semaphore(100))

    async def main() -> None:
        left = [asyncio.create_task(ask(lines)) for _ in range(20)]
        await ask_together(lines, 20)
        assert left
        await client.aclose()

    for _ in range(3):
        asyncio.run(main())


def test_a_tracer_sees_all(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with make(valkey_url) as client:
            link, seen = AsyncServerLink(client), list[Any]()
            await ask_together(link, 10)
            original = redis.asyncio.Redis.execute_command

            async def traced(self: Any, *given: Any, **options: Any) -> Any:
                seen.append(given[0])
                return await original(self, *given, **options)

            with monkeypatch.context() as patch:
                patch.setattr(redis.asyncio.Redis, "execute_command", traced)
                await ask_together(link, 10)
                assert len(seen) == 10
            with monkeypatch.context() as patch:
                patch.setattr(shared_lines, "has_metrics", lambda: True)
                link._lines._here._serve = None  # type: ignore[union-attr,assignment,method-assign]
                await ask_together(link, 10)

    asyncio.run(main())


class Parsing(redis.asyncio.Redis):
    async def parse_response(self, *given: Any, **options: Any) -> Any:
        return await super().parse_response(*given, **options)


def with_pool(kind: type, **options: Any) -> redis.asyncio.Redis:
    return redis.asyncio.Redis(connection_pool=kind(**options))


@pytest.mark.parametrize(
    "made",
    [
        lambda: Parsing(),
        lambda: with_pool(redis.asyncio.BlockingConnectionPool),
        lambda: with_pool(redis.asyncio.ConnectionPool, max_connections=2),
        lambda: redis.asyncio.Redis(single_connection_client=True),
        lambda: redis.asyncio.Redis(encoding="latin-1"),
        lambda: redis.asyncio.Redis(encoding_errors="ignore"),
        lambda: redis.asyncio.Redis(
            credential_provider=redis.UsernamePasswordCredentialProvider("u", "p")
        ),
        lambda: redis.asyncio.Sentinel([("127.0.0.1", 1)]).master_for("service"),
    ],
)
def test_clients_that_are_left_alone(made: Callable[[], redis.asyncio.Redis]) -> None:
    assert not shareable(made())
