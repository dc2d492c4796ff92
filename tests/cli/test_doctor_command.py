"""``pharox-redis doctor``: what it prints, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable

import redis
from typer.testing import Result

from pharox_redis import RedisStorage
from pharox_redis.keys import Keys
from tests.support.builders import make_proxies

Command = Callable[..., Result]


def damaged(stored: RedisStorage) -> None:
    pool = stored.ensure_pool("[bold]shop\n")
    stored.add_proxies_bulk(make_proxies(pool, 8))
    for _ in range(7):
        assert stored.acquire_lease(pool.name, "worker", 60)
    stored.client.delete(Keys(stored.settings.key_prefix).expiry(pool.id))


def test_all_is_well(command: Command, stored: RedisStorage) -> None:
    stored.add_proxies_bulk(make_proxies(stored.ensure_pool("shop"), 2))
    result = command("doctor")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "1 pool, 2 proxies looked at; all is well."


def test_damage_is_told_mended_and_gone(command: Command, stored: RedisStorage) -> None:
    damaged(stored)
    told = command("doctor")
    assert told.exit_code == 5
    assert r"required  [bold]shop\n: wrong-hold (7)" in told.stdout
    assert "... and 2 more" in told.stdout and "-> Run doctor --repair" in told.stdout
    assert told.stdout.splitlines()[-1] == "1 pool, 8 proxies looked at; 7 wrong."
    mended = command("doctor", "--repair")
    assert mended.exit_code == 0
    assert "wrong-hold (7, mended)" in mended.stdout and "-> Run" not in mended.stdout
    assert mended.stdout.splitlines()[-1].endswith("looked at; 7 mended; all is well.")
    assert command("doctor").exit_code == 0


def test_what_cannot_be_mended_stands(command: Command, stored: RedisStorage) -> None:
    pool = stored.ensure_pool("shop")
    (proxy,) = make_proxies(pool, 1)
    stored.save_proxy(proxy)
    stored.client.delete(Keys(stored.settings.key_prefix).doc(pool.id, str(proxy.id)))
    result = command("doctor", "--repair")
    assert result.exit_code == 5
    assert "Delete it: pharox-redis proxy delete ID" in result.stdout
    assert stored.acquire_lease("shop", "c", 60) is None, "it is not out of use"
    assert result.stdout.splitlines()[-1].endswith("1 still wrong.")


def test_one_json_document(command: Command, stored: RedisStorage) -> None:
    damaged(stored)
    result = command("doctor", "--json")
    assert result.exit_code == 5
    document = json.loads(result.stdout)
    assert (document["healthy"], document["standing"], document["repair"]) == (False, 7, False)
    assert (document["pools"], document["proxies"]) == (1, 8)
    (found,) = (each for each in document["findings"] if each["kind"] == "wrong-hold")
    assert found["count"] == found["standing"] == 7 and len(found["examples"]) == 5
    assert found["where"] == "[bold]shop\n" and found["level"] == "required"
    assert json.loads(command("doctor", "--repair", "--json").stdout)["healthy"] is True


def test_one_pool(command: Command, stored: RedisStorage) -> None:
    damaged(stored)
    stored.add_proxies_bulk(make_proxies(stored.ensure_pool("well"), 3))
    result = command("doctor", "--pool", "well")
    assert result.exit_code == 0 and "1 pool, 3 proxies looked at" in result.stdout
    result = command("doctor", "--pool", "nothing")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "no pool 'nothing'" in result.stderr


def test_a_scraper_cannot_look_at_the_data(
    command: Command, stored: RedisStorage, valkey_url: str, prefix: str
) -> None:
    damaged(stored)
    with redis.Redis.from_url(valkey_url) as admin:
        admin.execute_command("ACL", "SETUSER", prefix, "on", ">x", "~*", "+@all", "-scan")
        try:
            url = valkey_url.replace("://", f"://{prefix}:x@")
            result = command("doctor", url=url)
        finally:
            admin.execute_command("ACL", "DELUSER", prefix)
    assert result.exit_code == 5
    assert "unread-data" in result.stdout and "docs/security.md" in result.stdout


def test_no_server(command: Command) -> None:
    result = command("doctor", url="redis://127.0.0.1:1/0")
    assert (result.exit_code, result.stdout) == (1, "")
