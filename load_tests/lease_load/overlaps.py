"""Whether more leases than a proxy's limit were ever live at once.

Leases are intervals ``[acquired, ended)`` in ms by the server's clock, both ends as the server
wrote them down. They arrive in any order, from several processes, but nobody has one that begins
before the *floor* any more: up to there the level of each proxy is final, and what is settled is
forgotten, so that a run of any length needs little memory.

Within one millisecond a lease may end and the next begin; so ends are counted before beginnings.
Only a beginning can break a limit: a limit that is lowered leaves the leases there are alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .limits import Limits

END, BEGINNING = 0, 1


@dataclass(frozen=True)
class Excess:
    """A moment at which a proxy had more leases than it may have."""

    proxy: str
    time: int
    leases: int
    limit: int


class Overlaps:
    """Counts the live leases of each proxy, moment by moment."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._steps: list[tuple[int, int, str]] = []
        self._levels: Counter[str] = Counter()
        self._settled = -1
        self.late = 0
        """Leases that came when their time was settled: not judged."""
        self.judged = 0
        """Leases whose beginning was held against the limit."""

    def add(self, proxy: str, acquired: int, ended: int) -> None:
        """A lease. One that began and ended in the same millisecond says nothing."""
        if acquired >= ended:
            return
        if acquired < self._settled:
            self.late += 1
            return
        self._steps.append((acquired, BEGINNING, proxy))
        self._steps.append((ended, END, proxy))

    def settle(self, floor: float) -> list[Excess]:
        """Judge what happened before ``floor``; every lease that began earlier is known by now."""
        found: list[Excess] = []
        self._steps.sort()
        count = 0
        for time, kind, proxy in self._steps:
            if time >= floor:
                break
            count += 1
            if kind == END:
                self._levels[proxy] -= 1
                if not self._levels[proxy]:
                    del self._levels[proxy]
                continue
            self._levels[proxy] += 1
            self.judged += 1
            limit = self._limits.at(proxy, time)
            if limit is None or self._levels[proxy] > limit:
                found.append(Excess(proxy, time, self._levels[proxy], limit or 0))
        if count:
            self._settled = self._steps[count - 1][0] + 1
            del self._steps[:count]
        return found
