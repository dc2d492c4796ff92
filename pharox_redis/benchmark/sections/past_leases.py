"""Server time of a pair with many past leases in retention."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pharox_redis.benchmark.bench import Bench, ratio
from pharox_redis.benchmark.rows import Budget, Limit, Row
from pharox_redis.benchmark.serverside import (
    CONSUMER,
    complete_view,
    own_pool,
    server_costs,
    usual_pair,
)
from pharox_redis.benchmark.together import many_pairs
from pharox_redis.keys import Keys

SECTION = "past-leases"
_OTHERS = 100
_STRETCH = 20_000
_RETENTION = 6 * 3600.0  # seconds: longer than any run


def past_leases(bench: Bench) -> Iterator[Row]:
    """A pool without past leases against one with many.

    They were leases: taken and given back through the library. Half of them are of the very
    consumer that is measured, the others of a hundred more.
    """
    size, wanted = bench.profile.usual, bench.profile.past_leases
    storage = bench.storage(lease_retention=_RETENTION)
    with (
        own_pool(bench, storage, "past-none", size) as fresh,
        own_pool(bench, storage, "past-many", size) as old,
    ):
        for pool in (fresh, old):
            complete_view(bench, pool)
        names = [
            CONSUMER if n % 2 else f"past-{n // 2 % min(_OTHERS, wanted)}" for n in range(wanted)
        ]
        for start in range(0, wanted, _STRETCH):
            bench.reporter.status(f"{start:,} of {wanted:,} leases taken and given back")
            many_pairs(storage, old, names[start : start + _STRETCH], size)
        keys = Keys(bench.prefix)
        kept: Any = sum(
            bench.client.zcard(keys.leases(old.id, str(storage.ensure_consumer(name))))
            for name in set(names)
        )
        bench.reporter.status("server time of a pair, with and without past leases")
        costs = server_costs(
            bench, {"none": usual_pair(storage, fresh), "many": usual_pair(storage, old)}
        )
    none, many = costs["none"], costs["many"]
    yield Row(
        SECTION,
        f"a pair with {wanted:,} past leases in retention against none",
        ratio(many.us, none.us),
        "x",
        Budget(Limit.AT_MOST, 1.2),
        f"{many.median:.0f} us against {none.median:.0f}; "
        "half of the past leases are of the consumer that is measured",
        {"us": many.median, "us with none": none.median, "past leases": float(kept)},
    )
