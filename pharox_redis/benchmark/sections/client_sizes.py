"""Pairs a second by the size of the pool, for the plot: ours, and pharox's in-memory storage.

The in-memory storage looks at every proxy for every acquire. It is measured up to 10,000 proxies;
beyond, a pair takes a good part of a second.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from pharox_redis import RedisProxyManager
from pharox_redis.benchmark.bench import Bench, Work
from pharox_redis.benchmark.peers.in_memory import in_memory_manager
from pharox_redis.benchmark.peers.managers import pair
from pharox_redis.benchmark.rows import Row

SERIES = "sizes"
"""The plot: seconds a pair by the number of proxies."""

IN_MEMORY_UP_TO = 10_000
SMALL_POOL = 32
"""Where the in-memory storage wins; the plot and the documents say so."""

OURS, IN_MEMORY = "RedisProxyManager", "InMemoryStorage, one process"


def client_sizes(bench: Bench) -> Iterator[Row]:
    """Pairs a second at each size of the profile, and at the 32 proxies where memory is faster."""
    lines = bench.series.setdefault(SERIES, {})
    manager = RedisProxyManager(bench.storage())
    for size in (SMALL_POOL, *bench.profile.sizes):
        pool = bench.pool(size)
        works: dict[str, Work] = {OURS: pair(manager, pool.name)}
        if size <= IN_MEMORY_UP_TO:
            works[IN_MEMORY] = pair(in_memory_manager(pool, size), pool.name)
        bench.reporter.status(f"pairs of one client, {size:,} proxies")
        seconds = {name: statistics.median(s) for name, s in bench.interleave(works).items()}
        for name, taken in seconds.items():
            lines.setdefault(name, []).append((float(size), taken))
        yield Row(
            "client-sizes",
            f"pairs a second, {size:,} proxies",
            1 / seconds[OURS],
            "",
            note="; ".join(
                f"{name}: {1 / taken:,.0f}" for name, taken in seconds.items() if name != OURS
            ),
            details={f"{name} a second": 1 / taken for name, taken in seconds.items()},
        )
