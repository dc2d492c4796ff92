"""What the sections that ask the server share: the usual pair, rounds of server time, own pools.

Server time is what ``Bench.server_cost`` reads from the server, some pairs a visit, the things that
are compared in turn over rounds; a ratio is the median of the rounds' ratios. So what slows the
machine down for a while slows both sides of a ratio, and a round that was hit in the middle does
not decide.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pharox.models import ProxyFilters, ProxyPool

from pharox_redis import RedisProxyManager, RedisStorage
from pharox_redis.benchmark.bench import Bench, proxies
from pharox_redis.benchmark.together import exhausted, unlink_below
from pharox_redis.filters import compile_filters
from pharox_redis.keys import Keys
from pharox_redis.scripts import lua_root, resolve

USUAL = ProxyFilters(country="PE")
"""The country filter of the budgets; it matches one proxy in ten."""

CONSUMER = "bench"
_VISIT = 300  # pairs
_DURATION = 60.0  # seconds a lease that is given back at once could have lasted


@dataclass(frozen=True, slots=True)
class Cost:
    """What pieces of work cost the server: us a call of each round, commands a call."""

    us: list[float]
    calls: float

    @property
    def median(self) -> float:
        """us a call."""
        return statistics.median(self.us)


def usual_pair(
    storage: RedisStorage, pool: ProxyPool, filters: ProxyFilters = USUAL
) -> Callable[[], None]:
    """Acquire and release through the manager."""
    manager = RedisProxyManager(storage)

    def work() -> None:
        lease = manager.acquire_proxy(pool.name, CONSUMER, _DURATION, filters)
        if lease is None:
            raise RuntimeError(f"pool {pool.name} had no free proxy: the figures mean nothing")
        manager.release_proxy(lease)

    return work


def server_costs(
    bench: Bench,
    works: dict[str, Callable[[], object]],
    times: Mapping[str, int] | None = None,
    after: Callable[[str], None] = lambda name: None,
) -> dict[str, Cost]:
    """The server time of each piece of work, in alternating rounds.

    ``after`` is called, outside of what is measured, when a piece's visit is over.
    """
    visits = times or {name: min(_VISIT, bench.profile.usual) for name in works}
    us: dict[str, list[float]] = {name: [] for name in works}
    calls: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(-1, bench.profile.rounds):
        # Forth and back: what comes after something big would always find the caches cold.
        for name in works if turn % 2 else reversed(works):
            spent, commands = bench.server_cost(works[name], visits[name])
            after(name)
            if turn >= 0:  # the first one warms
                us[name].append(spent)
                calls[name].append(commands)
        bench.reporter.advance()
    return {name: Cost(us[name], statistics.median(calls[name])) for name in works}


@contextmanager
def own_pool(bench: Bench, storage: RedisStorage, name: str, size: int) -> Iterator[ProxyPool]:
    """A pool for one section, with all that is in it gone at the end."""
    pool = storage.ensure_pool(f"bench-{name}")
    try:
        for start in range(0, size, 10_000):
            bench.reporter.status(f"loading {start:,} of {size:,} proxies into {pool.name}")
            storage.add_proxies_bulk(list(proxies(pool, start, min(size, start + 10_000))))
        yield pool
    finally:
        bench.reporter.status(f"deleting {pool.name}")
        storage.delete_pool(pool.id)
        # Records of leases that had ended outlive their pool, until the end of their retention.
        unlink_below(bench.client, Keys(bench.prefix).pool(pool.id))


def view_state(bench: Bench, pool: ProxyPool, filters: ProxyFilters) -> tuple[str, str] | None:
    """The first_available view of a filter and how far it is filled ("*": to its end)."""
    digest = compile_filters(filters).digest
    state: Any = bench.client.hget(Keys(bench.prefix).pool(pool.id), f"v:f:{digest}")
    if state is None:
        return None
    name, cursor = (state.decode() if isinstance(state, bytes) else str(state)).split(" ")
    return name, cursor


def complete_view(bench: Bench, pool: ProxyPool, filters: ProxyFilters = USUAL) -> None:
    """See to it that a filter's view is registered and filled to its end.

    A view is filled only as far as somebody needed it; all its proxies are leased once, so that
    what is measured is a pool in full use.
    """
    # Nothing is kept of these leases, and the chunks are long: nobody else is there to wait.
    storage = bench.storage(lease_retention=0, chunk_ms=100)
    for _ in range(10):
        if (view_state(bench, pool, filters) or ("", ""))[1] == "*":
            return
        bench.reporter.status(f"filling a view of {pool.name}")
        with exhausted(storage, pool, filters):
            pass
    raise RuntimeError(f"a view of pool {pool.name} was not filled to its end")


@contextmanager
def views_as_found(bench: Bench, pool: ProxyPool) -> Iterator[None]:
    """Drop the views that come to be inside: on the server as the library itself drops them."""
    pool_key, views_key = Keys(bench.prefix).pool(pool.id), Keys(bench.prefix).views(pool.id)
    before: Any = bench.client.hkeys(views_key)
    try:
        yield
    finally:
        after: Any = bench.client.hkeys(views_key)
        text = resolve(lua_root() / "includes", "drop_view") + "drop_view(KEYS[1], ARGV[1])"
        for name in set(after) - set(before):
            bench.client.eval(text, 1, pool_key, name)
