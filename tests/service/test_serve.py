"""``pharox-redis serve`` as a process: how it starts, how it refuses to, and how it stops."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from typer.testing import CliRunner

from pharox_redis.cli.commands import app
from pharox_redis.service.api_keys import Role
from pharox_redis.service.serve import address_of, listen
from pharox_redis.service.settings import ServiceSettings
from tests.service.serving import API_KEYS, headers_of, serving, wait_for

ADDRESS = re.compile(r"The lease service is at (http://\S+)")
KEYS = " ".join(key.line for key in API_KEYS)


class Running:
    """The command, and what it has said so far."""

    def __init__(self, *args: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pharox_redis", "serve", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PHAROX_REDIS_SWEEP_SECONDS": "0", **environment},
        )
        self.said = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said += line

    @property
    def url(self) -> str:
        """Where it serves, once it does."""
        found = wait_for(lambda: ADDRESS.search(self.said) or self.process.poll() is not None, 30)
        assert found is not True, self.said
        url = found[1]
        wait_for(lambda: answers(f"{url}/healthz"), 30)
        return str(url)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join(10)
        assert self.process.stdout
        self.process.stdout.close()
        return code


def answers(url: str) -> bool:
    try:
        return httpx.get(url, verify=False).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def running(*args: str, **environment: str) -> Iterator[Running]:
    started = Running("--port", "0", *args, **environment)
    try:
        yield started
    finally:
        started.end(signal.SIGKILL)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_it_serves_until_a_signal_and_stops_in_good_order(
    valkey_url: str, number: signal.Signals
) -> None:
    with running(PHAROX_REDIS_URL=valkey_url, PHAROX_REDIS_API_KEYS=KEYS) as service:
        url = service.url
        assert httpx.get(f"{url}/readyz").status_code == 200
        with httpx.Client(base_url=url, headers=headers_of(Role.READ)) as client:
            assert client.get("/v1/whoami").status_code == 200
            assert service.end(number) == (0 if number == signal.SIGTERM else 130)
            with pytest.raises(httpx.TransportError):
                client.get("/v1/whoami")
        assert "read (read), lease (lease), admin (admin)" in service.said
        assert "Traceback" not in service.said
        assert all(key.digest not in service.said for key in API_KEYS)


def test_a_request_that_is_under_way_is_answered_and_the_port_closed_first(
    valkey_url: str,
) -> None:
    with running(PHAROX_REDIS_URL=valkey_url) as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(
                b"POST /v1/pools/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
                b"Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n"
            )
            # It asks for the body: the request is under way.
            assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
            service.process.send_signal(signal.SIGTERM)
            wait_for(lambda: refused(host, int(port)))
            assert service.process.poll() is None
            connection.sendall(b"{}")
            assert connection.recv(1000).startswith(b"HTTP/1.1 422 ")
        assert service.end() == 0


def refused(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def test_workers_share_the_port(valkey_url: str) -> None:
    with running("--workers", "2", PHAROX_REDIS_URL=valkey_url) as service:
        url = service.url
        wait_for(lambda: service.said.count("Application startup complete") == 2, 30)
        for _ in range(4):
            assert httpx.get(f"{url}/v1/whoami", verify=False).json()["role"] == "admin"
        host, port = url.removeprefix("http://").split(":")
        assert service.end() == 0
        assert refused(host, int(port))
        assert service.said.count("Application shutdown complete") == 2


@pytest.mark.slow
def test_it_brings_a_server_along() -> None:
    with running("--embedded", "--quiet") as service:
        url = service.url
        reply = httpx.post(f"{url}/v1/pools/", json={"name": "a"}, verify=False)
        assert reply.status_code == 201
        assert service.end() == 0
        assert "POST" not in service.said


def refuse(*args: str, **environment: str) -> str:
    """What it says while it refuses to start: with code 2, and no traceback."""
    result = CliRunner().invoke(app, ["serve", *args], env=environment)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert "s3cret" not in result.output
    return result.output


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refuse("--port", str(port))
    assert f"port {port}" in said
    assert "PHAROX_REDIS_LISTEN_PORT" in said


def test_without_keys_it_binds_to_this_machine_only() -> None:
    for host in ("0.0.0.0", "::"):
        assert "PHAROX_REDIS_API_KEYS" in refuse("--host", host, "--port", "0")
    settings = {"listen_host": "0.0.0.0", "listen_port": 0}
    with listen(ServiceSettings(api_keys=API_KEYS, **settings)) as listener:  # type: ignore[arg-type]
        assert address_of(listener).startswith("http://0.0.0.0:")
    with listen(ServiceSettings(listen_host="::1", listen_port=0)) as listener:
        assert address_of(listener).startswith("http://[::1]:")


@pytest.mark.parametrize(
    ("args", "environment", "word"),
    [
        ([], {"PHAROX_REDIS_URL": "http://u:s3cret@h"}, "PHAROX_REDIS_URL"),
        ([], {"PHAROX_REDIS_SWEEP_SECONDS": "often"}, "PHAROX_REDIS_SWEEP_SECONDS"),
        (["--url", "redis://u:s3cret@h:x"], {}, "PHAROX_REDIS_URL"),
        (["--prefix", "{x}"], {}, "PHAROX_REDIS_PREFIX"),
        (["--host", "192.0.2.1"], {"PHAROX_REDIS_API_KEYS": KEYS}, "PHAROX_REDIS_LISTEN_HOST"),
        (["--embedded", "--url", "redis://localhost"], {}, "--url"),
        (["--new-key", "a b"], {}, "name"),
        (["--new-key", "a", "--role", "boss"], {}, "role"),
    ],
)
def test_mistakes_are_said(args: list[str], environment: dict[str, str], word: str) -> None:
    assert word in refuse(*args, **environment)


def test_a_new_key_can_be_used(valkey_url: str) -> None:
    result = CliRunner().invoke(app, ["serve", "--new-key", "ci", "--role", "read"])
    assert result.exit_code == 0
    key, line = result.stdout.splitlines()
    with serving(valkey_url, api_keys=line) as service:
        reply = httpx.get(f"{service.url}/v1/whoami", headers={"X-API-Key": key}, verify=False)
        assert reply.json() == {"name": "ci", "role": "read"}


def test_it_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("pharox_redis.service")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = CliRunner().invoke(app, ["serve"])
    assert result.exit_code == 1
    assert "pip install 'pharox-redis[service]'" in result.stderr


@pytest.mark.slow
def test_uvicorn_finds_it_by_name(valkey_url: str) -> None:
    """Without our command, as ``uvicorn pharox_redis.service.app:app --workers 2``."""
    environment = {**os.environ, "PHAROX_REDIS_URL": valkey_url}
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "pharox_redis.service.app:app", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr
    try:
        for line in process.stderr:
            if found := re.search(r"running on (http://127.0.0.1:\d+)", line):
                assert httpx.get(f"{found[1]}/readyz", verify=False).status_code == 200
                break
        else:
            raise AssertionError("it did not start")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stderr.close()
