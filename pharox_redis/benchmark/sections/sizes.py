"""Server time of a pair against the size of the pool."""

from __future__ import annotations

from collections.abc import Iterator

from pharox_redis.benchmark.bench import Bench, ratio
from pharox_redis.benchmark.rows import Budget, Limit, Row
from pharox_redis.benchmark.serverside import complete_view, server_costs, usual_pair

SECTION = "sizes"


def sizes(bench: Bench) -> Iterator[Row]:
    """A row for every size but the smallest, which the others are held against: the largest may
    take twice as long, the others 1.3 times."""
    storage, all_sizes = bench.storage(), bench.profile.sizes
    pools = {size: bench.pool(size) for size in all_sizes}
    for pool in pools.values():
        complete_view(bench, pool)
    bench.reporter.status("server time of a pair, by pool size")
    costs = server_costs(
        bench, {str(size): usual_pair(storage, pool) for size, pool in pools.items()}
    )
    # In seconds, as the lines of `client-sizes` that it is drawn with.
    bench.series.setdefault(SECTION, {})["RedisProxyManager, server time"] = [
        (float(size), costs[str(size)].median / 1_000_000) for size in all_sizes
    ]
    smallest = costs[str(all_sizes[0])]
    for size in all_sizes[1:]:
        cost = costs[str(size)]
        yield Row(
            SECTION,
            f"a pair at {size:,} proxies against {all_sizes[0]:,}",
            ratio(cost.us, smallest.us),
            "x",
            Budget(Limit.AT_MOST, 2.0 if size == all_sizes[-1] else 1.3),
            f"{cost.median:.0f} us against {smallest.median:.0f}",
            {
                "us": cost.median,
                "us at the smallest": smallest.median,
                "commands inside": cost.calls,
            },
        )
