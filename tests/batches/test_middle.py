"""What happens in the middle of a batch: others at work, the pool changed, the server away or full.

A chunk of a microsecond makes a batch of many short calls, between which a test may do anything.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from pharox.exceptions import PharoxError
from pharox.models import Proxy, ProxyPool, SelectorStrategy

from pharox_redis.errors import StorageFullError, StorageUnavailableError
from pharox_redis.flows import batches
from tests.conftest import StorageFactory
from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies
from tests.support.contention import FILTERS, fill
from tests.support.flavours import Maker, before_each_trip
from tests.support.invariants import check_invariants
from tests.support.own_servers import KINDS, connect, own_server
from tests.support.stepping import Stepped

SELECTORS = list(SelectorStrategy)
TINY = 0.001


def stepped(
    storage: AnyStorage, count: int, distinct: bool = True, selector: Any = None
) -> Stepped:
    return Stepped(
        storage,
        lambda ctx: batches.acquire_many(ctx, "pool", "c", 60, count, None, selector, distinct),
    )


class Middle:
    """A pool of twenty proxies with room for two each, and what may happen to it."""

    def __init__(self, storage: AnyStorage) -> None:
        self.storage = storage
        self.pool: ProxyPool = storage.ensure_pool("pool")
        self.proxies: list[Proxy] = make_proxies(self.pool, 20, max_concurrency=2)
        storage.add_proxies_bulk(self.proxies)
        storage.ensure_consumer("c")
        self.lowered: set[Any] = set()

    def lower(self, pick: random.Random) -> None:
        proxy = pick.choice(self.storage.list_proxies(self.pool.id))
        self.lowered.add(proxy.id)
        self.storage.save_proxy(proxy.model_copy(update={"max_concurrency": 1}))

    def delete(self, pick: random.Random) -> None:
        with suppress(PharoxError):
            self.storage.delete_proxy(pick.choice(self.proxies).id)

    def take(self, pick: random.Random) -> None:
        self.storage.acquire_lease("pool", "other", 60)

    def give(self, pick: random.Random) -> None:
        leases = self.storage.list_leases()
        if leases:
            self.storage.release_lease(pick.choice(leases))

    def find(self, pick: random.Random) -> None:
        self.storage.find_available_proxy("pool")


@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize("selector", SELECTORS)
def test_others_at_work_between_its_calls(
    make_real_storage: StorageFactory, selector: SelectorStrategy, distinct: bool
) -> None:
    storage, other = make_real_storage(chunk_ms=TINY), make_real_storage(claim_seconds=60)
    for seed in range(2):
        pick, middle = random.Random(seed), Middle(other)
        others = [middle.lower, middle.delete, middle.take, middle.give, middle.find]
        flow = stepped(storage, 30, distinct, selector)
        while not flow.over:
            flow.step()
            pick.choice(others)(pick)
            check_invariants(other, limits=not middle.lowered)
        assert flow.succeeded, flow.error
        leased = Counter(lease.proxy_id for lease in flow.result)
        assert leased and (not distinct or max(leased.values()) == 1)
        storage.release_leases(flow.result)
        storage.release_leases(storage.list_leases())
        assert storage.list_leases() == []
        other.delete_pool(middle.pool.id)


@pytest.mark.parametrize("what", ["renamed", "deleted", "replaced"])
def test_the_pool_changes_under_it(make_real_storage: StorageFactory, what: str) -> None:
    """What it had is what it brings; and before it had any, it looks the name up once more."""
    for steps in range(1, 5):
        storage, other = make_real_storage(chunk_ms=TINY), make_real_storage()
        middle = Middle(other)
        storage.ensure_consumer("c")
        flow = stepped(storage, 40, distinct=False)
        for _ in range(steps):
            flow.step()
        had = len(other.list_leases())
        if what == "deleted":
            other.delete_pool(middle.pool.id)
        else:
            other.save_pool(middle.pool.model_copy(update={"name": "elsewhere"}))
        if what == "replaced":
            replacement = other.ensure_pool("pool")
            other.add_proxies_bulk(make_proxies(replacement, 20))
        flow.finish()
        if had:
            assert flow.succeeded and len(flow.result) == had < 40
        else:
            assert flow.succeeded == (what == "replaced")
        assert len(other.list_leases()) == (0 if what == "deleted" else len(flow.result or ())), (
            "nobody has more than was given"
        )
        for pool in other.list_pools():
            other.delete_pool(pool.id)


@pytest.mark.parametrize(
    ("limit", "filters", "chunk_ms"),
    [(1, "all", 2.0), (3, "all", TINY), (1, "filtered", TINY), (3, "filtered", 2.0)],
)
def test_threads(
    make_real_storage: StorageFactory, limit: int, filters: str, chunk_ms: float
) -> None:
    storage = make_real_storage(chunk_ms=chunk_ms)
    allowed = fill(storage, 30, limit)
    using: Counter[Any] = Counter()
    lock = threading.Lock()
    wrong: list[str] = []
    got: list[int] = []

    def work(number: int) -> None:
        pick = random.Random(number)
        for turn in range(12):
            selector = SELECTORS[(number + turn) % 4]
            count, distinct = pick.choice([1, 7, 40]), bool(turn % 3)
            leases = storage.acquire_leases(
                "fleet", f"w{number}", 60, count, FILTERS[filters], selector, distinct=distinct
            )
            with lock:
                using.update(lease.proxy_id for lease in leases)
                wrong.extend(f"{id}: {n}" for id, n in using.items() if n > limit)
                if distinct and len({lease.proxy_id for lease in leases}) != len(leases):
                    wrong.append("one twice")
                if FILTERS[filters] and any(str(x.proxy_id) not in allowed for x in leases):
                    wrong.append("no match")
                got.append(len(leases))
                using.subtract(lease.proxy_id for lease in leases)  # before others can have them
            if storage.release_leases(leases) != len(leases):
                wrong.append("one had ended")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert not wrong, wrong[:5]
    assert max(got) > 7 and len(got) == 96
    stats = storage.get_pool_stats("fleet")
    assert stats is not None and stats.available_proxies == stats.total_proxies
    assert storage.list_leases() == []


@pytest.fixture(params=KINDS)
def own_pool(request: pytest.FixtureRequest, maker: Maker) -> Any:
    """A server, a storage on it and 250 proxies."""
    options = {"appendonly": "no", "save": "", "maxmemory-policy": "noeviction"}
    with own_server(request.param, options) as server:
        storage = maker.storage_on(server.url)
        storage.add_proxies_bulk(make_proxies(storage.ensure_pool("pool"), 250))
        storage.release_leases(storage.acquire_leases("pool", "c", 60, 5))
        yield server, storage


def at_the_second_call(storage: AnyStorage, do: Callable[[], object]) -> None:
    calls = 0

    def count(what: str) -> None:
        nonlocal calls
        calls += what == "EVALSHA"
        if calls == 2:
            do()

    before_each_trip(storage, count)


def test_full_in_the_middle(own_pool: Any) -> None:
    _, storage = own_pool
    at_the_second_call(storage, lambda: storage.client.config_set("maxmemory", 1))
    leases = storage.acquire_leases("pool", "c", 60, 250)
    assert 0 < len(leases) <= 100
    assert {lease.id for lease in storage.list_leases()} == {lease.id for lease in leases}
    with pytest.raises(StorageFullError):
        storage.acquire_leases("pool", "c", 60, 2)
    assert storage.release_leases(leases) == len(leases), "releases work"
    storage.client.config_set("maxmemory", 0)
    check_invariants(storage)


@pytest.mark.parametrize("kind", KINDS)
def test_away_in_the_middle(kind: str, maker: Maker) -> None:
    with own_server(kind, {"appendonly": "no", "save": ""}) as server:
        client = connect(server.url, retries=1)
        storage = maker.storage_on(server.url, client)
        storage.add_proxies_bulk(make_proxies(storage.ensure_pool("pool"), 250))
        storage.release_leases(storage.acquire_leases("pool", "c", 60, 5))
        at_the_second_call(storage, server.kill)
        leases = storage.acquire_leases("pool", "c", 60, 250)
        assert 0 < len(leases) <= 100
        with pytest.raises(StorageUnavailableError):
            storage.acquire_leases("pool", "c", 60, 2)
        with pytest.raises(StorageUnavailableError):
            storage.release_leases(leases)
        client.close()
