"""The command line as users of docs/security.md: an operator does all, a dashboard looks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from typer.testing import CliRunner, Result

from pharox_redis.cli.commands import app
from tests.security.rules import PASSWORD, set_user, url_of
from tests.security.work import World, build
from tests.support.own_servers import connect, own_server

LOOKING = [
    "pool list",
    "pool show POOL",
    "proxy list",
    "proxy list --json",
    "proxy show PROXY",
    "lease list",
    "lease list --consumer somebody",
    "lease show LEASE",
    "stats",
]
CHANGING = [
    "pool create POOL --exist-ok",
    "pool create another",
    "import - --pool POOL",
    "proxy add 192.0.2.1:80 --pool POOL",
    "proxy set-status PROXY slow",
    "lease release LEASE",
    "lease release --pool POOL --yes",
    "proxy delete --retire --yes PROXY",
    "pool rename POOL renamed",
    "pool delete renamed --yes",
]


@pytest.fixture(scope="module")
def admin() -> Iterator[tuple[str, redis.Redis]]:
    with own_server("valkey") as server, connect(server.url) as client:
        for role in ("operator", "dashboard"):
            set_user(client, role)
        yield server.url, client


@pytest.fixture
def world(admin: tuple[str, redis.Redis]) -> World:
    return build(*admin)


def run(world: World, role: str, line: str) -> Result:
    names = {
        "POOL": world.pool.name,
        "PROXY": str(world.proxies[1].id),
        "LEASE": str(world.lease.id),
    }
    words = [names.get(word, word) for word in line.split()]
    # So that their proxies are not those of the world's pool.
    stdin = "198.51.100.7:80\n" if "import" in words else None
    return CliRunner().invoke(app, [*words, "--url", url_of(world.url, role)], input=stdin)


def test_an_operator_can_do_it_all(world: World) -> None:
    for line in LOOKING + CHANGING:
        result = run(world, "operator", line)
        assert (result.exit_code, result.stderr) == (0, ""), line


def test_a_dashboard_can_look(world: World) -> None:
    for line in LOOKING:
        result = run(world, "dashboard", line)
        assert (result.exit_code, result.stderr) == (0, ""), line
    for line in CHANGING[1:-1]:
        result = run(world, "dashboard", line)
        assert (result.exit_code, result.stdout) == (1, ""), line
        assert "The server refused access" in result.stderr, line
        assert PASSWORD not in result.output
