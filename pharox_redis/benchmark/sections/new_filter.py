"""A filter that nobody asked for before: how long its first answer takes, and the next ones."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from itertools import chain, combinations

from pharox.models import ProxyFilters, ProxyPool

from pharox_redis.benchmark.bench import Bench, ratio
from pharox_redis.benchmark.rows import Budget, Limit, Row
from pharox_redis.benchmark.serverside import complete_view, usual_pair, views_as_found

SECTION = "new-filter"
_FILTERS = 4  # distinct ones, each asked once for the first time
_COMMON = {"isp": "some"}
_RARE = {"city": "rare"}
# Whatever matches one of those two has these (see ``bench.proxies``).
_IMPLIED = {"source": "bench", "country": "UY"}


def new_filter(bench: Bench) -> Iterator[Row]:
    """First answers, at the client, at the largest size; then a rare filter's next ones against
    the usual filter's.

    Filters of the same selectivity differ by constraints that follow from the others, so that each
    is new to the server and to the client.
    """
    size = bench.profile.sizes[-1]
    pool = bench.pool(size)
    complete_view(bench, pool)
    has_rare = size >= 100_000
    rare = _RARE if has_rare else _COMMON
    share = f"one in {100_000 if has_rare else 100:,} of {size:,}"
    with views_as_found(bench, pool):
        yield _first(bench, pool, "common", _COMMON, f"one in 100 of {size:,}", "ms", 10)
        yield _first(bench, pool, "rare", rare, share, "s", 3)
        yield _next(bench, pool, ProxyFilters(**rare), share)


def _alike(fields: dict[str, str]) -> list[ProxyFilters]:
    """Filters that accept the same proxies as one of these fields."""
    parts = chain.from_iterable(combinations(_IMPLIED.items(), n) for n in range(3))
    return [ProxyFilters(**fields, **dict(part)) for part in parts][:_FILTERS]


def _first(
    bench: Bench,
    pool: ProxyPool,
    kind: str,
    fields: dict[str, str],
    whom: str,
    unit: str,
    budget: float,
) -> Row:
    bench.reporter.status(f"the first answer to a filter that matches {whom}")
    storage, seconds = bench.storage(), list[float]()
    usual_pair(storage, pool)()  # connects, and knows the pool
    for filters in _alike(fields):
        start = time.perf_counter()
        lease = storage.acquire_lease(pool.name, "bench", 60, filters)
        seconds.append(time.perf_counter() - start)
        if lease is None:
            raise RuntimeError(f"no proxy of pool {pool.name} matched: not an answer")
        storage.release_lease(lease)
        bench.reporter.advance()
    scale = 1000 if unit == "ms" else 1
    return Row(
        SECTION,
        f"a new, {kind} filter's first answer, {whom} matching",
        statistics.median(seconds) * scale,
        unit,
        Budget(Limit.AT_MOST, budget),
        f"median of {_FILTERS} filters, at the client; "
        f"the longest {max(seconds) * scale:.3g} {unit}",
        {"s": statistics.median(seconds), "s at most": max(seconds), "s at least": min(seconds)},
    )


def _next(bench: Bench, pool: ProxyPool, rare: ProxyFilters, whom: str) -> Row:
    bench.reporter.status(f"the next answers to a filter that matches {whom}")
    storage = bench.storage()
    works = {"rare": usual_pair(storage, pool, rare), "usual": usual_pair(storage, pool)}
    seconds = bench.interleave(works)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return Row(
        SECTION,
        f"a rare filter's next answers against the usual one's, {whom} matching",
        ratio(seconds["rare"], seconds["usual"]),
        "x",
        Budget(Limit.AT_MOST, 1.2),
        f"a pair takes {medians['rare'] * 1e6:.0f} us against {medians['usual'] * 1e6:.0f}",
        {"us": medians["rare"] * 1e6, "us of the usual": medians["usual"] * 1e6},
    )
