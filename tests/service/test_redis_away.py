"""Redis stopped, silent, back again: clients hear soon, and the service needs no restart."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import httpx
import pytest

from pharox_redis.embedded import EmbeddedServer
from pharox_redis.service.api_keys import Role
from pharox_redis.service.app import create_app
from tests.service.serving import (
    Service,
    headers_of,
    listening,
    problem,
    serving,
    settings_for,
    wait_for,
)


def test_stopped_and_started(caplog: pytest.LogCaptureFixture) -> None:
    with EmbeddedServer() as server, serving(server.url, sweep_seconds=0.05) as service:
        pool_id = service.pool(2)
        body = {"pool_id": pool_id, "consumer_id": "c"}
        with service.client() as client:
            lease = client.post("/v1/leases/", json=body).json()
            server.stop()
            for reply in (
                client.post("/v1/leases/", json=body),
                client.post("/v1/leases/", json=body, headers={"Idempotency-Key": "k"}),
                client.post(f"/v1/leases/{lease['id']}/release"),
                client.get("/v1/overview"),
                client.get("/readyz"),
            ):
                problem(reply, 503)
                assert reply.headers["retry-after"]
                assert reply.elapsed.total_seconds() < 5
            assert client.get("/healthz").status_code == 200
            server.restart()
            wait_for(lambda: client.get("/readyz").status_code == 200)
            assert client.post(f"/v1/leases/{lease['id']}/release").status_code == 200
            assert client.post("/v1/leases/", json=body).status_code == 201
            wait_for(lambda: "Sweeping works again" in caplog.text)
        assert caplog.text.count("Sweeping failed") == 1


def test_silent() -> None:
    """It takes connections, and says nothing: a request waits a second or two, not a minute."""
    with EmbeddedServer() as server, serving(server.url, server_timeout=0.3) as service:
        pool_id = service.pool(2)
        body = {"pool_id": pool_id, "consumer_id": "c"}
        with service.client() as client:
            client.post(f"/v1/leases/{client.post('/v1/leases/', json=body).json()['id']}/release")
            assert server.pid
            os.kill(server.pid, signal.SIGSTOP)
            try:
                began = time.monotonic()
                problem(client.post("/v1/leases/", json=body), 503)
                problem(client.get("/readyz"), 503)
                assert time.monotonic() - began < 8
            finally:
                os.kill(server.pid, signal.SIGCONT)
            wait_for(lambda: client.get("/readyz").status_code == 200)
            # What could not be answered was not leased either.
            wait_for(lambda: not service.active(pool_id))
            assert client.post("/v1/leases/", json=body).status_code == 201


def test_many_requests_while_it_is_silent_do_not_queue_up(valkey_url: str) -> None:
    """Each waits for the server on its own: the last is answered as soon as the first."""
    with EmbeddedServer() as server, serving(server.url, server_timeout=0.3) as service:
        pool_id = service.pool(1)
        assert server.pid
        os.kill(server.pid, signal.SIGSTOP)
        replies: list[httpx.Response] = []
        try:
            threads = [
                threading.Thread(target=lambda: replies.append(ask(service, pool_id)))
                for _ in range(20)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert [reply.status_code for reply in replies] == [503] * 20
        assert max(reply.elapsed.total_seconds() for reply in replies) < 8
        wait_for(lambda: not service.active(pool_id))


def test_what_waits_for_a_connection_while_it_is_silent_hears_soon() -> None:
    """More requests than there are connections: they do not wait in line for each other's ends."""
    with (
        EmbeddedServer() as server,
        serving(f"{server.url}?max_connections=4", server_timeout=0.3) as service,
    ):
        pool_id = service.pool(1)
        with service.client() as client:
            proxy_id = client.get(f"/v1/pools/{pool_id}/proxies/").json()[0]["id"]
            body = {"pool_id": pool_id, "consumer_id": "c"}
            lease = client.post("/v1/leases/", json=body).json()

        async def ask_all() -> list[httpx.Response]:
            limits = httpx.Limits(max_connections=200)
            async with service.async_client(limits=limits) as client:
                return await asyncio.gather(
                    *(client.get(f"/v1/pools/{pool_id}/proxies/{proxy_id}") for _ in range(60)),
                    *(client.post(f"/v1/leases/{lease['id']}/release") for _ in range(60)),
                    *(
                        client.post("/v1/leases/", json=body, headers={"Idempotency-Key": f"{n}"})
                        for n in range(30)
                    ),
                )

        assert server.pid
        os.kill(server.pid, signal.SIGSTOP)
        try:
            replies = asyncio.run(ask_all())
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert {reply.status_code for reply in replies} == {503}
        assert max(reply.elapsed.total_seconds() for reply in replies) < 6
        with service.client() as client:
            wait_for(lambda: client.get("/readyz").status_code == 200)
            assert client.post(f"/v1/leases/{lease['id']}/release").status_code == 200


def ask(service: Service, pool_id: str) -> httpx.Response:
    with service.client() as client:
        return client.post("/v1/leases/", json={"pool_id": pool_id, "consumer_id": "c"})


def test_full(service: Service) -> None:
    """Memory is full: nothing new, and what there is can be given back."""
    with EmbeddedServer() as server, serving(server.url) as full:
        pool_id = full.pool(2)
        body = {"pool_id": pool_id, "consumer_id": "c"}
        with full.client() as client:
            lease = client.post("/v1/leases/", json=body).json()
            full.storage.client.config_set("maxmemory", "1")
            document = problem(client.post("/v1/leases/", json=body), 503)
            assert document.type == "urn:pharox-redis:problem:storage-full"
            assert client.post(f"/v1/leases/{lease['id']}/release").status_code == 200
            full.storage.client.config_set("maxmemory", "0")
            assert client.post("/v1/leases/", json=body).status_code == 201


def test_rights_that_lack(caplog: pytest.LogCaptureFixture) -> None:
    """The operator's to mend: told as such, in the log by a line."""
    with EmbeddedServer() as server, serving(server.url) as whole:
        whole.storage.client.execute_command("ACL SETUSER nobody on >pw ~* +info +ping")
        url = f"redis://nobody:pw@127.0.0.1:{server.port}/0"
        app = create_app(settings_for(url, "p"))
        with listening(app) as where, httpx.Client(base_url=where, verify=False) as client:
            problem(client.get("/readyz"), 503)
            reply = client.get("/v1/pools/", headers=headers_of(Role.ADMIN))
            assert problem(reply, 500).type == "urn:pharox-redis:problem:storage-access"
        assert "refused access" in caplog.text
        assert "Traceback" not in caplog.text
