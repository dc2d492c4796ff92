"""A client that goes away while it acquires leaves no lease, whenever it goes.

Over a real connection the server is made to keep it waiting (``CLIENT PAUSE``). And at every turn
of the event loop between the request and the reply: there the application is called as a server
calls it, with a connection of the test's own, on real Redis.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from pharox.models import Lease

from pharox_redis import AsyncRedisStorage, RedisStorage, Settings
from pharox_redis.service.api_keys import Role
from pharox_redis.service.app import create_app
from pharox_redis.service.outcomes import AcquireOutcome, Outcome
from tests.recorders.exposition import value
from tests.service.scraping import scrape
from tests.service.serving import KEYS, Service, settings_for, wait_for
from tests.support.builders import make_proxies
from tests.support.invariants import check_invariants


def request_for(service: Service, pool_id: str, *headers: str) -> socket.socket:
    """A connection on which a lease was asked for."""
    body = json.dumps({"pool_id": pool_id, "consumer_id": "c"})
    where = urlsplit(service.url)
    connection = socket.create_connection((where.hostname or "", where.port or 0), timeout=5)
    lines = (
        "POST /v1/leases/ HTTP/1.1",
        "Host: localhost",
        f"X-API-Key: {KEYS[Role.LEASE]}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    )
    connection.sendall(("\r\n".join((*lines, "", "")) + body).encode())
    return connection


def waiting(service: Service) -> int:
    return int(service.storage.client.info("clients")["blocked_clients"])


@pytest.mark.parametrize("way", ["closed", "reset", "half"])
def test_a_client_that_goes_while_redis_is_asked(
    service: Service, way: str, paused_later: Any
) -> None:
    pool_id = service.pool(2)
    with service.client(Role.LEASE) as client:  # so that pool and consumer are known
        lease = client.post("/v1/leases/", json={"pool_id": pool_id, "consumer_id": "c"}).json()
        client.post(f"/v1/leases/{lease['id']}/release")
        counted = {"route": "/v1/leases/", "method": "POST", "status": "none"}
        gone = value(scrape(client), "pharox_redis_http_requests_total", **counted) or 0
    service.outcomes.clear()
    paused_later()
    connection = request_for(service, pool_id)
    wait_for(lambda: waiting(service) == 1)
    if way == "reset":
        linger = b"\1\0\0\0\0\0\0\0"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    if way == "half":
        connection.shutdown(socket.SHUT_WR)
    else:
        connection.close()
    # Taking it back waits for the server, too; the grant goes through before it.
    wait_for(lambda: service.outcomes)
    service.storage.client.client_unpause()
    (outcome,) = service.outcomes
    assert isinstance(outcome, AcquireOutcome) and outcome.outcome == "abandoned"
    wait_for(lambda: waiting(service) == 0)
    wait_for(lambda: not service.active(pool_id))
    with service.client() as client:
        counted = {"route": "/v1/leases/", "method": "POST", "status": "none"}
        assert value(scrape(client), "pharox_redis_http_requests_total", **counted) == gone + 1
    figures = service.storage.get_pool_figures(pool_id)
    assert figures.available_proxies == 2
    connection.close()


@pytest.fixture
def paused_later(service: Service) -> Iterator[Any]:
    """Makes the server keep whoever writes waiting; not beyond the test."""
    client = service.storage.client
    yield lambda: client.client_pause(10_000, all=False)
    client.client_unpause()


def test_with_an_idempotency_key_the_lease_stays(service: Service, paused_later: Any) -> None:
    pool_id = service.pool(2)
    service.outcomes.clear()
    header = "Idempotency-Key: gone"
    with request_for(service, pool_id, header):
        pass
    wait_for(lambda: service.outcomes)
    (kept,) = service.active(pool_id)
    with service.client(Role.LEASE) as client:
        body = {"pool_id": pool_id, "consumer_id": "c"}
        again = client.post("/v1/leases/", json=body, headers={"Idempotency-Key": "gone"})
        assert again.json()["id"] == str(kept.id)
    assert len(service.active(pool_id)) == 1


# -- at every turn of the loop ---------------------------------------------------------------------


class Connection:
    """A client's end, as an ASGI server has it; ``leave`` closes it."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._left = asyncio.Event()
        self.sent: list[dict[str, Any]] = []

    def leave(self) -> None:
        self._left.set()

    async def receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if not self._left.is_set():  # as uvicorn's, which drops what nobody is there for
            self.sent.append(message)


def scope_for(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"x-api-key", KEYS[Role.LEASE].encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }


class CountingLoop(asyncio.SelectorEventLoop):
    """Calls a function at a chosen turn, before what is ready in that turn."""

    _left = -1
    _call: Any = None

    def at(self, turn: int, call: Any) -> None:
        self._left, self._call = turn, call

    def _run_once(self) -> None:
        if self._left == 0:
            self._call()
        self._left -= 1
        super()._run_once()  # type: ignore[misc]  # asyncio's own


Way = Literal["leave first", "leave last", "cancel"]


class Bed:
    """An application on storages of its own, and one that looks on."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = f"s{secrets.token_hex(5)}"
        self.there = RedisStorage.from_url(url, Settings(key_prefix=self.prefix))
        self.pool = self.there.ensure_pool("a")
        self.there.add_proxies_bulk(make_proxies(self.pool, 3, max_concurrency=1))
        self.outcomes: list[Outcome] = []

    def left(self) -> list[Lease]:
        return self.there.list_leases()

    def run(self, turn: int, way: Way) -> tuple[Connection, bool]:
        """One request, whose client leaves (or which is cancelled) at that turn of the loop,
        counted from its beginning; and whether it was still under way then."""
        loop = CountingLoop()
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(self._request(loop, turn, way))

    async def _request(self, loop: CountingLoop, turn: int, way: Way) -> tuple[Connection, bool]:
        storage = AsyncRedisStorage.from_url(self.url, Settings(key_prefix=self.prefix))
        async with storage:
            await storage.get_pool_by_name("a")  # connected
            app = create_app(
                settings_for(self.url, self.prefix), storage, observers=[self.outcomes.append]
            )
            body = json.dumps({"pool_id": str(self.pool.id), "consumer_id": "c"}).encode()
            connection = Connection(body)
            task = asyncio.create_task(
                app(scope_for("/v1/leases/"), connection.receive, connection.send)
            )
            running = False

            def now() -> None:
                nonlocal running
                running = not task.done()
                if way == "cancel":
                    task.cancel()
                elif way == "leave first":
                    connection.leave()
                else:  # after what else is ready in this turn
                    loop.call_soon(connection.leave)

            loop.at(turn, now)
            await asyncio.wait({task})
            loop.at(-1, now)
            if not task.cancelled():
                assert task.exception() is None
            return connection, running


@pytest.mark.parametrize("way", ["leave first", "leave last", "cancel"])
def test_at_every_turn_of_the_loop(valkey_url: str, way: Way) -> None:
    bed = Bed(valkey_url)
    delivered = []
    for turn in range(300):
        bed.outcomes.clear()
        connection, running = bed.run(turn, way)
        leases = bed.left()
        told = [each.outcome for each in bed.outcomes if isinstance(each, AcquireOutcome)]
        if connection.sent and connection.sent[0]["status"] == 201:
            shown = json.loads(connection.sent[1]["body"])
            assert [lease.id for lease in leases] == [UUID(shown["id"])]
            bed.there.release_lease(leases[0])
            assert told == ["leased"]
        else:
            assert leases == [], f"left behind at turn {turn}"
            assert told in (["abandoned"], [])  # none: it had not been asked for yet
        delivered.append(bool(connection.sent))
        if not running:
            break
    assert len(delivered) > 8
    assert delivered[-1] and not delivered[0]
    check_invariants(bed.there)
    bed.there.close()
