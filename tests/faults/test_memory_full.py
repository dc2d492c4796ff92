"""A server that has reached ``maxmemory`` and must not evict.

What gives something back works; what would add something fails with ``StorageFullError`` and has
written nothing: the serialised values of all keys are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import pytest
import redis
from pharox.manager import ProxyManager
from pharox.models import (
    Consumer,
    HealthCheckResult,
    Lease,
    Proxy,
    ProxyFilters,
    ProxyHealthRecord,
    ProxyPool,
    ProxyProtocol,
    ProxyStatus,
    SelectorStrategy,
)

from pharox_redis import new_lease_id
from pharox_redis.errors import StorageFullError
from pharox_redis.flows import Context, Flow, pools, proxies
from tests.support.blocking import AnyStorage, manager_of
from tests.support.builders import make_proxies, make_proxy
from tests.support.flavours import Maker
from tests.support.invariants import check_invariants
from tests.support.own_servers import KINDS, own_server, raw_dump
from tests.support.stepping import Stepped
from tests.support.timetravel import expire_leases

GERMAN = ProxyFilters(country="DE")


@dataclass
class World:
    """A pool of twenty proxies, six of them leased, with a filtered view in use."""

    storage: AnyStorage
    client: redis.Redis
    pool: ProxyPool
    proxies: list[Proxy]
    leases: list[Lease]

    @contextmanager
    def full(self) -> Iterator[None]:
        self.client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            self.client.config_set("maxmemory", 0)

    def refused(self, action: Callable[[], object]) -> None:
        """It fails, as full, and not a byte of any key changes."""
        before = raw_dump(self.client)
        with pytest.raises(StorageFullError):
            action()
        assert raw_dump(self.client) == before


@pytest.fixture(scope="module", params=KINDS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with own_server(request.param, {"maxmemory-policy": "noeviction"}) as server:
        yield server.url


@pytest.fixture
def world(url: str, maker: Maker) -> Iterator[World]:
    client = redis.Redis.from_url(url)
    client.flushall()
    storage = maker.storage_on(url, client)
    pool = ProxyPool(name="pool")
    storage.save_pool(pool)
    made = make_proxies(pool, 10, country="DE") + make_proxies(pool, 10, country="FR")
    storage.add_proxies_bulk(made)
    leases: list[Lease] = []
    for filters in (None, GERMAN, GERMAN, GERMAN, None, None):
        lease = storage.acquire_lease("pool", "worker", 600, filters)
        assert lease is not None
        leases.append(lease)
    yield World(storage, client, pool, made, leases)
    check_invariants(storage)
    # With more memory everything works again.
    lease = storage.acquire_lease("pool", "worker", 60, GERMAN)
    if storage.get_pool_by_name("pool") is not None:
        assert lease is not None
        storage.save_proxy(make_proxy(pool))
        storage.save_pool(ProxyPool(name="another"))
        check_invariants(storage)
    client.close()


def test_release_and_sweep_work(world: World) -> None:
    storage = world.storage
    expire_leases(storage, world.leases[:2])
    with world.full():
        storage.release_lease(world.leases[2])
        manager_of(storage).release_proxy(world.leases[3])
        assert storage.cleanup_expired_leases() == 2
        assert {lease.id for lease in storage.list_leases()} == {
            lease.id for lease in world.leases[4:]
        }
        released = storage.get_lease(world.leases[2].id)
        assert released is not None and released.released_at is not None
        assert world.storage.get_pool_stats("pool").total_leases == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("selector", list(SelectorStrategy))
@pytest.mark.parametrize(
    "filters",
    [None, GERMAN, ProxyFilters(country="FR"), ProxyFilters(predicate=lambda proxy: True)],
    ids=["none", "known", "new", "predicate"],
)
def test_nothing_is_taken_or_claimed(
    world: World, selector: SelectorStrategy, filters: ProxyFilters | None
) -> None:
    storage = world.storage
    with world.full():
        world.refused(lambda: storage.acquire_lease("pool", "worker", 60, filters, selector))
        world.refused(lambda: storage.find_available_proxy("pool", filters, selector))
        world.refused(
            lambda: ProxyManager(storage).acquire_proxy("pool", "worker", 60, filters, selector)
        )


def test_named_leases_and_claims_are_refused_too(world: World) -> None:
    storage, free = world.storage, world.proxies[-1]
    claimed = storage.find_available_proxy("pool", ProxyFilters(country="FR"))
    assert claimed is not None
    with world.full():
        world.refused(lambda: storage.create_lease(free, "worker", 60))
        lease_id = new_lease_id(world.pool.id)
        world.refused(lambda: storage.acquire_lease("pool", "worker", 60, lease_id=lease_id))
        # The caller's own claim lapses by itself: nothing is lost.
        world.refused(lambda: storage.create_lease(claimed, "worker", 60))
        known = storage.acquire_lease("pool", "worker", 60, lease_id=world.leases[0].id)
        assert known is not None and known.id == world.leases[0].id
    assert storage.create_lease(claimed, "worker", 60).proxy_id == claimed.id


def test_one_lease_that_is_over_lets_one_through(world: World) -> None:
    storage, taken = world.storage, 0
    expire_leases(storage, world.leases[:1])
    with world.full():
        for _ in range(100):
            with suppress(StorageFullError):
                taken += storage.acquire_lease("pool", "worker", 60) is not None
    assert taken <= 1
    assert len(storage.list_leases()) == 5 + taken


def test_saves_are_refused_whole(world: World) -> None:
    storage, known = world.storage, world.proxies[0]
    record = ProxyHealthRecord(
        proxy_id=known.id,
        reachable=True,
        latency_ms=3,
        protocol=ProxyProtocol.HTTP,
        status_after=ProxyStatus.ACTIVE,
    )
    result = HealthCheckResult(
        proxy_id=known.id, status=ProxyStatus.BANNED, latency_ms=3, protocol=ProxyProtocol.HTTP
    )
    changed = known.model_copy(update={"country": "FR"})
    mixed = [changed, *make_proxies(world.pool, 120)]
    with world.full():
        for action in (
            lambda: storage.save_proxy(make_proxy(world.pool)),
            lambda: storage.save_proxy(changed),
            lambda: storage.add_proxies_bulk(mixed),
            lambda: storage.save_health_record(record),
            lambda: storage.apply_health_check_result(result),
            lambda: storage.save_pool(ProxyPool(name="other")),
            lambda: storage.ensure_pool("other"),
            lambda: storage.save_pool(world.pool.model_copy(update={"description": "d" * 99})),
            lambda: storage.save_pool(world.pool.model_copy(update={"name": "renamed"})),
            lambda: storage.ensure_consumer("nobody"),
            lambda: storage.add_consumer(Consumer(id=uuid4(), name="somebody")),
        ):
            world.refused(action)
    assert storage.add_proxies_bulk(mixed) == 121


def test_deletes_work(world: World) -> None:
    storage = world.storage
    leased = world.leases[0].proxy_id
    with world.full():
        storage.delete_proxy(leased)
        storage.delete_proxy(world.proxies[-1].id)
        assert storage.get_proxy_by_id(leased) is None
        check_invariants(storage)
        storage.release_lease(world.leases[0])
        assert len(storage.list_leases()) == 5
        storage.delete_pool(world.pool.id)
        assert storage.list_pools() == []
        check_invariants(storage)
    storage.save_pool(world.pool)
    storage.add_proxies_bulk(make_proxies(world.pool, 2, country="DE"))


def test_retiring_works_where_it_only_takes_away(world: World) -> None:
    storage, held = world.storage, world.leases[:3]
    for lease in held[:2]:
        assert not storage.retire_proxy(lease.proxy_id)
    idle = next(p for p in world.proxies if p.id not in {each.proxy_id for each in world.leases})
    with world.full():
        world.refused(lambda: storage.retire_proxy(held[2].proxy_id))
        world.refused(lambda: storage.set_proxy_status(held[2].proxy_id, ProxyStatus.BANNED))
        assert storage.retire_proxy(idle.id)
        for lease in held[:2]:
            ended = storage.end_lease(lease.id)
            assert ended is not None and ended.status == "released"
        assert storage.cleanup_expired_leases() == 0
        left = {proxy.id for proxy in storage.list_proxies(world.pool.id)}
        assert left.isdisjoint({idle.id, *(lease.proxy_id for lease in held[:2])})
        assert len(left) == len(world.proxies) - 3


def test_an_acquire_once_is_refused_whole(world: World) -> None:
    storage = world.storage

    def once() -> Lease | None:
        return storage.acquire_once(
            "pool", "worker", 60, key=b"k", fingerprint="f", keep_seconds=60
        )

    with world.full():
        world.refused(once)
    lease = once()
    assert lease is not None
    with world.full():
        again = once()
        assert again is not None and (again.id, again.status) == (lease.id, "active")


def test_a_lost_view_is_not_rebuilt_half(world: World) -> None:
    storage = world.storage
    names = [key for key in world.client.scan_iter() if b":view:" in key]
    assert len(names) == 2
    world.client.unlink(*names)
    with world.full():
        world.refused(lambda: storage.acquire_lease("pool", "worker", 60))
        world.refused(lambda: storage.acquire_lease("pool", "worker", 60, GERMAN))
        world.refused(lambda: storage.find_available_proxy("pool", GERMAN))
    assert storage.acquire_lease("pool", "worker", 60, GERMAN) is not None
    # The figures count on the unfiltered view: it is back once somebody needs it.
    assert storage.acquire_lease("pool", "worker", 60) is not None


def test_memory_fills_up_between_two_calls_of_a_creation(world: World) -> None:
    """A name that was claimed in vain is void: whoever wants it next has it."""
    for calls in range(10):
        made = ProxyPool(name=f"made-{calls}")
        flow = Stepped(world.storage, partial(_saving, pool=made))
        while flow.steps < calls and not flow.over:
            flow.step()
        with world.full():
            flow.finish()
        known = world.storage.get_pool_by_name(made.name)
        assert (known is not None) == flow.succeeded
        if not flow.succeeded:
            assert isinstance(flow.error, StorageFullError)
            world.storage.save_pool(another := ProxyPool(name=made.name))
            assert world.storage.get_pool_by_name(made.name) == another
        if flow.steps <= calls:
            break
    assert calls >= 3


def test_memory_fills_up_between_two_calls_of_a_save(world: World) -> None:
    """Proxies are there whole or not at all, and saving them again completes it."""
    for calls in range(20):
        made = make_proxies(world.pool, 120, country="DE")
        flow = Stepped(world.storage, partial(_saving_proxies, made=made))
        while flow.steps < calls and not flow.over:
            flow.step()
        with world.full():
            flow.finish()
            check_invariants(world.storage)
        assert flow.succeeded or isinstance(flow.error, StorageFullError)
        assert world.storage.add_proxies_bulk(made) == 120
        if flow.steps <= calls:
            break
    assert calls >= 5


def _saving(context: Context, pool: ProxyPool) -> Flow[None]:
    return pools.save_pool(context, pool)


def _saving_proxies(context: Context, made: list[Proxy]) -> Flow[int]:
    return proxies.save_proxies(context, made)
