"""A pool hotter than one core: what it costs a server, and what splitting it brings.

``measure`` works on servers of its own (embedded Valkeys on the loopback interface, ended with the
run) and tells in CPU time, since the machine may be busy and has fewer cores than a Cluster has
masters; medians over rounds. Three questions:

* What does a pair of acquire and release cost one master, by the pool's size, filters and how much
  of it is leased; what does the append-only file or a replica add; how many bytes are sent?
* How do calls spread over three masters when the pool is split into 1 to 12 shards, and what does a
  pair cost the client?
* How many calls does an acquire need when nearly all is leased?

``simulate`` (`hot_pool_model`) goes where this machine cannot: six masters, each with a core of its
own, near saturation. Its inputs are the times a call takes, ``--service``; with the same ones it
prints the same figures everywhere. The defaults are those that `docs/scaling.md` was written with.

    python load_tests/simulate_hot_pool.py              both, one to two minutes
    python load_tests/simulate_hot_pool.py simulate     no server, the figures of the document
    python load_tests/simulate_hot_pool.py measure --rounds 9

It asserts no time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from hot_pool_model import (
    Order,
    Service,
    matches,
    placed,
    queue_wait_us,
    random_placement,
    run_fleet,
    run_latency,
    run_occupancy,
    run_round_robin,
    workers_for,
)
from hot_pool_servers import (
    Seen,
    Target,
    Usage,
    let_go,
    own_cluster,
    saturate,
    target,
    usage,
    used,
)
from pharox.models import Proxy, ProxyFilters, ProxyPool, ProxyStatus
from redis.cluster import RedisCluster
from rich.console import Console
from rich.table import Table
from shards import per_master

from pharox_redis import AsyncRedisStorage, RedisStorage, Settings
from pharox_redis.embedded import EmbeddedServer
from pharox_redis.sharding import shard_of, shard_pools

COUNTRIES = ("AR", "BR", "CL", "DE", "ES", "FR", "JP", "PE", "US", "UY")
SETTINGS = Settings(key_prefix="hot")
ORDERS: tuple[Order, ...] = ("shuffled", "ordered", "home first", "best of two")

LONG_S = 3600.0
"""Seconds of a lease that is to be there for the whole run."""

MEASURED = Service(acquire=65.0, release=35.0, miss=30.0)
"""CPU of a master's main thread, in microseconds a call, that `docs/scaling.md` was written with:
rounded, between what ``measure`` told of the machine named there in a quiet and in a busy spell."""


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int
    calls: int
    """Acquires in a round."""
    sizes: tuple[int, ...]
    """Proxies of a pool."""


def fill(storage: RedisStorage, pools: Sequence[ProxyPool], count: int) -> None:
    """Give ``count`` proxies of ten countries to the shards, by a hash of their address."""
    storage.add_proxies_bulk(
        [
            Proxy(
                host=host,
                port=8080,
                protocol="http",
                pool_id=pools[shard_of(len(pools), host, 8080)].id,
                status=ProxyStatus.ACTIVE,
                max_concurrency=1,
                country=COUNTRIES[number % len(COUNTRIES)],
                source="bench",
            )
            for number in range(count)
            for host in [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"]
        ]
    )


# -- one master ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What one kind of call, or pair, costs a master; medians over rounds."""

    cpu_us: float
    """Main thread."""
    least_us: float
    """The same, of the round that was disturbed least."""
    script_us: float
    """Inside scripts, by the clock, as INFO commandstats tells it."""
    hits: float
    """Share of acquires that brought a lease."""
    rate: float
    """Units a second by the clock, of the fastest round: what the machine's other load left."""
    all_threads_us: float
    shares: list[float]
    """Each server's part of the main threads' CPU."""
    traffic: list[float]
    """All counters of the last round, a unit; as in `Usage`."""


class Job:
    """Pairs, or acquires alone, against some pools; rounds of several jobs alternate."""

    def __init__(
        self,
        clients: Sequence[redis.Redis],
        targets: Sequence[Target],
        *,
        release: bool = True,
        sockets: int = 60,
    ) -> None:
        # 60 is a multiple of every number of shards, so that each has as many sockets.
        self.clients = clients
        self.targets = targets
        self.release = release
        self.sockets = sockets
        self.rounds: list[tuple[Seen, list[Usage]]] = []

    def run(self, calls: int) -> None:
        """One round; leases of acquires alone are given back after it."""
        before = [usage(client) for client in self.clients]
        seen = saturate(self.targets, calls, release=self.release, sockets=self.sockets)
        spent = [used(b, usage(c)) for b, c in zip(before, self.clients, strict=True)]
        let_go(seen.leases)
        self.rounds.append((seen, spent))

    def cost(self) -> Cost:
        """What the rounds say."""
        rounds = [(seen, spent, seen.hits + seen.misses) for seen, spent in self.rounds]
        cpu = [sum(u.main_thread_s for u in spent) / n * 1e6 for _, spent, n in rounds]
        script = [sum(u.script_us for u in spent) / n for _, spent, n in rounds]
        _, last, asked = rounds[-1]
        return Cost(
            cpu_us=statistics.median(cpu),
            least_us=min(cpu),
            script_us=statistics.median(script),
            hits=statistics.median(seen.hits / n for seen, _, n in rounds),
            rate=max(n / seen.seconds for seen, _, n in rounds),
            all_threads_us=statistics.median(
                sum(u.process_s for u in spent) / n * 1e6 for _, spent, n in rounds
            ),
            shares=[
                statistics.median(
                    spent[at].main_thread_s / sum(u.main_thread_s for u in spent)
                    for _, spent, _ in rounds
                )
                for at in range(len(self.clients))
            ],
            traffic=[sum(each) / asked for each in zip(*last, strict=True)],
        )


def alternate(jobs: Iterable[Job], effort: Effort) -> None:
    """Run the rounds of several jobs in turn: what disturbs one disturbs all."""
    jobs = list(jobs)
    for _ in range(effort.rounds):
        for job in jobs:
            job.run(effort.calls if job.release else min(effort.calls, 500))


def measure_one_master(console: Console, effort: Effort) -> Service:
    """Print what a hot pool costs one master; return what the simulation needs."""
    table = Table(title=f"one master, 60 connections, {effort.rounds} rounds of {effort.calls:,}")
    for column in ("proxies", "filter", "leased", "per"):
        table.add_column(column, justify="left" if column in ("filter", "per") else "right")
    for column in ("CPU us", "least", "script us", "hits", "a second"):
        table.add_column(column, justify="right")
    found: dict[tuple[float, int, str, bool], Cost] = {}
    with contextlib.ExitStack() as stack:
        hot: dict[int, tuple[redis.Redis, dict[str, Target]]] = {}
        for size in effort.sizes:
            server = stack.enter_context(EmbeddedServer({"save": ""}))
            client = stack.enter_context(redis.Redis.from_url(server.url))
            storage = stack.enter_context(RedisStorage(client, SETTINGS))
            pool = storage.ensure_pool("hot")
            fill(storage, [pool], size)
            hot[size] = (
                client,
                {
                    name: target(server.url, SETTINGS, pool.name, pool.id, filters)
                    for name, filters in (("-", None), ("country", ProxyFilters(country="PE")))
                },
            )
        taken = dict.fromkeys(hot, 0)
        for leased in (0.0, 0.9, 1.0):
            jobs: dict[tuple[float, int, str, bool], Job] = {}
            for size, (client, targets) in hot.items():
                if wanted := round(size * leased) - taken[size]:
                    saturate([targets["-"]], wanted, release=False)
                    taken[size] += wanted
                for name, goal in targets.items():
                    jobs[leased, size, name, True] = Job([client], [goal])
                if not leased:
                    jobs[leased, size, "-", False] = Job([client], [targets["-"]], release=False)
            alternate(jobs.values(), effort)
            found.update({key: job.cost() for key, job in jobs.items()})
    for (leased, size, name, release), each in sorted(
        found.items(), key=lambda item: (item[0][1], item[0][0])
    ):
        unit = {1.0: "pair", 0.0: "miss"}.get(each.hits, "try") if release else "acquire"
        table.add_row(
            f"{size:,}",
            name,
            f"{leased:.0%}",
            unit,
            f"{each.cpu_us:.0f}",
            f"{each.least_us:.0f}",
            f"{each.script_us:.0f}",
            f"{each.hits:.0%}",
            f"{each.rate:,.0f}",
        )
    console.print(table)
    size = max(effort.sizes)
    acquire, pair = found[0.0, size, "-", False].cpu_us, found[0.0, size, "-", True].cpu_us
    return Service(acquire, max(1.0, pair - acquire), found[1.0, size, "-", True].cpu_us)


def measure_safety(console: Console, effort: Effort) -> None:
    """Print what an append-only file, a replica and I/O threads change, and the bytes of a pair."""
    table = Table(title="what else weighs on one master: a pair in a free pool of 1,000")
    columns = ("with", "CPU us", "least", "all threads us", "a second")
    for column in (*columns, "bytes in", "out", "to replica", "to file"):
        table.add_column(column, justify="left" if column == "with" else "right")
    cases: dict[str, dict[str, str | int | bool]] = {
        "memory only": {"appendonly": False},
        "file, everysec": {},
        "file, everysec, one replica": {},
        "file, always": {"appendfsync": "always"},
        "file, everysec, io-threads 2": {"io-threads": 2},
    }
    jobs: dict[str, Job] = {}
    with contextlib.ExitStack() as stack:
        for name, extra in cases.items():
            config = {"save": "", "repl-diskless-sync-delay": 0, **extra}
            server = stack.enter_context(EmbeddedServer(config))
            client = stack.enter_context(redis.Redis.from_url(server.url))
            storage = stack.enter_context(RedisStorage(client, SETTINGS))
            pool = storage.ensure_pool("hot")
            fill(storage, [pool], 1000)
            if "replica" in name:
                replica = stack.enter_context(EmbeddedServer(config))
                with redis.Redis.from_url(replica.url) as other:
                    other.replicaof("127.0.0.1", server.port)
                    while other.info("replication")["master_link_status"] != "up":
                        time.sleep(0.05)
            goal = target(server.url, SETTINGS, pool.name, pool.id, None)
            jobs[name] = Job([client], [goal])
        alternate(jobs.values(), effort)
    for name, job in jobs.items():
        each = job.cost()
        sizes = Usage(*each.traffic)
        table.add_row(
            name,
            f"{each.cpu_us:.0f}",
            f"{each.least_us:.0f}",
            f"{each.all_threads_us:.0f}",
            f"{each.rate:,.0f}",
            f"{sizes.bytes_in:,.0f}",
            f"{sizes.bytes_out:,.0f}",
            f"{sizes.bytes_to_replicas:,.0f}",
            f"{sizes.bytes_in_file:,.0f}",
        )
    console.print(table)


def measure_length(console: Console, effort: Effort) -> None:
    """Print what the number of connections changes, and what many pairs leave behind."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(EmbeddedServer({"save": ""}))
        client = stack.enter_context(redis.Redis.from_url(server.url))
        storage = stack.enter_context(RedisStorage(client, SETTINGS))
        pool = storage.ensure_pool("hot")
        fill(storage, [pool], 1000)
        goal = target(server.url, SETTINGS, pool.name, pool.id, None)
        jobs = {sockets: Job([client], [goal], sockets=sockets) for sockets in (60, 20, 5, 1)}
        alternate(jobs.values(), effort)
        costs = [f"{sockets}: {job.cost().cpu_us:.0f}" for sockets, job in jobs.items()]
        console.print(f"CPU us a pair in a free pool of 1,000, by connections: {', '.join(costs)}.")
        pairs = 60 * effort.calls
        before: Any = client.info("everything")
        seconds = saturate([goal], pairs).seconds
        after: Any = client.info("everything")
        kept = (after["used_memory"] - before["used_memory"]) / pairs
        console.print(
            f"{pairs:,} pairs in {seconds:.0f} s: {kept:.0f} bytes of memory each (kept for "
            f"lease_retention), {after['aof_rewrites'] - before['aof_rewrites']} rewrites of the "
            "append-only file."
        )


# -- three masters -------------------------------------------------------------------------------


@contextlib.contextmanager
def split_pool(
    urls: Sequence[str], name: str, shards: int, proxies: int
) -> Iterator[tuple[RedisStorage, list[ProxyPool]]]:
    """A pool in shards on a Cluster, deleted in the end."""
    url = "redis+cluster://" + ",".join(each.split("/")[2] for each in urls)
    with RedisStorage.from_url(url, SETTINGS) as storage:
        pools = shard_pools(name, shards, SETTINGS)
        for pool in pools:
            storage.save_pool(pool)
        fill(storage, pools, proxies)
        yield storage, pools
        for pool in pools:
            storage.delete_pool(pool.id)


def measure_spread(console: Console, effort: Effort) -> None:
    """Print how pairs spread over three masters, and what they cost the client."""
    table = Table(title="a Cluster of three masters, free pool of 1,000 in S shards")
    columns = ("S", "shards", "calls %", "CPU %", "CPU us a pair", "least")
    for column in (*columns, "client us", "asyncio us"):
        table.add_column(column, justify="right")
    pairs = max(50, effort.calls // 5)
    with own_cluster(3) as urls, contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(redis.Redis.from_url(url)) for url in urls]
        splits = {
            count: stack.enter_context(split_pool(urls, f"hot{count}", count, 1000))
            for count in (1, 2, 3, 6, 12)
        }
        jobs: dict[int, Job] = {}
        for count, (storage, pools) in splits.items():
            targets = []
            for pool in pools:
                url = f"redis://{address(storage.client, pool)}/0"
                targets.append(target(url, SETTINGS, pool.name, pool.id, None))
            jobs[count] = Job(nodes, targets)
        alternate(jobs.values(), effort)
        calls = {count: [0] * len(nodes) for count in splits}
        client_us: dict[int, list[float]] = {count: [] for count in splits}
        async_us: dict[int, list[float]] = {count: [] for count in splits}
        for _ in range(effort.rounds):
            for count, (storage, pools) in splits.items():
                names = [pool.name for pool in pools]
                before = [usage(node).script_calls for node in nodes]
                client_us[count].append(client_cost(storage, names, pairs))
                after = [usage(node).script_calls for node in nodes]
                calls[count] = [
                    c + a - b for c, a, b in zip(calls[count], after, before, strict=True)
                ]
                async_us[count].append(asyncio.run(async_client_cost(urls, names, pairs)))
        for count, (storage, pools) in splits.items():
            homes = per_master(storage.client, SETTINGS.key_prefix, pools)
            each = jobs[count].cost()
            table.add_row(
                str(count),
                " ".join(str(homes[url.split("/")[2]]) for url in urls),
                " ".join(f"{c / sum(calls[count]):.0%}" for c in calls[count]),
                " ".join(f"{share:.0%}" for share in each.shares),
                f"{each.cpu_us:.0f}",
                f"{each.least_us:.0f}",
                f"{statistics.median(client_us[count]):.0f}",
                f"{statistics.median(async_us[count]):.0f}",
            )
        console.print(table)
        measure_occupancy(console, urls, effort)


def address(client: RedisCluster, pool: ProxyPool) -> str:
    """``host:port`` of the master that has a pool."""
    (found,) = +per_master(client, SETTINGS.key_prefix, [pool])
    return str(found)


def client_cost(storage: RedisStorage, names: Sequence[str], pairs: int) -> float:
    """CPU of this process, microseconds a pair."""
    start = time.process_time()
    for _ in range(pairs):
        lease = storage.acquire_lease_from(names, "bench", 60)
        if lease is None:
            raise SystemExit("a free pool had no proxy to lease: figures would mean nothing")
        storage.release_lease(lease)
    return (time.process_time() - start) / pairs * 1e6


async def async_client_cost(urls: Sequence[str], names: Sequence[str], pairs: int) -> float:
    """The same for ten tasks of an event loop."""
    url = "redis+cluster://" + ",".join(each.split("/")[2] for each in urls)
    async with AsyncRedisStorage.from_url(url, SETTINGS) as storage:

        async def work(times: int) -> None:
            for _ in range(times):
                lease = await storage.acquire_lease_from(names, "bench", 60)
                if lease is None:
                    raise SystemExit("a free pool had no proxy to lease")
                await storage.release_lease(lease)

        await asyncio.gather(*[work(5) for _ in range(10)])
        start = time.process_time()
        await asyncio.gather(*[work(pairs // 10) for _ in range(10)])
        return (time.process_time() - start) / (pairs // 10 * 10) * 1e6


def measure_occupancy(console: Console, urls: Sequence[str], effort: Effort) -> None:
    """Print the calls of an acquire when much is leased, beside what the model says."""
    table = Table(title="calls of an acquire, 500 proxies in 12 shards, shuffled")
    for column in ("leased", "measured", "simulated"):
        table.add_column(column, justify="right")
    with split_pool(urls, "full", 12, 500) as (storage, pools), contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(redis.Redis.from_url(url)) for url in urls]
        names, rng = [pool.name for pool in pools], random.Random(1)
        leases = []
        for leased in (0.8, 0.9, 0.95, 0.99):
            while len(leases) < round(500 * leased):
                lease = storage.acquire_lease_from(names, "bench", LONG_S)
                assert lease is not None
                leases.append(lease)
            steps = effort.calls
            for measured in (False, True):
                before = [usage(node).script_calls for node in nodes]
                for _ in range(steps):
                    at = rng.randrange(len(leases))
                    storage.release_lease(leases[at])
                    lease = storage.acquire_lease_from(names, "bench", LONG_S)
                    assert lease is not None
                    leases[at] = lease
                if measured:
                    calls = sum(usage(node).script_calls for node in nodes) - sum(before)
                    model = run_occupancy(500, 12, leased, "shuffled")
                    table.add_row(f"{leased:.0%}", f"{calls / steps - 1:.2f}", f"{model.calls:.2f}")
    console.print(table)


# -- simulated -----------------------------------------------------------------------------------


def simulate(console: Console, service: Service, seed: int) -> None:
    """Print what the models say."""
    console.print(
        f"Simulated with an acquire of {service.acquire:g} us, a release of {service.release:g}, "
        f"a miss of {service.miss:g}: a core carries {service.pairs_per_core:,.0f} pairs/s."
    )
    simulate_one_core(console, service, seed)
    simulate_masters(console, service, seed)
    simulate_exhausted(console, service, seed)
    simulate_placement(console, seed)
    simulate_occupancy(console, seed)
    simulate_filters(console)
    simulate_selectors(console, seed)


def simulate_one_core(console: Console, service: Service, seed: int) -> None:
    """Print how latency grows as one core fills, beside the formula for an M/G/1 queue."""
    table = Table(title="one master, one shard: how latency grows")
    columns = ("offered", "workers", "pairs/s", "core busy", "p50 ms", "p99 ms")
    for column in (*columns, "mean wait us", "M/G/1 us"):
        table.add_column(column, justify="right")
    for offered in (0.5, 0.7, 0.8, 0.9, 0.95, 1.2):
        workers = workers_for(service, offered)
        seen = run_fleet(service, [0], 1, workers, 2 * workers, measured_s=6.0, seed=seed)
        busy = seen.utilisation[0]
        times = (service.acquire, service.release)
        formula = queue_wait_us(times, busy) if busy < 0.99 else None
        table.add_row(
            f"{offered:.0%}",
            f"{workers:,}",
            f"{seen.pairs:,.0f}",
            f"{busy:.0%}",
            f"{seen.p50_ms:.2f}",
            f"{seen.p99_ms:.2f}",
            f"{seen.mean_wait_us:,.0f}",
            "-" if formula is None else f"{formula:,.0f}",
        )
    console.print(table)


def simulate_masters(console: Console, service: Service, seed: int) -> None:
    """Print what S shards on M masters carry."""
    table = Table(title="S shards on M masters: the most they carry, and at 80 % of M cores")
    columns = ("M", "S", "most pairs/s", "cores", "busy at 80 %", "pairs/s", "p50 ms", "p99 ms")
    for column in columns:
        table.add_column(column, justify="right")
    for masters, shards in [
        *[(1, 1), (1, 12)],
        *[(3, 1), (3, 2), (3, 3), (3, 4), (3, 6), (3, 12)],
        *[(6, 1), (6, 3), (6, 6), (6, 8), (6, 12)],
    ]:
        placement = placed(shards, masters)
        workers = workers_for(service, 1.3 * masters)
        full = run_fleet(
            service, placement, masters, workers, 2 * workers, warm_up_s=2.0, seed=seed
        )
        workers = workers_for(service, 0.8 * masters)
        seen = run_fleet(service, placement, masters, workers, 2 * workers, seed=seed)
        busy = seen.utilisation
        table.add_row(
            str(masters),
            str(shards),
            f"{full.pairs:,.0f}",
            f"{full.pairs / service.pairs_per_core:.2f}",
            f"{min(busy):.0%}-{max(busy):.0%}",
            f"{seen.pairs:,.0f}",
            f"{seen.p50_ms:.2f}",
            f"{seen.p99_ms:.2f}",
        )
    console.print(table)


def simulate_exhausted(console: Console, service: Service, seed: int) -> None:
    """Print what workers that find nothing do to the masters."""
    table = Table(
        title="more workers than proxies: 2,000 proxies, a retry each 50 ms, holds of 1 s"
    )
    for column in ("workers", "M", "S", "pairs/s", "calls an acquire", "busiest core"):
        table.add_column(column, justify="right")
    for workers in (1_900, 2_200, 3_000, 4_000):
        for masters, shards in ((1, 1), (3, 3), (3, 12)):
            seen = run_fleet(
                service,
                placed(shards, masters),
                masters,
                workers,
                2_000,
                hold_s=1.0,
                warm_up_s=3.0,
                measured_s=3.0,
                seed=seed,
            )
            table.add_row(
                f"{workers:,}",
                str(masters),
                str(shards),
                f"{seen.pairs:,.0f}",
                f"{seen.calls_per_acquire:.1f}",
                f"{max(seen.utilisation):.0%}",
            )
    console.print(table)


def simulate_placement(console: Console, seed: int) -> None:
    """Print what ids that are left to chance cost."""
    table = Table(title="pools' ids left to chance")
    for column in ("M", "S", "busiest master", "cores used of M", "all even"):
        table.add_column(column, justify="right")
    for masters, shards in ((3, 3), (3, 6), (3, 12), (6, 6), (6, 12), (6, 24)):
        share, even = random_placement(shards, masters, seed=seed)
        table.add_row(str(masters), str(shards), f"{share:.0%}", f"{1 / share:.1f}", f"{even:.1%}")
    console.print(table)


def simulate_occupancy(console: Console, seed: int) -> None:
    """Print calls an acquire needs when much is leased."""
    table = Table(title="calls of an acquire (share of the busiest shard, even is 1/S)")
    for column in ("proxies", "S", "leased", *ORDERS):
        table.add_column(column, justify="right")
    for proxies, shards in ((1_000, 3), (1_000, 12), (10_000, 3), (10_000, 12)):
        for leased in (0.5, 0.8, 0.9, 0.95, 0.99):
            seen = [run_occupancy(proxies, shards, leased, order, seed=seed) for order in ORDERS]
            table.add_row(
                f"{proxies:,}",
                str(shards),
                f"{leased:.0%}",
                *[f"{each.calls:.2f} ({each.busiest:.0%})" for each in seen],
            )
    console.print(table)


def simulate_filters(console: Console) -> None:
    """Print what a filter that few proxies match meets."""
    table = Table(title="a filter's matches, all free: shards without one, calls of an acquire")
    for column in ("S", *[f"{matching} match" for matching in (1, 2, 5, 10, 50)]):
        table.add_column(column, justify="right")
    for shards in (2, 3, 6, 12):
        cells = [matches(shards, matching) for matching in (1, 2, 5, 10, 50)]
        table.add_row(str(shards), *[f"{share:.0%}, {calls:.2f}" for share, calls in cells])
    console.print(table)


def simulate_selectors(console: Console, seed: int) -> None:
    """Print what selectors mean when each shard has its own order."""
    table = Table(title="1,000 proxies: selectors by shard")
    for column in ("S", "mean rank, 10 % leased", "50 %", "90 %", "round robin: least", "greatest"):
        table.add_column(column, justify="right")
    for shards in (1, 3, 6, 12):
        ranks = [run_latency(1_000, shards, leased, seed=seed) for leased in (0.1, 0.5, 0.9)]
        least, _, greatest = run_round_robin(1_000, shards, seed=seed)
        table.add_row(
            str(shards), *[f"{rank:.0f}" for rank in ranks], f"{least:,}", f"{greatest:,}"
        )
    console.print(table)


def measure(console: Console, effort: Effort) -> Service:
    """All measurements; what the simulation needs of them."""
    steps: tuple[Callable[[Console, Effort], object], ...] = (
        measure_safety,
        measure_length,
        measure_spread,
    )
    service = measure_one_master(console, effort)
    for step in steps:
        step(console, effort)
    with EmbeddedServer() as server, redis.Redis.from_url(server.url) as client:
        info = client.info("server")
    cores, load = os.cpu_count(), os.getloadavg()[0]
    console.print(
        f"Valkey {info.get('valkey_version')}, redis-py {redis.__version__}, Python "
        f"{platform.python_version()}, {cores} cores, {time.strftime('%Y-%m-%d')}, load average "
        f"{load:.1f} (of this run too; above {cores} others wait for a core)"
    )
    return service


def main() -> None:
    """Run what was asked for and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=["all", "measure", "simulate"], default="all")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=1_000, help="acquires in a round")
    parser.add_argument(
        "--service",
        type=float,
        nargs=3,
        metavar=("ACQUIRE", "RELEASE", "MISS"),
        help="microseconds of a master's core a call, for the simulation",
    )
    parser.add_argument(
        "--measured", action="store_true", help="simulate with what this run measured"
    )
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.measured and args.part != "all":
        parser.error("--measured needs both parts")

    console = Console()
    service = Service(*args.service) if args.service else MEASURED
    if args.part != "simulate":
        found = measure(console, Effort(args.rounds, args.calls, tuple(args.sizes)))
        console.print(
            f"Measured: an acquire {found.acquire:.0f} us, a release {found.release:.0f}, a miss "
            f"{found.miss:.0f}: a core carries {found.pairs_per_core:,.0f} pairs/s."
        )
        service = found if args.measured else service
    if args.part != "measure":
        simulate(console, service, args.seed)


if __name__ == "__main__":
    main()
