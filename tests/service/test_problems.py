"""Whatever is wrong with a request is told in a problem document, and without quoting secrets."""

from __future__ import annotations

import json
import sys
import uuid
from typing import Any

import httpx
import pytest

from pharox_redis import CorruptRecordError
from pharox_redis.service.api_keys import Role
from pharox_redis.service.app import create_app
from tests.service.serving import (
    Service,
    headers_of,
    listening,
    problem,
    serving,
    settings_for,
)

SECRET = "s3cret-passw0rd"
PACKAGE = "pharox_redis.service"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/pools", 404),
        ("GET", "/v1//pools/", 404),
        ("PUT", "/v1/pools/", 405),
        ("DELETE", "/healthz", 405),
        ("GET", "/v1/pools/not-an-id", 422),
        ("GET", "/v1/leases/", 422),
        ("GET", "/v1/leases/?pool_id=x", 422),
        ("GET", "/v1/pools/?limit=0", 422),
        ("GET", "/v1/pools/?limit=1001", 422),
        ("GET", "/v1/pools/?limit=many", 422),
        ("GET", f"/v1/pools/?after={'x' * 2_401}", 422),
    ],
)
def test_paths_and_parameters(admin: httpx.Client, method: str, path: str, status: int) -> None:
    document = problem(admin.request(method, path), status)
    if status == 422:
        assert document.errors and document.errors[0].parameter
    if path == "/v1/pools":
        assert "slash" in document.detail


GOOD = {"host": "192.0.2.1", "port": 80}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/host"),
        ([], "#"),
        ("text", "#"),
        (None, "#"),
        ({**GOOD, "host": ""}, "#/host"),
        ({**GOOD, "host": "not a host"}, "#/host"),
        ({**GOOD, "host": "192.0.2.999"}, "#/host"),
        ({**GOOD, "host": "h" * 300}, "#/host"),
        ({**GOOD, "port": 0}, "#/port"),
        ({**GOOD, "port": 65536}, "#/port"),
        ({**GOOD, "protocol": "ftp"}, "#/protocol"),
        ({**GOOD, "status": "tired"}, "#/status"),
        ({**GOOD, "max_concurrency": 0}, "#/max_concurrency"),
        ({**GOOD, "max_concurrency": 2**40}, "#/max_concurrency"),
        ({**GOOD, "asn": -1}, "#/asn"),
        ({**GOOD, "asn": 2**32}, "#/asn"),
        ({**GOOD, "latitude": 91, "longitude": 0}, "#/latitude"),
        ({**GOOD, "latitude": 1}, "#"),
        ({**GOOD, "username": "u"}, "#"),
        ({**GOOD, "password": SECRET}, "#"),
        ({**GOOD, "username": " ", "password": SECRET}, "#"),
        ({**GOOD, "username": "u", "password": "\ud800" + SECRET}, "#/password"),
        ({**GOOD, "username": "u", "password": SECRET * 200}, "#/password"),
        ({**GOOD, "username": "u", "password": [SECRET]}, "#/password"),
        ({**GOOD, "country": "x" * 201}, "#/country"),
        ({**GOOD, "city": "\udfff"}, "#/city"),
        ({**GOOD, "passwort": SECRET}, "#/passwort"),
    ],
)
def test_bodies(admin: httpx.Client, service: Service, body: Any, pointer: str) -> None:
    pool_id = service.pool(0)
    reply = admin.post(
        f"/v1/pools/{pool_id}/proxies/",
        content=json.dumps(body),
        headers={"content-type": "application/json"},
    )
    document = problem(reply, 422)
    assert document.type == "urn:pharox-redis:problem:invalid-request"
    assert document.errors and document.errors[0].pointer == pointer
    assert SECRET not in reply.text
    assert admin.get(f"/v1/pools/{pool_id}/proxies/").json() == []


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b'{"host": "192.0.2.1", "port": 1' + b"0" * 5000 + b"}", b"[" * 9999]
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
def test_what_is_no_json(admin: httpx.Client, content: bytes, kind: str) -> None:
    path = f"/v1/pools/{uuid.uuid4()}/proxies/"
    reply = admin.post(path, content=content, headers={"content-type": kind})
    problem(reply, reply.status_code)
    assert reply.status_code in (400, 422)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"ttl_seconds": 0}, "#/ttl_seconds"),
        ({"ttl_seconds": 0.0009}, "#/ttl_seconds"),
        ({"ttl_seconds": 86_401}, "#/ttl_seconds"),
        ({"ttl_seconds": 1e300}, "#/ttl_seconds"),
        ({"ttl_seconds": True}, "#/ttl_seconds"),
        ({"ttl_seconds": "300"}, "#/ttl_seconds"),
        ({"consumer_id": ""}, "#/consumer_id"),
        ({"consumer_id": "  "}, "#/consumer_id"),
        ({"consumer_id": "a\nb"}, "#/consumer_id"),
        ({"consumer_id": "x" * 201}, "#/consumer_id"),
        ({"consumer_id": "\ud800"}, "#/consumer_id"),
        ({"strategy": "best"}, "#/strategy"),
        ({"ttl": 5}, "#/ttl"),
        ({"filters": {"countri": "AR"}}, "#/filters/countri"),
        ({"filters": {"predicate": "lambda: 1"}}, "#/filters/predicate"),
        ({"filters": {"radius_km": 5}}, "#/filters"),
        ({"filters": {"latitude": 5}}, "#/filters"),
        ({"filters": {"all_of": [{"asn": "x"}]}}, "#/filters/all_of/0/asn"),
        ({"filters": {"any_of": [{}] * 32}}, "#/filters"),
        ({"filters": {"any_of": [{"none_of": [{}] * 31}]}}, "#/filters"),
        ({"filters": {"all_of": [{"all_of": [{"all_of": [{"all_of": [{}]}]}]}]}}, "#/filters"),
    ],
)
def test_bodies_of_leases(
    leaser: httpx.Client, service: Service, change: dict[str, Any], pointer: str
) -> None:
    body = json.dumps({"pool_id": str(uuid.uuid4()), "consumer_id": "c", **change})
    reply = leaser.post("/v1/leases/", content=body, headers={"content-type": "application/json"})
    document = problem(reply, 422)
    assert document.errors and document.errors[0].pointer == pointer


def test_the_largest_filters_are_taken(leaser: httpx.Client, service: Service) -> None:
    filters: dict[str, Any] = {"any_of": [{"country": str(n)} for n in range(29)]}
    filters = {"all_of": [{"any_of": [filters]}]}
    body = {"pool_id": service.pool(1), "consumer_id": "c", "ttl_seconds": 0.001}
    problem(leaser.post("/v1/leases/", json={**body, "filters": filters}), 409)
    assert leaser.post("/v1/leases/", json=body).status_code == 201


@pytest.mark.parametrize("name", ["", " ", "a\tb", "x" * 201, "\ud800"])
def test_names_of_pools(admin: httpx.Client, name: str) -> None:
    body = json.dumps({"name": name})
    reply = admin.post("/v1/pools/", content=body, headers={"content-type": "application/json"})
    document = problem(reply, 422)
    assert document.errors and document.errors[0].pointer == "#/name"


def test_a_cursor_that_is_none(admin: httpx.Client, service: Service) -> None:
    pool_id = service.pool(1)
    for path in (f"/v1/pools/{pool_id}/proxies/?after=x", f"/v1/leases/?pool_id={pool_id}&after=x"):
        document = problem(admin.get(path), 422)
        assert document.errors and document.errors[0].parameter == "after"


def test_an_error_of_ours_is_500_without_its_text(
    valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A record that is damaged: the storage's error names it, and the client is not told."""
    with serving(valkey_url) as service, service.client() as admin:
        pool_id = service.pool(1)
        keys = list(
            service.storage.client.scan_iter(f"{service.storage.settings.key_prefix}:*doc:*")
        )
        kept = service.storage.client.get(keys[0])
        service.storage.client.set(keys[0], f'{{"{SECRET}": 1')
        for reply in (
            admin.get(f"/v1/pools/{pool_id}/proxies/"),
            admin.post(
                f"/v1/pools/{pool_id}/proxies/bulk",
                content=b'{"host": "192.0.2.1", "port": 8080}',
                headers={"content-type": "application/x-ndjson"},
            ),
        ):
            document = problem(reply, 500)
            assert document.type == "about:blank"
            assert "log" in document.detail
        reply = admin.post("/v1/leases/", json={"pool_id": pool_id, "consumer_id": "c"})
        document = problem(reply, 503)
        assert document.type.endswith(":record-damaged")
        assert document.detail == "A proxy's record is damaged; run pharox-redis doctor --repair."
        assert caplog.text.count("its document is missing or is not JSON") == 1
        assert service.active(pool_id) == [], "a lease whose proxy cannot be told was kept"
        assert caplog.text.count(f"{CorruptRecordError.__name__}\n") == 2
        assert SECRET not in caplog.text
        service.storage.client.set(keys[0], kept)
        assert admin.get("/healthz").status_code == 200


@pytest.mark.parametrize("left", [None, "{"], ids=["lost", "unreadable"])
def test_a_damaged_proxy_can_be_deleted(valkey_url: str, left: str | None) -> None:
    """By its pool, and no other; then the pool serves again."""
    with serving(valkey_url) as service, service.client() as admin:
        pool_id, other = service.pool(2), service.pool(0)
        first = admin.get(f"/v1/pools/{pool_id}/proxies/").json()[0]["id"]
        (key,) = service.storage.client.scan_iter(f"*:doc:{first}")
        if left is None:
            service.storage.client.delete(key)
        else:
            service.storage.client.set(key, left)
        body = {"pool_id": str(pool_id), "consumer_id": "c"}
        assert problem(admin.post("/v1/leases/", json=body), 503)
        assert admin.delete(f"/v1/pools/{other}/proxies/{first}").status_code >= 400
        assert service.storage.client.hlen(key.replace(b":doc:", b":proxy:")), "deleted by another"
        assert admin.delete(f"/v1/pools/{pool_id}/proxies/{first}").status_code == 204
        problem(admin.delete(f"/v1/pools/{pool_id}/proxies/{first}"), 404)
        assert admin.post("/v1/leases/", json=body).status_code == 201


def test_without_redis_it_is_503_soon(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody listens there. The process is alive all the same."""
    app = create_app(settings_for("redis://user:hidden@127.0.0.1:1/0", "p"))
    with listening(app) as url, httpx.Client(base_url=url, headers=headers_of(Role.ADMIN)) as admin:
        body = {"pool_id": str(uuid.uuid4()), "consumer_id": "c"}
        for reply in (
            admin.post("/v1/leases/", json=body),
            admin.get("/v1/overview"),
            admin.get("/v1/pools/"),
            admin.get("/readyz"),
        ):
            document = problem(reply, 503)
            assert reply.headers["retry-after"] == "1"
            assert reply.elapsed.total_seconds() < 5
            assert "127.0.0.1" not in document.detail
        assert admin.get("/healthz").json() == {"status": "ok"}
        assert "hidden" not in caplog.text


def test_no_exception_is_raised_twice() -> None:
    """Each raise of one that is kept would add to its traceback: frames, with all that is in them,
    for ever."""
    for module in [each for name, each in sys.modules.items() if name.startswith(PACKAGE)]:
        kept = [name for name, value in vars(module).items() if isinstance(value, BaseException)]
        assert not kept, f"{module.__name__}: {kept}"
