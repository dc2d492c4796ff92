"""A reading as tables: of the pools, and of the leases held longest.

A table is as wide as it may be and not wider. Numbers keep their width as they change, so that
nothing jumps. Where there is too little room the bar goes first, then columns, the less telling
ones first; the pool's name, what is available and the leases stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from rich.cells import cell_len
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pharox_redis.cli.durations import in_words
from pharox_redis.cli.output import printable
from pharox_redis.cli.top.reading import Held, Row

UNKNOWN = "-"
_NAME_WIDTH = 12  # of a pool's name, the least that a table leaves for it
_SHORT_BAR, _LONG_BAR = 4, 20
_ROOMY = 100


class Order(StrEnum):
    """What comes first in the table of pools."""

    ACTIVITY = "activity"
    NAME = "name"
    AVAILABLE = "least available"

    @property
    def following(self) -> Order:
        """The order that the key for it goes to from here."""
        every = list(Order)
        return every[(every.index(self) + 1) % len(every)]


class Column(NamedTuple):
    """A column of numbers. ``stays``: the lower, the sooner it goes where there is no room."""

    heading: str
    cell: Callable[[Row], str]
    width: int
    stays: int


def _rate(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:,.1f}" if value < 99.95 else f"{value:,.0f}"


_COLUMNS = (
    Column("total", lambda row: f"{row.figures.total_proxies:,}", 5, 3),
    Column("active", lambda row: f"{row.figures.active_proxies:,}", 6, 2),
    Column("available", lambda row: f"{row.figures.available_proxies:,}", 9, 9),
    Column("saturated", lambda row: f"{row.figures.saturated_proxies:,}", 9, 4),
    Column("leases", lambda row: f"{row.figures.total_leases:,}", 6, 8),
    Column("acq/s", lambda row: _rate(row.acquires), 6, 7),
    Column("miss/s", lambda row: _rate(row.misses), 6, 6),
    Column("swept", lambda row: f"{row.figures.reclaimed:,}", 6, 1),
)
_BARRED = "available"


def ordered(rows: Sequence[Row], order: Order) -> list[Row]:
    """Return the rows in that order; equal ones by name."""
    by_name = sorted(rows, key=lambda row: row.figures.pool.name)
    if order is Order.NAME:
        return by_name
    if order is Order.AVAILABLE:
        return sorted(by_name, key=_share)
    return sorted(by_name, key=lambda row: row.activity, reverse=True)


def pool_table(rows: Sequence[Row], width: int) -> Table:
    """Return the table of these pools for a width; without one (0), as wide as it likes."""
    columns, name, bar = _fitting(rows, width)
    table = _table(width)
    table.add_column("pool", no_wrap=True, overflow="ellipsis", width=name)
    for column in columns:
        size = _width(column, rows)
        table.add_column(column.heading, justify="right", no_wrap=True, width=size)
        if bar and column.heading == _BARRED:
            table.add_column("", no_wrap=True, width=bar)
    for row in rows:
        cells: list[Text | ProgressBar] = [Text(printable(row.figures.pool.name))]
        for column in columns:
            cells.append(Text(column.cell(row), style=_style(column, row)))
            if bar and column.heading == _BARRED:
                cells.append(_bar(row, bar))
        table.add_row(*cells)
    return table


def lease_table(held: Sequence[Held], width: int) -> Table:
    """Return the table of these leases for a width; without one (0), as wide as it likes."""
    rows = [
        (
            Text(printable(each.pool)),
            _known(each.proxy),
            _known(each.holder),
            Text(f"{in_words(each.held_seconds):>9}"),
            Text(f"{in_words(each.left_seconds):>9}"),
        )
        for each in held
    ]
    headings = ("pool", "proxy", "held by", " held for", "time left")
    widths = [
        max(len(heading), *(row[place].cell_len for row in rows), 0)
        for place, heading in enumerate(headings)
    ]
    # If not all fits, the widest of the texts gives way until it is not the widest any more.
    room = max(3, width - sum(widths[3:]) - 4 * _gap(width)) if width else sum(widths)
    while sum(widths[:3]) > room:
        widths[widths.index(max(widths[:3]))] -= 1
    table = _table(width)
    for heading, size in zip(headings, widths, strict=True):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", width=size)
    for row in rows:
        table.add_row(*row)
    return table


def _gap(width: int) -> int:
    return 2 if not width or width >= _ROOMY else 1


def _table(width: int) -> Table:
    return Table(
        box=None,
        pad_edge=False,
        padding=(0, _gap(width), 0, 0),
        collapse_padding=True,
        header_style="bold",
    )


def _fitting(rows: Sequence[Row], width: int) -> tuple[list[Column], int, int]:
    """Return the columns that fit beside a name, and the widths of the name and of the bar, which
    is 0 for none."""
    columns, gap = list(_COLUMNS), _gap(width)
    longest = max((cell_len(printable(row.figures.pool.name)) for row in rows), default=0)
    name = max(_NAME_WIDTH, longest)
    if not width:
        return columns, name, 0

    def left() -> int:
        """Return what is left for the name."""
        return width - sum(gap + _width(column, rows) for column in columns)

    while len(columns) > 2 and left() < _NAME_WIDTH:
        columns.remove(min(columns, key=lambda column: column.stays))
    # A short bar says more than the last letters of a long name.
    bar = max(left() - gap - name, min(_SHORT_BAR, left() - gap - _NAME_WIDTH))
    bar = min(_LONG_BAR, bar) if bar >= _SHORT_BAR else 0
    return columns, max(1, min(name, left() - (gap + bar if bar else 0))), bar


def _width(column: Column, rows: Sequence[Row]) -> int:
    return max(column.width, *(len(column.cell(row)) for row in rows), 0)


def _share(row: Row) -> float:
    """Return how much of a pool is available, 0 to 1."""
    return row.figures.available_proxies / max(1, row.figures.total_proxies)


def _bar(row: Row, width: int) -> ProgressBar:
    """Return a bar as long as the pool's available share, in the colour of how bad that is."""
    style = _colour(row)
    return ProgressBar(
        total=max(1, row.figures.total_proxies),
        completed=row.figures.available_proxies,
        width=width,
        complete_style=style,
        finished_style=style,
    )


def _colour(row: Row) -> str:
    share = _share(row)
    return "red" if share < 0.1 else "yellow" if share < 0.3 else "green"


def _style(column: Column, row: Row) -> str:
    if column.heading == _BARRED and row.figures.total_proxies:
        return _colour(row)
    return "red" if column.heading == "miss/s" and row.misses else ""


def _known(text: str | None) -> Text:
    return Text("(unknown)", style="dim") if text is None else Text(printable(text))
