"""What one process was granted and gave back, held against the server's own records.

A user tells the ledger of every lease it got (:meth:`Ledger.granted`) and, around the call, when it
gives it back. Once a lease is over its record is read (records outlive their leases by
``lease_retention``) and *audited*: the record's times, both by the server's clock, make the
interval that is judged for limits, and they must agree with what the consumer saw:

- its record is there, and names the same proxy and times;
- it did not end before its consumer gave it back or its time was over;
- a release that was answered is in the record.

How long a consumer certainly had a lease is measured by its own monotonic clock, from the answer
of the acquire to the call of the release; so no clocks are compared. ``slack`` allows for the two
clocks' rates and for milliseconds that were cut off.

An operation that failed or was broken off may have been done or not: the ledger counts how many
leases may exist that nobody holds (``unclear``), and the judge allows for that many.

All is local memory; :meth:`Ledger.report` hands over what is new, in values that travel by
msgpack. Reports carry a *floor*: no lease that is told of later began before it.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pharox.models import Lease

from pharox_redis.keys import lease_tail

Record = str | None
PAGE = 500
NEVER = float("inf")
UNSURE = "unsure"


def slack(milliseconds: float) -> float:
    """By how many ms two clocks may disagree about a span: cut-off digits, and 0.1 %."""
    return 3 + milliseconds / 1000


@dataclass(slots=True)
class Holding:
    """A lease that this process was granted, by its id's tail, as raw keys have it. ``got`` and so
    on are monotonic seconds."""

    lease_id: str
    proxy: str
    acquired: int
    expires: int
    asked: float
    got: float
    release_asked: float | None = None
    release_done: float | None = None

    @classmethod
    def of(cls, lease: Lease, asked: float, got: float) -> Holding:
        """A lease as an acquire returned it."""
        return cls(
            lease_id=lease_tail(str(lease.id)),
            proxy=str(lease.proxy_id),
            acquired=round(lease.acquired_at.timestamp() * 1000),
            expires=round(lease.expires_at.timestamp() * 1000),
            asked=asked,
            got=got,
        )

    @property
    def certain_until(self) -> float:
        """The server's ms until which the lease must have lasted unless it expired."""
        if self.release_asked is None:
            return NEVER
        held = (self.release_asked - self.got) * 1000
        return self.acquired + held - slack(held)

    @property
    def released_before(self) -> float:
        """The server's ms by which the release was done; infinite if it was not answered."""
        if self.release_done is None:
            return NEVER
        took = (self.release_done - self.asked) * 1000
        return self.acquired + took + slack(took)


class Ledger:
    """One process's leases. It does no I/O: whoever owns it reads the records it asks for."""

    def __init__(self, retention_ms: int) -> None:
        self._retention_ms = retention_ms
        self.open: dict[str, Holding] = {}
        """Leases that are not audited yet, by id."""
        self._in_flight: dict[int, float] = {}
        self._tickets = 0
        self._intervals: defaultdict[str, list[int]] = defaultdict(list)
        self._problems: list[tuple[int, str, str, str]] = []
        self._changes: list[tuple[str, int, int, int]] = []
        self._deleted: list[str] = []
        self.statuses: dict[str, str] | None = None
        """If this process maintains the proxies: the status each must have, or ``UNSURE``."""
        self.counts: Counter[str] = Counter()
        """acquired, released, expired, lost (by audit); unclear, swept, unread."""

    # -- what users tell -----------------------------------------------------------------------

    @contextmanager
    def under_way(self) -> Iterator[float]:
        """Around each call that may grant leases or change a limit: it holds the floor down."""
        self._tickets += 1
        ticket, now = self._tickets, time.monotonic()
        self._in_flight[ticket] = now
        try:
            yield now
        finally:
            del self._in_flight[ticket]

    def granted(self, lease: Lease, asked: float) -> Holding:
        """A lease was granted; the call began at ``asked``."""
        holding = Holding.of(lease, asked, time.monotonic())
        if holding.lease_id in self.open:
            self._accuse(holding, "was granted twice", holding.acquired)
        self.open[holding.lease_id] = holding
        self.counts["acquired"] += 1
        return holding

    def unclear(self, leases: int = 1) -> None:
        """An acquire of so many leases failed, or was broken off: they may have been granted."""
        self.counts["unclear"] += leases

    def changed(self, proxy: str, limit: int, before: int, after: int) -> None:
        """A proxy's limit was saved between two readings of the server's clock."""
        self._changes.append((proxy, limit, before, after))

    def deleting(self, proxy: str) -> None:
        """A proxy is about to be deleted: its leases may end at any time."""
        self._deleted.append(proxy)

    # -- the audit -----------------------------------------------------------------------------

    def due(self, now: int) -> list[Holding]:
        """Leases that are over by the server's clock, or were given back."""
        return [
            holding
            for holding in self.open.values()
            if holding.release_done is not None or holding.expires <= now
        ]

    def audit(self, holdings: Sequence[Holding], records: Sequence[Record], now: int) -> None:
        """Hold leases that are over against their records, which were read at or after ``now``."""
        for holding, record in zip(holdings, records, strict=True):
            del self.open[holding.lease_id]
            if record is None:
                over = min(holding.expires, holding.released_before)
                if now - over < self._retention_ms / 2:
                    self._lost(holding, "has no record", now)
                else:
                    self.counts["unread"] += 1
                continue
            proxy, _consumer, acquired, expires, *released = record.split(" ")
            if (proxy, int(acquired), int(expires)) != (
                holding.proxy,
                holding.acquired,
                holding.expires,
            ):
                self._lost(holding, f"has a record that says something else: {record}", now)
                continue
            ended = min([holding.expires, *map(int, released)])
            if ended < min(holding.certain_until, holding.expires):
                self._lost(holding, "ended while its consumer had it", now)
            elif not released and holding.released_before < holding.expires:
                self._lost(holding, "was released, and the release had no effect", now)
            else:
                self.counts["released" if released else "expired"] += 1
            self._intervals[proxy] += (holding.acquired, ended)

    def _lost(self, holding: Holding, how: str, now: int) -> None:
        self.counts["lost"] += 1
        self._accuse(holding, how, now)

    def _accuse(self, holding: Holding, how: str, time: int) -> None:
        self._problems.append((time, how, holding.lease_id, holding.proxy))

    # -- what is handed over -------------------------------------------------------------------

    def report(self, server_ms: int, last: bool = False) -> dict[str, Any]:
        """What is new since the last report; ``server_ms`` is the server's clock, just read.

        The ``last`` one hands over the leases that are still open; then the ledger is empty.
        """
        # At most the difference of the clocks: the server's was read before this moment.
        offset = server_ms - time.monotonic() * 1000
        floor = min(
            (
                server_ms,
                *(holding.acquired for holding in self.open.values()),
                *(began * 1000 + offset for began in self._in_flight.values()),
            )
        )
        report = {
            "floor": floor - 1,
            "intervals": dict(self._intervals),
            "problems": self._problems,
            "changes": self._changes,
            "deleted": self._deleted,
            "counts": dict(self.counts),
            "open": [self.handed_over(holding) for holding in self.open.values()] if last else [],
            "statuses": self.statuses if last else None,
            "last": last,
        }
        self._intervals = defaultdict(list)
        self._problems, self._changes, self._deleted = [], [], []
        if last:
            self.open = {}
        self.counts = Counter()
        return report

    @staticmethod
    def handed_over(holding: Holding) -> list[Any]:
        """A lease that goes from a worker to the master, whose monotonic clock is another one."""
        held = None if holding.release_asked is None else holding.release_asked - holding.got
        return [holding.lease_id, holding.proxy, holding.acquired, holding.expires, held]

    def take_over(self, leases: Iterable[Sequence[Any]]) -> None:
        """Leases that other processes left open. What is not given back ends when it expires."""
        for lease_id, proxy, acquired, expires, held in leases:
            holding = Holding(lease_id, proxy, acquired, expires, 0.0, 0.0)
            holding.release_asked = held  # None: nobody tried
            self.open[lease_id] = holding
