"""Pairs a second of one client, ours and every peer's in the same alternating rounds."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import ExitStack

from pharox.manager import ProxyManager

from pharox_redis import RedisProxyManager
from pharox_redis.benchmark.bench import Bench, Work, ratio
from pharox_redis.benchmark.peers.evalsha import evalsha
from pharox_redis.benchmark.peers.in_memory import in_memory_manager
from pharox_redis.benchmark.peers.locks import lock_pair
from pharox_redis.benchmark.peers.managers import pair
from pharox_redis.benchmark.peers.postgres import PostgresUnusableError, postgres_manager
from pharox_redis.benchmark.rows import Budget, Limit, Row

SECTION = "pairs"

# (what it is called in the table, ours or pharox's manager, the peer, the budget)
_ROWS = (
    ("RedisProxyManager / EVALSHA", "RedisProxyManager", "EVALSHA", 0.40),
    ("RedisProxyManager / redis-py Lock", "RedisProxyManager", "Lock", 0.9),
    ("RedisProxyManager / InMemoryStorage", "RedisProxyManager", "InMemoryStorage", 40.0),
    ("RedisProxyManager / PostgresStorage", "RedisProxyManager", "PostgresStorage", 60.0),
    ("pharox's ProxyManager / EVALSHA", "ProxyManager", "EVALSHA", 0.20),
)


def pairs(bench: Bench) -> Iterator[Row]:
    """Pairs of both managers against EVALSHA, Lock, and pharox's own storages."""
    size = bench.profile.usual
    pool = bench.pool(size)
    storage = bench.storage()
    with ExitStack() as stack:
        works: dict[str, Work] = {
            "EVALSHA": evalsha(bench.client),
            "Lock": lock_pair(bench.client, bench.prefix),
            "RedisProxyManager": pair(RedisProxyManager(storage), pool.name),
            "ProxyManager": pair(ProxyManager(storage), pool.name),
            "InMemoryStorage": pair(in_memory_manager(pool, size), pool.name),
        }
        missing = "no --postgres-url"
        if bench.postgres_url is not None:
            bench.reporter.status(f"loading {size:,} proxies into PostgreSQL")
            try:
                manager = stack.enter_context(
                    postgres_manager(bench.postgres_url, bench.prefix, pool, size)
                )
                works["PostgresStorage"] = pair(manager, pool.name)
            except PostgresUnusableError as error:
                missing = f"PostgreSQL: {error}"
        bench.reporter.status(f"pairs of one client, {size:,} proxies")
        seconds = bench.interleave(works)
    per_second = {name: 1 / statistics.median(times) for name, times in seconds.items()}
    for what, ours, peer, least in _ROWS:
        budget = Budget(Limit.AT_LEAST, least)
        if peer not in seconds:
            yield Row(SECTION, what, None, "x", budget, missing)
            continue
        yield Row(
            SECTION,
            what,
            ratio(seconds[peer], seconds[ours]),
            "x",
            budget,
            f"{per_second[ours]:,.0f} / {per_second[peer]:,.0f} a second",
            {f"{name} a second": per_second[name] for name in (ours, peer)},
        )
