"""Twenty thousand proxies: no call may keep the server for long, and answers stay exact.

A call's length is counted in the commands its script made (``INFO commandstats``), which does not
depend on how busy the machine is: in 2 ms, ``chunk_ms`` here, fit some two thousand, where work on
this pool done in one go would take twenty to eighty thousand.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
import redis
from pharox.models import Proxy, ProxyFilters, ProxyPool, SelectorStrategy

from pharox_redis import new_lease_id
from pharox_redis.flows import leasing
from pharox_redis.keys import Keys, lease_tail
from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies
from tests.support.flavours import Maker
from tests.support.invariants import check_invariants
from tests.support.own_servers import KINDS, own_server
from tests.support.stepping import Stepped

COUNT, CHUNK_MS = 20_000, 2.0
MOST_COMMANDS = 8_000
RARE = ProxyFilters(country="DE", city="Ulm")
SELECTORS = list(SelectorStrategy)

PINGER = """
import socket, sys, time, select
line = socket.create_connection((sys.argv[1], int(sys.argv[2])))
worst, count = 0.0, 0
sys.stdout.write("ready\\n"); sys.stdout.flush()
while not select.select([sys.stdin], [], [], 0.0005)[0]:
    began = time.perf_counter()
    line.sendall(b"PING\\r\\n")
    assert line.recv(64)
    worst, count = max(worst, time.perf_counter() - began), count + 1
print(worst * 1000, count)
"""


class Big:
    """The pool, on a server of its own whose commands are counted."""

    def __init__(self, kind: str, url: str, maker: Maker) -> None:
        self.kind, self.url = kind, url
        self.client = redis.Redis.from_url(url)
        self.storage = maker.storage_on(url, chunk_ms=CHUNK_MS)
        self.pool = ProxyPool(name="pool")
        self.storage.save_pool(self.pool)
        made = make_proxies(self.pool, COUNT, country="FR")
        made[:] = [
            p.model_copy(update={"country": "DE", "city": "Ulm" if at > COUNT - 60 else None})
            if at % 7 == 0 or at > COUNT - 60
            else p
            for at, p in enumerate(made)
        ]
        self.proxies: list[Proxy] = made
        self.begin()
        self.storage.add_proxies_bulk(made)
        self.saving = self.longer_calls("saving")

    def begin(self) -> None:
        """Count from here."""
        self.client.config_resetstat()

    def longer_calls(self, what: str) -> list[tuple[float, str]]:
        """[(commands a script call, what)] if that is too many, else []."""
        stats = self.client.info("commandstats")
        scripts = sum(stats[name]["calls"] for name in stats if "eval" in name)
        commands = sum(stats[name]["calls"] for name in stats) - scripts
        return [(commands / scripts, what)] if commands > MOST_COMMANDS * scripts else []

    def drop_views(self) -> None:
        """As if the pool's views had never been used: they are lost, and fill again."""
        names = [name for name in self.client.scan_iter(count=5000) if b":view:" in name]
        self.client.unlink(*names)


# As elsewhere: the normal run has the blocking storage on Redis, the slow one on Valkey.
BOTH = [pytest.param("valkey", marks=pytest.mark.slow), "redis", "valkey-async"]


@pytest.fixture(scope="module", params=BOTH if "redis" in KINDS else ["valkey", "valkey-async"])
def big(request: pytest.FixtureRequest) -> Iterator[Big]:
    kind, _, flavour = request.param.partition("-")
    options = {"appendonly": "no", "save": ""}
    with own_server(kind, options) as server, Maker(flavour or "blocking") as maker:
        yield Big(kind, server.url, maker)


def first_match(
    big: Big, filters: ProxyFilters, selector: SelectorStrategy, rounds: dict[UUID, int]
) -> Proxy:
    """What a selector must offer of an idle pool, by the models."""
    matching = [proxy for proxy in big.proxies if filters.matches(proxy)]
    if selector is SelectorStrategy.FIRST_AVAILABLE:
        return matching[0]
    if selector is SelectorStrategy.LEAST_USED:
        return min(matching, key=lambda p: (int(p.checked_at.timestamp() * 1000), str(p.id)))
    if selector is SelectorStrategy.ROUND_ROBIN:
        return min(matching, key=lambda p: (rounds.get(p.id, 0), str(p.id)))
    return min(matching, key=lambda p: str(p.id))


def expect_short(found: list[tuple[float, str]]) -> None:
    assert not found, f"more than {MOST_COMMANDS} commands a call: {found}"


def test_saves_are_short(big: Big) -> None:
    expect_short(big.saving)
    stats = big.storage.get_pool_stats("pool")
    assert stats is not None and stats.available_proxies == COUNT


@pytest.mark.parametrize("selector", SELECTORS)
def test_exact_before_and_after_the_view_is_complete(big: Big, selector: SelectorStrategy) -> None:
    """The first answers come from walks, then from a view that fills, then from its head."""
    rounds: dict[UUID, int] = {}
    for filters in (ProxyFilters(country="DE"), RARE):
        for turn in range(25):
            wanted = first_match(big, filters, selector, rounds).id
            lease = big.storage.acquire_lease("pool", "w", 60, filters, selector)
            assert lease is not None
            big.storage.release_lease(lease)
            assert lease.proxy_id == wanted, f"answer {turn}"
            rounds[wanted] = max(rounds.values(), default=0) + 1


def test_fills_and_walks_stop_in_time(big: Big) -> None:
    """The unfiltered view, a filtered one, a filter that nothing matches, a predicate."""
    asked: list[tuple[str, ProxyFilters]] = [
        ("unfiltered", ProxyFilters()),
        ("rare", ProxyFilters(country="DE", city="Ulm", none_of=[ProxyFilters(asn=1)])),
        ("nothing", ProxyFilters(country="ES")),
        ("walk", ProxyFilters(latitude=1.0, longitude=2.0, radius_km=3.0)),
        ("predicate", ProxyFilters(city="Ulm", predicate=lambda proxy: proxy.asn == 2)),
    ]
    found: list[tuple[float, str]] = []
    big.drop_views()
    for selector in SELECTORS:
        for what, filters in asked:
            big.begin()
            flow = Stepped(
                big.storage,
                lambda context, filters=filters, selector=selector: leasing.acquire(
                    context, "pool", "w", 60, filters, selector, None
                ),
            ).finish()
            assert flow.succeeded, flow.error
            if what in ("unfiltered", "rare"):
                assert flow.result.lease is not None
                big.storage.release_lease(flow.result.lease)
            else:
                assert flow.result.lease is None
            found += big.longer_calls(f"{what} by {selector.value}")
    expect_short(found)


def test_a_fleet_on_a_new_filter_leaves_room_for_others(big: Big) -> None:
    big.drop_views()
    big.begin()
    options = big.client.connection_pool.connection_kwargs
    command = [sys.executable, "-S", "-c", PINGER, options["host"], str(options["port"])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as pinger:
        assert pinger.stdout and pinger.stdin and pinger.stdout.readline() == "ready\n"
        new = ProxyFilters(city="Ulm", none_of=[ProxyFilters(isp="x")])

        def work(number: int) -> Any:
            selector = SELECTORS[number % 4]
            return big.storage.acquire_lease("pool", f"w{number}", 60, new, selector)

        with ThreadPoolExecutor(40) as threads:
            leases = list(threads.map(work, range(40)))
        pinger.stdin.write("enough\n")
        pinger.stdin.close()
        worst, count = pinger.stdout.readline().split()
        pinger.wait(10)
    print(f"\n{big.kind}: worst PING {float(worst):.1f} ms of {count}")
    found = big.longer_calls("fleet")
    assert len({lease.proxy_id for lease in leases if lease is not None}) == 40
    for lease in leases:
        big.storage.release_lease(lease)
    assert int(count) > 0
    expect_short(found)


def test_ending_twenty_thousand_things_is_done_in_chunks(big: Big) -> None:
    """Leases that are over (their records are gone already), and the pool itself at last."""
    storage: AnyStorage = big.storage
    storage.save_pool(other := ProxyPool(name="other"))
    storage.save_proxy(proxy := make_proxies(other, 1, max_concurrency=None)[0])
    keys, key = Keys(storage.settings.key_prefix), str(proxy.id)
    ids = [lease_tail(str(new_lease_id(other.id))) for _ in range(COUNT)]
    storage.client.zadd(keys.held(other.id, key), dict.fromkeys(ids, 1))
    storage.client.zadd(keys.expiry(other.id), {f"{id}:{key}": 1 for id in ids})
    storage.client.sadd(keys.extra(other.id), *(f"{key}:{n}" for n in range(2, COUNT + 1)))
    big.begin()
    assert storage.cleanup_expired_leases() == COUNT
    found = big.longer_calls("sweep")
    big.begin()
    storage.delete_pool(big.pool.id)  # the last test: the pool is gone
    found += big.longer_calls("delete")
    assert storage.get_pool_by_name("pool") is None
    check_invariants(storage)
    expect_short(found)
