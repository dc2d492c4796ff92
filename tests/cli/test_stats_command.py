"""``pharox-redis stats``: the pools and how busy they are."""

import json
import re
from collections.abc import Callable

import pytest
from pharox.models import ProxyPool, ProxyStatus
from typer.testing import Result

from pharox_redis import RedisStorage

Command = Callable[..., Result]

COLUMNS = ["pool", "total", "active", "available", "saturated", "leased", "leases", "views",
           "acquired", "missed", "reclaimed"]  # fmt: skip


@pytest.fixture
def busy(stored: RedisStorage, command: Command) -> None:
    """A pool of five, one of them banned, with three leases and one that was refused."""
    content = "".join(f"192.0.2.{n}:80\n" for n in range(1, 6)).encode()
    command("import", "-", "--pool", "shop", "--max-concurrency", "2", stdin=content)
    stored.save_pool(ProxyPool(name="[bold]empty\n"))
    assert stored.acquire_lease("[bold]empty\n", "worker", 60) is None
    pool = stored.get_pool_by_name("shop")
    assert pool is not None
    stored.set_proxy_status(stored.list_proxies(pool.id)[4].id, ProxyStatus.BANNED)
    for _ in range(3):
        assert stored.acquire_lease("shop", "worker", 60)


def test_no_pools(command: Command) -> None:
    result = command("stats")
    assert (result.exit_code, result.stdout.splitlines()) == (0, ["\t".join(COLUMNS)])
    assert result.stderr == "There are no pools.\n"
    assert json.loads(command("stats", "--json").stdout) == []


@pytest.mark.usefixtures("busy")
def test_every_pool_has_its_numbers(command: Command) -> None:
    result = command("stats")
    assert (result.exit_code, result.stderr) == (0, "")
    # In order of name; first available: two leases on the first proxy, one on the second.
    assert [line.split("\t") for line in result.stdout.splitlines()] == [
        COLUMNS,
        [r"[bold]empty\n", "0", "0", "0", "0", "0", "0", "0", "0", "1", "0"],
        ["shop", "5", "4", "3", "1", "2", "3", "0", "3", "0", "0"],
    ]


@pytest.mark.usefixtures("busy", "on_terminal")
def test_on_a_terminal_it_is_a_table(command: Command) -> None:
    lines = re.sub(r"\x1b\[[0-9]*m", "", command("stats").stdout).splitlines()
    assert [line.split() for line in lines] == [
        [name.upper() for name in COLUMNS],
        [r"[bold]empty\n", "0", "0", "0", "0", "0", "0", "0", "0", "1", "0"],
        ["shop", "5", "4", "3", "1", "2", "3", "0", "3", "0", "0"],
    ]
    assert len(set(map(len, lines))) == 1


@pytest.mark.usefixtures("busy")
def test_json(command: Command, stored: RedisStorage) -> None:
    found = json.loads(command("stats", "--pool", "shop", "--json").stdout)
    pool = stored.get_pool_by_name("shop")
    assert pool is not None
    (shop,) = found
    assert shop.pop("at").endswith("+00:00")
    assert shop == {
        "pool": {"id": str(pool.id), "name": "shop", "description": ""},
        "total_proxies": 5,
        "active_proxies": 4,
        "available_proxies": 3,
        "saturated_proxies": 1,
        "leased_proxies": 2,
        "total_leases": 3,
        "views": 0,
        "acquired": 3,
        "missed": 0,
        "reclaimed": 0,
    }
    assert len(json.loads(command("stats", "--json").stdout)) == 2
