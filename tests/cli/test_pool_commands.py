"""``pharox-redis pool``: made, listed, shown, renamed and deleted."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from pharox.models import ProxyPool
from typer.testing import Result

from pharox_redis import RedisStorage
from tests.support.builders import make_proxies
from tests.support.invariants import check_invariants
from tests.support.timetravel import expire_leases

Command = Callable[..., Result]

ODD_NAMES = [
    "with space",
    "[red]x[/red]",
    "a\nb\tc",
    "\x1b[2J\x07",
    "東京",
    "--yes",
    "%s{}",
    "x" * 300,
]
ODD_IDS = [ascii(name)[:20] for name in ODD_NAMES]


def said(result: Result) -> Any:
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_a_pool_is_made(command: Command, stored: RedisStorage) -> None:
    result = command("pool", "create", "shop", "--description", "for shops")
    pool = stored.get_pool_by_name("shop")
    assert pool is not None and pool.description == "for shops"
    assert (result.exit_code, result.stdout) == (0, f"Pool shop ({pool.id}) made.\n")
    shape = {"id": str(pool.id), "name": "shop", "description": "for shops"}
    assert said(command("pool", "create", "shop", "--exist-ok", "--json")) == shape
    assert "is there already" in command("pool", "create", "shop", "--exist-ok").stdout
    assert stored.get_pool_by_name("shop") == pool


def test_a_name_that_is_taken_is_a_mistake(command: Command, stored: RedisStorage) -> None:
    pool = stored.ensure_pool("shop")
    stored.ensure_pool("other")
    for line in (["create", "shop"], ["rename", "other", "shop"]):
        result = command("pool", *line)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "there is a pool 'shop' already" in result.stderr
    assert stored.get_pool_by_name("shop") == pool


def test_pools_are_listed(command: Command, stored: RedisStorage) -> None:
    assert command("pool", "list").stderr == "There are no pools.\n"
    assert said(command("pool", "list", "--json")) == []
    shop, attic = ProxyPool(name="shop", description="a\tb"), ProxyPool(name="attic")
    for pool in (shop, attic):
        stored.save_pool(pool)
    stored.add_proxies_bulk(make_proxies(shop, 3))
    assert stored.acquire_lease("shop", "me", 60)
    assert [line.split("\t") for line in command("pool", "list").stdout.splitlines()] == [
        ["pool", "id", "proxies", "available", "leases", "description"],
        ["attic", str(attic.id), "0", "0", "0", ""],
        ["shop", str(shop.id), "3", "2", "1", r"a\tb"],
    ]
    assert said(command("pool", "list", "--json")) == [
        {"id": str(attic.id), "name": "attic", "description": ""},
        {"id": str(shop.id), "name": "shop", "description": "a\tb"},
    ]


def test_a_pool_is_shown_by_name_and_by_id(command: Command, stored: RedisStorage) -> None:
    pool = stored.ensure_pool("shop")
    stored.add_proxies_bulk(make_proxies(pool, 3))
    for name in ("shop", str(pool.id), str(pool.id).upper()):
        shown = dict(line.split("\t") for line in command("pool", "show", name).stdout.splitlines())
        assert (shown["pool"], shown["id"], shown["proxies"]) == ("shop", str(pool.id), "3")
        found = said(command("pool", "show", name, "--json"))
        assert found["pool"]["id"] == str(pool.id) and found["available_proxies"] == 3


def test_a_name_that_looks_like_an_id_is_a_name_first(
    command: Command, stored: RedisStorage
) -> None:
    first = stored.ensure_pool("shop")
    second = stored.ensure_pool(str(first.id))
    assert said(command("pool", "show", str(first.id), "--json"))["pool"]["id"] == str(second.id)


def test_a_pool_is_renamed(command: Command, stored: RedisStorage) -> None:
    stored.save_pool(ProxyPool(name="shop", description="for shops"))
    result = command("pool", "rename", "shop", "store")
    assert (result.exit_code, result.stdout) == (0, "Pool shop is now called store.\n")
    pool = stored.get_pool_by_name("store")
    assert pool is not None and pool.description == "for shops"
    assert stored.get_pool_by_name("shop") is None
    assert said(command("pool", "rename", "store", "shop", "--json")) == {
        "id": str(pool.id),
        "name": "shop",
        "description": "for shops",
    }


@pytest.mark.parametrize("name", ODD_NAMES, ids=ODD_IDS)
def test_odd_names(command: Command, stored: RedisStorage, name: str) -> None:
    result = command("pool", "create", "--json", "--", name)
    assert said(result)["name"] == name
    for line in (["show"], ["rename", "--json"]):
        named = [name, name] if "rename" in line else [name]
        result = command("pool", *line, "--", *named)
        assert result.exit_code == 0
    shown = command("pool", "list").stdout + command("pool", "show", "--", name).stdout
    assert all(c.isprintable() or c in "\t\n" for c in shown)
    assert len(command("stats").stdout.splitlines()) == 2
    result = command("pool", "delete", "--yes", "--", name)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 1 and result.stdout[:-1].isprintable()
    assert stored.list_pools() == []


@pytest.mark.parametrize("name", ["", " ", "\udcff"], ids=ascii)
@pytest.mark.parametrize("line", [["create"], ["show"], ["delete", "--yes"], ["rename", "shop"]])
def test_what_can_be_no_name(
    command: Command, stored: RedisStorage, line: list[str], name: str
) -> None:
    stored.ensure_pool("shop")
    result = command("pool", *line, name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "must not be blank" in result.stderr or "not valid UTF-8" in result.stderr


def test_deleting_says_what_would_be_lost(command: Command, stored: RedisStorage) -> None:
    pool = stored.ensure_pool("shop")
    stored.add_proxies_bulk(make_proxies(pool, 1200))
    stored.acquire_leases("shop", "me", 60, 37)
    result = command("pool", "delete", "shop")
    assert (result.exit_code, result.stdout) == (2, "")
    question, _, advice = result.stderr.partition("? ")
    assert question == "Pool shop has 1,200 proxies and 37 live leases. Delete it"
    assert "--yes" in advice
    assert stored.get_pool_by_name("shop") == pool
    result = command("pool", "delete", "shop", "-y")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "Pool shop is deleted, with 1,200 proxies and 37 live leases.\n"
    assert stored.list_pools() == []
    check_invariants(stored)


def test_deleting_shows_progress_on_a_terminal_only(
    command: Command, stored: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    stored.add_proxies_bulk(make_proxies(stored.ensure_pool("shop"), 300))
    result = command("pool", "delete", "shop", "--yes", "--json")
    assert "300 proxies deleted" in result.stderr
    assert json.loads(result.stdout)["proxies"] == 300


def test_a_delete_that_is_broken_off_is_carried_on(
    command: Command, stored: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = stored.ensure_pool("shop")
    stored.add_proxies_bulk(make_proxies(pool, 700))

    def stop(self: RedisStorage, pool_id: UUID, *, on_progress: Callable[[int], None]) -> None:
        def count(gone: int) -> None:
            on_progress(gone)
            if gone >= 200:
                raise KeyboardInterrupt

        delete(self, pool_id, on_progress=count)

    delete = RedisStorage.delete_pool
    with monkeypatch.context() as patched:
        patched.setattr(RedisStorage, "delete_pool", stop)
        result = command("pool", "delete", "shop", "--yes")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.startswith("Interrupted. ")
    assert f"`pharox-redis pool delete {pool.id}` deletes the rest" in result.stderr
    assert command("pool", "show", "shop").exit_code == 4
    result = command("pool", "delete", str(pool.id))
    assert result.exit_code == 0
    assert command("pool", "delete", str(pool.id)).exit_code == 4
    check_invariants(stored)


def test_leases_that_ran_out_are_nothing_to_lose(command: Command, stored: RedisStorage) -> None:
    stored.add_proxies_bulk(make_proxies(stored.ensure_pool("shop"), 3))
    leases = stored.acquire_leases("shop", "me", 60, 3)
    expire_leases(stored, leases[:2])
    proxies = [lease.proxy_id for lease in leases]
    asked = [
        ("pool delete shop", "3 proxies and 1 live lease."),
        ("lease release --pool shop", "Pool shop has 1 live lease."),
        (f"proxy delete {proxies[0]} {proxies[1]} {proxies[2]}", "3 proxies have 1 live lease,"),
        (f"proxy delete {proxies[0]}", " has 0 live leases."),
    ]
    for line, question in asked:
        assert question in command(*line.split()).stderr
