"""The kinds of users, for locust. What they do in numbers is in ``mix``.

A user that is to stop lets go at once of what it waits for (:meth:`LeaseUser.hold`) and still gives
its leases back: a run that ends leaves only the leases of those who were meant to die with them.
"""

from __future__ import annotations

import itertools
from typing import Any

from gevent.event import Event
from locust import User, task
from locust.user.task import LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from .mix import MISS_PAUSE, WEIGHTS
from .wiring import session_of

_numbers = itertools.count(1)


class LeaseUser(User):
    """A consumer with a desk of its own."""

    abstract = True
    kind = ""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.stopping = Event()
        self.number = next(_numbers)
        self.session = session_of(environment)
        self.mix = self.session.mix
        self.desk = self.session.desk(f"{self.kind} {self.number}", environment.events.request.fire)
        # Half of the users that may choose take the manager.
        self.way = "manager" if self.number % 2 else "storage"

    def hold(self, seconds: float) -> None:
        """Wait so long, or until the user is to stop."""
        self.stopping.wait(seconds)

    def stop(self, force: bool = False) -> bool:
        """As locust's; ends a :meth:`hold`.

        Locust kills a user that waits for its next task. It may have gone on by then, and be in the
        middle of a call: so here it ends by itself, too.
        """
        self.stopping.set()
        if not force and self._state == LOCUST_STATE_WAITING:
            self._state = LOCUST_STATE_STOPPING
            return False
        return bool(super().stop(force))


class SteadyScraper(LeaseUser):
    """Acquires, holds a little, releases."""

    kind = "scraper"
    weight = WEIGHTS[kind]

    @task
    def scrape(self) -> None:
        """One lease."""
        loan = self.desk.acquire(self.way)
        if loan is None:
            self.hold(MISS_PAUSE)
            return
        self.hold(self.mix.scraper_hold())
        self.desk.release(loan, self.way)
        self.hold(self.mix.scraper_pause())


class Burst(LeaseUser):
    """Many leases at once, then silence."""

    kind = "burst"
    weight = WEIGHTS[kind]

    @task
    def burst(self) -> None:
        """All of them."""
        loans = self.desk.acquire_many(self.session.options.burst)
        self.hold(self.mix.burst_hold())
        self.desk.release_many(loans)
        self.hold(self.mix.burst_silence())


class SlowHolder(LeaseUser):
    """Holds a lease for about as long as it lasts, and sometimes longer."""

    kind = "slow holder"
    weight = WEIGHTS[kind]

    @task
    def linger(self) -> None:
        """One lease."""
        loan = self.desk.acquire(self.way)
        if loan is None:
            self.hold(MISS_PAUSE)
            return
        self.hold(self.mix.slow_hold())
        self.desk.release(loan, self.way)


class DyingWorker(LeaseUser):
    """Dies with its leases; another one, of the same name, comes in its place."""

    kind = "dying worker"
    weight = WEIGHTS[kind]

    @task
    def die(self) -> None:
        """The leases are never released."""
        for _ in range(self.mix.last_words()):
            self.desk.acquire(self.way)
        self.hold(self.mix.next_of_kin())


class Maintainer(LeaseUser):
    """Sweeps, and changes proxies. There is one."""

    kind = "maintainer"
    fixed_count = 1

    @task
    def maintain(self) -> None:
        """A sweep or a change."""
        if self.mix.sweeps():
            self.desk.sweep()
        else:
            maintenance = self.session.maintenance()
            self.desk.change(maintenance, maintenance.plan())
        self.hold(self.mix.maintainer_pause())
