"""The killed worker of the demo, step by step.

It says that it holds leases; it is killed with SIGKILL; nobody gives the leases back; they expire
and get swept; the proxies are leased anew. :class:`Crash` is stepped by the demo's main loop, so
that the other workers are watched at the same time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from pathlib import Path

from pharox import LeaseStatus, ProxyFilters, SelectorStrategy

from pharox_redis import RedisStorage
from pharox_redis.demo.children import Child
from pharox_redis.demo.records import LeaseRecord, read_lines, worker_log
from pharox_redis.demo.worker import Job, Lessee

HOLD_LEASES = 3
HOLD_SECONDS = 2
SWEEP_CHANCE = 0.3  # seconds the other workers have to sweep before the demo does it


class Stage(Enum):
    """How far the story has come."""

    WORKING = auto()
    KILLED = auto()
    RECOVERED = auto()
    PROVEN = auto()


class Crash:
    """Kills one worker while it holds leases, and follows those leases."""

    def __init__(
        self,
        victim: Child,
        journal: Path,
        storage: RedisStorage,
        lessee: Lessee,
        cities: Mapping[int, str],
        say: Callable[[str], None],
    ) -> None:
        self.victim = victim
        self.stage = Stage.WORKING
        self.recovered: set[str] = set()
        self.leased_again: set[int] = set()
        self.errors: list[str] = []
        self._journal = journal
        self._storage = storage
        self._lessee = lessee
        self._cities = cities  # each proxy of the demo is in a city of its own
        self._say = say
        self._leases: list[LeaseRecord] = []
        self._killed_at = 0.0
        self._ports: set[int] = set()
        self._expired_at = 0.0

    @property
    def pause(self) -> float:
        """Seconds until the next step: short while competing for a busy proxy."""
        return 0.005 if self.stage is Stage.RECOVERED else 0.05

    @property
    def over(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.stage is Stage.PROVEN

    def step(self) -> None:
        """Go on with the story where that is possible by now."""
        if self.stage is Stage.WORKING and (line := self.victim.answer_if_any()):
            self._kill(line)
        if self.stage is Stage.KILLED:
            self._look_for_recovery()
        if self.stage is Stage.RECOVERED:
            self._lease_again()

    def _kill(self, line: str) -> None:
        time.sleep(0.2)  # let it get into the middle of its next pages
        if not self.victim.running:
            self.errors.append(f"{self.victim.name} ended by itself before it was killed")
        self.victim.kill()
        self._killed_at = time.monotonic()
        self.stage = Stage.KILLED
        self._leases = worker_log(self.victim.name, read_lines(self._journal)).unreleased
        self._ports = {lease.port for lease in self._leases}
        self._say(f"{self.victim.name} (pid {self.victim.pid}) says: {line} leases. SIGKILL.")
        active = sum(self._active(lease) for lease in self._leases)
        self._say(f"  {active} leases of the dead worker still occupy their proxies")

    def _active(self, lease: LeaseRecord) -> bool:
        stored = self._storage.get_lease(lease.lease)
        active = stored is not None and stored.status is LeaseStatus.ACTIVE
        early = f"lease {lease.lease} was gone before it expired"
        if not active and time.monotonic() < lease.end and early not in self.errors:
            self.errors.append(early)
        return active

    def _look_for_recovery(self) -> None:
        now = time.monotonic()
        if any(self._active(lease) for lease in self._leases):
            self._expired_at = now
            return
        if now < self._expired_at + SWEEP_CHANCE:
            return
        # Nobody else's lease expires in this demo: what this call finds, the workers had left.
        rest = self._storage.cleanup_expired_leases()
        self.recovered = {lease.lease for lease in self._leases}
        self.stage = Stage.RECOVERED
        self._say(
            f"  they expired {self._expired_at - self._killed_at:.1f} s after the kill; "
            f"{len(self._leases) - rest} were swept by the other workers' acquires, "
            f"{rest} by cleanup_expired_leases()"
        )

    def _lease_again(self) -> None:
        for port in sorted(self._ports - self.leased_again):
            job = Job(
                "a proxy of the killed worker",
                SelectorStrategy.FIRST_AVAILABLE,
                ProxyFilters(city=self._cities[port]),
            )
            lease = self._lessee.acquire(job, HOLD_SECONDS)
            if lease is not None:
                try:
                    self._lessee.use(lease, 1)
                finally:
                    self._lessee.release(lease)
                self.leased_again.add(port)
        if self.leased_again == self._ports:
            self.stage = Stage.PROVEN
            ports = ", ".join(f":{port}" for port in sorted(self._ports))
            self._say(f"  and leased again, with a page fetched through each: {ports}")
