"""acquire_leases and release_leases: what they bring, held against one lease at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pharox.exceptions import InvalidLeaseError, PoolNotFoundError
from pharox.models import Lease, LeaseStatus, Proxy, ProxyFilters, ProxyPool, SelectorStrategy

from pharox_redis import CorruptRecordError, new_lease_id
from pharox_redis.keys import Keys, lease_tail
from tests.conftest import StorageFactory
from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies, make_proxy
from tests.support.flavours import Trips
from tests.support.oracle import Oracle

SELECTORS = list(SelectorStrategy)
GERMAN = ProxyFilters(country="DE")
FILTERS: dict[str, ProxyFilters | None] = {
    "none": None,
    "germany": GERMAN,
    "predicate": ProxyFilters(country="DE", predicate=lambda proxy: proxy.port % 3 > 0),
    "busy": ProxyFilters(predicate=lambda proxy: proxy.current_leases < 2),
    "nobody": ProxyFilters(country="ES"),
}
# For the view of the filter: none; registered and not filled; in use.
SEEN = {"new": 0, "filling": 1, "known": 3}


def mixed(pool: ProxyPool, each: int = 3) -> list[Proxy]:
    """Exclusive, shared and unlimited proxies of two countries, in turns."""
    return [
        proxy
        for number in range(each)
        for limit in (1, 2, 3, None if number == 0 else 1)
        for country in ("DE", "FR")
        for proxy in make_proxies(pool, 1, country=country, max_concurrency=limit)
    ]


def ids(leases: list[Any]) -> list[Any]:
    return [lease.proxy_id for lease in leases]


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("selector", SELECTORS)
def test_as_the_model_does_it(
    real_storage: AnyStorage, selector: SelectorStrategy, seen: str
) -> None:
    model = Oracle()
    for name, filters in FILTERS.items():
        for distinct in (True, False):
            # Each in a pool of its own, which nobody has asked before.
            both = (real_storage, model)
            pool = ProxyPool(name=f"{name}-{distinct}")
            for storage in both:
                storage.save_pool(pool)
                storage.ensure_consumer("c")
            for proxy in mixed(pool):
                for storage in both:
                    storage.save_proxy(proxy)
            for _ in range(SEEN[seen]):
                one = real_storage.acquire_lease(pool.name, "c", 60, filters, selector)
                made = model.acquire_leases(pool.name, "c", 60, 1, filters, selector)
                assert (one and one.proxy_id) == (made[0][0].proxy_id if made else None)
                if one is not None:
                    real_storage.release_lease(one)
                    model.release_lease(made[0][0])
            for count in (5, 1, 40):
                args: Any = (pool.name, "c", 60, count, filters, selector)
                got = real_storage.acquire_leases(*args, distinct=distinct)
                wanted = model.acquire_leases(*args, distinct=distinct)
                assert ids(got) == [lease.proxy_id for lease, _ in wanted], (name, distinct, count)
                assert [lease.proxy.model_dump() for lease in got] == [each for _, each in wanted]
                assert all(lease.status is LeaseStatus.ACTIVE for lease in got)
            stats, known = (storage.get_pool_stats(pool.name) for storage in both)
            assert stats is not None and known is not None
            assert (stats.total_leases, stats.available_proxies) == (
                known.total_leases,
                known.available_proxies,
            )


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("room", [1, None])
def test_more_than_a_call_grants(
    real_storage: AnyStorage, selector: SelectorStrategy, room: int | None
) -> None:
    """None twice across calls either, though those with room stay in front."""
    pool = real_storage.ensure_pool("pool")
    real_storage.add_proxies_bulk(make_proxies(pool, 230, max_concurrency=room))
    for count in (1, 99, 100, 101, 250):
        leases = real_storage.acquire_leases("pool", "c", 60, count, selector=selector)
        assert len(set(ids(leases))) == len(leases) == min(count, 230)
        live = {lease.id for lease in real_storage.list_leases()}
        assert live == {lease.id for lease in leases}
        assert real_storage.release_leases(leases) == len(leases)
    assert real_storage.list_leases() == []
    if room is None:
        leases = real_storage.acquire_leases(
            "pool", "c", 60, 250, selector=selector, distinct=False
        )
        assert len(leases) == real_storage.release_leases(leases) == 250


@pytest.mark.parametrize("count", [0, -1, 10_001, 1.0, "1", None, True])
def test_a_count_that_is_none(storage: AnyStorage, count: Any) -> None:
    storage.ensure_pool("pool")
    with pytest.raises(ValueError, match="count"):
        storage.acquire_leases("pool", "c", 60, count)


def test_what_else_is_refused(storage: AnyStorage) -> None:
    storage.ensure_pool("pool")
    with pytest.raises(PoolNotFoundError):
        storage.acquire_leases("other", "c", 60, 2)
    with pytest.raises(PoolNotFoundError):
        storage.acquire_leases("other", "c", 60, 2, FILTERS["predicate"])
    with pytest.raises(InvalidLeaseError):
        storage.acquire_leases("pool", "c", 0, 2)
    with pytest.raises(ValueError):
        storage.acquire_leases("pool", "c", 60, 2, selector="best")  # type: ignore[arg-type]
    assert storage.acquire_leases("pool", "c", 60, 2) == []


def test_a_pool_that_got_another_name_or_is_gone(make_storage: StorageFactory) -> None:
    """As acquire_lease: the cache of another client is not the last word."""
    storage, other = make_storage(), make_storage()
    pool = storage.ensure_pool("a")
    storage.add_proxies_bulk(make_proxies(pool, 3))
    assert len(other.acquire_leases("a", "c", 60, 1)) == 1
    storage.save_pool(pool.model_copy(update={"name": "b"}))
    with pytest.raises(PoolNotFoundError):
        other.acquire_leases("a", "c", 60, 2)
    storage.add_proxies_bulk(make_proxies(storage.ensure_pool("a"), 3))
    leases = other.acquire_leases("a", "c", 60, 5)
    assert len(leases) == 3 and {lease.pool_name for lease in leases} == {"a"}
    assert len(other.acquire_leases("b", "c", 60, 5)) == 2
    storage.delete_pool(pool.id)
    with pytest.raises(PoolNotFoundError):
        other.acquire_leases("b", "c", 60, 2)


def test_those_in_the_batch_do_not_count_as_refused(make_storage: StorageFactory) -> None:
    """A predicate is not asked about them again, and they do not end the scan."""
    storage = make_storage(predicate_scan_limit=3)
    pool = storage.ensure_pool("pool")
    storage.add_proxies_bulk(make_proxies(pool, 9, max_concurrency=None))
    asked: list[Proxy] = []

    def noted(proxy: Proxy) -> bool:
        asked.append(proxy)
        return True

    leases = storage.acquire_leases("pool", "c", 60, 9, ProxyFilters(predicate=noted))
    assert len(set(ids(leases))) == 9 and len(asked) == 9


def roomy(storage: AnyStorage, name: str, count: int) -> list[Lease]:
    storage.add_proxies_bulk(make_proxies(storage.ensure_pool(name), 1, max_concurrency=None))
    return list(storage.acquire_leases(name, "c", 60, count, distinct=False))


def nameless(leases: list[Lease]) -> list[Lease]:
    """As pharox's own model may have them: they do not tell their pool."""
    return [lease.model_copy(update={"pool_id": None}) for lease in leases]


def test_a_release_of_all_sorts(make_storage: StorageFactory) -> None:
    """Of two pools, without a pool, unknown, ended, twice, and of a pool that is gone."""
    storage = make_storage()
    one, two, gone = (roomy(storage, name, 3) for name in ("one", "two", "gone"))
    storage.release_lease(one[0])
    assert two[0].pool_id is not None and gone[0].pool_id is not None
    storage.delete_pool(gone[0].pool_id)
    strays = nameless([one[1], two[1]])
    wrong = two[2].model_copy(update={"pool_id": one[0].pool_id})
    unknown = [
        two[0].model_copy(update={"id": new_lease_id(two[0].pool_id)}),
        two[0].model_copy(update={"id": uuid4()}),
        two[0].model_copy(update={"id": uuid4(), "pool_id": None}),
        Lease(id=uuid4(), proxy_id=uuid4(), consumer_id=uuid4(), expires_at=one[0].expires_at),
    ]
    for released_by in (storage, make_storage()):
        held = [one[0], *strays, wrong, *unknown, two[0], two[0], *gone]
        assert released_by.release_leases(held) == (4 if released_by is storage else 0)
    assert [lease.id for lease in storage.list_leases()] == [one[2].id]
    assert make_storage().release_leases(nameless(one)) == 1
    assert storage.release_leases([]) == storage.release_leases(()) == 0


def test_one_that_cannot_be_read_holds_up_no_other(storage: AnyStorage) -> None:
    one, two = roomy(storage, "one", 3), roomy(storage, "two", 2)
    assert one[1].pool_id is not None
    key = Keys(storage.settings.key_prefix).lease(one[1].pool_id, lease_tail(str(one[1].id)))
    record = storage.client.get(key)
    storage.client.set(key, "rubbish", keepttl=True)
    with pytest.raises(CorruptRecordError, match=str(one[1].id)):
        storage.release_leases([*one, *two])
    storage.client.set(key, record or b"", keepttl=True)
    assert [lease.id for lease in storage.list_leases()] == [one[1].id]
    assert storage.release_leases([*one, *two]) == 1


def test_a_thousand(real_storage: AnyStorage) -> None:
    leases = roomy(real_storage, "one", 500) + roomy(real_storage, "two", 500)
    strays = nameless(leases)
    trips = Trips(real_storage)
    assert real_storage.release_leases(strays[::2] + leases[1::2]) == 1000
    assert trips.take()[0] == "10 at once"
    assert real_storage.list_leases() == []


@pytest.mark.parametrize("filters", ["none", "germany"])
@pytest.mark.parametrize("selector", SELECTORS)
def test_one_trip_each_way(
    make_real_storage: StorageFactory, selector: SelectorStrategy, filters: str
) -> None:
    storage = make_real_storage(chunk_ms=100)
    pool = storage.ensure_pool("pool")
    storage.add_proxies_bulk(make_proxies(pool, 120, country="DE", max_concurrency=2))
    take: Callable[[int], list[Any]] = lambda count: storage.acquire_leases(  # noqa: E731
        "pool", "c", 60, count, FILTERS[filters], selector
    )
    for _ in range(4):  # the caches, the view
        storage.release_leases(take(3))
    trips = Trips(storage)
    for count in (1, 32, 100):
        leases = take(count)
        assert len(leases) == count and trips.take() == ["EVALSHA"]
        assert storage.release_leases(leases) == count and trips.take() == ["EVALSHA"]
    leases = take(250)
    assert len(leases) == 120 and trips.take() == ["EVALSHA"] * 2
    assert take(5) != [] and trips.take() == ["EVALSHA"], "others have their second place"
    assert storage.release_leases(leases) == 120 and trips.take() == ["2 at once"]


def test_a_miss_is_one_trip(make_real_storage: StorageFactory) -> None:
    storage = make_real_storage()
    storage.save_proxy(make_proxy(storage.ensure_pool("pool")))
    leases = storage.acquire_leases("pool", "c", 60, 9)
    trips = Trips(storage)
    assert storage.acquire_leases("pool", "c", 60, 9) == [] and trips.take() == ["EVALSHA"]
    assert len(leases) == 1
