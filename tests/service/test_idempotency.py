"""A request that is repeated under an Idempotency-Key gets the lease it got before."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from pharox_redis.keys import Keys, lease_tail
from pharox_redis.service.acquiring import idempotency_key
from pharox_redis.service.api_keys import ApiKey, Role, digest_of
from tests.service.serving import API_KEYS, Service, problem, serving
from tests.support.timetravel import expire_leases


def ask(client: httpx.Client, key: str, **body: Any) -> httpx.Response:
    wanted = {"consumer_id": "c", **body}
    return client.post("/v1/leases/", json=wanted, headers={"Idempotency-Key": key})


def test_a_repeated_request_gets_the_same_lease(leaser: httpx.Client, service: Service) -> None:
    pool_id = service.pool(3)
    first = ask(leaser, "k", pool_id=pool_id)
    assert first.status_code == 201
    again = ask(leaser, "k", pool_id=pool_id)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.json()["proxy"]["url"]
    assert len(service.active(pool_id)) == 1
    other = ask(leaser, "another", pool_id=pool_id)
    assert other.json()["id"] != first.json()["id"]


def test_what_is_left_out_is_the_same_as_its_default(
    leaser: httpx.Client, service: Service
) -> None:
    pool_id = service.pool(2)
    first = ask(leaser, "k", pool_id=pool_id)
    spelt_out = {"ttl_seconds": 300.0, "strategy": "first_available", "filters": None}
    again = ask(leaser, "k", pool_id=pool_id.upper(), **spelt_out)
    assert again.json() == first.json()


@pytest.mark.parametrize(
    "other",
    [
        {"consumer_id": "d"},
        {"ttl_seconds": 301},
        {"strategy": "least_used"},
        {"filters": {"country": "AR"}},
    ],
)
def test_another_body_is_422(leaser: httpx.Client, service: Service, other: dict[str, Any]) -> None:
    pool_id = service.pool(2)
    assert ask(leaser, "k", pool_id=pool_id).status_code == 201
    refused = problem(ask(leaser, "k", pool_id=pool_id, **other), 422)
    assert refused.type == "urn:pharox-redis:problem:idempotency-conflict"
    assert len(service.active(pool_id)) == 1


def test_an_ended_lease_comes_back_as_ended(leaser: httpx.Client, service: Service) -> None:
    pool_id = service.pool(2)
    first = ask(leaser, "k", pool_id=pool_id).json()
    leaser.post(f"/v1/leases/{first['id']}/release")
    again = ask(leaser, "k", pool_id=pool_id)
    assert again.status_code == 200
    ended = again.json()
    assert (ended["id"], ended["status"], ended["proxy"]) == (first["id"], "released", None)
    assert service.active(pool_id) == []


def test_so_does_one_that_is_forgotten_but_for_the_key(
    leaser: httpx.Client, service: Service
) -> None:
    pool_id = service.pool(2)
    first = ask(leaser, "k", pool_id=pool_id).json()
    expire_leases(service.storage, service.active(pool_id), forget=True)
    service.storage.cleanup_expired_leases()
    problem(leaser.get(f"/v1/leases/{first['id']}"), 404)
    again = ask(leaser, "k", pool_id=pool_id)
    assert (again.status_code, again.json()["status"]) == (200, "released")
    assert again.json()["id"] == first["id"]


def test_a_key_that_is_forgotten_is_a_new_one(leaser: httpx.Client, service: Service) -> None:
    pool_id = service.pool(2)
    first = ask(leaser, "k", pool_id=pool_id).json()
    expire_leases(service.storage, service.active(pool_id), forget=True)
    service.storage.cleanup_expired_leases()
    keys = Keys(service.storage.settings.key_prefix)
    note = keys.once(uuid.UUID(pool_id), lease_tail(first["id"]))
    kept = service.storage.client.pttl(note)
    assert 86_000_000 < kept <= 86_400_000
    assert service.storage.client.delete(note)
    again = ask(leaser, "k", pool_id=pool_id, consumer_id="another")
    assert (again.status_code, again.json()["status"]) == (201, "active")


def test_nothing_free_is_not_remembered(leaser: httpx.Client, service: Service) -> None:
    pool_id = service.pool(1)
    held = leaser.post("/v1/leases/", json={"pool_id": pool_id, "consumer_id": "c"}).json()
    problem(ask(leaser, "k", pool_id=pool_id), 409)
    leaser.post(f"/v1/leases/{held['id']}/release")
    assert ask(leaser, "k", pool_id=pool_id).status_code == 201


def test_two_api_keys_never_see_each_others(
    admin: httpx.Client, leaser: httpx.Client, service: Service
) -> None:
    pool_id = service.pool(2)
    mine, theirs = ask(leaser, "k", pool_id=pool_id), ask(admin, "k", pool_id=pool_id)
    assert mine.json()["id"] != theirs.json()["id"]
    assert len(service.active(pool_id)) == 2


def test_names_and_headers_do_not_run_together() -> None:
    assert idempotency_key("a", "bc") != idempotency_key("ab", "c")


def test_a_key_that_replaces_another_of_its_name_goes_on(valkey_url: str) -> None:
    keys = (*API_KEYS, ApiKey("lease", Role.LEASE, digest_of("prk_new")))
    with serving(valkey_url, api_keys=keys) as service:
        pool_id = service.pool(2)
        with service.client(Role.LEASE) as old:
            first = ask(old, "k", pool_id=pool_id)
        with httpx.Client(base_url=service.url, headers={"X-API-Key": "prk_new"}) as new:
            assert ask(new, "k", pool_id=pool_id).json() == first.json()


def test_two_pools_are_two_requests(leaser: httpx.Client, service: Service) -> None:
    first, second = service.pool(1), service.pool(1)
    assert ask(leaser, "k", pool_id=first).json()["pool_id"] == first
    assert ask(leaser, "k", pool_id=second).json()["pool_id"] == second


def test_many_at_once_get_one_lease(service: Service) -> None:
    pool_id = service.pool(5)

    async def all_at_once() -> list[httpx.Response]:
        async with service.async_client(Role.LEASE) as client:
            body = {"pool_id": pool_id, "consumer_id": "c"}
            headers = {"Idempotency-Key": "k"}
            return await asyncio.gather(
                *(client.post("/v1/leases/", json=body, headers=headers) for _ in range(30))
            )

    replies = asyncio.run(all_at_once())
    assert {reply.status_code for reply in replies} == {201}
    assert len({reply.json()["id"] for reply in replies}) == 1
    assert len(service.active(pool_id)) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\tbed"])
def test_a_key_that_cannot_be_one_is_422(leaser: httpx.Client, service: Service, key: str) -> None:
    refused = problem(ask(leaser, key, pool_id=str(uuid.uuid4())), 422)
    assert refused.errors and refused.errors[0].parameter == "Idempotency-Key"


@pytest.mark.parametrize(
    "key", ["x" * 255, '"a quoted one"', "22adecd3-8327-4f08-a010-c43999d79528"]
)
def test_usual_keys_will_do(leaser: httpx.Client, service: Service, key: str) -> None:
    assert ask(leaser, key, pool_id=service.pool(1)).status_code == 201
