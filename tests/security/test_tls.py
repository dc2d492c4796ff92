"""TLS as docs/security.md says to switch it on: who may connect does, all others get our error.

The document's own settings and calls are used, with a test's names and files in their place.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from redis.backoff import NoBackoff
from redis.retry import Retry

from pharox_redis import RedisStorage
from pharox_redis.errors import StorageUnavailableError
from tests.security.rules import DOCUMENT, PASSWORD, set_user
from tests.security.tls import Files, issue, port_of, tls_server
from tests.security.work import build
from tests.support.own_servers import KINDS, own_server

ONCE: dict[str, Any] = {"retry": Retry(NoBackoff(), 0)}


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """The CA of a fleet."""
    return trustme.CA()


@pytest.fixture(scope="module")
def files(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The server's certificate."""
    return issue(tmp_path_factory.mktemp("tls"), ca, "server", "localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A certificate for the same host from a CA nobody trusts."""
    return issue(tmp_path_factory.mktemp("strange"), trustme.CA(), "x", "localhost", "client")


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which server is behind TLS."""
    return str(request.param)


# Seconds of the client's own patience: one kind of server is enough in the normal run.
waiting = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.slow] * (kind != KINDS[-1])) for kind in KINDS],
    indirect=True,
)


@pytest.fixture(scope="module")
def port(kind: str, files: Files) -> Iterator[int]:
    """A server with TLS that asks for no certificate of clients."""
    with tls_server(kind, files) as found:
        yield found


@pytest.fixture(scope="module")
def mutual_port(kind: str, files: Files) -> Iterator[int]:
    """A server with TLS that wants one."""
    with tls_server(kind, files, clients=True) as found:
        yield found


def url(port: int, scheme: str = "rediss") -> str:
    return f"{scheme}://localhost:{port}/0"


def assert_works(storage: RedisStorage) -> None:
    with storage:
        assert storage.ensure_pool("latam").id == storage.list_pools()[0].id


def assert_refused(storage: RedisStorage) -> None:
    with storage, pytest.raises(StorageUnavailableError):
        storage.list_pools()


def calls() -> list[str]:
    """The document's calls of ``from_url``."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.findall(r"```python\n([^`]*from_url\(\n[^`]*)```", text)


def run_call(code: str, port: int, files: Files, client: Files) -> RedisStorage:
    """One of them, with a test's host and files."""
    replaced = {
        f"scraper:{PASSWORD}@redis.example.net:6379": f"scraper:{PASSWORD}@localhost:{port}",
        "/etc/pharox/ca.crt": files.ca,
        "/etc/pharox/client.crt": client.cert,
        "/etc/pharox/client.key": client.key,
    }
    for old, new in replaced.items():
        code = code.replace(old, new)
    assert "/etc/pharox" not in code and "example.net" not in code
    scope: dict[str, Any] = {"RedisStorage": RedisStorage}
    exec(compile(code, DOCUMENT.name, "exec"), scope)
    storage = scope["storage"]
    assert isinstance(storage, RedisStorage)
    return storage


def test_the_documented_calls_work(
    port: int, mutual_port: int, files: Files, ca: trustme.CA, tmp_path: Path
) -> None:
    """Over TLS, as the scraper of the document."""
    client = issue(tmp_path, ca, "client", "scraper")
    simple, mutual = calls()
    for code, at in ((simple, port), (simple, port), (mutual, mutual_port)):
        with redis.Redis.from_url(
            url(at), ssl_ca_certs=files.ca, ssl_certfile=client.cert, ssl_keyfile=client.key
        ) as admin:
            set_user(admin, "scraper")
            build(url(at), admin)
        with run_call(code, at, files, client) as storage:
            lease = storage.acquire_lease("latam", "worker", 30)
            assert lease is not None
            storage.release_lease(lease)


def test_options_in_the_url_work_too(port: int, files: Files) -> None:
    assert_works(RedisStorage.from_url(f"{url(port)}?ssl_ca_certs={files.ca}"))


def test_a_ca_that_did_not_sign_is_refused(port: int, strange: Files) -> None:
    assert_refused(RedisStorage.from_url(url(port), ssl_ca_certs=strange.ca, **ONCE))


def test_a_ca_that_is_unknown_is_refused_by_default(port: int) -> None:
    assert_refused(RedisStorage.from_url(url(port), **ONCE))


def test_the_refusal_names_the_reason(port: int, strange: Files) -> None:
    storage = RedisStorage.from_url(url(port), ssl_ca_certs=strange.ca, **ONCE)
    with storage, pytest.raises(StorageUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
        storage.list_pools()


@waiting
@pytest.mark.timeout(60)
def test_a_refusal_ends_with_the_clients_own_retries(port: int, strange: Files) -> None:
    assert_refused(RedisStorage.from_url(url(port), ssl_ca_certs=strange.ca))


def test_another_hosts_certificate_is_refused(kind: str, ca: trustme.CA, tmp_path: Path) -> None:
    files = issue(tmp_path, ca, "other", "other.example.net")
    with tls_server(kind, files) as port:
        assert_refused(RedisStorage.from_url(url(port), ssl_ca_certs=files.ca, **ONCE))
        # The name is what was wrong with it, and checking it is the default.
        assert_works(
            RedisStorage.from_url(
                url(port), ssl_ca_certs=files.ca, ssl_check_hostname=False, **ONCE
            )
        )


def test_an_expired_certificate_is_refused(kind: str, ca: trustme.CA, tmp_path: Path) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    files = issue(tmp_path, ca, "old", "localhost", until=yesterday)
    with tls_server(kind, files) as port:
        assert_refused(RedisStorage.from_url(url(port), ssl_ca_certs=files.ca, **ONCE))


def test_a_client_without_a_certificate_is_refused(mutual_port: int, files: Files) -> None:
    assert_refused(RedisStorage.from_url(url(mutual_port), ssl_ca_certs=files.ca, **ONCE))


def test_a_strangers_client_certificate_is_refused(
    mutual_port: int, files: Files, strange: Files
) -> None:
    assert_refused(
        RedisStorage.from_url(
            url(mutual_port),
            ssl_ca_certs=files.ca,
            ssl_certfile=strange.cert,
            ssl_keyfile=strange.key,
            **ONCE,
        )
    )


def test_a_plain_url_is_refused_on_a_tls_port(port: int) -> None:
    assert_refused(RedisStorage.from_url(url(port, "redis"), socket_timeout=5, **ONCE))


@waiting
@pytest.mark.timeout(60)
def test_a_plain_url_does_not_hang_on_a_tls_port(port: int) -> None:
    assert_refused(RedisStorage.from_url(url(port, "redis")))


@waiting
@pytest.mark.timeout(60)
def test_a_tls_url_does_not_hang_on_a_plain_port(kind: str, files: Files) -> None:
    with own_server(kind) as server:
        assert_refused(
            RedisStorage.from_url(url(port_of(server.url)), ssl_ca_certs=files.ca, **ONCE)
        )


def test_nothing_is_said_without_tls(port: int) -> None:
    """Not even to a PING: the connection is ended."""
    with socket.create_connection(("127.0.0.1", port)) as bare:
        bare.settimeout(30)
        bare.sendall(b"PING\r\n")
        try:
            said = bare.recv(100)
        except ConnectionResetError:
            said = b""
    assert b"PONG" not in said
