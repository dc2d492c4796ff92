"""Pools, proxies and leases from end to end, over a real connection."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pharox.models import ProxyHealthRecord, ProxyProtocol, ProxyStatus

from pharox_redis import AsyncRedisStorage
from pharox_redis.service.outcomes import AcquireOutcome, ReleaseOutcome
from pharox_redis.urls import proxy_url
from tests.service.serving import Service, ndjson, problem, serving

PROXY = {
    "host": "proxy.example.net",
    "port": 3128,
    "protocol": "socks5",
    "username": "me@home",
    "password": "p w+/:%ä",
    "country": "AR",
    "city": "Córdoba",
    "latitude": -31.4,
    "longitude": -64.2,
    "isp": "Net",
    "asn": 64500,
    "source": "list",
    "max_concurrency": 2,
}


def new_pool(admin: httpx.Client, description: str = "") -> dict[str, str]:
    body = {"name": f"p-{uuid.uuid4().hex[:8]}", "description": description}
    reply = admin.post("/v1/pools/", json=body)
    assert reply.status_code == 201
    pool: dict[str, str] = reply.json()
    assert pool == {"id": pool["id"], **body}
    return pool


def test_pools_come_and_go(admin: httpx.Client) -> None:
    pool = new_pool(admin, "for maps")
    assert admin.get(f"/v1/pools/{pool['id']}").json() == pool
    assert pool in admin.get("/v1/pools/").json()

    taken = problem(admin.post("/v1/pools/", json={"name": pool["name"]}), 409)
    assert taken.type == "urn:pharox-redis:problem:pool-name-taken"

    assert admin.delete(f"/v1/pools/{pool['id']}").status_code == 204
    for reply in (admin.get(f"/v1/pools/{pool['id']}"), admin.delete(f"/v1/pools/{pool['id']}")):
        assert problem(reply, 404).type == "urn:pharox-redis:problem:no-such-pool"
    assert pool not in admin.get("/v1/pools/").json()


def test_a_proxy_shows_all_but_its_password(admin: httpx.Client, service: Service) -> None:
    pool = new_pool(admin)
    path = f"/v1/pools/{pool['id']}/proxies/"
    reply = admin.post(path, json=PROXY)
    assert reply.status_code == 201
    proxy = reply.json()
    shown = {name: value for name, value in PROXY.items() if name != "password"}
    assert proxy == {
        **shown,
        "id": proxy["id"],
        "pool_id": pool["id"],
        "status": "active",
        "current_leases": 0,
        "latency_ms": None,
        "checked_at": proxy["checked_at"],
    }
    assert proxy["checked_at"].endswith("+00:00")
    assert admin.get(path).json() == [proxy]
    assert admin.get(f"{path}{proxy['id']}").json() == proxy
    stored = service.storage.get_proxy(proxy["id"]).credentials
    assert stored is not None and (stored.user, stored.password) == ("me@home", "p w+/:%ä")

    record = ProxyHealthRecord(
        proxy_id=uuid.UUID(proxy["id"]),
        reachable=True,
        latency_ms=42,
        protocol=ProxyProtocol.SOCKS5,
        status_after=ProxyStatus.ACTIVE,
    )
    service.storage.save_health_record(record)
    assert admin.get(f"{path}{proxy['id']}").json()["latency_ms"] == 42
    assert admin.get(path).json()[0]["latency_ms"] == 42


def test_a_proxy_that_is_added_again_is_the_same(admin: httpx.Client) -> None:
    path = f"/v1/pools/{new_pool(admin)['id']}/proxies/"
    first = admin.post(path, json=PROXY).json()
    admin.patch(f"{path}{first['id']}", json={"status": "banned"})

    again = admin.post(
        path, json={**PROXY, "host": "PROXY.example.net.", "city": "Rosario", "password": "new"}
    )
    assert again.status_code == 200
    assert again.json() == {**first, "status": "banned", "city": "Rosario"}
    assert len(admin.get(path).json()) == 1

    other = admin.post(path, json={**PROXY, "username": "you"})
    assert other.status_code == 201
    assert other.json()["id"] != first["id"]


def test_a_status_is_set_and_a_proxy_deleted_in_its_own_pool_only(
    admin: httpx.Client, leaser: httpx.Client, service: Service
) -> None:
    pool_id, other = service.pool(), service.pool(0)
    (proxy,) = admin.get(f"/v1/pools/{pool_id}/proxies/").json()
    path = f"/v1/pools/{pool_id}/proxies/{proxy['id']}"
    elsewhere = f"/v1/pools/{other}/proxies/{proxy['id']}"
    lease = leaser.post("/v1/leases/", json={"pool_id": pool_id, "consumer_id": "c"}).json()

    banned = admin.patch(path, json={"status": "banned"})
    assert banned.status_code == 200
    assert banned.json() == {**proxy, "status": "banned", "current_leases": 1}

    for method, body in (("GET", None), ("PATCH", {"status": "active"}), ("DELETE", None)):
        reply = admin.request(method, elsewhere, json=body)
        assert problem(reply, 404).type == "urn:pharox-redis:problem:no-such-proxy"
        nowhere = f"/v1/pools/{uuid.uuid4()}/proxies/{proxy['id']}"
        reply = admin.request(method, nowhere, json=body)
        assert problem(reply, 404).type == "urn:pharox-redis:problem:no-such-pool"
    assert admin.get(path).json()["status"] == "banned"

    assert admin.delete(path).status_code == 204
    problem(admin.get(path), 404)
    problem(admin.delete(path), 404)
    assert service.active(pool_id) == []
    assert leaser.post(f"/v1/leases/{lease['id']}/release").status_code == 200


def test_a_lease_from_acquire_to_release(
    admin: httpx.Client, leaser: httpx.Client, reader: httpx.Client
) -> None:
    pool = new_pool(admin)
    proxy = admin.post(f"/v1/pools/{pool['id']}/proxies/", json={**PROXY, "max_concurrency": 1})
    before = datetime.now(UTC)
    body = {"pool_id": pool["id"], "consumer_id": "scraper ä", "ttl_seconds": 60}
    reply = leaser.post("/v1/leases/", json=body)
    assert reply.status_code == 201
    lease = reply.json()
    assert lease == {
        "id": lease["id"],
        "proxy_id": proxy.json()["id"],
        "consumer_id": str(uuid.UUID(lease["consumer_id"])),
        "pool_id": pool["id"],
        "status": "active",
        "acquired_at": lease["acquired_at"],
        "expires_at": lease["expires_at"],
        "released_at": None,
        "proxy": {
            **proxy.json(),
            "current_leases": 1,
            "url": "socks5://me%40home:p%20w%2B%2F%3A%25%C3%A4@proxy.example.net:3128",
        },
    }
    acquired, expires = (datetime.fromisoformat(lease[k]) for k in ("acquired_at", "expires_at"))
    assert abs((acquired - before).total_seconds()) < 5
    assert (expires - acquired).total_seconds() == 60
    assert lease["acquired_at"].endswith("+00:00")

    busy = problem(leaser.post("/v1/leases/", json=body), 409)
    assert busy.type == "urn:pharox-redis:problem:nothing-free"

    assert leaser.get(f"/v1/leases/{lease['id']}").json() == lease
    # Whoever may only read could find the ids of leases, so it gets no password by them.
    read = reader.get(f"/v1/leases/{lease['id']}").json()
    assert read == {**lease, "proxy": {**lease["proxy"], "url": None}}
    listed = {**lease, "consumer_name": "scraper ä", "proxy": None}
    assert reader.get("/v1/leases/", params={"pool_id": pool["id"]}).json() == [listed]

    released = leaser.post(f"/v1/leases/{lease['id']}/release", json={})
    assert released.status_code == 200
    ended = released.json()
    assert ended == {
        **lease,
        "status": "released",
        "released_at": ended["released_at"],
        "proxy": None,
    }
    assert leaser.post(f"/v1/leases/{lease['id']}/release").json() == ended
    assert leaser.get(f"/v1/leases/{lease['id']}").json() == ended
    assert reader.get("/v1/leases/", params={"pool_id": pool["id"]}).json() == []
    assert leaser.post("/v1/leases/", json=body).status_code == 201


def test_what_does_not_exist_is_404(leaser: httpx.Client) -> None:
    nobody = str(uuid.uuid4())
    for reply in (leaser.get(f"/v1/leases/{nobody}"), leaser.post(f"/v1/leases/{nobody}/release")):
        assert problem(reply, 404).type == "urn:pharox-redis:problem:no-such-lease"
    for reply in (
        leaser.post("/v1/leases/", json={"pool_id": nobody, "consumer_id": "c"}),
        leaser.get("/v1/leases/", params={"pool_id": nobody}),
        leaser.get(f"/v1/pools/{nobody}/proxies/"),
        leaser.get(f"/v1/pools/{nobody}"),
    ):
        assert problem(reply, 404).type == "urn:pharox-redis:problem:no-such-pool"


@pytest.mark.parametrize("strategy", ["first_available", "least_used", "round_robin"])
def test_strategies_choose(leaser: httpx.Client, service: Service, strategy: str) -> None:
    pool_id = service.pool(2, max_concurrency=None)
    body = {"pool_id": pool_id, "consumer_id": "c", "strategy": strategy}
    hosts = [leaser.post("/v1/leases/", json=body).json()["proxy"]["host"] for _ in range(4)]
    if strategy == "first_available":
        assert len(set(hosts)) == 1
    else:
        assert sorted(hosts) == ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"]


def test_filters_choose(admin: httpx.Client, leaser: httpx.Client, service: Service) -> None:
    pool_id = service.pool(0)
    for number, (country, asn) in enumerate([("AR", 1), ("BR", 2), ("CL", 2)]):
        body = {"host": f"192.0.2.{number}", "port": 80, "country": country, "asn": asn}
        assert admin.post(f"/v1/pools/{pool_id}/proxies/", json=body).status_code == 201

    def country_of(filters: object) -> str | None:
        body = {"pool_id": pool_id, "consumer_id": "c", "filters": filters}
        reply = leaser.post("/v1/leases/", json=body)
        return reply.json()["proxy"]["country"] if reply.status_code == 201 else None

    assert country_of(None) == "AR"
    assert country_of({}) == "AR"
    assert country_of({"country": "BR"}) == "BR"
    assert country_of({"country": "XX"}) is None
    assert country_of({"asn": 2, "none_of": [{"country": "BR"}]}) == "CL"
    assert country_of({"any_of": [{"country": "XX"}, {"all_of": [{"country": "CL"}]}]}) == "CL"


def test_a_pool_that_is_renamed_is_still_itself(
    admin: httpx.Client, leaser: httpx.Client, service: Service
) -> None:
    """Its name now belongs to another pool: what this process knows is stale in the worst way."""
    first = service.pool(1)
    body = {"pool_id": first, "consumer_id": "c"}
    lease = leaser.post("/v1/leases/", json=body).json()
    old = service.storage.get_pool(first)
    service.storage.save_pool(old.model_copy(update={"name": f"{old.name}-renamed"}))
    second = admin.post("/v1/pools/", json={"name": old.name}).json()["id"]
    admin.post(f"/v1/pools/{second}/proxies/", json={"host": "192.0.2.9", "port": 80})

    assert leaser.post("/v1/leases/", json=body).status_code == 409
    leaser.post(f"/v1/leases/{lease['id']}/release")
    assert leaser.post("/v1/leases/", json=body).json()["pool_id"] == first
    in_second = leaser.post("/v1/leases/", json={**body, "pool_id": second}).json()
    assert in_second["pool_id"] == second
    assert len(service.active(second)) == 1

    admin.delete(f"/v1/pools/{first}")
    assert problem(leaser.post("/v1/leases/", json=body), 404)


def test_the_overview_has_every_pool(
    admin: httpx.Client, leaser: httpx.Client, reader: httpx.Client, service: Service
) -> None:
    pool_id = service.pool(3)
    body = {"pool_id": pool_id, "consumer_id": "c", "filters": {"country": "XX"}}
    leaser.post("/v1/leases/", json={**body, "filters": None})
    assert leaser.post("/v1/leases/", json=body).status_code == 409
    all_pools = reader.get("/v1/overview").json()
    assert [each["pool"] for each in all_pools] == admin.get("/v1/pools/").json()
    (figures,) = (each for each in all_pools if each["pool"]["id"] == pool_id)
    assert figures == {
        "pool": figures["pool"],
        "at": figures["at"],
        "total_proxies": 3,
        "active_proxies": 3,
        "available_proxies": 2,
        "saturated_proxies": 1,
        "leased_proxies": 1,
        "total_leases": 1,
        "views": figures["views"],
        "acquired": 1,
        "missed": 1,
        "reclaimed": 0,
    }
    assert figures["at"].endswith("+00:00")


def test_observers_hear_of_each_outcome(
    admin: httpx.Client, leaser: httpx.Client, service: Service
) -> None:
    pool_id = service.pool(1)
    name = admin.get(f"/v1/pools/{pool_id}").json()["name"]
    service.outcomes.clear()
    body = {"pool_id": pool_id, "consumer_id": "c", "strategy": "least_used"}
    lease = leaser.post("/v1/leases/", json=body).json()
    leaser.post("/v1/leases/", json=body)
    leaser.post("/v1/leases/", json={**body, "pool_id": str(uuid.uuid4())})
    leaser.post(f"/v1/leases/{lease['id']}/release")
    leaser.post(f"/v1/leases/{uuid.uuid4()}/release")
    keyed = {"Idempotency-Key": "observed"}
    leaser.post("/v1/leases/", json=body, headers=keyed)
    leaser.post("/v1/leases/", json={**body, "ttl_seconds": 1}, headers=keyed)
    assert [(type(each), each.pool, each.outcome) for each in service.outcomes] == [
        (AcquireOutcome, name, "leased"),
        (AcquireOutcome, name, "none"),
        (AcquireOutcome, "", "no_pool"),
        (ReleaseOutcome, name, "released"),
        (ReleaseOutcome, "", "unknown"),
        (AcquireOutcome, name, "leased"),
        (AcquireOutcome, name, "refused"),
    ]
    assert all(0 <= each.seconds < 5 for each in service.outcomes)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "proxy.example.net"])
def test_urls_are_for_http_clients(admin: httpx.Client, service: Service, host: str) -> None:
    pool_id = service.pool(0)
    body = {"host": host, "port": 8080, "username": "a b", "password": "c+d e"}
    proxy_id = admin.post(f"/v1/pools/{pool_id}/proxies/", json=body).json()["id"]
    url = httpx.URL(proxy_url(service.storage.get_proxy(proxy_id)))
    assert (url.host, url.port) == (host, 8080)
    assert (url.username, url.password) == ("a b", "c+d e")


@pytest.mark.parametrize("bulk", [False, True])
def test_a_retired_proxy_that_is_added_again_is_back(
    admin: httpx.Client, service: Service, bulk: bool
) -> None:
    """Retired by a sync while somebody held it, and wanted after all: as by an import."""
    pool = new_pool(admin)
    path = f"/v1/pools/{pool['id']}/proxies/"
    first = admin.post(path, json=PROXY).json()
    body = {"pool_id": pool["id"], "consumer_id": "c"}
    lease = admin.post("/v1/leases/", json=body).json()
    assert service.storage.retire_proxy(first["id"]) is False
    if bulk:
        kind = {"content-type": "application/x-ndjson"}
        reply = admin.post(f"{path}bulk", content=ndjson(PROXY), headers=kind)
        assert reply.json()["updated"] == 1
    else:
        reply = admin.post(path, json=PROXY)
        assert (reply.status_code, reply.json()["status"]) == (200, "active")
    admin.post(f"/v1/leases/{lease['id']}/release")
    service.storage.cleanup_expired_leases()
    assert admin.get(f"{path}{first['id']}").json()["status"] == "active"
    assert admin.post("/v1/leases/", json=body).status_code == 201


def test_a_ban_while_a_proxy_is_added_again_holds(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list is sent again every hour while health checks ban: none of these is undone."""
    with serving(valkey_url) as service, service.client() as admin:
        path = f"/v1/pools/{service.pool(0)}/proxies/"
        first = admin.post(path, json=PROXY).json()
        read = AsyncRedisStorage.get_proxy_by_id

        async def banned_meanwhile(self: AsyncRedisStorage, proxy_id: Any) -> Any:
            found = await read(self, proxy_id)
            await self.set_proxy_status(proxy_id, ProxyStatus.BANNED)
            return found

        monkeypatch.setattr(AsyncRedisStorage, "get_proxy_by_id", banned_meanwhile)
        again = admin.post(path, json={**PROXY, "city": "Rosario"}).json()
        monkeypatch.undo()
        assert (again["status"], again["city"]) == ("banned", "Rosario")
        assert admin.get(f"{path}{first['id']}").json() == again
        said = admin.post(path, json={**PROXY, "status": "slow"})
        assert said.json()["status"] == "slow"
