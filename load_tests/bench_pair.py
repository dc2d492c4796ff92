"""What an acquire and a release cost: pairs a second, server time, calls, memory.

One run on the embedded server (or ``--url``; its database is filled and emptied again under a
prefix of its own). Everything is told against a bare ``EVALSHA`` of ``return 1`` of the same run,
measured in rounds that alternate with the managers', so that a noisy machine shifts both: the
ratio is the median over the rounds. Server time and calls are ``INFO commandstats`` around a round
in which nothing else runs. It asserts no time.

Memory is counted by ``MEMORY USAGE`` of a sample of proxies' own keys, plus their share of the
pool's sorted sets and directories.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis
from pharox.manager import ProxyManager
from pharox.models import Proxy, ProxyFilters, ProxyPool, ProxyStatus
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from pharox_redis import RedisProxyManager, RedisStorage, Settings
from pharox_redis.embedded import EmbeddedServer
from pharox_redis.keys import Keys

COUNTRIES = ("AR", "BR", "CL", "DE", "ES", "FR", "JP", "PE", "US", "UY")


@dataclass
class Row:
    """One line of the table."""

    proxies: int
    filtered: bool
    manager: str
    pairs: float
    ratio: float
    server_us: float
    calls: float


def make_pool(storage: RedisStorage, count: int) -> ProxyPool:
    """A pool of ``count`` proxies in ten countries, each for one consumer at a time."""
    pool = storage.ensure_pool(f"bench-{count}")
    storage.add_proxies_bulk(
        [
            Proxy(
                host=f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}",
                port=8080,
                protocol="http",
                pool_id=pool.id,
                status=ProxyStatus.ACTIVE,
                max_concurrency=1,
                country=COUNTRIES[i % len(COUNTRIES)],
                source="bench",
            )
            for i in range(count)
        ]
    )
    return pool


def pair(manager: ProxyManager, pool: ProxyPool, filters: ProxyFilters | None) -> None:
    """Acquire and release one lease."""
    lease = manager.acquire_proxy(pool.name, "bench", 60, filters)
    if lease is None:
        raise SystemExit("a free pool had no proxy to lease: the figures would mean nothing")
    manager.release_proxy(lease)


def timed(work: Callable[[], object], times: int) -> float:
    """Seconds a call, over ``times`` calls."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def server_cost(client: redis.Redis, work: Callable[[], object], times: int) -> tuple[float, float]:
    """Microseconds of scripts and ``redis.call``s a call of ``work``, by ``INFO commandstats``."""
    client.config_resetstat()
    for _ in range(times):
        work()
    stats = client.info("commandstats")
    own = ("cmdstat_config|resetstat", "cmdstat_info")
    scripts = sum(stats[name]["usec"] for name in stats if "eval" in name)
    calls = sum(stats[name]["calls"] for name in stats if "eval" not in name and name not in own)
    return scripts / times, calls / times


def measure(
    client: redis.Redis,
    storage: RedisStorage,
    pool: ProxyPool,
    filtered: bool,
    rounds: int,
    pairs: int,
    advance: Callable[[], None],
) -> Iterator[Row]:
    """Both managers on one pool, in alternating rounds with the bare EVALSHA."""
    filters = ProxyFilters(country="PE") if filtered else None
    managers = {"RedisProxyManager": RedisProxyManager(storage), "pharox": ProxyManager(storage)}
    sha = client.script_load("return 1")
    for manager in managers.values():
        for _ in range(100):
            pair(manager, pool, filters)
    floor: list[float] = []
    seconds: dict[str, list[float]] = {name: [] for name in managers}
    for _ in range(rounds):
        floor.append(timed(lambda: client.evalsha(sha, 0), pairs))
        for name, manager in managers.items():
            seconds[name].append(timed(lambda m=manager: pair(m, pool, filters), pairs))
        advance()
    for name, manager in managers.items():
        usec, calls = server_cost(client, lambda m=manager: pair(m, pool, filters), pairs * 2)
        yield Row(
            proxies=int(pool.name.split("-")[1]),
            filtered=filtered,
            manager=name,
            pairs=1 / statistics.median(seconds[name]),
            ratio=statistics.median(f / s for f, s in zip(floor, seconds[name], strict=True)),
            server_us=usec,
            calls=calls,
        )


def memory(client: redis.Redis, storage: RedisStorage, pool: ProxyPool) -> tuple[float, float]:
    """(bytes a proxy, bytes an active lease)."""
    keys = Keys(storage.settings.key_prefix)
    size = client.zcard(keys.proxies(pool.id))
    sample = [
        member.decode()
        for member in client.zrange(keys.proxies(pool.id), 0, -1)[:: max(1, size // 200)]
    ]

    def usage(key: str, samples: int = 0) -> int:
        return int(client.memory_usage(key, samples=samples) or 0)

    own = statistics.mean(
        usage(keys.proxy(pool.id, id)) + usage(keys.doc(pool.id, id)) for id in sample
    )
    shared = sum(usage(key, 200) for key in (keys.proxies(pool.id), keys.view(pool.id, "f0")))
    directory = list(client.scan_iter(match=f"{keys.root}:proxies:*", count=1000))
    entries = sum(client.hlen(key) for key in directory[:200])
    per_entry = sum(usage(key.decode()) for key in directory[:200]) / max(1, entries)

    count = min(100, size // 2)
    info = client.info("memory")["used_memory"]
    leases = [storage.acquire_lease(pool.name, "memory", 600) for _ in range(count)]
    grown = client.info("memory")["used_memory"] - info
    for lease in leases:
        if lease is not None:
            storage.release_lease(lease)
    return own + shared / size + per_entry, grown / count


@contextmanager
def server(url: str | None) -> Iterator[str]:
    """The given server, or the embedded one."""
    if url:
        yield url
        return
    with EmbeddedServer() as embedded:
        yield embedded.url


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="a server to use instead of the embedded one")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pairs", type=int, default=200, help="pairs in a round")
    args = parser.parse_args()

    console = Console()
    rows: list[Row] = []
    sizes: list[tuple[int, float, float]] = []
    prefix = f"bench{secrets.token_hex(4)}"
    with server(args.url) as url, redis.Redis.from_url(url) as client:
        version = client.info("server")
        storage = RedisStorage(client, Settings(key_prefix=prefix))
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("measuring", total=len(args.sizes) * (2 * args.rounds + 1))
            for count in args.sizes:
                progress.update(task, description=f"loading {count:,} proxies")
                pool = make_pool(storage, count)
                sizes.append((count, *memory(client, storage, pool)))
                progress.update(task, advance=1, description=f"{count:,} proxies")
                for filtered in (False, True):
                    rows.extend(
                        measure(
                            client,
                            storage,
                            pool,
                            filtered,
                            args.rounds,
                            args.pairs,
                            lambda: progress.advance(task),
                        )
                    )
                storage.delete_pool(pool.id)

    table = Table(title=f"acquire + release, one client, {args.rounds} rounds of {args.pairs}")
    for column in ("proxies", "filter", "manager", "pairs/s", "of EVALSHA", "server us", "calls"):
        table.add_column(column, justify="left" if column in ("filter", "manager") else "right")
    for row in rows:
        table.add_row(
            f"{row.proxies:,}",
            "country" if row.filtered else "-",
            row.manager,
            f"{row.pairs:,.0f}",
            f"{row.ratio:.2f}",
            f"{row.server_us:.0f}",
            f"{row.calls:.1f}",
        )
    console.print(table)
    weights = Table(title="memory")
    for column in ("proxies", "bytes a proxy", "bytes a lease"):
        weights.add_column(column, justify="right")
    for count, proxy, lease in sizes:
        weights.add_row(f"{count:,}", f"{proxy:,.0f}", f"{lease:,.0f}")
    console.print(weights)
    console.print(
        f"server {version.get('valkey_version') or version['redis_version']}, "
        f"redis-py {redis.__version__}"
    )


if __name__ == "__main__":
    main()
