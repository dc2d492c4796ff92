"""What sections work on: a server, its cost, and rounds that alternate."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

import redis
from pharox.models import Proxy, ProxyPool, ProxyStatus

from pharox_redis import RedisStorage, Settings
from pharox_redis.benchmark.rows import Row

Work = Callable[[], object]
"""A piece of work that is timed: one pair, or one call."""

COUNTRIES = ("AR", "BR", "CL", "DE", "ES", "FR", "JP", "PE", "US", "UY")
"""Proxies are dealt out to these in turn: a country filter matches one in ten."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How much is measured. ``SMALL`` shows that the benchmark works; ``FULL`` is what is quoted.

    ``sizes`` are pool sizes in ascending order, ``usual`` the one for all that does not vary it.
    A round takes ``round_seconds`` for each piece of work.
    """

    name: str
    sizes: tuple[int, ...]
    usual: int
    past_leases: int
    views: int
    rounds: int
    round_seconds: float
    processes: int
    tasks: int
    batch: int
    fillers: int
    long_runs: int


SMALL = Profile("small", (50, 100, 200), 100, 200, 5, 2, 0.02, 2, 5, 8, 2, 1)
FULL = Profile(
    "full", (1_000, 10_000, 100_000, 1_000_000), 10_000, 1_000_000, 50, 15, 0.25, 8, 50, 32, 40, 5
)


class Reporter(Protocol):
    """Where a bench tells how far it is."""

    def status(self, text: str) -> None:
        """Say what is being done."""

    def advance(self) -> None:
        """One more round is done."""


@dataclass
class Bench:
    """A server to measure on, and what was measured for the plots.

    ``series`` holds, by the name of a plot, its lines: name -> list of (x, y).
    """

    client: redis.Redis
    url: str
    profile: Profile
    reporter: Reporter
    postgres_url: str | None = None
    series: dict[str, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)
    # As long as the library's default: the length of a key is part of what it costs.
    prefix: str = field(default_factory=lambda: f"b{uuid4().hex[:5]}")
    _pools: dict[int, ProxyPool] = field(default_factory=dict)

    def storage(self, **settings: Any) -> RedisStorage:
        """A storage on the server, under this run's own key prefix."""
        return RedisStorage(self.client, Settings(key_prefix=self.prefix, **settings))

    def pool(self, size: int) -> ProxyPool:
        """The run's pool of that many proxies (see :func:`proxies`), loaded when first asked for
        and shared by all sections: leave it as it was found."""
        known = self._pools.get(size)
        if known is None:
            storage = self.storage()
            known = storage.ensure_pool(f"bench-{size}")
            for start in range(0, size, 10_000):
                self.reporter.status(f"loading {start:,} of {size:,} proxies")
                storage.add_proxies_bulk(list(proxies(known, start, min(size, start + 10_000))))
            self._pools[size] = known
        return known

    def interleave(self, works: Mapping[str, Work]) -> dict[str, list[float]]:
        """Seconds a call of each piece of work, one figure a round, the rounds alternating.

        Each piece is called some times first, to warm it and to learn how many calls a round of
        ``round_seconds`` takes.
        """
        times = {name: self._calls_of(work) for name, work in works.items()}
        seconds: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(self.profile.rounds):
            for name, work in works.items():
                seconds[name].append(timed(work, times[name]))
            self.reporter.advance()
        return seconds

    def _calls_of(self, work: Work) -> int:
        start, calls = time.perf_counter(), 0
        while True:
            work()
            calls += 1
            spent = time.perf_counter() - start
            if spent >= self.profile.round_seconds:
                return max(1, round(calls * self.profile.round_seconds / spent))

    def server_cost(
        self, work: Work, times: int, client: redis.Redis | None = None
    ) -> tuple[float, float]:
        """(us of server time in scripts, commands called beside EVALSHA itself), a call.

        Nobody else may use the server meanwhile.
        """
        asked: Any = client or self.client
        before = _spent(asked)
        for _ in range(times):
            work()
        after = _spent(asked)
        return (after[0] - before[0]) / times, (after[1] - before[1]) / times


def _spent(client: Any) -> tuple[int, int]:
    """(us in scripts, calls of other commands) since the server's counters were reset last.

    They are not reset here: on a server that is watched somebody else reads them.
    """
    stats: dict[str, dict[str, Any]] = client.info("commandstats")
    usec = sum(stat["usec"] for name, stat in stats.items() if "eval" in name)
    inner = {name: stat["calls"] for name, stat in stats.items() if "eval" not in name}
    inner.pop("cmdstat_info", None)
    return usec, sum(inner.values())


def timed(work: Work, times: int) -> float:
    """Seconds a call, over ``times`` calls."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """The median over the rounds of one piece of work against another of the same round."""
    return statistics.median(n / d for n, d in zip(numerator, denominator, strict=True))


def proxies(pool: ProxyPool, start: int, stop: int) -> Iterator[Proxy]:
    """Proxies number ``start`` to ``stop`` of a bench pool: one consumer at a time each, in ten
    countries; ``city`` is "rare" for one in a hundred thousand, ``isp`` "some" for one in a
    hundred. Their addresses are private and never contacted."""
    for i in range(start, stop):
        yield Proxy(
            host=f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}",
            port=8080,
            protocol="http",
            pool_id=pool.id,
            status=ProxyStatus.ACTIVE,
            max_concurrency=1,
            country=COUNTRIES[i % len(COUNTRIES)],
            city="rare" if i % 100_000 == 99_999 else None,
            isp="some" if i % 100 == 99 else None,
            source="bench",
        )


class Section(Protocol):
    """One thing that is measured."""

    def __call__(self, bench: Bench) -> Iterator[Row]:
        """Measure it."""
