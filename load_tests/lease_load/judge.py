"""The invariants of a run, judged in one place: by locust's master, or by the only process.

*Exceeded*: at the moment a lease began, its proxy had more live leases than its limit allowed at
any time that moment may have been. Leases and times are those of the server's records.

*Lost*: a lease that ended before its consumer gave it back or its time was over; that has no
record; whose release was answered and had no effect; that the pool has, though nobody was granted
it and no failed acquire may account for it; that no longer holds its proxy, though it should.
Leases of a proxy that is deleted end with it: no fault.

*Stuck*: a lease that no sweep would ever find, or of which something is still there when every
lease is over and swept.

Nothing that merely came late is blamed: reports say up to which moment they are complete, and only
what happened before the earliest of these moments is judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pharox.models import PoolStatsSnapshot

from .ledger import UNSURE, Ledger
from .limits import Limits
from .overlaps import Overlaps
from .rawkeys import Dump, Held

MOST_OF_A_KIND = 20


class Judge:
    """Collects reports and looks; :attr:`problems` is what must not have happened."""

    def __init__(self) -> None:
        self.limits = Limits()
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.kinds: Counter[str] = Counter()
        self.statuses: dict[str, str] = {}
        """Proxy -> the status it must have in the end, ``UNSURE`` where a save of it failed."""
        self.left: list[Any] = []
        """Leases that were handed over: open when their users had ended."""
        self._floors: dict[str, float] = {}
        self._finished: set[str] = set()
        self._deleted: set[str] = set()
        self._overlaps = Overlaps(self.limits)
        self._looks: list[tuple[int, Held]] = []
        self._accused: list[tuple[int, str, str, str]] = []

    # -- reports -------------------------------------------------------------------------------

    def expect(self, reporter: str) -> None:
        """A process takes part: nothing is settled before it has reported."""
        self._floors.setdefault(reporter, float("-inf"))

    def take(self, reporter: str, report: dict[str, Any]) -> None:
        """A process's report, see :meth:`Ledger.report`."""
        self._deleted.update(report["deleted"])
        self.limits.change_all(report["changes"])
        for proxy, times in report["intervals"].items():
            for acquired, ended in zip(times[::2], times[1::2], strict=True):
                self._overlaps.add(proxy, acquired, ended)
        self._accused += report["problems"]
        self.counts.update(report["counts"])
        self.left += report["open"]
        if report["statuses"] is not None:
            self.statuses = report["statuses"]
        self._floors[reporter] = report["floor"]
        if report["last"]:
            self._finished.add(reporter)
        self.settle()

    @property
    def awaited(self) -> set[str]:
        """Who has not sent a last report."""
        return self._floors.keys() - self._finished

    def take_look(self, time: int, found: Iterable[Held]) -> None:
        """Proxies as a look found them; judged when all limits of that time are known."""
        self.counts["looked"] += 1
        self._looks += [(time, held) for held in found]

    def blame(self, kind: str, what: str) -> None:
        """Something that must not have happened."""
        self.kinds[kind] += 1
        if self.kinds[kind] <= MOST_OF_A_KIND:
            self.problems.append(f"{kind}: {what}")

    # -- while the run goes on -----------------------------------------------------------------

    def settle(self, floor: float | None = None) -> None:
        """Judge what happened before ``floor``, by default where all reports are complete."""
        if floor is None:
            floor = min(self._floors.values(), default=float("-inf"))
        for excess in self._overlaps.settle(floor):
            self.blame(
                "limit exceeded",
                f"proxy {excess.proxy} had {excess.leases} leases at {excess.time} ms, "
                f"its limit was {excess.limit}",
            )
        settled = [look for look in self._looks if look[0] < floor]
        self._looks = [look for look in self._looks if look[0] >= floor]
        for time, held in settled:
            highest = self.limits.highest(held.proxy) or 0
            if held.leases > highest:
                self.blame(
                    "limit exceeded",
                    f"proxy {held.proxy} was held {held.leases} times at {time} ms, "
                    f"its limit was never above {highest}",
                )
            if held.loose:
                self.blame(
                    "lease stuck",
                    f"lease {held.loose} holds proxy {held.proxy}, and no sweep will end it",
                )
        self._sentence(floor)

    def _sentence(self, floor: float) -> None:
        """Another process may have deleted the proxy, and tell of it later."""
        accused, self._accused = self._accused, []
        for accusation in accused:
            time, how, lease, proxy = accusation
            if time >= floor:
                self._accused.append(accusation)
            elif proxy in self._deleted:
                self.counts["lost"] -= 1
                self.counts["deleted"] += 1
            else:
                self.blame("lease lost", f"lease {lease} on proxy {proxy} {how}")

    @property
    def judged(self) -> int:
        """Leases that were held against their limits."""
        return self._overlaps.judged

    @property
    def late(self) -> int:
        """Leases that came too late to be judged."""
        return self._overlaps.late

    # -- when the users have ended -------------------------------------------------------------

    def judge_rest(self, dump: Dump, now: int) -> None:
        """Nobody is at work any more: the pool has the leases that were left, and no other."""
        for problem in dump.problems():
            self.blame("keys disagree", problem)
        left = {lease: (proxy, ends, held) for lease, proxy, _begun, ends, held in self.left}
        holders = dump.holders
        # What has expired and was not swept is in nobody's books any more.
        live = {lease for holds in dump.held.values() for lease, end in holds.items() if end > now}
        strangers = sorted(live - left.keys())
        if len(strangers) > self.counts["unclear"]:
            for lease in strangers:
                self.blame("lease lost", f"lease {lease} on proxy {holders[lease]} is nobody's")
        for lease, (proxy, ends, held) in left.items():
            # One whose release failed may have been released.
            meant = ends > now and held is None and proxy not in self._deleted
            if meant and lease not in holders:
                self.blame("lease lost", f"lease {lease} no longer holds proxy {proxy}")

    def judge_end(self, dump: Dump, figures: Any) -> None:
        """All leases are over and swept: nothing of them may be left, and all proxies are free."""
        for problem in dump.problems():
            self.blame("keys disagree", problem)
        for lease, proxy in dump.holders.items():
            self.blame("lease stuck", f"lease {lease} still holds proxy {proxy}")
        if dump.expiry:
            self.blame("lease stuck", f"expiry still has {len(dump.expiry)} entries")
        for name in ("extra", "reserved", "claims"):
            if dump.sets[name]:
                self.blame("lease stuck", f"{name} still has {len(dump.sets[name])} entries")
        active = sum(fields.get("st") == "active" for fields in dump.proxies.values())
        expected = (len(dump.proxies), active, active, 0, 0)
        shown: object = figures
        if isinstance(figures, PoolStatsSnapshot):
            shown = (
                figures.total_proxies,
                figures.active_proxies,
                figures.available_proxies,
                figures.leased_proxies,
                figures.total_leases,
            )
        if shown != expected:
            self.blame(
                "figures wrong",
                f"(total, active, available, leased, leases) are {shown}, should be {expected}",
            )
        stored = {proxy: fields.get("st", "") for proxy, fields in dump.proxies.items()}
        for proxy in sorted(stored.keys() | self.statuses.keys()):
            status, right = stored.get(proxy, "not there"), self.statuses.get(proxy, "not there")
            if status != right and right != UNSURE:
                self.blame("save lost", f"proxy {proxy} is {status}, should be {right}")

    def judge_counts(self, ledger: Ledger) -> None:
        """Every lease that was granted has been told of, and has one end."""
        if ledger.open:
            self.blame("lease stuck", f"{len(ledger.open)} leases are not over after their time")
        counts = self.counts
        ends = sum(counts[how] for how in ("released", "expired", "deleted", "lost", "unread"))
        if ends != counts["acquired"]:
            self.blame("books wrong", f"{counts['acquired']} leases, but {ends} ends of leases")
        # Acquires sweep too, so sweeps need not have met them all; but none that was not over.
        most = sum(counts[how] for how in ("expired", "unclear", "deleted", "unread"))
        if counts["swept"] > most:
            self.blame(
                "lease lost",
                f"sweeps ended {counts['swept']} leases, but only {most} were not released",
            )
