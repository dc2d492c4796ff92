"""``pharox-redis top``: the pools and their leases, live."""

from __future__ import annotations

from typing import Annotated

import typer

from pharox_redis.cli.connection import DEFAULT_URL, PrefixOption, UrlOption
from pharox_redis.cli.durations import interval_option
from pharox_redis.cli.naming import SomePoolOption
from pharox_redis.cli.options import JsonOption


def top(
    pool: SomePoolOption = None,
    interval: Annotated[
        float | None,
        interval_option("--interval", help="Time between two looks, as in 500ms; 1s by default."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, max=1000, help="How many leases are shown at most.")
    ] = 20,
    as_json: JsonOption = False,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Print one reading and end; with --interval, it has rates over that."
        ),
    ] = False,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
) -> None:
    """Watch how busy the pools are, and who has held a lease longest.

    q or Ctrl-C ends it, p pauses, s changes the order of the pools. Acquires and misses (acquires
    that found nothing free) are per second since the look before; swept are leases that ran out,
    since the pool was made. Where there is no terminal it prints one reading and ends, or one each
    interval if that is given; with --json one line each interval.
    """
    # Imported here, because only this command needs an event loop.
    from pharox_redis.cli.top.run import Options, main

    raise typer.Exit(main(Options(url, prefix, pool, interval, limit, as_json, once)))
