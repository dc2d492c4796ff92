"""Columns of a table on a terminal: which of them there is room for, and how wide each is.

Decided once, from the headings and the first rows, so that a list of any length has one shape. A
column has the least width at which it still tells something. Columns that stay less are left out
until the least of the others fits; then the widest texts give way until all fits. Ids and numbers
are shown whole or not at all. What is too long for its column, now or in a later row, ends with an
ellipsis; lines have no blanks at their ends, which would wrap in terminals made narrower.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

ID_WIDTH = 36
_ROOMY = 100  # columns from which on two blanks are between them, as in `top`


class Column(NamedTuple):
    """A column. ``stays``: the lower, the sooner it is left out; ``least``: the width it can be cut
    to, 0 for not at all; ``wants``: a width that later rows will need."""

    name: str
    stays: int
    least: int = 0
    wants: int = 0
    right: bool = False


def number(name: str, stays: int, wants: int = 0) -> Column:
    """Return a column of numbers or times."""
    return Column(name, stays, wants=wants, right=True)


class Layout:
    """The columns that fit a width, and rows and headings as lines of them."""

    def __init__(
        self, columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int, ellipsis: str
    ) -> None:
        self._ellipsis = ellipsis
        self._room = max(1, width)
        self._gap = 2 if width >= _ROOMY else 1
        self._columns = columns
        texts = zip(*([column.name for column in columns], *rows), strict=True)
        self._widths = [
            max(column.wants, *map(cell_len, cells))
            for column, cells in zip(columns, texts, strict=True)
        ]
        self._places = list(range(len(columns)))
        self._fit()

    def heading(self) -> str:
        """Return the line of the headings."""
        return self.line([column.name.upper() for column in self._columns])

    def line(self, cells: Sequence[str]) -> str:
        """Return a row as a line."""
        shown = (self._cell(place, cells[place]) for place in self._places)
        return (" " * self._gap).join(shown).rstrip(" ")

    def _fit(self) -> None:
        columns, widths, places = self._columns, self._widths, self._places
        least = [
            min(width, max(column.least, cell_len(column.name))) if column.least else width
            for column, width in zip(columns, widths, strict=True)
        ]
        while len(places) > 1 and self._taken(least) > self._room:
            places.remove(min(places, key=lambda place: columns[place].stays))
        if self._taken(least) > self._room:
            widths[places[0]] = self._room
        while (over := self._taken(widths) - self._room) > 0:
            widest = max(
                (place for place in places if widths[place] > least[place]), key=widths.__getitem__
            )
            others = (widths[place] for place in places if widths[place] < widths[widest])
            step = max(1, widths[widest] - max(others, default=0)) if len(places) > 1 else over
            widths[widest] -= min(step, over, widths[widest] - least[widest])

    def _taken(self, widths: Sequence[int]) -> int:
        return sum(widths[place] for place in self._places) + self._gap * (len(self._places) - 1)

    def _cell(self, place: int, text: str) -> str:
        width, size = self._widths[place], cell_len(text)
        if size > width:
            mark = self._ellipsis if width > len(self._ellipsis) else ""
            return set_cell_size(text, width - len(mark)) + mark
        blanks = " " * (width - size)
        return blanks + text if self._columns[place].right else text + blanks
