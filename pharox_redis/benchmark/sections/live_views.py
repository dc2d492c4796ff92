"""Server time of a pair in a pool with many live views."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from pharox.models import ProxyFilters

from pharox_redis.benchmark.bench import COUNTRIES, Bench, ratio
from pharox_redis.benchmark.rows import Budget, Limit, Row
from pharox_redis.benchmark.serverside import (
    USUAL,
    complete_view,
    own_pool,
    server_costs,
    usual_pair,
)

SECTION = "live-views"
_MINE = 3


def live_views(bench: Bench) -> Iterator[Row]:
    """A pool with one filtered view against one with many, of which the proxy is in three.

    The unfiltered view, which every pool has and every proxy is in, is beside them: it is not
    counted.
    """
    size, count = bench.profile.usual, bench.profile.views
    storage = bench.storage()
    with (
        own_pool(bench, storage, "views-one", size) as one,
        own_pool(bench, storage, "views-many", size) as many,
    ):
        complete_view(bench, one)
        for filters in view_filters(count):
            complete_view(bench, many, filters)
        bench.reporter.status("server time of a pair, by live views")
        costs = server_costs(
            bench, {"one": usual_pair(storage, one), "many": usual_pair(storage, many)}
        )
    yield Row(
        SECTION,
        f"a pair with {count} live views, the proxy in {_MINE}, against 1",
        ratio(costs["many"].us, costs["one"].us),
        "x",
        Budget(Limit.AT_MOST, 1.3),
        f"{costs['many'].median:.0f} us against {costs['one'].median:.0f}; "
        "the unfiltered view is not counted",
        {
            "us": costs["many"].median,
            "us with one": costs["one"].median,
            "commands inside": costs["many"].calls,
            "commands inside with one": costs["one"].calls,
        },
    )


def view_filters(count: int) -> list[ProxyFilters]:
    """So many filters: three accept the country of the usual pair, the first being the usual one;
    the others accept two or three other countries."""
    mine = str(USUAL.country)
    others = [country for country in COUNTRIES if country != mine]
    sets = [(mine,), *((mine, other) for other in others[: _MINE - 1])]
    sets += [*combinations(others, 2), *combinations(others, 3)]
    return [_any_of(countries) for countries in sets[:count]]


def _any_of(countries: tuple[str, ...]) -> ProxyFilters:
    if len(countries) == 1:
        return ProxyFilters(country=countries[0])
    return ProxyFilters(any_of=[ProxyFilters(country=country) for country in countries])
