"""The limits a run gave its proxies, and from when on each was in force.

A save takes time, and nobody outside the server knows the moment it takes effect: only that it
lies between two readings of the server's clock, one before the call and one after it. So that no
rightful lease is ever blamed, a limit that is raised counts from the earlier of them on, one that
is lowered from the later.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable


class Limits:
    """Limits by proxy. Times are ms by the server's clock."""

    def __init__(self) -> None:
        self._since: defaultdict[str, list[int]] = defaultdict(list)
        self._limits: defaultdict[str, list[int]] = defaultdict(list)

    def change(self, proxy: str, limit: int, before: int, after: int) -> None:
        """A save set a proxy's limit at some moment from ``before`` to ``after``.

        The changes of one proxy come in the order in which they were made.
        """
        since, limits = self._since[proxy], self._limits[proxy]
        lower = bool(limits) and limit < limits[-1]
        # A lease may have been granted in that last millisecond, before the save.
        moment = after + 1 if lower else before
        since.append(max(moment, since[-1]) if since else moment)
        limits.append(limit)

    def change_all(self, changes: Iterable[tuple[str, int, int, int]]) -> None:
        """Several changes, as :meth:`change` takes them."""
        for change in changes:
            self.change(*change)

    def at(self, proxy: str, time: int) -> int | None:
        """How many leases a proxy could have at a moment; None for one that was not there."""
        index = bisect_right(self._since[proxy], time) - 1
        return self._limits[proxy][index] if index >= 0 else None

    def highest(self, proxy: str) -> int | None:
        """The highest limit a proxy ever had; None for one that was never there."""
        return max(self._limits[proxy], default=None)
