"""Role by endpoint. The table below must name every route that the application has."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import Route

from pharox_redis.service.access import GuardedRoute
from pharox_redis.service.api_keys import Role
from pharox_redis.service.app import create_app
from tests.service.serving import KEYS, Service, headers_of, problem, settings_for

OPEN = None
READ, LEASE, ADMIN = Role.READ, Role.LEASE, Role.ADMIN

TABLE: dict[tuple[str, str], Role | None] = {
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/openapi.json"): OPEN,
    ("GET", "/docs"): OPEN,
    ("GET", "/docs/swagger-ui-bundle.js"): OPEN,
    ("GET", "/docs/swagger-ui.css"): OPEN,
    ("GET", "/metrics"): READ,
    ("GET", "/v1/overview"): READ,
    ("GET", "/v1/whoami"): READ,
    ("GET", "/v1/pools/"): READ,
    ("POST", "/v1/pools/"): ADMIN,
    ("GET", "/v1/pools/{pool_id}"): READ,
    ("DELETE", "/v1/pools/{pool_id}"): ADMIN,
    ("GET", "/v1/pools/{pool_id}/proxies/"): READ,
    ("POST", "/v1/pools/{pool_id}/proxies/"): ADMIN,
    ("POST", "/v1/pools/{pool_id}/proxies/bulk"): ADMIN,
    ("GET", "/v1/pools/{pool_id}/proxies/{proxy_id}"): READ,
    ("PATCH", "/v1/pools/{pool_id}/proxies/{proxy_id}"): ADMIN,
    ("DELETE", "/v1/pools/{pool_id}/proxies/{proxy_id}"): ADMIN,
    ("POST", "/v1/leases/"): LEASE,
    ("GET", "/v1/leases/"): READ,
    ("GET", "/v1/leases/{lease_id}"): READ,
    ("POST", "/v1/leases/{lease_id}/release"): LEASE,
}
# The dashboard's files: whichever there are.
PAGES = ("/", "/dashboard/")


def routes_of(router: APIRouter) -> Iterator[Route]:
    for route in router.routes:
        if isinstance(route, Route):
            yield route
        else:
            yield from routes_of(route.original_router)  # type: ignore[attr-defined]  # FastAPI's


def test_the_table_names_every_route() -> None:
    app: FastAPI = create_app(settings_for("redis://127.0.0.1:1/0", "p"))
    found = {
        (method, route.path): route
        for route in routes_of(app.router)
        for method in (route.methods or set()) - {"HEAD"}
        if not (route.path == PAGES[0] or route.path.startswith(PAGES[1]))
    }
    assert found.keys() == TABLE.keys()
    for place, route in found.items():
        assert isinstance(route, GuardedRoute) == (TABLE[place] is not OPEN), place


def test_a_route_without_a_role_cannot_be_made() -> None:
    router = APIRouter(route_class=GuardedRoute)
    with pytest.raises(TypeError, match="which role"):
        router.get("/open")(lambda: None)


CALLERS = {
    "nobody": {},
    "a stranger": {"X-API-Key": "prk_key-of-nobody"},
    "an empty key": {"X-API-Key": ""},
    "a hash": {"X-API-Key": "0" * 64},
    "an endless key": {"X-API-Key": KEYS[ADMIN] + "x" * 5_000},
    **{role.value: headers_of(role) for role in Role},
}
RANK = {READ: 1, LEASE: 2, ADMIN: 3}


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("place", TABLE, ids=" ".join)
def test_role_by_endpoint(service: Service, place: tuple[str, str], who: str) -> None:
    method, path = place
    for name in ("pool_id", "proxy_id", "lease_id"):
        path = path.replace(f"{{{name}}}", str(uuid.uuid4()))
    needed = TABLE[place]
    # A body that is no JSON: who is let in gets 422 or 415, who is not never has it read.
    content = b"{" if method in ("POST", "PATCH") and "release" not in path else None
    with httpx.Client(base_url=service.url, verify=False) as client:
        reply = client.request(
            method,
            path,
            headers={**CALLERS[who], "content-type": "application/json"},
            content=content,
        )
    role = Role(who) if who in list(Role) else None
    if needed is OPEN:
        assert reply.status_code == 200
    elif role is None:
        assert problem(reply, 401).detail
        assert reply.headers["www-authenticate"].startswith("ApiKey")
        assert KEYS[ADMIN] not in reply.text
    elif RANK[role] < RANK[needed]:
        assert needed.value in problem(reply, 403).detail
    else:
        assert reply.status_code not in (401, 403)
        assert reply.status_code < 500


def test_a_key_that_comes_twice_is_none(service: Service) -> None:
    both = [("X-API-Key", KEYS[READ]), ("X-API-Key", KEYS[ADMIN])]
    problem(httpx.get(f"{service.url}/v1/whoami", headers=both), 401)


def test_whoami_tells_name_and_role(service: Service) -> None:
    for role in Role:
        with service.client(role) as client:
            assert client.get("/v1/whoami").json() == {"name": role.value, "role": role.value}
