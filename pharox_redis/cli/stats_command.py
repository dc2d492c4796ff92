"""``pharox-redis stats``: the pools and how busy they are."""

from __future__ import annotations

from rich.table import Table

from pharox_redis.cli.connection import DEFAULT_URL, PrefixOption, UrlOption, storage_for
from pharox_redis.cli.output import printable, result_console

_NUMBERS = ("total", "active", "available", "leased", "total leases")


def stats(url: UrlOption = DEFAULT_URL, prefix: PrefixOption = None) -> None:
    """Show how busy each pool is.

    Total, active, available and leased count proxies; a proxy can have several leases.
    """
    table = Table()
    table.add_column("pool", overflow="fold")
    for name in _NUMBERS:
        table.add_column(name, justify="right")
    with storage_for(url, prefix) as storage:
        for pool in sorted(storage.list_pools(), key=lambda pool: pool.name):
            numbers = storage.get_pool_stats(pool.name)
            # A pool that was deleted since the list was read has none.
            if numbers is not None:
                table.add_row(
                    printable(pool.name),
                    f"{numbers.total_proxies:,}",
                    f"{numbers.active_proxies:,}",
                    f"{numbers.available_proxies:,}",
                    f"{numbers.leased_proxies:,}",
                    f"{numbers.total_leases:,}",
                )
    result_console().print(table if table.row_count else "There are no pools.")
