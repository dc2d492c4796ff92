"""A service under test: a real uvicorn on a loopback port, in a thread, before a real server."""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
import uvicorn
from pharox.models import Lease, LeaseStatus

from pharox_redis import RedisStorage, Settings
from pharox_redis.service.api_keys import ApiKey, Role, digest_of
from pharox_redis.service.app import create_app
from pharox_redis.service.outcomes import Outcome
from pharox_redis.service.problems import MEDIA_TYPE, ProblemDocument
from pharox_redis.service.settings import ServiceSettings
from tests.support.invariants import check_invariants

KEYS = {role: f"prk_key-of-{role}" for role in Role}
API_KEYS = tuple(ApiKey(role.value, role, digest_of(key)) for role, key in KEYS.items())


class Service:
    """Where it is, what it told its observers, and a storage that looks on."""

    def __init__(self, url: str, storage: RedisStorage, outcomes: list[Outcome]) -> None:
        self.url = url
        self.storage = storage
        self.outcomes = outcomes

    # Without certificates, which take longer to load than most tests: there is no TLS here.

    def client(self, role: Role | None = Role.ADMIN) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=headers_of(role), timeout=10, verify=False)

    def async_client(self, role: Role | None = Role.ADMIN, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url, headers=headers_of(role), timeout=20, verify=False, **options
        )

    def pool(self, proxies: int = 1, **values: Any) -> str:
        """A new pool with proxies, by HTTP; its id."""
        with self.client() as client:
            name = f"pool-{secrets.token_hex(4)}"
            pool_id = str(client.post("/v1/pools/", json={"name": name}).json()["id"])
            for number in range(proxies):
                body = {"host": f"192.0.2.{number + 1}", "port": 8080, "max_concurrency": 1}
                reply = client.post(f"/v1/pools/{pool_id}/proxies/", json={**body, **values})
                assert reply.status_code == 201, reply.text
        return pool_id

    def active(self, pool_id: str) -> list[Lease]:
        """The active leases of a pool, as the storage has them."""
        return [
            lease
            for lease in self.storage.list_leases()
            if lease.pool_id == UUID(pool_id) and lease.status is LeaseStatus.ACTIVE
        ]


def headers_of(role: Role | None) -> dict[str, str]:
    return {} if role is None else {"X-API-Key": KEYS[role]}


def settings_for(url: str, prefix: str, **values: Any) -> ServiceSettings:
    """Settings of a test: with keys, and no sweeps unless it asks for them."""
    given = {"url": url, "prefix": prefix, "api_keys": API_KEYS, "sweep_seconds": 0, **values}
    return ServiceSettings(**given)


@contextmanager
def listening(app: Any, **options: Any) -> Iterator[str]:
    """Have an application served on a free port; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, timeout_graceful_shutdown=5, **options
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            deadline = time.monotonic() + 10
            while not server.started:
                assert thread.is_alive() and time.monotonic() < deadline, "it did not start"
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


@contextmanager
def serving(redis_url: str, **values: Any) -> Iterator[Service]:
    """A service with a prefix of its own, whose invariants are checked at the end."""
    prefix = values.pop("prefix", None) or f"s{secrets.token_hex(5)}"
    outcomes: list[Outcome] = []
    app = create_app(settings_for(redis_url, prefix, **values), observers=[outcomes.append])
    with RedisStorage.from_url(redis_url, Settings(key_prefix=prefix)) as storage:
        with listening(app) as url:
            yield Service(url, storage, outcomes)
        check_invariants(storage)


def problem(reply: httpx.Response, status: int) -> ProblemDocument:
    """The problem document that a reply must be."""
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == MEDIA_TYPE
    document = ProblemDocument.model_validate(reply.json(), extra="forbid")
    assert document.status == status
    assert document.title and document.detail
    return document


def ndjson(*rows: Any) -> bytes:
    """A bulk's body."""
    return b"".join(
        (row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows
    )


def wait_for(what: Any, seconds: float = 10.0) -> Any:
    """Wait until ``what()`` is true; what it returned."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
    return found
