"""Lists of any length: a table on a terminal, tab-separated lines elsewhere, or one JSON array.

Rows come in pages and are written page by page, so that the first are there at once and none is
kept. On a terminal a row is one line that fits it (see `columns`); the first rows decide which
columns there are and how wide they are. Lines for programs have the columns' names first, plain
numbers (seconds for times), nothing where there is nothing, and texts with everything escaped that
would break a line or steer a terminal.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from pharox_redis.cli.columns import Column, Layout
from pharox_redis.cli.output import error_console, printable, result_console

_FIRST_ROWS = 50
_PATIENCE = 0.3  # seconds


class Span(NamedTuple):
    """A time that is left, in seconds."""

    seconds: float


Cell: TypeAlias = str | int | Span | None
Row: TypeAlias = Sequence[Cell]


def print_rows(columns: Sequence[Column], pages: Iterable[Sequence[Row]], nothing: str) -> int:
    """Print rows as they come, and ``nothing`` if there are none; return how many."""
    console = result_console()
    show = _Terminal(columns) if console.is_terminal else _Lines(columns)
    count = 0
    for page in _begun(pages) if console.is_terminal else pages:
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


def _begun(pages: Iterable[Sequence[Row]]) -> Iterator[Sequence[Row]]:
    """Yield pages, the first of them made of several small ones, as long as nobody waits for it:
    the widths are decided by more rows than those of a small pool."""
    pages = iter(pages)
    first: list[Row] = []
    patience = time.monotonic() + _PATIENCE
    for page in pages:
        first += page
        if len(first) >= _FIRST_ROWS or (first and time.monotonic() > patience):
            break
    yield first
    yield from pages


class _Lines:
    def __init__(self, columns: Sequence[Column]) -> None:
        self._heading: str | None = "\t".join(column.name for column in columns)

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
    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._layout: Layout | None = None
        self._console = result_console()

    def print(self, page: Sequence[Row]) -> None:
        rows = [[self._shown(cell) for cell in row] for row in page]
        if self._layout is None:
            unicode = self._console.encoding.startswith("utf")
            ellipsis = "\N{HORIZONTAL ELLIPSIS}" if unicode else "..."
            self._layout = Layout(self._columns, rows, self._console.width, ellipsis)
            self._console.print(self._layout.heading(), style="bold")
        self._console.print("\n".join(map(self._layout.line, rows)))

    def finish_empty(self, nothing: str) -> None:
        self._console.print(nothing)

    def _shown(self, cell: Cell) -> str:
        # As it will be written, since an escape is wider than the letter it stands for.
        encoding = self._console.encoding
        return _shown(cell).encode(encoding, "backslashreplace").decode(encoding)


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
