"""The requests that the ecosystem's own client makes, and what it reads of the replies.

Its package would bring a dependency of its own for pharox; what it sends and reads is written down
here from its source (pharox-sdk 0.2.0): paths, bodies, the status codes it looks at, the fields it
parses, and how.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
from pharox.models import (
    Lease,
    LeaseStatus,
    ProxyFilters,
    ProxyPool,
    ProxyProtocol,
    ProxyStatus,
    SelectorStrategy,
)

from pharox_redis.service.api_keys import Role
from tests.service.serving import KEYS, Service


def client_of(service: Service, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=service.url.rstrip("/"), headers={"X-API-Key": key}, timeout=30.0, verify=False
    )


def pool_of(data: dict[str, Any]) -> ProxyPool:
    description = data.get("description", "")
    return ProxyPool(id=UUID(data["id"]), name=data["name"], description=description)


def lease_of(data: dict[str, Any]) -> Lease:
    return Lease(
        id=UUID(data["id"]),
        proxy_id=UUID(data["proxy_id"]),
        consumer_id=UUID(data["consumer_id"]),
        pool_id=UUID(data["pool_id"]),
        status=LeaseStatus(data["status"]),
        acquired_at=datetime.fromisoformat(data["acquired_at"]),
        expires_at=datetime.fromisoformat(data["expires_at"]),
    )


def test_pools(service: Service) -> None:
    with client_of(service, KEYS[Role.ADMIN]) as client:
        created = client.post("/v1/pools/", json={"name": "sdk", "description": ""})
        assert not created.is_error
        pool = pool_of(created.json())
        assert pool in [pool_of(each) for each in client.get("/v1/pools/").json()]
        assert pool_of(client.get(f"/v1/pools/{pool.id}").json()) == pool
        assert not client.delete(f"/v1/pools/{pool.id}").is_error
        gone = client.get(f"/v1/pools/{pool.id}")
        assert gone.is_error
        assert isinstance(gone.json().get("detail", gone.text), str)


def test_proxies(service: Service) -> None:
    pool_id = service.pool(0)
    with client_of(service, KEYS[Role.ADMIN]) as client:
        payload = {
            "host": "192.0.2.7",
            "port": 8080,
            "protocol": ProxyProtocol.SOCKS5.value,
            "username": "u",
            "password": "p",
            "country": "AR",
            "city": "Rosario",
            "latitude": 0.0,
            "longitude": 0.0,
        }
        added = client.post(f"/v1/pools/{pool_id}/proxies/", json=payload)
        assert added.status_code == 201
        proxy = added.json()
        listed = client.get(f"/v1/pools/{pool_id}/proxies/").json()
        assert isinstance(listed, list) and [each["id"] for each in listed] == [proxy["id"]]
        path = f"/v1/pools/{pool_id}/proxies/{proxy['id']}"
        changed = client.patch(path, json={"status": ProxyStatus.BANNED.value})
        assert changed.json()["status"] == "banned"
        assert not client.delete(path).is_error


def test_leases(service: Service) -> None:
    pool_id = service.pool(1, country="AR")
    filters = ProxyFilters(country="AR", none_of=[ProxyFilters(city="Rosario")])
    payload = {
        "pool_id": pool_id,
        "consumer_id": "sdk-consumer",
        "ttl_seconds": 300,
        "strategy": SelectorStrategy.FIRST_AVAILABLE.value,
        "filters": filters.model_dump(exclude_none=True),
    }
    with client_of(service, KEYS[Role.LEASE]) as client:
        acquired = client.post("/v1/leases/", json=payload)
        assert not acquired.is_error
        lease = lease_of(acquired.json())
        assert lease.status is LeaseStatus.ACTIVE
        assert lease.expires_at.utcoffset() is not None
        assert client.post("/v1/leases/", json=payload).status_code == 409
        assert lease_of(client.get(f"/v1/leases/{lease.id}").json()) == lease
        released = client.post(f"/v1/leases/{lease.id}/release", json={})
        assert not released.is_error
        assert lease_of(released.json()).status is LeaseStatus.RELEASED
        assert client.get(f"/v1/leases/{uuid4()}").status_code == 404
    with client_of(service, "wrong") as stranger:
        refused = stranger.post("/v1/leases/", json=payload)
        assert refused.status_code == 401
        assert "X-API-Key" in refused.json()["detail"]
