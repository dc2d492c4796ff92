"""``pharox-redis proxy add``: what an import of the same lines would add."""

import json
from collections.abc import Callable

import pytest
from pharox.models import Proxy, ProxyStatus
from typer.testing import Result

from pharox_redis import RedisStorage
from pharox_redis.importing import identity_of, proxy_id
from tests.support.builders import make_proxies

Command = Callable[..., Result]
Proxies = Callable[[], list[Proxy]]

SECRET = "Hunter2-Secret"


@pytest.fixture(autouse=True)
def shop(stored: RedisStorage) -> None:
    stored.ensure_pool("shop")


def test_a_later_import_finds_it(command: Command, proxies: Proxies) -> None:
    line = f"192.0.2.1:80:me:{SECRET}"
    result = command("proxy", "add", line, "socks5://Gate.Example.com:1080", "--pool", "shop")
    assert (result.exit_code, result.stderr) == (0, "")
    first, second = before = proxies()
    assert result.stdout.splitlines() == [
        f"Proxy http://me:***@192.0.2.1:80 ({first.id}) added to pool shop.",
        f"Proxy socks5://gate.example.com:1080 ({second.id}) added to pool shop.",
    ]
    assert first.credentials is not None and first.credentials.password == SECRET
    assert {(p.status, p.max_concurrency) for p in before} == {(ProxyStatus.ACTIVE, 1)}
    content = f"{line}\nsocks5://gate.example.com:1080\n".encode()
    result = command("import", "-", "--pool", "shop", stdin=content)
    assert "0 new, 0 changed, 2 unchanged" in result.stdout
    assert proxies() == before


def test_one_that_was_retired_comes_back(
    command: Command, stored: RedisStorage, proxies: Proxies
) -> None:
    command("proxy", "add", "192.0.2.1:80", "--pool", "shop")
    (proxy,) = proxies()
    lease = stored.create_lease(proxy, "holder", 60)
    assert not stored.retire_proxy(proxy.id)
    result = command("proxy", "add", "192.0.2.1:80", "--pool", "shop")
    assert result.stdout == (
        f"Proxy http://192.0.2.1:80 ({proxy.id}) was there already; changed: retired, status.\n"
    )
    stored.release_lease(lease)
    stored.cleanup_expired_leases()
    assert [(each.id, each.status) for each in proxies()] == [(proxy.id, ProxyStatus.ACTIVE)]


def test_everything_can_be_said(command: Command, proxies: Proxies) -> None:
    result = command(
        "proxy", "add", "192.0.2.1:80", "--pool", "shop", "--protocol", "socks4",
        "--status", "slow", "--max-concurrency", "unlimited", "--country", "AR",
        "--city", "Rosario", "--latitude=-32.95", "--longitude=-60.66", "--isp", "an isp",
        "--asn", "AS64496", "--source", "by hand", "--json",
    )  # fmt: skip
    assert (result.exit_code, result.stderr) == (0, "")
    (proxy,) = proxies()
    assert (proxy.protocol, proxy.status, proxy.max_concurrency) == ("socks4", "slow", None)
    assert (proxy.country, proxy.city, proxy.latitude, proxy.longitude) == (
        "AR", "Rosario", -32.95, -60.66,
    )  # fmt: skip
    assert (proxy.isp, proxy.asn, proxy.source) == ("an isp", 64496, "by hand")
    (found,) = json.loads(result.stdout)
    assert (found["id"], found["outcome"], found["changes"]) == (str(proxy.id), "new", [])
    assert (found["asn"], found["max_concurrency"]) == (64496, None)


def test_a_known_proxy_is_changed(command: Command, stored: RedisStorage, proxies: Proxies) -> None:
    # Not under the id that an import would give it, in a pool of several pages.
    pool = stored.ensure_pool("shop")
    stored.add_proxies_bulk(make_proxies(pool, 60))
    known = proxies()[55]
    line = f"{known.host}:{known.port}"
    assert known.id != proxy_id(pool.id, identity_of(known))
    result = command("proxy", "add", line, line, "--pool", "shop", "--country", "AR")
    assert result.stdout == f"Proxy {known.url} ({known.id}) was there already; changed: country.\n"
    result = command("proxy", "add", line, "--pool", str(pool.id))
    assert result.stdout == f"Proxy {known.url} ({known.id}) was there already, just so.\n"
    stored.set_proxy_status(known.id, ProxyStatus.BANNED)
    result = command("proxy", "add", line, "--pool", "shop", "--max-concurrency", "7", "--json")
    (found,) = json.loads(result.stdout)
    assert (found["outcome"], found["changes"]) == ("changed", ["max_concurrency"])
    now = stored.get_proxy(known.id)
    assert (now.status, now.max_concurrency, now.country) == ("banned", 7, "AR")
    assert len(proxies()) == 60


def test_an_id_that_another_proxy_has_is_not_taken(
    command: Command, stored: RedisStorage, proxies: Proxies
) -> None:
    command("proxy", "add", "192.0.2.1:80", "--pool", "shop")
    (first,) = proxies()
    stored.save_proxy(first.model_copy(update={"host": "192.0.2.2"}))
    command("proxy", "add", "192.0.2.1:80", "--pool", "shop")
    assert sorted(str(proxy.host) for proxy in proxies()) == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (["nonsense"], "the first: expected host:port"),
        (["192.0.2.1:80", f"me:{SECRET}@192.0.2.1"], "the second: "),
        ([f"192.0.2.1:{SECRET}:me:80"], "the first: the port is not a whole number"),
        (["ftp://192.0.2.1:80"], "unknown protocol"),
        (["192.0.2.1:80", "--latitude", "1"], "one without the other"),
        (["192.0.2.1:80", "--latitude", "91", "--longitude", "1"], "--latitude"),
        (["192.0.2.1:80", "--asn", "x"], "--asn"),
        (["192.0.2.1:80", "--max-concurrency", "0"], "--max-concurrency"),
        (["192.0.2.1:80", "--country", "\udcff"], "--country"),
        (["192.0.2.1:80", "--status", "fine"], "--status"),
        ([], "PROXY"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_mistakes_are_exit_code_2(
    command: Command, proxies: Proxies, line: list[str], reason: str
) -> None:
    result = command("proxy", "add", "--pool", "shop", *line)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr
    assert SECRET not in result.output
    assert proxies() == []


def test_the_pool_is_not_made(command: Command, stored: RedisStorage) -> None:
    result = command("proxy", "add", "192.0.2.1:80", "--pool", "shops")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == ("There is no pool 'shops'; there is: shop. Did you mean shop?\n")
    assert [pool.name for pool in stored.list_pools()] == ["shop"]
