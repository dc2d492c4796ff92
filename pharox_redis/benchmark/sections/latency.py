"""How long an acquire and a release take, each by itself: percentiles, and histograms to plot."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil, floor, log10

from pharox.manager import ProxyManager
from redis.lock import Lock

from pharox_redis import RedisProxyManager
from pharox_redis.benchmark.bench import Bench
from pharox_redis.benchmark.contender import LOCK, OURS, PHAROX, Contender, managed
from pharox_redis.benchmark.peers.locks import lock_name, make_lock
from pharox_redis.benchmark.peers.managers import NothingLeasedError
from pharox_redis.benchmark.rows import Row

SERIES = {"acquire": "latency acquire", "release": "latency release"}
"""The plots: the share of calls by their microseconds, in bins of equal width on a log scale."""

BINS_A_DECADE = 40
_PAIRS_A_SECOND = 800


def latency(bench: Bench) -> Iterator[Row]:
    """Median and 99th percentile of acquire and release, both managers' and a Lock's."""
    pool = bench.pool(bench.profile.usual).name
    storage = bench.storage()
    lock = make_lock(bench.client, lock_name(bench.prefix))
    contenders = {
        OURS: managed(RedisProxyManager(storage), pool),
        PHAROX: managed(ProxyManager(storage), pool),
        LOCK: Contender(
            lambda: lock if lock.acquire() else None, Lock.release, lambda lock: str(lock.name)
        ),
    }
    times = max(20, round(_PAIRS_A_SECOND * bench.profile.round_seconds))
    bench.reporter.status("latencies")
    taken: dict[tuple[str, str], list[float]] = {}
    for number in range(bench.profile.rounds + 1):
        for name, contender in contenders.items():
            acquires, releases = _measure(contender, name, times)
            if number:  # the first round warms up
                taken.setdefault(("acquire", name), []).extend(acquires)
                taken.setdefault(("release", name), []).extend(releases)
        bench.reporter.advance()
    for (call, name), seconds in taken.items():
        bench.series.setdefault(SERIES[call], {})[name] = histogram(seconds)
        half, most, worst = (percentile(seconds, share) * 1e6 for share in (0.5, 0.99, 1.0))
        yield Row(
            "latency",
            f"{call}, {name}: median",
            half,
            "us",
            note=f"99th percentile {most:,.0f} us, longest {worst:,.0f} us",
            details={"median us": half, "99th percentile us": most, "longest us": worst},
        )


def histogram(seconds: Sequence[float]) -> list[tuple[float, float]]:
    """(where a bin begins in us, the share of the calls in it), the empty bins between included."""
    bins = Counter(floor(log10(s * 1e6) * BINS_A_DECADE) for s in seconds)
    return [
        (10 ** (number / BINS_A_DECADE), bins[number] / len(seconds))
        for number in range(min(bins), max(bins) + 2)
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def _measure(contender: Contender, name: str, times: int) -> tuple[list[float], list[float]]:
    acquires, releases = [], []
    for _ in range(times):
        start = time.perf_counter()
        held = contender.acquire()
        got = time.perf_counter()
        if held is None:
            raise NothingLeasedError(name)
        contender.release(held)
        releases.append(time.perf_counter() - got)
        acquires.append(got - start)
    return acquires, releases
