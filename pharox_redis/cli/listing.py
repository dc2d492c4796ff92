"""Lists of any length: a table on a terminal, tab-separated lines elsewhere, or one JSON array.

Rows come in pages and are written page by page, so that the first are there at once and none is
kept. A terminal's columns are as wide as the first page asks for, and a row stays one line, so that
an id can be copied from it; terminals wrap it. Lines for programs have the columns' names first,
plain numbers (seconds for times), nothing where there is nothing, and texts with everything escaped
that would break a line or steer a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from rich.cells import cell_len
from rich.table import Table

from pharox_redis.cli.output import error_console, printable, result_console

_ENDLESS = 1 << 20


class Span(NamedTuple):
    """A time that is left, in seconds."""

    seconds: float


Cell: TypeAlias = str | int | Span | None
Row: TypeAlias = Sequence[Cell]


def print_rows(columns: Sequence[str], pages: Iterable[Sequence[Row]], nothing: str) -> int:
    """Print rows as they come, and ``nothing`` if there are none; return how many."""
    console = result_console()
    show = _Terminal(columns) if console.is_terminal else _Lines(columns)
    count = 0
    for page in pages:
        if page:
            show.print(page)
            count += len(page)
    if not count:
        show.finish_empty(nothing)
    return count


def print_fields(*fields: tuple[str, Cell]) -> None:
    """Print what there is to say of one thing: a line a field, aligned or tab-separated."""
    console = result_console()
    width = max(len(name) for name, _ in fields)
    for name, cell in fields:
        if console.is_terminal:
            console.print(f"{name:{width}}  {_shown(cell)}")
        else:
            sys.stdout.write(f"{name}\t{_plain(cell)}\n")


def print_json_array(pages: Iterable[Sequence[Any]]) -> int:
    """Print one JSON array, an item a line, as the items come; return how many."""
    count = 0
    sys.stdout.write("[")
    for page in pages:
        for item in page:
            sys.stdout.write(f"{',' if count else ''}\n{json.dumps(item)}")
            count += 1
        sys.stdout.flush()
    sys.stdout.write("\n]\n" if count else "]\n")
    return count


class _Lines:
    def __init__(self, columns: Sequence[str]) -> None:
        self._heading: str | None = "\t".join(columns)

    def print(self, page: Sequence[Row]) -> None:
        self._print_heading()
        for row in page:
            sys.stdout.write("\t".join(map(_plain, row)) + "\n")
        sys.stdout.flush()

    def finish_empty(self, nothing: str) -> None:
        self._print_heading()
        error_console().print(nothing)

    def _print_heading(self) -> None:
        if self._heading is not None:
            sys.stdout.write(self._heading + "\n")
            self._heading = None


class _Terminal:
    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        # Of each column: how wide the first page is, and whether it has numbers.
        self._layout: list[tuple[int, bool]] = []
        self._console = result_console()

    def print(self, page: Sequence[Row]) -> None:
        rows = [[_shown(cell) for cell in row] for row in page]
        first = not self._layout
        if first:
            self._layout = [
                (max(map(cell_len, texts)), any(isinstance(cell, int | Span) for cell in cells))
                for texts, cells in zip(
                    zip(self._columns, *rows, strict=True), zip(*page, strict=True), strict=True
                )
            ]
        table = Table(box=None, show_header=first, pad_edge=False, padding=(0, 2, 0, 0))
        for name, (width, is_number) in zip(self._columns, self._layout, strict=True):
            table.add_column(
                name.upper(),
                justify="right" if is_number else "left",
                min_width=width,
                no_wrap=True,
            )
        for row in rows:
            table.add_row(*row)
        self._console.print(table, width=_ENDLESS, crop=False)

    def finish_empty(self, nothing: str) -> None:
        self._console.print(nothing)


def _plain(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Span):
        return f"{cell.seconds:.3f}"
    return printable(str(cell))


def _shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, Span):
        return duration(cell.seconds)
    return f"{cell:,}" if isinstance(cell, int) else printable(cell)


def duration(seconds: float) -> str:
    """Return ``850ms``, ``12.5s``, ``4m 02s``, ``3h 05m``, ``2d 04h``."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 60:
        return f"{int(seconds * 10) / 10:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes}m {rest:02}s"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours:02}h" if days else f"{hours}h {minutes:02}m"
