"""Servers that cannot be used: exit codes, clear words, no traceback, no password."""

import socket
from collections.abc import Callable, Iterator

import pytest
import redis
from pharox.models import ProxyPool
from typer.testing import CliRunner, Result

from pharox_redis import RedisStorage
from pharox_redis.cli.commands import app

SECRET = "Hunter2-Secret"

Command = Callable[..., Result]

EACH_COMMAND = pytest.mark.parametrize("args", [["stats"], ["import", "-", "--pool", "shop"]])


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine on which nobody listens as long as the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@EACH_COMMAND
def test_an_unreachable_server_is_exit_code_1(
    command: Command, closed_port: int, args: list[str]
) -> None:
    url = f"redis://me:{SECRET}@127.0.0.1:{closed_port}/0?socket_timeout=1"
    result = command(*args, stdin=b"192.0.2.1:80", url=url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error with redis://***@127.0.0.1:{closed_port}/0: ")
    assert "refused" in result.stderr
    assert SECRET not in result.output


@EACH_COMMAND
@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "",
        f"http://me:{SECRET}@localhost",
        f"redis://me:{SECRET}/with/slashes@localhost:6379/0",
        f"redis://localhost:{SECRET}",
        "redis://[::1",
        f"redis://localhost?colour={SECRET}",
    ],
)
def test_a_url_that_is_none_is_exit_code_2(command: Command, args: list[str], url: str) -> None:
    result = command(*args, stdin=b"192.0.2.1:80", url=url)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--url" in result.stderr and "it looks like redis://host:6379/0" in result.stderr
    assert SECRET not in result.output


@pytest.mark.parametrize("prefix", ["", "{a}", "a b", "a" * 65])
def test_a_prefix_that_is_none_is_exit_code_2(valkey_url: str, prefix: str) -> None:
    result = CliRunner().invoke(app, ["stats", "--url", valkey_url, "--prefix", prefix])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--prefix" in result.stderr


@EACH_COMMAND
def test_a_refused_password_is_exit_code_1(
    command: Command, valkey_url: str, args: list[str]
) -> None:
    url = valkey_url.replace("redis://", f"redis://me:{SECRET}@")
    result = command(*args, stdin=b"192.0.2.1:80", url=url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert SECRET not in result.output


@EACH_COMMAND
def test_a_storage_that_fails_is_exit_code_1(
    command: Command, stored: RedisStorage, valkey_url: str, prefix: str, args: list[str]
) -> None:
    stored.save_pool(ProxyPool(name="other"))
    with redis.Redis.from_url(valkey_url) as client:
        # Whatever the keys are called: none of them holds what it should any more.
        for key in client.scan_iter(match=f"{prefix}:*"):
            client.set(key, SECRET)
    result = command(*args, stdin=b"192.0.2.1:80")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error with redis://")
    assert "Traceback" not in result.stderr


def test_the_url_comes_from_the_environment(
    stored: RedisStorage, valkey_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.save_pool(ProxyPool(name="shop"))
    monkeypatch.setenv("PHAROX_REDIS_URL", valkey_url)
    result = CliRunner().invoke(app, ["stats", "--prefix", prefix])
    assert result.exit_code == 0
    assert "shop" in result.stdout


def test_help_does_not_show_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHAROX_REDIS_URL", f"redis://:{SECRET}@localhost")
    for name in ("import", "stats"):
        result = CliRunner().invoke(app, [name, "--help"])
        assert "PHAROX_REDIS_URL" in result.stdout
        assert SECRET not in result.output


def test_a_prefix_keeps_pools_apart(command: Command, valkey_url: str) -> None:
    command("import", "-", "--pool", "shop", stdin=b"192.0.2.1:80")
    assert "shop" in command("stats").stdout
    result = CliRunner().invoke(app, ["stats", "--url", valkey_url, "--prefix", "another"])
    assert "shop" not in result.stdout
