"""Processes that contend for half as many proxies as they are, against as many locks.

Every process takes and returns without a pause, so that there is always somebody who finds nothing.
In a last round, which does not count for speed, leases are kept for two milliseconds. The notes of
all processes are put together afterwards: at no time may a proxy have been held twice.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from pharox_redis.benchmark.bench import Bench, proxies, ratio
from pharox_redis.benchmark.contender import LOCK, OURS, PHAROX, Plan, Round
from pharox_redis.benchmark.crowd import overlaps, run_crowd
from pharox_redis.benchmark.peers.managers import FILTERS
from pharox_redis.benchmark.rows import Budget, Limit, Row
from pharox_redis.cli.output import plural

SECTION = "contention"
POOL = "bench-contended"

_NONE = Budget(Limit.AT_MOST, 0.0)
_STRETCH = 2
"""A round is longer than one client's: it takes time until all processes are running."""


def contention(bench: Bench) -> Iterator[Row]:
    """Pairs a second of a crowd against ``Lock``; errors and broken limits."""
    processes, rounds = bench.profile.processes, bench.profile.rounds
    things = processes // 2
    _make_pool(bench, things)
    plan = Plan(
        bench.url,
        bench.prefix,
        POOL,
        things,
        (OURS, LOCK, PHAROX),
        rounds + 1,
        bench.profile.round_seconds * _STRETCH,
    )
    bench.reporter.status(f"{processes} processes contend for {plural(things, 'proxy')}")
    notes = run_crowd(plan, processes, bench.reporter.advance)
    # the rounds of all processes side by side, by contender
    together = list(zip(*notes, strict=True))
    of = {
        name: [crowd for crowd in together if crowd[0].contender == name]
        for name in plan.contenders
    }
    # the first round warms up, and in the last one things are kept
    seconds = {name: [_seconds_a_pair(crowd) for crowd in of[name][1:-1]] for name in of}
    rates = {name: 1 / statistics.median(figures) for name, figures in seconds.items()}
    crowd = f"{processes} processes, {plural(things, 'proxy')}"
    yield Row(
        SECTION,
        f"{crowd}: {OURS} / {LOCK}",
        ratio(seconds[LOCK], seconds[OURS]),
        "x",
        Budget(Limit.AT_LEAST, 0.9),
        f"{rates[OURS]:,.0f} / {rates[LOCK]:,.0f} pairs a second",
        {f"{name} a second": rate for name, rate in rates.items()},
    )
    for name in (OURS, PHAROX):
        yield _errors(f"{crowd}: errors, {name}", of[name])
    yield _broken_limits(f"{crowd}: leases beyond a limit", of, things)


def _make_pool(bench: Bench, things: int) -> None:
    """A pool of which all match the filter: a bench pool that small has none that does."""
    storage = bench.storage()
    pool = storage.ensure_pool(POOL)
    storage.add_proxies_bulk(
        [
            proxy.model_copy(update={"country": FILTERS.country})
            for proxy in proxies(pool, 0, things)
        ]
    )


def _seconds_a_pair(crowd: Sequence[Round]) -> float:
    pairs = sum(len(done.holds) for done in crowd)
    if not pairs:
        raise RuntimeError(f"{crowd[0].contender}: {len(crowd)} processes got nothing in a round")
    taken = max(done.ended for done in crowd) - min(done.began for done in crowd)
    return taken / pairs


def _errors(what: str, crowds: Sequence[Sequence[Round]]) -> Row:
    done = [round for crowd in crowds for round in crowd]
    details = {
        "pairs": float(sum(len(round.holds) for round in done)),
        "misses": float(sum(round.misses for round in done)),
    }
    note = f"in {details['pairs']:,.0f} pairs and {details['misses']:,.0f} misses"
    messages = [message for round in done for message in round.messages]
    if messages:
        note += f"; the first: {messages[0]}"
    errors = sum(round.errors for round in done)
    return Row(SECTION, what, float(errors), "", _NONE, note, details)


def _broken_limits(what: str, of: dict[str, list[tuple[Round, ...]]], things: int) -> Row:
    beyond = most_held = 0
    for name in (OURS, PHAROX):
        holds = [hold for crowd in of[name] for done in crowd for hold in done.holds]
        twice, most = overlaps(holds)
        beyond += twice
        most_held = max(most_held, most)
    return Row(
        SECTION,
        what,
        float(beyond),
        "",
        _NONE,
        f"at most {most_held} of {things} held at a time, either manager",
        {"most held": float(most_held)},
    )
