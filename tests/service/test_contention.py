"""Many clients at once never hold more than a proxy allows."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from pharox_redis.service.api_keys import Role
from tests.service.serving import Service

LIMIT = 2


@pytest.mark.parametrize("strategy", ["first_available", "least_used", "round_robin"])
def test_a_rush_never_leases_more_than_there_is(service: Service, strategy: str) -> None:
    pool_id = service.pool(4, max_concurrency=LIMIT)

    async def rush() -> list[httpx.Response]:
        async with service.async_client(Role.LEASE) as client:
            body = {"pool_id": pool_id, "consumer_id": "c", "strategy": strategy}
            return await asyncio.gather(*(client.post("/v1/leases/", json=body) for _ in range(60)))

    replies = asyncio.run(rush())
    assert Counter(reply.status_code for reply in replies) == {201: 4 * LIMIT, 409: 60 - 4 * LIMIT}
    leases = [reply.json() for reply in replies if reply.status_code == 201]
    assert set(Counter(lease["proxy_id"] for lease in leases).values()) == {LIMIT}
    assert len({lease["id"] for lease in leases}) == 4 * LIMIT


def test_come_and_go_keeps_within_the_limit(service: Service) -> None:
    """Each consumer acquires and releases again and again; at no time two have one proxy."""
    pool_id = service.pool(3)
    held: Counter[str] = Counter()
    got = 0

    async def consume(client: httpx.AsyncClient, name: str) -> None:
        nonlocal got
        for _ in range(10):
            body = {"pool_id": pool_id, "consumer_id": name}
            reply = await client.post("/v1/leases/", json=body)
            if reply.status_code == 409:
                continue
            lease = reply.json()
            held[lease["proxy_id"]] += 1
            got += 1
            assert held[lease["proxy_id"]] == 1
            await asyncio.sleep(0)
            held[lease["proxy_id"]] -= 1
            reply = await client.post(f"/v1/leases/{lease['id']}/release", json={})
            assert reply.status_code == 200

    async def all_of_them() -> None:
        async with service.async_client(Role.LEASE) as client, asyncio.TaskGroup() as group:
            for number in range(12):
                group.create_task(consume(client, f"c{number}"))

    asyncio.run(all_of_them())
    assert got > 12
    assert service.active(pool_id) == []
