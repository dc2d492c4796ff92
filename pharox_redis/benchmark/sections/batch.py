"""Leases taken and returned many at a time, against one at a time."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from pharox_redis.benchmark.bench import Bench, Work, ratio
from pharox_redis.benchmark.peers.managers import CONSUMER, DURATION, FILTERS, NothingLeasedError
from pharox_redis.benchmark.rows import Budget, Limit, Row


def batch(bench: Bench) -> Iterator[Row]:
    """The cost of a lease in a batch, against that of a lease alone."""
    count = bench.profile.batch
    what = f"{count} leases at a time / one, per lease"
    budget = Budget(Limit.AT_LEAST, 4.0)
    # Any: a version of the storage without batches is measured as far as it goes.
    storage: Any = bench.storage()
    if not hasattr(storage, "acquire_leases"):
        yield Row("batch", what, None, "x", budget, "RedisStorage has no acquire_leases")
        return
    pool = bench.pool(bench.profile.usual).name
    bench.reporter.status(f"batches of {count}")
    seconds = bench.interleave(
        {"alone": _alone(storage, pool), "in a batch": _together(storage, pool, count)}
    )
    each = {"alone": seconds["alone"], "in a batch": [s / count for s in seconds["in a batch"]]}
    rates = {name: 1 / statistics.median(times) for name, times in each.items()}
    yield Row(
        "batch",
        what,
        ratio(each["alone"], each["in a batch"]),
        "x",
        budget,
        f"{rates['in a batch']:,.0f} / {rates['alone']:,.0f} pairs a second",
        {f"{name}, pairs a second": rate for name, rate in rates.items()},
    )


def _alone(storage: Any, pool: str) -> Work:
    def work() -> None:
        lease = storage.acquire_lease(pool, CONSUMER, DURATION, FILTERS)
        if lease is None:
            raise NothingLeasedError("acquire_lease")
        storage.release_lease(lease)

    return work


def _together(storage: Any, pool: str, count: int) -> Work:
    def work() -> None:
        leases = storage.acquire_leases(pool, CONSUMER, DURATION, count=count, filters=FILTERS)
        released = storage.release_leases(leases)
        if released != count:  # a batch may be partial, and the ratio would not be per lease
            raise NothingLeasedError(f"{count - released} of {count} leases of a batch")

    return work
