"""Passwords do not show, whatever a command says; and nothing steers the terminal."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
import redis
from pharox.models import ProxyCredentials
from typer.testing import CliRunner, Result

from pharox_redis import RedisStorage
from pharox_redis.cli.commands import app
from tests.support.builders import make_proxy

Command = Callable[..., Result]

SECRET = "Hunter2-Secret"
STEERING = "\x1b[2J\x9b1m\u202e\r\n\x07[red]"


@pytest.fixture
def ids(stored: RedisStorage) -> dict[str, UUID]:
    """Everything there is has a secret, or a name that steers a terminal."""
    pool = stored.ensure_pool(STEERING)
    proxy = make_proxy(
        pool,
        credentials=ProxyCredentials(user=STEERING, password=SECRET),
        country=STEERING,
        city=STEERING,
        isp=STEERING,
        source=STEERING,
    )
    stored.add_proxy(proxy)
    lease = stored.acquire_lease(STEERING, STEERING, 60)
    assert lease is not None
    return {"PROXY": proxy.id, "LEASE": lease.id, "POOL": pool.id}


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    "line",
    [
        "stats",
        "pool list",
        "pool show POOL",
        "pool rename POOL POOL",
        "pool delete POOL --yes",
        "pool delete POOL",
        "pool show nix",
        "proxy list",
        "proxy show PROXY",
        "proxy set-status PROXY slow",
        "proxy delete PROXY --yes",
        "proxy delete --retire PROXY",
        f"proxy add me:{SECRET}@192.0.2.1:80 --pool POOL",
        "lease list",
        "lease show LEASE",
        "lease release LEASE",
        "lease release --pool POOL",
        "lease release --pool POOL --yes",
    ],
)
def test_nothing_shows(
    command: Command,
    ids: dict[str, UUID],
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    terminal: bool,
) -> None:
    words = [str(ids.get(word, word)) for word in line.split()]
    for more in ([], ["--json"]):
        if terminal:
            monkeypatch.setenv("TTY_COMPATIBLE", "1")
            monkeypatch.setenv("TERM", "dumb")
        result = command(*words, *more)
        assert result.output and SECRET not in result.output
        shown = result.output.replace("\x1b[1m", "").replace("\x1b[0m", "")
        assert all(char.isprintable() or char in "\n\t" for char in shown), ascii(shown)


@pytest.mark.parametrize("name", ["proxy list", "proxy show PROXY", "lease show LEASE",
                                  "proxy set-status PROXY slow"])  # fmt: skip
def test_passwords_show_when_asked_for(command: Command, ids: dict[str, UUID], name: str) -> None:
    words = [str(ids.get(word, word)) for word in name.split()]
    for more in ([], ["--json"]):
        assert SECRET not in command(*words, *more).output
        assert SECRET in command(*words, *more, "--show-secrets").stdout


@pytest.mark.parametrize(
    "line",
    [
        ["stats", f"redis://:{SECRET}@localhost"],
        ["stats", f"redis://me:a/b@c {SECRET}@localhost"],
        [f"redis://:{SECRET}@localhost"],
        ["pool", f"me:{SECRET}@192.0.2.1:80"],
        ["pool", "list", f"me:{SECRET}@192.0.2.1:80"],
        ["pool", "list", f"192.0.2.1:80:me:{SECRET}"],
        ["pool", "list", f"http://me:{SECRET}\x1b[1m@192.0.2.1:80"],
        ["proxy", "list", f"--status=me:{SECRET}@192.0.2.1:80"],
        ["proxy", "list", "--limit", f"me:{SECRET}@192.0.2.1:80"],
        ["proxy", "show", f"me:{SECRET}@192.0.2.1:80"],
        ["proxy", "add", f"me:{SECRET}@nonsense", "--pool", "x"],
        ["proxy", "add", f"192.0.2.1:80:me:{SECRET}", "192.0.2.1", "--pool", "x"],
        ["lease", "release", f"me:{SECRET}@192.0.2.1:80"],
        ["stats", "--url", f"redis://:{SECRET}@[::1"],
        ["stats", "--url", f"redis://:{SECRET}@127.0.0.1:1"],
    ],
)
def test_mistakes_are_told_without_what_they_say(line: list[str]) -> None:
    result = CliRunner().invoke(app, line)
    assert result.exit_code in (1, 2) and result.stdout == ""
    assert "Error" in result.stderr
    assert SECRET not in result.stderr and "\x1b" not in result.stderr


def test_server_errors_do_not_quote_documents(
    command: Command, valkey_url: str, prefix: str, ids: dict[str, UUID]
) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        for key in client.scan_iter(match=f"{prefix}:*:doc:*"):
            client.set(key, f"{{{SECRET}")
    for line in (["proxy", "list"], ["proxy", "show", ids["PROXY"]]):
        result = command(*line)
        assert result.exit_code == 1 and "is not JSON" in result.stderr
        assert SECRET not in result.output
