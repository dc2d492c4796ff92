"""What splitting a pool does, computed: no server, no clock, the same figures on every machine.

Four models, each seeded:

``run_fleet``
    Time. A master is one core that serves calls in the order of their arrival (FIFO); a call takes
    a fixed time on it (`Service`, in microseconds). W workers go round for ever: acquire, hold (an
    exponential time), release. An acquire asks the shards in a random order until one has a proxy;
    each call also takes ``trip_us`` on the wire and in the client. If none has one the worker waits
    ``retry_s`` and tries again. Workers begin in mid-hold, so the run is nearly stationary from the
    start. With many workers arrivals are nearly a Poisson process, and a master is nearly an M/G/1
    queue, of which the mean wait is known: `queue_wait_us`. A test holds the simulation against it.

``run_occupancy``
    No time. A share of all proxies is leased, and there are a quarter more workers than leases; at
    each step some lease ends, and some worker without a lease acquires one. What is counted is the
    calls that takes, by the order in which shards are asked.

``matches``, ``run_latency``, ``run_round_robin``
    What filters and selectors see: shards without a match, the rank of a shard's best, the pause
    between two uses of a proxy.

``random_placement``
    The share of the busiest master if pools' ids are left to chance: balls into bins.

Not in the models: service times that vary (forks, fsync, expiry cycles, other tenants), slow or
lossy networks, clients short of CPU. Real p99 are longer than the ones here; loads and shares hold.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Order = Literal["shuffled", "ordered", "home first", "best of two"]
"""How an acquire chooses whom it asks. ``ordered``: all callers in the same order; ``home first``:
each caller begins at a shard of its own and goes round; ``best of two``: the one of two random
shards that has more free proxies, as if that were known for nothing; then as shuffled."""


@dataclass(frozen=True)
class Service:
    """CPU a call takes on a master's main thread, in microseconds."""

    acquire: float
    release: float
    miss: float

    @property
    def pair(self) -> float:
        """An acquire and a release."""
        return self.acquire + self.release

    @property
    def pairs_per_core(self) -> float:
        """Pairs a second one core carries."""
        return 1e6 / self.pair


@dataclass(frozen=True)
class Fleet:
    """What a run of `run_fleet` saw after its warm-up."""

    pairs: float
    """Leases granted, a second."""
    p50_ms: float
    """Median time from the first call of an acquire to its lease; waits for a retry are in it."""
    p99_ms: float
    mean_wait_us: float
    """Mean time a call waited for its master's core."""
    utilisation: tuple[float, ...]
    """Busy share of each master's core, 0 to 1."""
    calls_per_acquire: float
    """Calls of acquire for each lease."""


def placed(shards: int, masters: int) -> list[int]:
    """The master of each shard when they are dealt out in turn."""
    return [shard % masters for shard in range(shards)]


def run_fleet(
    service: Service,
    placement: Sequence[int],
    masters: int,
    workers: int,
    proxies: int,
    *,
    hold_s: float = 0.25,
    trip_us: float = 200.0,
    retry_s: float = 0.05,
    warm_up_s: float = 1.0,
    measured_s: float = 2.0,
    seed: int = 1,
) -> Fleet:
    """Let a fleet lease for a while; ``placement`` has the master of each shard.

    ``proxies`` are dealt out evenly and serve one consumer at a time.
    """
    rng = random.Random(seed)
    chance, exponential = rng.random, rng.expovariate
    shards = len(placement)
    free = [proxies // shards + (shard < proxies % shards) for shard in range(shards)]
    core_free_at = [0.0] * masters
    busy = [0.0] * masters
    trip, end = trip_us / 1e6, warm_up_s + measured_s
    acquire_s, release_s, miss_s = service.acquire / 1e6, service.release / 1e6, service.miss / 1e6
    held = [-1] * workers  # the shard of the lease
    orders: list[list[int]] = [[] for _ in range(workers)]  # shards still to be asked
    began = [0.0] * workers
    # An event is a call's arrival at its master: (time, worker).
    events: list[tuple[float, int]] = []
    for worker in range(workers):
        shard = worker % shards
        if free[shard] > 0:
            free[shard] -= 1
            held[worker] = shard
        events.append((exponential(1 / hold_s), worker))
    heapq.heapify(events)
    waits_s, served, tried, granted = 0.0, 0, 0, 0
    latencies: list[float] = []
    push, pop = heapq.heappush, heapq.heappop
    everyone = list(range(shards))
    while True:
        now, worker = pop(events)
        if now > end:
            break
        measuring = now >= warm_up_s
        shard = held[worker]
        releasing = shard >= 0
        if releasing:
            took = release_s
            free[shard] += 1
            hit = False
        else:
            order = orders[worker]
            if not order:  # its first call, or the first one after a pause
                order = orders[worker] = everyone[:]
                if shards > 1:
                    rng.shuffle(order)
            if not began[worker]:
                began[worker] = now
            shard = order.pop()
            hit = free[shard] > 0
            took = acquire_s if hit else miss_s
        master = placement[shard]
        start = core_free_at[master]
        if start < now:
            start = now
        done = core_free_at[master] = start + took
        if measuring:
            busy[master] += took
            waits_s += start - now
            served += 1
            tried += not releasing
        if releasing:
            held[worker] = -1
            push(events, (done + trip, worker))
        elif hit:
            free[shard] -= 1
            held[worker] = shard
            orders[worker] = []
            if measuring:
                granted += 1
                latencies.append(done + trip - began[worker])
            began[worker] = 0.0
            push(events, (done + trip + exponential(1 / hold_s), worker))
        else:
            pause = 0.0 if order else retry_s * (0.5 + chance())
            push(events, (done + trip + pause, worker))
    latencies.sort()
    return Fleet(
        pairs=granted / measured_s,
        p50_ms=_quantile(latencies, 0.5) * 1e3,
        p99_ms=_quantile(latencies, 0.99) * 1e3,
        mean_wait_us=waits_s / max(1, served) * 1e6,
        utilisation=tuple(min(1.0, each / measured_s) for each in busy),
        calls_per_acquire=tried / max(1, granted),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[int(share * (len(ordered) - 1))] if ordered else math.nan


def workers_for(service: Service, cores: float, hold_s: float = 0.25) -> int:
    """Workers that ask for as much as ``cores`` cores can serve, when nothing makes them wait."""
    return round(cores * service.pairs_per_core * hold_s)


def queue_wait_us(service_us: Sequence[float], utilisation: float) -> float:
    """Mean wait in an M/G/1 queue whose calls take each of these times equally often.

    By Pollaczek and Khinchine, rho * E[s^2] / (2 * E[s] * (1 - rho)); see L. Kleinrock, Queueing
    Systems, volume 1, 1975, section 5.6. With one time it is M/D/1: rho * s / (2 * (1 - rho)).
    """
    squares = sum(each * each for each in service_us)
    return utilisation * squares / sum(service_us) / (2 * (1 - utilisation))


# -- occupancy -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Occupancy:
    """What a run of `run_occupancy` counted."""

    calls: float
    """Calls of an acquire, on average."""
    p99_calls: int
    busiest: float
    """Share of all those calls that the shard asked most often got; 1 / shards is even."""
    empty: float
    """Share of time that a shard has nothing free."""


def sizes_by_hash(proxies: int, shards: int, rng: random.Random) -> list[int]:
    """How many proxies each shard gets by a hash of their address."""
    found = Counter(rng.randrange(shards) for _ in range(proxies))
    return [found[shard] for shard in range(shards)]


def run_occupancy(
    proxies: int, shards: int, leased: float, order: Order, *, steps: int = 20_000, seed: int = 1
) -> Occupancy:
    """Count calls while ``leased``, a share below 1, of all proxies is out."""
    rng = random.Random(seed)
    pick = rng.randrange
    free = sizes_by_hash(proxies, shards, rng)
    leases = min(proxies - 1, round(proxies * leased))
    held: list[tuple[int, int]] = []  # (worker, shard)
    for shard in rng.sample([s for s, n in enumerate(free) for _ in range(n)], leases):
        free[shard] -= 1
        held.append((len(held), shard))
    idle = list(range(leases, leases + max(1, leases // 4)))
    asked, calls, empty = [0] * shards, Counter[int](), 0
    warm_up = 2 * proxies
    names = list(range(shards))
    for step in range(warm_up + steps):
        at, turn = pick(leases), pick(len(idle))
        left, shard = held[at]
        free[shard] += 1
        worker, idle[turn] = idle[turn], left
        if order == "ordered":
            row = names
        elif order == "home first":
            home = worker % shards
            row = names[home:] + names[:home]
        else:
            row = rng.sample(names, shards)
            if order == "best of two" and shards > 1 and free[row[1]] > free[row[0]]:
                row[0], row[1] = row[1], row[0]
        needed = 0
        for shard in row:
            needed += 1
            if step >= warm_up:
                asked[shard] += 1
            if free[shard]:
                break
        free[shard] -= 1
        held[at] = worker, shard
        if step >= warm_up:
            calls[needed] += 1
            empty += free.count(0)
    total = sum(count * needed for needed, count in calls.items())
    seen, p99 = 0, 0
    for needed in sorted(calls):
        seen, p99 = seen + calls[needed], needed
        if seen >= 0.99 * steps:
            break
    return Occupancy(total / steps, p99, max(asked) / total, empty / steps / shards)


# -- filters and selectors -----------------------------------------------------------------------


def matches(shards: int, matching: int) -> tuple[float, float]:
    """(share of shards without a match, calls until the first shard with one), all of them free.

    ``matching`` proxies fall into ``shards`` by a hash. A shard is without one with probability
    (1 - 1/S)^m. With K shards that have one, asked in random order, the first comes after
    (S + 1) / (K + 1) calls on average (the expected least of K numbers drawn from 1 to S without
    putting back); K is distributed as in the classical occupancy problem (W. Feller, An
    Introduction to Probability Theory and Its Applications, volume 1, section II.11), computed here
    proxy by proxy.
    """
    chances = [1.0] + [0.0] * shards  # of K shards with a match
    for _ in range(matching):
        chances = [
            chances[k] * k / shards + (chances[k - 1] * (shards - k + 1) / shards if k else 0.0)
            for k in range(shards + 1)
        ]
    without = (1 - 1 / shards) ** matching
    return without, sum(p * (shards + 1) / (k + 1) for k, p in enumerate(chances) if k)


def run_latency(
    proxies: int, shards: int, leased: float, *, steps: int = 20_000, seed: int = 1
) -> float:
    """The mean rank of a leased proxy, 0 the fastest, under lowest_latency."""
    rng = random.Random(seed)
    free: list[list[int]] = [[] for _ in range(shards)]
    for rank in range(proxies):
        free[rng.randrange(shards)].append(rank)  # in order, so each is a heap
    workers = round(proxies * leased)
    held: list[tuple[int, int]] = []
    ranks = 0
    for step in range(workers + 2 * proxies + steps):
        if len(held) >= workers:
            at = rng.randrange(workers)
            held[at], held[-1] = held[-1], held[at]
            shard, rank = held.pop()
            heapq.heappush(free[shard], rank)
        shard = next(s for s in rng.sample(range(shards), shards) if free[s])
        rank = heapq.heappop(free[shard])
        held.append((shard, rank))
        if step >= workers + 2 * proxies:
            ranks += rank
    return ranks / steps


def run_round_robin(
    proxies: int, shards: int, *, rounds: int = 40, seed: int = 1
) -> tuple[int, float, int]:
    """(least, mean, greatest) number of acquires between two uses of a proxy; nothing is leased."""
    rng = random.Random(seed)
    sizes = sizes_by_hash(proxies, shards, rng)
    taken = [0] * shards
    last: dict[tuple[int, int], int] = {}
    gaps: list[int] = []
    for step in range(rounds * proxies):
        shard = rng.randrange(shards)
        proxy = shard, taken[shard] % sizes[shard]
        taken[shard] += 1
        if proxy in last:
            gaps.append(step - last[proxy])
        last[proxy] = step
    return min(gaps), sum(gaps) / len(gaps), max(gaps)


def random_placement(
    shards: int, masters: int, *, draws: int = 20_000, seed: int = 1
) -> tuple[float, float]:
    """(mean share of the busiest master, chance that all have the same) for ids left to chance."""
    rng = random.Random(seed)
    busiest, even = 0, 0
    for _ in range(draws):
        found = Counter(rng.randrange(masters) for _ in range(shards))
        most = max(found.values())
        busiest += most
        even += most * masters == shards
    return busiest / draws / shards, even / draws
