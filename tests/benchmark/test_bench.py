"""Rounds that alternate, ratios within a round, and the server's account."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from pharox_redis.benchmark.bench import SMALL, Bench, proxies, ratio
from pharox_redis.benchmark.peers.evalsha import evalsha
from pharox_redis.benchmark.peers.managers import FILTERS
from pharox_redis.benchmark.sections.latency import BINS_A_DECADE, histogram, percentile


def test_a_ratio_is_the_median_of_rounds_not_the_ratio_of_medians() -> None:
    # The machine is ten times slower in two of three rounds; the ratio is 2 in each.
    assert ratio([2, 20, 40], [1, 10, 20]) == 2
    assert ratio([1, 20, 4], [1, 10, 1]) == 2
    with pytest.raises(ValueError, match="shorter"):
        ratio([1, 2], [1])


def test_pieces_of_work_take_turns(bench: Bench) -> None:
    bench.profile = replace(SMALL, rounds=3, round_seconds=0.002)
    calls: list[str] = []
    seconds = bench.interleave({name: lambda n=name: calls.append(n) for name in "ab"})
    turns = [name for name, _ in itertools.groupby(calls)]
    assert turns == list("abababab"), "warmed up once each, then three rounds of both"
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}
    assert bench.reporter.rounds == 3


def test_the_server_says_what_scripts_called(bench: Bench) -> None:
    key = f"{bench.prefix}:counted"
    sha = bench.client.script_load("for _ = 1, 3 do redis.call('incr', KEYS[1]) end")
    usec, calls = bench.server_cost(lambda: bench.client.evalsha(sha, 1, key), 20)
    assert calls == 3 and usec > 0
    assert bench.client.get(key) == b"60"
    _, calls = bench.server_cost(evalsha(bench.client), 20)
    assert calls == 0


def test_the_servers_counters_are_not_reset(bench: Bench) -> None:
    def pings() -> int:
        return int(bench.client.info("commandstats")["cmdstat_ping"]["calls"])

    bench.client.ping()
    before = pings()
    bench.server_cost(bench.client.ping, 5)
    assert pings() == before + 5


def test_a_pool_is_loaded_once_and_one_in_ten_matches(bench: Bench) -> None:
    pool = bench.pool(50)
    assert bench.pool(50) is pool
    listed = bench.storage().list_proxies(str(pool.id))
    assert len(listed) == 50
    assert sum(FILTERS.matches(proxy) for proxy in listed) == 5
    assert {(str(proxy.host), proxy.max_concurrency) for proxy in listed} == {
        (f"10.0.0.{number}", 1) for number in range(50)
    }


def test_addresses_differ_up_to_a_million(bench: Bench) -> None:
    pool = bench.pool(1)
    hosts = [p.host for p in proxies(pool, 65_530, 65_540)] + [
        p.host for p in proxies(pool, 999_990, 1_000_000)
    ]
    assert len(set(hosts)) == 20


def test_a_histogram_has_every_call_in_the_bin_it_belongs_to() -> None:
    bins = histogram([1e-4, 1.01e-4, 1e-3])
    assert sum(share for _, share in bins) == pytest.approx(1)
    assert len(bins) == BINS_A_DECADE + 2, "the empty ones between, and an edge at the end"
    assert bins[0] == (pytest.approx(100), pytest.approx(2 / 3))
    assert bins[-2] == (pytest.approx(1000), pytest.approx(1 / 3))
    assert bins[-1][1] == 0


def test_percentiles_are_values_that_were_seen() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 3, 5, 5]
