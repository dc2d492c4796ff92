"""Columns of a table on a terminal: which of them there is room for, and how wide each is.

Decided once, from the headings and the first rows, so that a list of any length has one shape. A
column has the least width at which it still tells something. Columns that stay less are left out
until the least of the others fits, extra ones also until the others are hardly cut; then the widest
texts give way until all fits. Ids and numbers are shown whole or not at all. What is too long for
its column, now or in a later row, ends with an ellipsis; lines have no blanks at their ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

ID_WIDTH = 36
_FAIR = 24  # of a text, what is left of it before an extra column is there


class Column(NamedTuple):
    """A column.

    ``stays``: the lower, the sooner it is left out; ``least``: the width it can be cut to, 0 for
    not at all; ``needs``: a width that rows are known to need, seen or not; ``wants``: one that
    later rows may need; ``extra``: not worth cutting others for.
    """

    name: str
    stays: int
    least: int = 0
    needs: int = 0
    wants: int = 0
    right: bool = False
    extra: bool = False


def number(name: str, stays: int, needs: int = 0, wants: int = 0) -> Column:
    """Return a column of numbers or times."""
    return Column(name, stays, needs=needs, wants=wants, right=True)


class Layout:
    """The columns that fit a width, and rows and headings as lines of them."""

    def __init__(
        self, columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int, ellipsis: str
    ) -> None:
        self._ellipsis = ellipsis
        self._room = max(1, width)
        self._columns = columns
        self._places = list(range(len(columns)))
        texts = zip(*([column.name for column in columns], *rows), strict=True)
        needed = [
            max(column.needs, *map(cell_len, cells))
            for column, cells in zip(columns, texts, strict=True)
        ]
        self._gap = 2
        if self._over(needed) > 0:
            self._gap = 1
        self._widths = self._fit(needed)

    def heading(self) -> str:
        """Return the line of the headings."""
        return self.line([column.name.upper() for column in self._columns])

    def line(self, cells: Sequence[str]) -> str:
        """Return a row as a line."""
        shown = (self._cell(place, cells[place]) for place in self._places)
        return (" " * self._gap).join(shown).rstrip(" ")

    def _fit(self, needed: Sequence[int]) -> list[int]:
        """Leave columns out, and return how wide each of the others is, by place."""
        columns, places = self._columns, self._places
        least = [
            min(width, max(column.least, cell_len(column.name))) if column.least else width
            for column, width in zip(columns, needed, strict=True)
        ]
        fair = [
            size if column.extra else max(size, min(width, _FAIR))
            for column, size, width in zip(columns, least, needed, strict=True)
        ]
        while len(places) > 1:
            lowest = min(places, key=lambda place: columns[place].stays)
            if self._over(fair if columns[lowest].extra else least) <= 0:
                break
            places.remove(lowest)
        if self._over(least) > 0:
            return [self._room] * len(columns)  # of one column
        widths = list(needed)
        while self._over(widths) > 0:
            cuttable = (place for place in places if widths[place] > least[place])
            widest = max(cuttable, key=widths.__getitem__)
            # Many letters of a description at once; the rest one by one, so that equals stay so.
            widths[widest] = max(least[widest], min(widths[widest] - 1, self._room))
        for place in places:
            spare = min(-self._over(widths), columns[place].wants - widths[place])
            widths[place] += max(0, spare)
        return widths

    def _over(self, widths: Sequence[int]) -> int:
        """Return by how much the columns that are there are too wide together."""
        gaps = self._gap * (len(self._places) - 1)
        return sum(widths[place] for place in self._places) + gaps - self._room

    def _cell(self, place: int, text: str) -> str:
        width, size = self._widths[place], cell_len(text)
        if size > width:
            mark = self._ellipsis if width > len(self._ellipsis) else ""
            return set_cell_size(text, width - len(mark)) + mark
        blanks = " " * (width - size)
        return blanks + text if self._columns[place].right else text + blanks
