"""What a pair costs the server, by its own account, beside py-redis-semaphore's pair.

Server time is that of scripts (``INFO commandstats``): what the semaphore sends beside its two
scripts, to wake waiters, is left out in its favour.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from pharox_redis import RedisProxyManager
from pharox_redis.benchmark.bench import Bench, ratio
from pharox_redis.benchmark.peers.managers import pair
from pharox_redis.benchmark.peers.semaphores import semaphore_pair
from pharox_redis.benchmark.rows import Budget, Limit, Row

_PAIRS_A_SECOND = 800
"""So many pairs are made for each second of a round: a pair takes longer on a slow machine, and
the server's account of it is not better for being long."""


def server_time(bench: Bench) -> Iterator[Row]:
    """Microseconds and commands of a pair, ours and the semaphore's."""
    pool = bench.pool(bench.profile.usual)
    times = max(10, round(_PAIRS_A_SECOND * bench.profile.round_seconds))
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    with semaphore_pair(bench.client, bench.prefix) as semaphore:
        lease = pair(RedisProxyManager(bench.storage()), pool.name)
        bench.reporter.status("server time of a pair")
        for work in (lease, semaphore):  # scripts are loaded, the filter's view is filled
            bench.server_cost(work, times)
        for _ in range(bench.profile.rounds):
            ours.append(bench.server_cost(lease, times))
            theirs.append(bench.server_cost(semaphore, times))
            bench.reporter.advance()
    our_us, our_calls = map(statistics.median, zip(*ours, strict=True))
    their_us, their_calls = map(statistics.median, zip(*theirs, strict=True))
    yield Row(
        "server-time",
        "RedisProxyManager / py-redis-semaphore",
        ratio([us for us, _ in ours], [us for us, _ in theirs]),
        "x",
        Budget(Limit.AT_MOST, 1.0),
        f"{our_us:.1f} us, {our_calls:.1f} redis.calls / {their_us:.1f} us",
        {
            "RedisProxyManager us": our_us,
            "RedisProxyManager redis.calls": our_calls,
            "py-redis-semaphore us": their_us,
            "py-redis-semaphore redis.calls and commands": their_calls,
        },
    )
