"""Every command's exit codes, in one table; mistakes are a sentence, never a traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import typer
from pharox.models import Lease, Proxy
from typer.testing import CliRunner, Result

from pharox_redis import RedisStorage
from pharox_redis.cli import exits
from pharox_redis.cli.commands import app
from tests.support.builders import make_proxies

Command = Callable[..., Result]

SECRET = "Hunter2-Secret"
UNKNOWN = "6f2c1d0e-0f6b-5a52-9a39-5be1c8a7e0d4"


@pytest.fixture
def world(stored: RedisStorage) -> dict[str, str]:
    """What the lines below name."""
    pool = stored.ensure_pool("shop")
    proxy: Proxy
    (proxy,) = make_proxies(pool, 1)
    stored.add_proxy(proxy)
    lease = stored.acquire_lease("shop", "one", 60)
    assert isinstance(lease, Lease)
    return {"POOL": "shop", "PROXY": str(proxy.id), "LEASE": str(lease.id), "UNKNOWN": UNKNOWN}


LINES = {
    # done
    "pool create another": exits.DONE,
    "pool create POOL --exist-ok": exits.DONE,
    "pool list": exits.DONE,
    "pool show POOL": exits.DONE,
    "pool rename POOL another": exits.DONE,
    "pool delete POOL --yes": exits.DONE,
    "proxy list": exits.DONE,
    "proxy show PROXY": exits.DONE,
    "proxy add 192.0.2.1:80 --pool POOL": exits.DONE,
    "proxy set-status PROXY banned": exits.DONE,
    "proxy delete PROXY --yes": exits.DONE,
    "lease list": exits.DONE,
    "lease show LEASE": exits.DONE,
    "lease release LEASE": exits.DONE,
    "lease release --pool POOL --yes": exits.DONE,
    "stats": exits.DONE,
    "stats --pool POOL": exits.DONE,
    "import - --pool POOL": exits.DONE,
    # there is no such thing
    "pool show nix": exits.NOT_FOUND,
    "pool show UNKNOWN": exits.NOT_FOUND,
    "pool rename nix another": exits.NOT_FOUND,
    "pool delete nix --yes": exits.NOT_FOUND,
    "pool delete nix": exits.NOT_FOUND,
    "pool delete UNKNOWN --yes": exits.NOT_FOUND,
    "proxy list --pool nix": exits.NOT_FOUND,
    "proxy show UNKNOWN": exits.NOT_FOUND,
    "proxy add 192.0.2.1:80 --pool nix": exits.NOT_FOUND,
    "proxy set-status UNKNOWN banned": exits.NOT_FOUND,
    "proxy delete UNKNOWN --yes": exits.NOT_FOUND,
    "lease list --pool nix": exits.NOT_FOUND,
    "lease list --consumer nix": exits.NOT_FOUND,
    "lease show UNKNOWN": exits.NOT_FOUND,
    "lease release UNKNOWN": exits.NOT_FOUND,
    "lease release --consumer nix --yes": exits.NOT_FOUND,
    "lease release --pool nix --yes": exits.NOT_FOUND,
    "stats --pool nix": exits.NOT_FOUND,
    # mistakes
    "pool create POOL": exits.USAGE,
    "pool create": exits.USAGE,
    "pool rename POOL": exits.USAGE,
    "pool nonsense": exits.USAGE,
    "proxy show not-an-id": exits.USAGE,
    "proxy list --limit -1": exits.USAGE,
    "proxy list --limit many": exits.USAGE,
    "proxy list --status fine": exits.USAGE,
    "proxy add 192.0.2.1 --pool POOL": exits.USAGE,
    "proxy add 192.0.2.1:80": exits.USAGE,
    "proxy set-status PROXY": exits.USAGE,
    "proxy set-status PROXY fine": exits.USAGE,
    "proxy set-status not-an-id active": exits.USAGE,
    "proxy delete PROXY not-an-id --yes": exits.USAGE,
    "lease show not-an-id": exits.USAGE,
    "lease release LEASE not-an-id": exits.USAGE,
    "lease release": exits.USAGE,
    "stats POOL": exits.USAGE,
    # nobody to ask
    "pool delete POOL": exits.USAGE,
    "proxy delete PROXY": exits.USAGE,
    "proxy delete --retire PROXY": exits.USAGE,
    "lease release --pool POOL": exits.USAGE,
    "lease release --consumer one": exits.USAGE,
}


def commands(app: typer.Typer) -> Iterator[tuple[str, ...]]:
    """The words of every command."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        below = getattr(command, "commands", None)
        if below is None:
            yield words
        for name, each in (below or {}).items():
            yield from walk(each, (*words, name))

    return walk(typer.main.get_command(app), ())


def test_the_table_has_every_command_of_a_storage() -> None:
    words = {tuple(line.split()) for line in LINES}
    elsewhere = {("demo",), ("bench",)} | OTHERS
    for command in commands(app):
        assert command in elsewhere or any(line[: len(command)] == command for line in words)


# Commands whose codes are tested where they are.
OTHERS: set[tuple[str, ...]] = {
    (name,) for name in ("export", "sync", "top", "sweep", "doctor", "serve")
}


@pytest.mark.parametrize("line", LINES)
def test_exit_codes(command: Command, world: dict[str, str], line: str) -> None:
    words = [world.get(word, word) for word in line.split()]
    result = command(*words, stdin=b"192.0.2.1:80\n" if "import" in words else None)
    assert result.exit_code == LINES[line], result.output
    assert "Traceback" not in result.output
    if LINES[line] == exits.DONE:
        assert result.stdout and not result.stderr
    else:
        assert result.stderr and not result.stdout


SERVER_LINES = [line for line, code in LINES.items() if code == exits.DONE]


@pytest.mark.parametrize("line", SERVER_LINES)
def test_a_server_that_is_away(line: str) -> None:
    world = {"POOL": "shop", "PROXY": UNKNOWN, "LEASE": UNKNOWN}
    words = [world.get(word, word) for word in line.split()]
    url = f"redis://me:{SECRET}@127.0.0.1:1/0"
    result = CliRunner().invoke(app, [*words, "--url", url])
    assert (result.exit_code, result.stdout) == (exits.FAILED, "")
    assert result.stderr.startswith("Error with redis://***@127.0.0.1:1/0: ")
    assert SECRET not in result.output


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ([], "There is no pool 'latin'; there are none yet."),
        (["shop"], "There is no pool 'latin'; there is: shop."),
        (["b", "a"], "There is no pool 'latin'; there are: a, b."),
        (["a", "latam"], "There is no pool 'latin'; there are: latam, a. Did you mean latam?"),
        (
            ["latin\x1b[1m", "a"],
            r"There is no pool 'latin'; there are: latin\x1b[1m, a. Did you mean latin\x1b[1m?",
        ),
        (
            [f"pool{n:02}" for n in range(13)],
            "There is no pool 'latin'; there are: "
            + ", ".join(f"pool{n:02}" for n in range(10))
            + " and 3 more.",
        ),
    ],
)
def test_an_unknown_pool_is_told_the_known_ones(
    command: Command, stored: RedisStorage, known: list[str], sentence: str
) -> None:
    for name in known:
        stored.ensure_pool(name)
    result = command("pool", "show", "latin")
    assert (result.exit_code, result.stdout) == (exits.NOT_FOUND, "")
    assert result.stderr == f"{sentence}\n"


def test_what_goes_while_it_is_used_is_not_there(
    command: Command, stored: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = stored.ensure_pool("shop")

    def late(self: RedisStorage, name: str) -> Any:
        found = find(self, name)
        stored.delete_pool(pool.id)
        return found

    find = RedisStorage.get_pool_by_name
    monkeypatch.setattr(RedisStorage, "get_pool_by_name", late)
    result = command("pool", "show", "shop")
    assert (result.exit_code, result.stdout) == (exits.NOT_FOUND, "")
    assert result.stderr == f"Pool with ID {pool.id} does not exist.\n"


def test_help_tells_the_codes() -> None:
    shown = " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())
    codes = {value for name, value in vars(exits).items() if isinstance(value, int)}
    assert exits.EXIT_CODES in shown
    assert codes == {int(part.split()[0]) for part in exits.EXIT_CODES.split("; ")}


def test_ids_that_are_none_are_not_repeated(command: Command) -> None:
    result = command("proxy", "delete", str(uuid4()), f"http://me:{SECRET}@192.0.2.1:80", "--yes")
    assert result.exit_code == exits.USAGE
    assert "the second is not an id such as" in result.stderr
    assert SECRET not in result.output
