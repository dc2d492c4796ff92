"""Bodies, pages and names have bounds, also for clients that do not say how much is to come."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from pharox_redis.service.api_keys import Role
from tests.service.serving import KEYS, Service, problem, serving
from tests.support.builders import make_proxies

LARGEST = 2_000


@pytest.fixture(scope="module")
def service(valkey_url: str) -> Iterator[Service]:
    """A service with small limits."""
    with serving(
        valkey_url, max_body_bytes=LARGEST, max_bulk_bytes=LARGEST * 2, body_seconds=1.0
    ) as running:
        yield running


def pool_of(size: int) -> bytes:
    """A pool's JSON, of so many bytes."""
    frame = b'{"name": "%s", "description": ""}' % uuid.uuid4().hex.encode()
    return frame.replace(b": ", b": " + b" " * (size - len(frame)), 1)


JSON = {"content-type": "application/json"}


def test_the_longest_body_is_taken(admin: httpx.Client) -> None:
    assert admin.post("/v1/pools/", content=pool_of(LARGEST), headers=JSON).status_code == 201


def test_a_longer_one_is_413(admin: httpx.Client) -> None:
    reply = admin.post("/v1/pools/", content=pool_of(LARGEST + 1), headers=JSON)
    assert "2,000" in problem(reply, 413).detail
    assert reply.headers["connection"] == "close"


@pytest.mark.parametrize("size", [LARGEST, LARGEST + 1])
def test_chunks_are_counted(service: Service, size: int) -> None:
    async def send() -> httpx.Response:
        async def chunks() -> AsyncIterator[bytes]:
            body = pool_of(size)
            for start in range(0, size, 300):
                yield body[start : start + 300]

        async with service.async_client() as client:
            return await client.post("/v1/pools/", content=chunks(), headers=JSON)

    reply = asyncio.run(send())
    assert "content-length" not in reply.request.headers
    if size > LARGEST:
        problem(reply, 413)
    else:
        assert reply.status_code == 201


def raw(service: Service, *parts: bytes) -> tuple[bytes, socket.socket]:
    """Send raw bytes; the head of the reply, and the connection."""
    where = urlsplit(service.url)
    connection = socket.create_connection((where.hostname or "", where.port or 0), timeout=5)
    for part in parts:
        connection.sendall(part)
    reply = b""
    while b"\r\n\r\n" not in reply and (data := connection.recv(1 << 16)):
        reply += data
    return reply, connection


def head(path: str, *lines: str, method: str = "POST", role: Role = Role.ADMIN) -> bytes:
    always = ("Host: localhost", f"X-API-Key: {KEYS[role]}", "Content-Type: application/json")
    return "\r\n".join((f"{method} {path} HTTP/1.1", *always, *lines, "", "")).encode()


def test_a_declared_length_is_refused_before_any_of_it_comes(service: Service) -> None:
    reply, connection = raw(service, head("/v1/pools/", "Content-Length: 99999999999"))
    with connection:
        assert reply.startswith(b"HTTP/1.1 413 ")
        assert b"application/problem+json" in reply


def test_an_endless_body_is_cut_off(service: Service) -> None:
    chunk = b"3e8\r\n" + b" " * 1000 + b"\r\n"
    reply, connection = raw(
        service, head("/v1/pools/", "Transfer-Encoding: chunked"), chunk, chunk, chunk
    )
    with connection:
        assert reply.startswith(b"HTTP/1.1 413 ")
        with contextlib.suppress(ConnectionError):  # closed: whoever goes on sending is told
            while connection.recv(1 << 16):
                pass


def test_a_body_that_does_not_come_is_not_waited_for(service: Service) -> None:
    reply, connection = raw(service, head("/v1/pools/", "Content-Length: 100"), b'{"name"')
    with connection:
        assert reply.startswith(b"HTTP/1.1 408 ")


def test_a_stranger_need_not_send_a_body_to_be_refused(service: Service) -> None:
    request = head("/v1/pools/", "Content-Length: 100").replace(KEYS[Role.ADMIN].encode(), b"x")
    reply, connection = raw(service, request)
    with connection:
        assert reply.startswith(b"HTTP/1.1 401 ")


def test_a_bulk_has_its_own_limit(admin: httpx.Client, service: Service) -> None:
    path = f"/v1/pools/{service.pool(0)}/proxies/bulk"
    headers = {"content-type": "application/x-ndjson"}
    assert admin.post(path, content=b" " * LARGEST * 2, headers=headers).status_code == 200
    problem(admin.post(path, content=b" " * (LARGEST * 2 + 1), headers=headers), 413)
    # Which another method, that is held whole, does not share.
    problem(admin.patch(path, content=b" " * (LARGEST + 1)), 413)


def test_pages_of_proxies(admin: httpx.Client, service: Service) -> None:
    pool_id = service.pool(0)
    path: str | None = f"/v1/pools/{pool_id}/proxies/"
    for number in range(7):
        body = {"host": f"192.0.2.{number}", "port": 80, "country": "AR" if number % 2 else "BR"}
        assert admin.post(f"{path}", json=body).status_code == 201
    whole = admin.get(f"{path}")
    assert "link" not in whole.headers
    pages = []
    reply = admin.get(f"{path}?limit=3")
    while True:
        pages.append([proxy["host"] for proxy in reply.json()])
        if "next" not in reply.links:
            break
        after = reply.headers["x-next-after"]
        assert f"after={after}" in reply.links["next"]["url"]
        reply = admin.get(reply.links["next"]["url"])
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [host for page in pages for host in page] == [proxy["host"] for proxy in whole.json()]

    # With a filter each page ends where the next begins, too.
    found, url = [], f"{path}?limit=2&country=AR"
    while url:
        reply = admin.get(url)
        found += [proxy["host"] for proxy in reply.json()]
        url = reply.links.get("next", {}).get("url", "")
    assert found == ["192.0.2.1", "192.0.2.3", "192.0.2.5"]


@pytest.mark.parametrize(
    ("query", "hosts"),
    [
        ("status=banned", ["b.example"]),
        ("status=active&country=AR", ["a.example"]),
        ("protocol=socks5", ["b.example"]),
        ("q=EXAMPLE", ["a.example", "b.example"]),
        ("q=rosa", ["b.example"]),
        ("q=ana", ["a.example"]),
        ("q=nobody", []),
    ],
)
def test_filters_of_lists(
    admin: httpx.Client, service: Service, query: str, hosts: list[str]
) -> None:
    path = f"/v1/pools/{service.pool(0)}/proxies/"
    both = {"port": 80, "country": "AR"}
    admin.post(path, json={**both, "host": "a.example", "username": "Ana", "password": "x"})
    second = {"host": "b.example", "city": "Rosario", "status": "banned", "protocol": "socks5"}
    admin.post(path, json={**both, **second})
    assert [proxy["host"] for proxy in admin.get(f"{path}?{query}").json()] == hosts


def test_pages_of_pools_and_leases(admin: httpx.Client, service: Service) -> None:
    pool_id = service.pool(5)
    for number in range(5):
        body = {"pool_id": pool_id, "consumer_id": f"c{number}", "ttl_seconds": 100 + number}
        assert admin.post("/v1/leases/", json=body).status_code == 201
    names, url = [], f"/v1/leases/?pool_id={pool_id}&limit=2"
    while url:
        reply = admin.get(url)
        assert len(reply.json()) <= 2
        names += [lease["consumer_name"] for lease in reply.json()]
        url = reply.links.get("next", {}).get("url", "")
    assert names == [f"c{number}" for number in range(5)]

    all_names = [pool["name"] for pool in admin.get("/v1/pools/").json()]
    found, url = [], "/v1/pools/?limit=2"
    while url:
        reply = admin.get(url)
        found += [pool["name"] for pool in reply.json()]
        url = reply.links.get("next", {}).get("url", "")
    assert found == all_names


@pytest.mark.parametrize("name", ["北京", "ñandú", "50% off", "a ", " a", "a+b&c=d", "名" * 199])
def test_pages_of_pools_with_any_name(valkey_url: str, name: str) -> None:
    """A header has ASCII, and no blanks at its ends; a pool's name may have all that."""
    with serving(valkey_url) as service, service.client() as admin:
        for each in (name, f"{name}~"):
            assert admin.post("/v1/pools/", json={"name": each}).status_code == 201
        first = admin.get("/v1/pools/", params={"limit": 1})
        assert [pool["name"] for pool in first.json()] == [name]
        for following in (
            admin.get(first.links["next"]["url"]),
            admin.get("/v1/pools/", params={"limit": 1, "after": first.headers["x-next-after"]}),
        ):
            assert [pool["name"] for pool in following.json()] == [f"{name}~"]
            assert "link" not in following.headers
        for pool in admin.get("/v1/pools/").json():
            admin.delete(f"/v1/pools/{pool['id']}")


def test_small_pages_with_a_filter_take_no_trip_for_each_proxy(
    admin: httpx.Client, service: Service
) -> None:
    pool_id = service.pool(0)
    service.storage.add_proxies_bulk(
        make_proxies(service.storage.get_pool(pool_id), 1_200, country="BR")
        + make_proxies(service.storage.get_pool(pool_id), 3, country="AR")
    )

    def trips() -> int:
        return int(service.storage.client.info("commandstats")["cmdstat_evalsha"]["calls"])

    path = f"/v1/pools/{pool_id}/proxies/?limit=1&country="
    admin.get(f"{path}AR")
    before = trips()
    assert admin.get(f"{path}XX").json() == []
    assert trips() - before <= 5
    found, url = [], f"{path}AR"
    while url:
        reply = admin.get(url)
        assert len(reply.json()) <= 1
        found += [proxy["id"] for proxy in reply.json()]
        url = reply.links.get("next", {}).get("url", "")
    assert len(set(found)) == len(found) == 3
    assert trips() - before <= 20
