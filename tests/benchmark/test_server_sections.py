"""The sections that ask the server, small: their rows, and that they leave all as it was. No times.

What a section is about (views, past leases, an exhausted filter, scripts that were seen) is looked
at too: a figure of something else would look just as well.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from pharox_redis.benchmark.bench import SMALL, Bench
from pharox_redis.benchmark.redis_process import redis_binary, redis_process
from pharox_redis.benchmark.rows import Limit, Row, Verdict
from pharox_redis.benchmark.sections import (
    live_views,
    memory,
    misses,
    new_filter,
    past_leases,
    pauses,
    sizes,
)
from pharox_redis.benchmark.serverside import (
    USUAL,
    complete_view,
    own_pool,
    view_state,
    views_as_found,
)
from pharox_redis.benchmark.slowlog import SlowLog
from pharox_redis.benchmark.together import exhausted, many_pairs, together
from pharox_redis.embedded import EmbeddedServer
from pharox_redis.keys import Keys

SECTIONS = {
    "sizes": (sizes.sizes, [("x", 1.3), ("x", 2.0)]),
    "past_leases": (past_leases.past_leases, [("x", 1.2)]),
    "misses": (misses.misses, [("x", 0.5)] * 3),
    "live_views": (live_views.live_views, [("x", 1.3)]),
    "new_filter": (new_filter.new_filter, [("ms", 10), ("s", 3), ("x", 1.2)]),
    "pauses": (pauses.pauses, [("ms", 5), ("ms", 10)]),
    "memory": (memory.memory, [("B", 1.1 * 1024), ("B", 700)]),
}


class Silent:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.rounds = 0

    def status(self, text: str) -> None:
        self.said.append(text)

    def advance(self) -> None:
        self.rounds += 1


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with EmbeddedServer() as server:
        yield server.url


@pytest.fixture
def bench(url: str) -> Iterator[Bench]:
    """A bench on an empty server, with shared pools that are in use already."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        made = Bench(client, url, SMALL, Silent())
        for size in SMALL.sizes:
            complete_view(made, made.pool(size))
        yield made
        client.flushall()


def state(bench: Bench) -> dict[str, Any]:
    """What a section must leave as it was: shared pools, their views, leases and proxies, and no
    key of anything else."""
    keys, found = Keys(bench.prefix), dict[str, Any]()
    pools = {size: bench.pool(size) for size in SMALL.sizes}
    for size, pool in pools.items():
        found[f"proxies {size}"] = bench.client.zcard(keys.proxies(pool.id))
        found[f"free {size}"] = bench.client.zcount(keys.view(pool.id, "f0"), "-inf", "(+inf")
        found[f"leases {size}"] = bench.client.zcard(keys.expiry(pool.id))
        found[f"views {size}"] = sorted(bench.client.hkeys(keys.views(pool.id)))
    known = (keys.pools(), keys.consumers(), f"{keys.root}:proxies:")
    shared = tuple(keys.pool(pool.id) for pool in pools.values())
    every = [key.decode() for key in bench.client.scan_iter(count=1000)]
    found["foreign"] = [key for key in every if not key.startswith(known + shared)]
    found["pools"] = sorted(bench.client.hkeys(keys.pools()))
    found["directory"] = sum(
        bench.client.hlen(key) for key in every if key.startswith(f"{keys.root}:proxies:")
    )
    return found


def check(rows: list[Row], budgets: list[tuple[str, float]]) -> None:
    assert [(row.unit, row.budget and row.budget.value) for row in rows] == budgets
    for row in rows:
        assert row.budget and row.budget.limit is Limit.AT_MOST
        assert row.figure is not None and math.isfinite(row.figure) and row.figure > 0, row
        assert row.verdict in (Verdict.PASS, Verdict.FAIL)
        assert row.section and row.what and row.note
        assert row.details and all(math.isfinite(value) for value in row.details.values())
        json.dumps(dataclasses.asdict(row))
    assert len({row.what for row in rows}) == len(rows), "rows cannot be told apart"


@pytest.mark.parametrize("name", SECTIONS)
def test_section(bench: Bench, name: str) -> None:
    section, budgets = SECTIONS[name]
    before, config = state(bench), bench.client.config_get("*")
    assert before["foreign"] == []
    check(list(section(bench)), budgets)
    assert state(bench) == before
    assert bench.client.config_get("*") == config
    assert isinstance(bench.reporter, Silent) and bench.reporter.said


def test_sizes_leave_a_series_for_the_plot(bench: Bench) -> None:
    list(sizes.sizes(bench))
    (line,) = bench.series[sizes.SECTION].values()
    assert [x for x, _ in line] == list(SMALL.sizes)
    assert all(y > 0 for _, y in line)


def test_past_leases_are_there_while_it_is_measured(bench: Bench) -> None:
    (row,) = past_leases.past_leases(bench)
    assert row.details["past leases"] >= SMALL.past_leases


def test_a_miss_asks_less_than_a_hit(bench: Bench) -> None:
    for row in misses.misses(bench):
        assert row.details["commands inside"] < row.details["commands inside a hit"]


def test_a_proxy_of_the_usual_pair_is_in_three_of_the_views(bench: Bench) -> None:
    for count in (5, 50):
        filters = live_views.view_filters(count)
        proxy = bench.storage().list_proxies(bench.pool(50).id)[7]
        assert proxy.country == USUAL.country
        assert len({each.model_dump_json() for each in filters}) == count
        assert sum(each.matches(proxy) for each in filters) == 3


def test_more_views_cost_more_commands(bench: Bench) -> None:
    (row,) = live_views.live_views(bench)
    # Acquire and release each re-score the proxy in two more views than with one view.
    assert row.details["commands inside"] > row.details["commands inside with one"] + 3.5


def test_new_filters_are_as_selective_as_they_say(bench: Bench) -> None:
    every = bench.storage().list_proxies(bench.pool(200).id)
    alike = new_filter._alike({"isp": "some"})
    assert [sum(map(each.matches, every)) for each in alike] == [2] * len(alike)
    assert len({each.model_dump_json() for each in alike}) == len(alike) == 4


def test_pauses_name_the_scripts_of_every_kind_of_work(bench: Bench) -> None:
    scripts, ping = pauses.pauses(bench)
    seen = {name.removeprefix("ms at most, ") for name in scripts.details}
    assert {"acquire", "save_proxies", "purge_proxy", "purge_pool"} <= seen
    assert all(scripts.details[f"ms, {kind}"] > 0 for kind in ("load", "fill", "delete"))
    assert all(ping.details[f"ms, {kind}"] > 0 for kind in ("load", "fill", "delete"))


def test_pauses_without_config(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: SlowLog) -> SlowLog:
        raise redis.exceptions.NoPermissionError("no permissions to run the 'config|set' command")

    monkeypatch.setattr(SlowLog, "__enter__", forbidden)
    scripts, ping = pauses.pauses(bench)
    assert scripts.verdict is Verdict.NOT_RUN and "CONFIG" in scripts.note
    assert ping.figure and ping.figure > 0


def test_memory_on_the_benchmarks_server(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "redis_binary", lambda major: None)
    before = state(bench)
    rows = list(memory.memory(bench))
    check(rows, SECTIONS["memory"][1])
    assert all("no Redis 7" in row.note for row in rows)
    assert state(bench) == before


def test_memory_counts_every_field(bench: Bench) -> None:
    for proxy in memory.realistic(bench.pool(50), 20):
        assert proxy.credentials is not None
        empty = {name for name, value in proxy if value is None}
        assert empty == set()


def test_an_own_pool_goes_when_its_section_fails(bench: Bench) -> None:
    before = state(bench)
    with (
        pytest.raises(ZeroDivisionError),
        own_pool(bench, bench.storage(lease_retention=3600), "broken", 20) as pool,
    ):
        many_pairs(bench.storage(lease_retention=3600), pool, ["one"] * 5, 20)
        raise ZeroDivisionError
    assert state(bench) == before


def test_exhausted(bench: Bench) -> None:
    pool, storage = bench.pool(200), bench.storage(lease_retention=0)
    before = state(bench)
    with exhausted(storage, pool, USUAL, consumers=3) as held:
        assert len({lease.proxy_id for lease in held}) == len(held) == 20
        assert len({lease.consumer_id for lease in held}) == 3
        assert storage.acquire_lease(pool.name, "late", 60, USUAL) is None
        assert state(bench) != before
    assert state(bench) == before


def test_many_pairs_are_leases_of_their_consumers(bench: Bench) -> None:
    pool, storage = bench.pool(50), bench.storage(lease_retention=3600)
    many_pairs(storage, pool, ["a", "b", "b"] * 20, 50)
    past = {name: storage.list_leases(storage.ensure_consumer(name)) for name in "ab"}
    assert [len(past[name]) for name in "ab"] == [20, 40]
    assert all(lease.released_at is not None for leases in past.values() for lease in leases)


def test_together_raises_what_a_flow_raises(bench: Bench) -> None:
    def broken() -> Any:
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        bench.storage()._run(together([broken()]))


def test_only_the_views_that_came_are_dropped(bench: Bench) -> None:
    pool = bench.pool(200)
    before = state(bench)
    with views_as_found(bench, pool):
        complete_view(bench, pool, misses._GONE)
        assert view_state(bench, pool, misses._GONE)
        assert state(bench) != before
    assert state(bench) == before
    assert view_state(bench, pool, misses._GONE) is None
    assert view_state(bench, pool, USUAL)


def test_slowlog_collects_the_librarys_scripts_only(bench: Bench) -> None:
    with SlowLog(bench.url, 0) as slow:
        bench.client.eval("return redis.call('PING')", 0)
        bench.client.ping()
        bench.storage().get_pool_stats("bench-50")
    assert {call.script for call in slow.calls} == {"stats"}


@pytest.mark.skipif(redis_binary(7) is None, reason="no redis-server 7 is installed")
def test_redis_process_goes_with_its_block() -> None:
    binary = redis_binary(7)
    assert binary and redis_binary(3) is None
    with redis_process(binary) as url:
        client = redis.Redis.from_url(url)
        info: dict[str, Any] = client.info("server")
        assert str(info["redis_version"]).startswith("7.")
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        assert client.config_get("appendonly")["appendonly"] == "no"
    with pytest.raises(redis.ConnectionError):
        client.ping()
    client.close()


def test_a_ping_that_was_seen_late_counts() -> None:
    """Who pings got no core for a whole span: the window that was over later tells of it."""
    pings = pauses._windows([(1.0, 2.0), (3.0, 9.0), (3.1, 1.0)])
    spans = [pauses.Span(0.2, 0.9), pauses.Span(1.5, 1.6), pauses.Span(3.05, 3.2)]
    assert [pauses._longest(pings, span) for span in spans] == [2.0, 9.0, 1.0]
