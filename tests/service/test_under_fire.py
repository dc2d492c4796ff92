"""The service while things go wrong around it: its Redis stops, it is told to stop itself."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import socket

import httpx
import pytest

from pharox_redis import RedisStorage, Settings
from pharox_redis.embedded import EmbeddedServer
from pharox_redis.service.api_keys import Role
from tests.service.crowd import Crowd
from tests.service.processes import SERVE, UVICORN, Process, running
from tests.service.serving import KEYS, headers_of, problem
from tests.support.builders import make_proxies
from tests.support.invariants import check_invariants

PROXIES = 8


def filled(storage: RedisStorage, proxies: int = PROXIES) -> str:
    """A pool; its id."""
    pool = storage.ensure_pool("busy")
    storage.add_proxies_bulk(make_proxies(pool, proxies, max_concurrency=1))
    return str(pool.id)


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def active(storage: RedisStorage) -> set[str]:
    return {str(lease.id) for lease in storage.list_leases()}


def test_redis_stops_and_comes_back() -> None:
    """Meanwhile 503, soon and with Retry-After; afterwards all is well, and nothing was lost."""
    with (
        EmbeddedServer() as server,
        RedisStorage.from_url(server.url, Settings(key_prefix="p")) as storage,
        running(SERVE, server.url, "p", server_timeout=0.5) as service,
    ):
        pool_id = filled(storage)

        async def load() -> Crowd:
            async with (
                Crowd(service.url, pool_id) as crowd,
                httpx.AsyncClient(base_url=service.url, verify=False) as looker,
            ):
                await crowd.until("granted", 60)
                server.kill()
                await crowd.until("refused", 24)
                problem(await looker.get("/readyz"), 503)
                assert (await looker.get("/healthz")).status_code == 200
                server.start()
                await crowd.until("released", 60)
                assert (await looker.get("/readyz")).status_code == 200
            return crowd

        crowd = asyncio.run(load())
        for reply, seconds in crowd.refusals:
            assert "Redis" in problem(reply, 503).detail
            assert int(reply.headers["Retry-After"]) >= 1
            assert seconds < 5
        found = active(storage)
        assert crowd.held - crowd.unsure <= found
        # A grant whose answer was lost is nobody's until it ends; there are no others.
        assert len(found - crowd.held) <= crowd.counts["refused"] + crowd.counts["unanswered"]
        assert len(found) <= PROXIES
        service.terminate()
        assert service.end() == 0
        check_invariants(storage)


async def asked_at_the_last_moment(service: Process, pool_id: str) -> set[str]:
    """Leases of requests that were sent right before SIGTERM, so that it meets them under way."""
    body = json.dumps({"pool_id": pool_id, "consumer_id": "late", "ttl_seconds": 600})
    head = f"Host: x\r\nX-API-Key: {KEYS[Role.LEASE]}\r\nContent-Type: application/json\r\n"
    asked = f"POST /v1/leases/ HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}"
    address = httpx.URL(service.url)
    lines = [await asyncio.open_connection(address.host, address.port) for _ in range(40)]
    for reader, writer in lines:
        writer.write(f"GET /healthz HTTP/1.1\r\n{head}\r\n".encode())
        assert b" 200 " in await reader.readline()
    for _, writer in lines:
        writer.write(asked.encode())
    service.terminate()
    replies = [await reader.read() for reader, _ in lines]
    for _, writer in lines:
        writer.close()
    found = [re.search(rb'"id": ?"([0-9a-f-]{36})"', reply) for reply in replies]
    return {match[1].decode() for match in found if match}


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load_loses_nothing(valkey_url: str, workers: int) -> None:
    """What was begun is answered: each lease that is left is known to the client that has it."""
    prefix = f"s{secrets.token_hex(5)}"
    with (
        RedisStorage.from_url(valkey_url, Settings(key_prefix=prefix)) as storage,
        running([*SERVE, "--workers", str(workers)], valkey_url, prefix) as service,
    ):
        pool_id = filled(storage, 60)

        async def load() -> Crowd:
            async with Crowd(service.url, pool_id) as crowd:
                await crowd.until("granted", 50)
                crowd.held |= await asked_at_the_last_moment(service, pool_id)
                await crowd.until("unsent", 12)
            return crowd

        crowd = asyncio.run(load())
        assert service.end() == 0
        assert active(storage) - crowd.held == set(), "a lease that nobody was told of"
        assert crowd.held - crowd.unsure <= active(storage)
        check_invariants(storage)


def test_uvicorn_with_workers(valkey_url: str) -> None:
    """By the module's name, several processes: one truth."""
    prefix = f"s{secrets.token_hex(5)}"
    with (
        RedisStorage.from_url(valkey_url, Settings(key_prefix=prefix)) as storage,
        running(
            [*UVICORN, "--port", free_port(), "--workers", "2"], valkey_url, prefix, started=2
        ) as service,
    ):
        pool_id = filled(storage)

        async def all_at_once() -> list[int]:
            # A connection each, so that both workers have their share.
            async def one(number: int) -> int:
                async with httpx.AsyncClient(
                    base_url=service.url, headers=headers_of(Role.LEASE), verify=False, timeout=20
                ) as client:
                    body = {"pool_id": pool_id, "consumer_id": f"c{number}", "ttl_seconds": 60}
                    return (await client.post("/v1/leases/", json=body)).status_code

            return await asyncio.gather(*[one(number) for number in range(4 * PROXIES)])

        assert len(service.children) >= 2
        statuses = asyncio.run(all_at_once())
        assert sorted(statuses) == [201] * PROXIES + [409] * (3 * PROXIES)
        assert len(active(storage)) == PROXIES
        service.terminate()
        assert service.end() in (0, -15)
        check_invariants(storage)
