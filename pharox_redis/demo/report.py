"""The checks that decide the demo's exit code.

:func:`problems` is a pure function of what was collected. It trusts no counter of the library
for the limits: it works them out from what the proxies wrote down about their requests, and from
when the workers had a lease in their hands.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from pharox_redis.demo.records import Forwarded, LeaseRecord, WorkerLog

DEMO = "demo"  # the name the demo itself leases under, for its proofs


@dataclass
class Results:
    """What one run of the demo has collected."""

    limits: dict[int, int]
    """Port -> how many may use the proxy at once, as the imported list says."""
    logs: dict[str, WorkerLog] = field(default_factory=dict)
    """Worker -> what it wrote down."""
    requests: list[Forwarded] = field(default_factory=list)
    """What the proxies wrote down."""
    started: float = 0.0
    """When the workers were told to begin; earlier requests are health checks."""
    seconds: float = 1.0
    """For how long, until they were told to stop."""
    ended: float = 0.0
    """When the workers had ended; later leases are the demo's own count of what is free."""
    killed: str | None = None
    """The worker that was killed."""
    recovered: set[str] = field(default_factory=set)
    """The killed worker's leases that the storage has ended."""
    leased_again: set[int] = field(default_factory=set)
    """The ports of their proxies that were leased anew afterwards."""
    leases_left: int = 0
    """Leases still active when everybody had finished."""
    used_left: dict[int, int] = field(default_factory=dict)
    """Port -> leases that the storage still counted on it by then."""
    capacity: dict[int, int] = field(default_factory=dict)
    """Port -> how many leases could be had from it by then."""
    errors: list[str] = field(default_factory=list)
    """What went wrong outside the workers."""

    @property
    def leases(self) -> dict[str, LeaseRecord]:
        """Every lease that anyone acquired."""
        return {key: lease for log in self.logs.values() for key, lease in log.leases.items()}

    @property
    def workers(self) -> list[WorkerLog]:
        """The workers' logs, without the demo's own leases."""
        return [log for name, log in self.logs.items() if name != DEMO]

    @property
    def abandoned(self) -> list[LeaseRecord]:
        """The leases that the killed worker held."""
        return self.logs[self.killed].unreleased if self.killed in self.logs else []

    @property
    def scraped(self) -> list[Forwarded]:
        """The proxies' requests without the health checks before the start."""
        return [request for request in self.requests if request.end >= self.started]


def peak(intervals: Iterable[tuple[float, float]]) -> int:
    """Return the most intervals that overlap at one moment (touching ends do not)."""
    steps = sorted(
        step for start, end in intervals if start < end for step in ((start, 1), (end, -1))
    )
    level = highest = 0
    for _time, change in steps:
        level += change
        highest = max(highest, level)
    return highest


def peaks(results: Results) -> dict[int, tuple[int, int]]:
    """Return for each port the most requests at once, and the most leases held at once."""
    requests: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for request in results.scraped:
        requests[request.port].append((request.start, request.end))
    held: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for lease in results.leases.values():
        if lease.got <= results.ended:
            held[lease.port].append((lease.got, lease.end))
    ports = {*results.limits, *requests, *held}
    return {port: (peak(requests[port]), peak(held[port])) for port in sorted(ports)}


def problems(results: Results) -> list[str]:
    """Return everything that must not have happened; empty when the demo succeeded."""
    found = [f"error: {text}" for text in results.errors]
    for log in results.logs.values():
        found += [f"error: {text}" for text in log.errors]
    found += _limit_problems(results)
    found += _request_problems(results)
    found += _lease_problems(results)
    return found


def _limit_problems(results: Results) -> list[str]:
    found = []
    for port, (requests, leases) in peaks(results).items():
        limit = results.limits.get(port, 0)
        if requests > limit:
            found.append(f"proxy :{port} served {requests} requests at once, its limit is {limit}")
        if leases > limit:
            found.append(f"proxy :{port} was leased {leases} times at once, its limit is {limit}")
    return found


def _request_problems(results: Results) -> list[str]:
    found = []
    leases = results.leases
    by_lease: defaultdict[str, list[Forwarded]] = defaultdict(list)
    outside = refused = 0
    for request in results.scraped:
        lease = leases.get(request.lease or "")
        inside = lease and lease.port == request.port
        if not lease or not inside or request.start < lease.got or request.end > lease.end:
            outside += 1
        else:
            by_lease[lease.lease].append(request)
        refused += request.status != 200
    if outside:
        found.append(f"{outside} requests went through a proxy without a lease on it")
    if refused:
        found.append(f"{refused} requests were not answered with a page")
    shared = sum(peak((r.start, r.end) for r in group) > 1 for group in by_lease.values())
    if shared:
        found.append(f"{shared} leases were used by two fetches at once")
    fetched = sum((Counter(log.fetches) for log in results.logs.values()), Counter[str]())
    beside = sum(count > len(by_lease[lease]) for lease, count in fetched.items())
    if beside:
        found.append(f"{beside} leases fetched pages that their proxy has not seen")
    if not fetched:
        found.append("no page was fetched")
    return found


def _lease_problems(results: Results) -> list[str]:
    found = []
    abandoned = {lease.lease for lease in results.abandoned}
    lost = [
        lease.lease
        for log in results.logs.values()
        for lease in log.unreleased
        if lease.lease not in abandoned
    ]
    if lost:
        found.append(f"{len(lost)} leases were never given back")
    if results.killed is not None and not abandoned:
        found.append(f"{results.killed} held no lease when it was killed")
    if stuck := abandoned - results.recovered:
        found.append(f"{len(stuck)} leases of {results.killed} were not recovered")
    again = {lease.port for lease in results.abandoned} - results.leased_again
    found += [f"proxy :{port} could not be leased again" for port in sorted(again)]
    if results.leases_left:
        found.append(f"{results.leases_left} leases were still active at the end")
    for port, count in sorted(results.used_left.items()):
        if count:
            found.append(f"proxy :{port} still counted {count} leases at the end")
    for port, limit in sorted(results.limits.items()):
        if (free := results.capacity.get(port, 0)) != limit:
            found.append(f"proxy :{port} could be leased {free} times at the end, not {limit}")
    return found
