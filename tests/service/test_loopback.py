"""Without API keys only programs on this machine are served, and no pages of others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from pharox_redis.service.app import create_app
from pharox_redis.service.loopback import is_loopback
from tests.service.serving import Service, problem, serving, settings_for


@pytest.fixture(scope="module")
def service(valkey_url: str) -> Iterator[Service]:
    """A service without keys."""
    with serving(valkey_url, api_keys=()) as running:
        yield running


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("app.localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("localhost.example.net", False),
        ("127.0.0.1.example.net", False),
        ("", False),
    ],
)
def test_which_hosts_are_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_this_machine_may_do_everything(service: Service) -> None:
    with service.client(None) as client:
        assert client.get("/v1/whoami").json() == {"name": "anonymous", "role": "admin"}
        assert client.post("/v1/pools/", json={"name": "a"}).status_code == 201
        assert client.get("/v1/whoami", headers={"X-API-Key": "any"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "10.0.0.1", "localhost.evil.example", "[::2]", ""]
)
def test_a_name_that_was_rebound_is_refused(service: Service, host: str) -> None:
    with service.client(None) as client:
        reply = client.get("/v1/pools/", headers={"Host": host})
        document = problem(reply, 403)
        assert document.type == "urn:pharox-redis:problem:no-keys"
        assert "PHAROX_REDIS_API_KEYS" in document.detail
        assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:80", "[::1]:8000"])
def test_this_machines_names_are_taken(service: Service, host: str) -> None:
    with service.client(None) as client:
        assert client.get("/v1/pools/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://10.0.0.1", "http://["])
def test_pages_of_others_are_refused(service: Service, origin: str) -> None:
    with service.client(None) as client:
        problem(client.post("/v1/pools/", json={"name": "b"}, headers={"Origin": origin}), 403)
        own = {"Origin": service.url}
        assert client.get("/v1/pools/", headers=own).status_code == 200


def test_a_client_from_elsewhere_is_refused(service: Service) -> None:
    """As behind a proxy on this machine that forwards for others: uvicorn believes its header."""
    with service.client(None) as client:
        problem(client.get("/v1/pools/", headers={"X-Forwarded-For": "203.0.113.9"}), 403)


@pytest.mark.parametrize(
    ("client", "server"), [("203.0.113.9", "127.0.0.1"), ("127.0.0.1", "203.0.113.1")]
)
def test_a_socket_that_others_can_reach_serves_nobody_there(
    valkey_url: str, client: str, server: str
) -> None:
    """``uvicorn --host 0.0.0.0`` does not ask us first."""
    app = create_app(settings_for(valkey_url, "p", api_keys=()))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{server}:80") as asking:
            return await asking.get("/v1/whoami", headers={"Host": "localhost"})

    assert "loopback" in problem(asyncio.run(ask()), 403).detail


def test_with_keys_names_do_not_matter(valkey_url: str) -> None:
    with serving(valkey_url) as running, running.client() as client:
        headers = {"Host": "leases.example.net", "Origin": "https://leases.example.net"}
        assert client.get("/v1/pools/", headers=headers).status_code == 200
