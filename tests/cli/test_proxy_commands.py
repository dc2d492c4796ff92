"""``pharox-redis proxy``: listed, shown, given a status, deleted, retired."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pharox.models import (
    HealthCheckResult,
    Proxy,
    ProxyCredentials,
    ProxyPool,
    ProxyProtocol,
    ProxyStatus,
)
from typer.testing import Result

from pharox_redis import RedisStorage
from tests.support.builders import make_proxies, make_proxy

Command = Callable[..., Result]

SECRET = "Hunter2-Secret"
COLUMNS = ["id", "pool", "proxy", "status", "leases", "limit", "latency_ms", "country", "city",
           "source"]  # fmt: skip


def said(result: Result) -> Any:
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def rows(result: Result) -> list[list[str]]:
    assert (result.exit_code, result.stderr) == (0, "")
    first, *lines = [line.split("\t") for line in result.stdout.split("\n")[:-1]]
    assert first == COLUMNS
    return lines


@pytest.fixture
def shop(stored: RedisStorage) -> ProxyPool:
    return stored.ensure_pool("shop")


@pytest.fixture
def secretive(stored: RedisStorage, shop: ProxyPool) -> Proxy:
    """A proxy with a password, of which everything is known, and two leases on it."""
    proxy = make_proxy(
        shop,
        host="2001:db8::7",
        port=3128,
        credentials=ProxyCredentials(user="m@e", password=SECRET),
        country="AR",
        city="Rosario\tSur",
        latitude=-32.95,
        longitude=-60.66,
        isp="[red]isp",
        asn=64496,
        source="list\x1b[1m",
        max_concurrency=3,
    )
    stored.add_proxy(proxy)
    stored.apply_health_check_result(
        HealthCheckResult(
            proxy_id=proxy.id,
            status=ProxyStatus.ACTIVE,
            latency_ms=123,
            protocol=ProxyProtocol.HTTP,
        )
    )
    for consumer, seconds in (("one", 60), ("two", 90)):
        assert stored.acquire_lease("shop", consumer, seconds)
    return proxy


def test_a_pipe_gets_lines_also_where_colours_are_forced(
    command: Command, stored: RedisStorage, shop: ProxyPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.save_proxy(proxy := make_proxy(shop))
    monkeypatch.setenv("FORCE_COLOR", "1")
    ((proxy_id, pool, *_),) = rows(command("proxy", "list"))
    assert (proxy_id, pool) == (str(proxy.id), "shop")


def test_a_row_has_what_is_known(command: Command, secretive: Proxy) -> None:
    result = command("proxy", "list")
    assert rows(result) == [
        [str(secretive.id), "shop", "http://m%40e:***@[2001:db8::7]:3128", "active", "2", "3",
         "123", "AR", r"Rosario\tSur", r"list\x1b[1m"],
    ]  # fmt: skip
    assert SECRET not in result.output
    assert rows(command("proxy", "list", "--show-secrets"))[0][2] == secretive.url


def test_json_has_all_of_it(command: Command, secretive: Proxy) -> None:
    result = command("proxy", "list", "--json")
    (found,) = said(result)
    assert found.pop("checked_at").endswith("+00:00")
    shape = {
        "id": str(secretive.id),
        "pool_id": str(secretive.pool_id),
        "pool_name": "shop",
        "host": "2001:db8::7",
        "port": 3128,
        "protocol": "http",
        "status": "active",
        "username": "m@e",
        "country": "AR",
        "city": "Rosario\tSur",
        "latitude": -32.95,
        "longitude": -60.66,
        "isp": "[red]isp",
        "asn": 64496,
        "source": "list\x1b[1m",
        "max_concurrency": 3,
        "current_leases": 2,
        "latency_ms": 123,
        "retired": False,
    }
    assert found == shape
    assert SECRET not in result.output
    (found,) = said(command("proxy", "list", "--json", "--show-secrets"))
    assert found.items() >= {**shape, "password": SECRET, "url": secretive.url}.items()


def test_filters(command: Command, stored: RedisStorage, shop: ProxyPool) -> None:
    attic = stored.ensure_pool("attic")
    here = [make_proxy(shop, country=country) for country in ("AR", "BR", None)]
    there = [make_proxy(attic, country="AR", status=ProxyStatus.BANNED)]
    stored.add_proxies_bulk(here + there)
    stored.create_lease(here[1], "me", 60)
    every = [*there, *here]
    cases: dict[str, list[Proxy]] = {
        "": every,
        "--pool shop": here,
        f"--pool {attic.id}": there,
        "--country AR": [*there, here[0]],
        "--country ar": [],
        "--status banned": there,
        "--status active --country AR": [here[0]],
        "--leased": [here[1]],
        "--limit 0": [],
        "--limit 2": every[:2],
        "--limit 9": every,
        "--pool shop --limit 1": here[:1],
    }
    for options, expected in cases.items():
        ids = [str(proxy.id) for proxy in expected]
        assert [each["id"] for each in said(command("proxy", "list", "--json", *options.split()))
                ] == ids, options  # fmt: skip
        result = command("proxy", "list", *options.split())
        assert [line.split("\t")[0] for line in result.stdout.splitlines()[1:]] == ids, options
        assert result.stderr == ("" if ids else "There are no such proxies.\n")


def test_big_pools_are_read_page_by_page(
    command: Command, stored: RedisStorage, shop: ProxyPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies = make_proxies(shop, 1234)
    stored.add_proxies_bulk(proxies)
    ids = [str(proxy.id) for proxy in proxies]
    assert [row[0] for row in rows(command("proxy", "list"))] == ids
    assert [each["id"] for each in said(command("proxy", "list", "--json"))] == ids
    pages = 0
    read = RedisStorage.page_proxies

    def counted(self: RedisStorage, *args: Any, **options: Any) -> Any:
        nonlocal pages
        pages += 1
        return read(self, *args, **options)

    monkeypatch.setattr(RedisStorage, "page_proxies", counted)
    monkeypatch.setattr(RedisStorage, "list_proxies", None)
    assert len(rows(command("proxy", "list", "--limit", "50"))) == 50
    assert pages == 1
    assert len(rows(command("proxy", "list", "--limit", "51"))) == 51
    assert pages == 3


def test_a_proxy_is_shown(command: Command, stored: RedisStorage, secretive: Proxy) -> None:
    result = command("proxy", "show", secretive.id)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    shown = dict(lines)
    assert shown["proxy"] == "http://m%40e:***@[2001:db8::7]:3128"
    assert (shown["leases"], shown["limit"], shown["latency_ms"]) == ("2", "3", "123")
    assert (shown["city"], shown["isp"]) == (r"Rosario\tSur", "[red]isp")
    held = [text for name, text in lines if name == "lease"]
    assert [text.split()[2] for text in held] == ["one,", "two,"]
    assert SECRET not in result.output
    found = said(command("proxy", "show", secretive.id, "--json"))
    assert [lease["consumer_name"] for lease in found["leases"]] == ["one", "two"]
    assert found["last_check"]["latency_ms"] == 123
    assert SECRET not in json.dumps(found)
    assert SECRET in command("proxy", "show", secretive.id, "--show-secrets").stdout
    plain = make_proxy(stored.ensure_pool("shop"), max_concurrency=None)
    stored.add_proxy(plain)
    shown = dict(
        line.split("\t") for line in command("proxy", "show", plain.id).stdout.splitlines()
    )
    assert (shown["proxy"], shown["limit"], shown["latency_ms"]) == (plain.url, "unlimited", "")


def test_a_status_is_set(command: Command, stored: RedisStorage, secretive: Proxy) -> None:
    other = make_proxy(stored.ensure_pool("attic"))
    stored.add_proxy(other)
    result = command("proxy", "set-status", secretive.id, other.id, secretive.id, "banned")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"Proxy http://m%40e:***@[2001:db8::7]:3128 ({secretive.id}) is banned.",
        f"Proxy {other.url} ({other.id}) is banned.",
    ]
    assert {stored.get_proxy(each.id).status for each in (secretive, other)} == {"banned"}
    # Their leases go on.
    assert len(stored.list_leases()) == 2
    found = said(command("proxy", "set-status", other.id, "active", "--json"))
    assert [(each["id"], each["status"]) for each in found] == [(str(other.id), "active")]


def test_none_is_changed_if_one_is_unknown(
    command: Command, stored: RedisStorage, secretive: Proxy
) -> None:
    unknown = uuid4()
    for line in (["set-status", secretive.id, unknown, "banned"],
                 ["delete", "--yes", secretive.id, unknown]):  # fmt: skip
        result = command("proxy", *line)
        assert (result.exit_code, result.stdout) == (4, "")
        assert result.stderr == f"There is no proxy {unknown}.\n"
    assert stored.get_proxy(secretive.id).status == "active"


def test_deleting_says_what_would_be_lost(
    command: Command, stored: RedisStorage, secretive: Proxy
) -> None:
    other = make_proxy(stored.ensure_pool("shop"))
    stored.add_proxy(other)
    result = command("proxy", "delete", secretive.id)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(
        "Proxy http://m%40e:***@[2001:db8::7]:3128 has 2 live leases, which end. Delete it? "
    )
    result = command("proxy", "delete", secretive.id, other.id)
    assert result.stderr.startswith("2 proxies have 2 live leases, which end. Delete them? ")
    assert len(stored.list_leases()) == 2
    result = command("proxy", "delete", secretive.id, "--yes")
    assert (result.exit_code, result.stderr) == (0, "")
    assert stored.get_proxy_by_id(secretive.id) is None and stored.list_leases() == []
    assert said(command("proxy", "delete", other.id, "--yes", "--json")) == [
        {"id": str(other.id), "deleted": True}
    ]


def test_a_retired_proxy_keeps_its_leases(
    command: Command, stored: RedisStorage, secretive: Proxy
) -> None:
    free = make_proxy(stored.ensure_pool("shop"))
    stored.add_proxy(free)
    result = command("proxy", "delete", "--retire", secretive.id)
    assert "has 2 live leases. Retire it? " in result.stderr
    result = command("proxy", "delete", "--retire", "--yes", secretive.id, free.id)
    assert (result.exit_code, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert first.endswith("goes when its leases are over.") and second.endswith("is deleted.")
    assert rows(command("proxy", "list"))[0][3] == "retired"
    stored.release_leases(stored.list_leases())
    stored.cleanup_expired_leases()
    assert said(command("proxy", "list", "--json")) == []
