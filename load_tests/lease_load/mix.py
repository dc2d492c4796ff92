"""What each kind of user does, in numbers: the same for locust's users and for asyncio's tasks.

==============  ====================================================================================
scraper         leases a proxy, holds it for a moment, gives it back, goes on
burst           leases many at once, holds them for a moment, gives all back, is silent for long
slow holder     holds one lease for half to one and a quarter of its time: some past its end
dying worker    leases one to four, and is never heard of again; then another one comes in its place
maintainer      sweeps, and saves and deletes proxies; there is one (see ``maintenance``)
==============  ====================================================================================
"""

from __future__ import annotations

import random

from .options import LoadOptions

WEIGHTS = {"scraper": 10, "burst": 3, "slow holder": 5, "dying worker": 2}
"""How many of a kind there are, against the others; the maintainer comes on top."""

MISS_PAUSE = 0.05
"""Seconds after a miss before the next attempt."""


class Mix:
    """How long things take, by chance. Times are in seconds."""

    def __init__(self, options: LoadOptions) -> None:
        self._options = options

    def scraper_hold(self) -> float:
        """Mostly short."""
        mean = self._options.hold_seconds
        return min(random.expovariate(1 / mean), self._options.lease_seconds / 2) if mean else 0.0

    def scraper_pause(self) -> float:
        """Between two leases."""
        return random.uniform(0.005, 0.03)

    def burst_hold(self) -> float:
        """All of a burst's leases are held for so long."""
        return 2 * self._options.hold_seconds

    def burst_silence(self) -> float:
        """Between two bursts."""
        return random.uniform(0.5, 2.0)

    def slow_hold(self) -> float:
        """One third of these are over before they are given back."""
        return self._options.lease_seconds * random.uniform(0.5, 1.25)

    def last_words(self) -> int:
        """How many leases a worker takes with it when it dies."""
        return random.randint(1, 4)

    def next_of_kin(self) -> float:
        """Until another worker is there in the place of one that died."""
        return self._options.lease_seconds * random.uniform(0.25, 1.0)

    def maintainer_pause(self) -> float:
        """Between two things it does."""
        return random.uniform(0.05, 0.2)

    def sweeps(self) -> bool:
        """Whether the maintainer sweeps this time, or changes a proxy."""
        return random.random() < 0.4
