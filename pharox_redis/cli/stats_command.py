"""``pharox-redis stats``: the pools and how busy they are."""

from __future__ import annotations

from pharox_redis.cli.columns import Column, number
from pharox_redis.cli.connection import DEFAULT_URL, PrefixOption, UrlOption, storage_for
from pharox_redis.cli.finding import figures_of
from pharox_redis.cli.listing import print_rows
from pharox_redis.cli.naming import SomePoolOption
from pharox_redis.cli.options import JsonOption
from pharox_redis.cli.output import print_json
from pharox_redis.cli.shapes import figures_json

_COLUMNS = (
    Column("pool", 11, least=12),
    number("total", 8),
    number("active", 5),
    number("available", 10),
    number("saturated", 4),
    number("leased", 3),
    number("leases", 9),
    number("views", 1),
    number("acquired", 7),
    number("missed", 6),
    number("reclaimed", 2),
)


def stats(
    pool: SomePoolOption = None,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    json: JsonOption = False,
) -> None:
    """Show how busy each pool is.

    Total, active, available, saturated and leased count proxies; a proxy can have several leases.
    Acquired, missed (nothing was free) and reclaimed (leases that ran out) count since the pool was
    made.
    """
    with storage_for(url, prefix) as storage:
        figures = figures_of(storage, pool)
    if json:
        print_json([figures_json(each) for each in figures])
        return
    rows = [
        (
            each.pool.name,
            each.total_proxies,
            each.active_proxies,
            each.available_proxies,
            each.saturated_proxies,
            each.leased_proxies,
            each.total_leases,
            each.views,
            each.acquired,
            each.missed,
            each.reclaimed,
        )
        for each in figures
    ]
    print_rows(_COLUMNS, [rows], "There are no pools.")
