"""Readings for pipes and scripts: as text, and as JSON, one object a line."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console

from pharox_redis.cli.output import plural, print_json, result_console
from pharox_redis.cli.shapes import figures_json, lease_json
from pharox_redis.cli.top.reading import Held, Reading, Row
from pharox_redis.cli.top.screen import held_longest
from pharox_redis.cli.top.tables import Order, lease_table, ordered, pool_table

_WIDE = 10_000
"""Columns of an output that is no terminal: more than any name has, so that none is cut."""


def plain_console() -> Console:
    """Return the console that `print_plain` prints on."""
    console = result_console()
    console.soft_wrap = False  # tables and lines end where the terminal does
    if not console.is_terminal:
        console.width = _WIDE
    return console


def print_plain(console: Console, reading: Reading) -> None:
    """Print a reading as text, all its pools and leases; a blank line ends it."""
    width = console.width if console.is_terminal else 0
    when = "" if reading.at is None else f", {reading.at.isoformat(timespec='seconds')}"
    console.print(f"{plural(len(reading.rows), 'pool')}, {plural(reading.leases, 'lease')}{when}")
    if reading.rows:
        console.print(pool_table(ordered(reading.rows, Order.ACTIVITY), width))
    if reading.held:
        console.print()
        console.print(held_longest(reading))
        console.print(lease_table(reading.held, width))
    console.print()
    sys.stdout.flush()


def print_reading_json(reading: Reading) -> None:
    """Print a reading as one line of JSON."""
    print_json(reading_json(reading))
    sys.stdout.flush()


def reading_json(reading: Reading) -> dict[str, Any]:
    """Return what ``--json`` prints of a reading; rates are ``None`` in the first one."""
    return {
        "at": None if reading.at is None else reading.at.isoformat(),
        "pools": [_row_json(row) for row in ordered(reading.rows, Order.ACTIVITY)],
        "longest_held": [_held_json(each) for each in reading.held],
        "leases": reading.leases,
        "leases_looked_at": reading.looked_at,
    }


def _row_json(row: Row) -> dict[str, Any]:
    return {
        **figures_json(row.figures),
        "at": row.figures.at.isoformat(),
        "acquires_per_second": None if row.acquires is None else round(row.acquires, 3),
        "misses_per_second": None if row.misses is None else round(row.misses, 3),
    }


def _held_json(held: Held) -> dict[str, Any]:
    return {
        **lease_json(held.lease, held.holder, held.at),
        "proxy": held.proxy,
        "held_seconds": round(held.held_seconds, 3),
    }
