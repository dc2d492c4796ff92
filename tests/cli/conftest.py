"""The command line on the embedded server, under a key prefix of the test's own."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from pharox.models import Proxy
from typer.testing import CliRunner, Result

from pharox_redis import RedisStorage, Settings
from pharox_redis.cli import output
from pharox_redis.cli.commands import app

Command = Callable[..., Result]


@pytest.fixture
def prefix() -> str:
    return f"t{secrets.token_hex(5)}"


@pytest.fixture
def stored(valkey_url: str, prefix: str) -> Iterator[RedisStorage]:
    """The storage that the commands of a test work on."""
    storage = RedisStorage.from_url(valkey_url, Settings(key_prefix=prefix))
    yield storage
    storage.close()
    with redis.Redis.from_url(valkey_url) as client:
        for key in list(client.scan_iter(match=f"{prefix}:*", count=1000)):
            client.unlink(key)


@pytest.fixture
def command(
    valkey_url: str, prefix: str, stored: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Runs a command against the test's server: ``command("stats", stdin=b"...", url=...)``."""
    monkeypatch.delenv("PHAROX_REDIS_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*args: str | Path, stdin: bytes | None = None, url: str = valkey_url) -> Result:
        line = list(map(str, args))
        place = line.index("--") if "--" in line else len(line)
        line[place:place] = ["--url", url, "--prefix", prefix]
        result = CliRunner().invoke(app, line, input=stdin)
        # An exception that reaches the runner would be a traceback on the terminal.
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the output of ``command`` a terminal, as wide as the variable ``COLUMNS`` says."""
    monkeypatch.setenv("TERM", "xterm-256color")

    class Screen(output._Output):
        is_terminal = True

    monkeypatch.setattr(output, "_Output", Screen)


@pytest.fixture
def proxies(stored: RedisStorage) -> Callable[[], list[Proxy]]:
    """The proxies of the pool ``shop``, in the order they were added."""

    def read() -> list[Proxy]:
        pool = stored.get_pool_by_name("shop")
        return [] if pool is None else stored.list_proxies(str(pool.id))

    return read
