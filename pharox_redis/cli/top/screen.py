"""The whole of a terminal: a line on what is looked at, one on what is wrong, tables, keys.

Every part knows how many lines it takes, so that what does not fit is left out by plan: pools and
leases share the lines there are, and each table ends by saying how many more there would be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from pharox_redis.cli.output import plural
from pharox_redis.cli.top.reading import Reading
from pharox_redis.cli.top.tables import Order, lease_table, ordered, pool_table

_FRAME = 3  # lines: title, status, keys
_ABOVE_LEASES = 3  # lines: a blank one, what they are, headings


@dataclass
class Screen:
    """What there is to show. Rendering it makes it fit the terminal as it is at that moment.

    Args:
        server: What is looked at, without credentials.
        interval: Time between two looks, in words.
        reading: The last look that succeeded.
        trouble: What is wrong, empty if nothing is.
        paused: Whether no more looks are made.
        order: The order of the pools.
    """

    server: str
    interval: str
    reading: Reading
    trouble: str = ""
    paused: bool = False
    order: Order = Order.ACTIVITY

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.height
        yield self._title()
        yield self._status()
        room, used = height - _FRAME, 0
        for part, lines in _body(self.reading, self.order, width, room):
            yield part
            used += lines
        yield from (Text() for _ in range(room - used))
        yield self._keys()

    def _title(self) -> Text:
        reading = self.reading
        counts = [plural(len(reading.rows), "pool"), plural(reading.leases, "lease")]
        parts = ["pharox-redis top", self.server, *counts]
        if reading.at is not None:
            parts.append(f"{reading.at.astimezone(UTC):%H:%M:%S} UTC")
        return _line("  ".join(parts), "bold")

    def _status(self) -> Text:
        if self.trouble:
            return _line(self.trouble, "bold red")
        if self.paused:
            return _line("paused", "bold yellow")
        return _line("" if self.reading.rows else "There are no pools.")

    def _keys(self) -> Text:
        going = "go on" if self.paused else "pause"
        return _line(
            f"q quit   p {going}   s sort: {self.order.value}   every {self.interval}", "dim"
        )


def _body(
    reading: Reading, order: Order, width: int, room: int
) -> Iterator[tuple[RenderableType, int]]:
    """Yield the tables and how many lines each takes, together ``room`` at most."""
    upper, lower = _shares(len(reading.rows), len(reading.held), room)
    if upper > 0 and reading.rows:
        shown = ordered(reading.rows, order)
        if len(shown) > upper:
            shown = shown[: upper - 1]
        yield pool_table(shown, width), len(shown) + 1
        if len(shown) < len(reading.rows):
            yield _more(len(reading.rows) - len(shown), "pool"), 1
    if lower > 0:
        held = reading.held[:lower]
        yield Text(), 1
        yield _line(held_longest(reading), "bold"), 1
        yield lease_table(held, width), len(held) + 1


def _shares(pools: int, leases: int, room: int) -> tuple[int, int]:
    """Return the lines for rows of pools and for rows of leases. All if they fit; else a third is
    the leases', and either has what the other leaves."""
    room -= 1  # the headings of the pools
    needed = leases + _ABOVE_LEASES if leases else 0
    lower = min(needed, max(room // 3, room - pools))
    if lower <= _ABOVE_LEASES:
        lower = 0
    return room - lower, lower - _ABOVE_LEASES


def held_longest(reading: Reading) -> str:
    """Return the words above the leases held longest."""
    if not reading.partly:
        return "held longest"
    return f"held longest (looked at {reading.looked_at:,} of {plural(reading.leases, 'lease')})"


def _more(number: int, noun: str) -> Text:
    return _line(f"... and {number:,} more {noun}{'s' if number > 1 else ''}", "dim")


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
