"""Server time of a miss: an acquire that finds nothing free."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pharox.models import Lease, ProxyFilters, ProxyPool

from pharox_redis import RedisProxyManager, RedisStorage
from pharox_redis.benchmark.bench import COUNTRIES, Bench, ratio
from pharox_redis.benchmark.rows import Budget, Limit, Row
from pharox_redis.benchmark.serverside import (
    CONSUMER,
    USUAL,
    complete_view,
    server_costs,
    views_as_found,
)
from pharox_redis.benchmark.together import exhausted

SECTION = "misses"
_GONE = ProxyFilters(country="UY")
_HITS = 300


def misses(bench: Bench) -> Iterator[Row]:
    """A row for every size.

    Exhausted is one country of the pool: all its proxies are leased, a tenth of the pool. The
    script decides by the head of the filter's view, and there it is the same whether the other
    proxies are free or not; and hits can be measured in the same pool, in the same rounds. A hit is
    an acquire alone; what it leased is released outside of the figure.
    """
    storage = bench.storage(lease_retention=0)
    for size in bench.profile.sizes:
        pool = bench.pool(size)
        complete_view(bench, pool)
        bench.reporter.status(f"leasing every tenth of {size:,} proxies")
        with views_as_found(bench, pool):
            complete_view(bench, pool, _GONE)
            with exhausted(storage, pool, _GONE) as held:
                yield _row(bench, storage, pool, size, len(held))


def _row(bench: Bench, storage: RedisStorage, pool: ProxyPool, size: int, leased: int) -> Row:
    hit, miss, taken = _works(storage, pool)
    free = size // len(COUNTRIES)

    def give_back(name: str) -> None:
        while taken:
            storage.release_lease(taken.pop())

    bench.reporter.status(f"server time of a miss at {size:,} proxies")
    try:
        costs = server_costs(
            bench,
            {"hit": hit, "miss": miss},
            # A visit must not use up what is free.
            {"hit": max(1, min(_HITS, free)), "miss": _HITS},
            give_back,
        )
    finally:
        give_back("")
    return Row(
        SECTION,
        f"a miss against a hit at {size:,} proxies",
        ratio(costs["miss"].us, costs["hit"].us),
        "x",
        Budget(Limit.AT_MOST, 0.5),
        f"{costs['miss'].median:.0f} us against {costs['hit'].median:.0f} (acquire alone); "
        f"all {leased:,} matching proxies leased",
        {
            "us": costs["miss"].median,
            "us of a hit": costs["hit"].median,
            "commands inside": costs["miss"].calls,
            "commands inside a hit": costs["hit"].calls,
        },
    )


def _works(
    storage: RedisStorage, pool: ProxyPool
) -> tuple[Callable[[], None], Callable[[], None], list[Lease]]:
    manager = RedisProxyManager(storage)
    taken: list[Lease] = []

    def hit() -> None:
        lease = manager.acquire_proxy(pool.name, CONSUMER, 60, USUAL)
        if lease is None:
            raise RuntimeError(f"pool {pool.name} had no free proxy: not a hit")
        taken.append(lease)

    def miss() -> None:
        lease = manager.acquire_proxy(pool.name, CONSUMER, 60, _GONE)
        if lease is not None:
            taken.append(lease)
            raise RuntimeError(f"pool {pool.name} was not exhausted: not a miss")

    return hit, miss, taken
