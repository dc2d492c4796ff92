"""What is shown to people: figures, pages, names; and what they do with it: ban, retire, end."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from pharox.exceptions import PharoxError, PoolNotFoundError, ProxyNotFoundError
from pharox.models import HealthCheckResult, LeaseStatus, ProxyFilters, ProxyPool, ProxyStatus

from tests.conftest import StorageFactory
from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies, make_proxy
from tests.support.flavours import Trips
from tests.support.timetravel import expire_leases


@pytest.fixture
def other_storage(storage: AnyStorage, make_storage: StorageFactory) -> AnyStorage:
    """Another client, which knows nothing of what the first one has seen."""
    return make_storage()


def test_figures_of_all_pools(storage: AnyStorage) -> None:
    pool, other = storage.ensure_pool("b"), ProxyPool(name="a", description="the other")
    storage.save_pool(other)
    storage.add_proxies_bulk(make_proxies(pool, 3, max_concurrency=1))
    storage.save_proxy(make_proxy(pool, status=ProxyStatus.BANNED))
    assert storage.acquire_lease("b", "c", 60) is not None
    first, second = storage.list_pool_figures()
    assert (first.pool, first.total_proxies) == (other, 0)
    assert second == storage.get_pool_figures(pool.id).model_copy(update={"at": second.at})
    assert (second.total_proxies, second.active_proxies) == (4, 3)
    assert (second.available_proxies, second.saturated_proxies) == (2, 1)
    assert (second.leased_proxies, second.total_leases) == (1, 1)
    assert (second.acquired, second.missed, second.reclaimed, second.views) == (1, 0, 0, 0)


def test_figures_count(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    storage.add_proxies_bulk(make_proxies(pool, 2, max_concurrency=1, country="DE"))
    leases = storage.acquire_leases("a", "c", 60, 2)
    assert storage.acquire_lease("a", "c", 60, ProxyFilters(country="DE")) is None
    assert storage.find_available_proxy("a") is None
    assert expire_leases(storage, leases) is None
    assert storage.cleanup_expired_leases() == 2
    figures = storage.get_pool_figures(pool.id)
    assert (figures.acquired, figures.missed, figures.reclaimed) == (2, 2, 2)
    found = storage.find_available_proxy("a")
    assert found is not None
    storage.create_lease(found, "c", 60)
    assert storage.get_pool_figures(pool.id).acquired == 3


@pytest.mark.parametrize("pool_id", [uuid4(), "x", ""])
def test_no_such_pool(storage: AnyStorage, pool_id: object) -> None:
    for look in (storage.get_pool_figures, storage.page_proxies, storage.page_leases):
        with pytest.raises(PoolNotFoundError, match="does not exist"):
            look(pool_id)  # type: ignore[operator]


def test_pages_of_proxies(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    proxies = make_proxies(pool, 7)
    storage.add_proxies_bulk(proxies)
    storage.apply_health_check_result(
        HealthCheckResult(
            proxy_id=proxies[2].id, status="active", latency_ms=42, protocol=proxies[2].protocol
        )
    )
    seen, after = [], ""
    while True:
        page = storage.page_proxies(pool.id, after=after, limit=3)
        seen += page.proxies
        after = page.next
        if not after:
            break
    assert [state.proxy.id for state in seen] == [proxy.id for proxy in proxies]
    assert [state.latency_ms for state in seen] == [None, None, 42, None, None, None, None]
    assert not any(state.retired for state in seen)


def test_pages_of_leases(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    storage.add_proxies_bulk(make_proxies(pool, 5))
    taken = [storage.acquire_lease("a", f"c{n}", 60 - n) for n in range(5)]
    first = storage.page_leases(pool.id, limit=3)
    second = storage.page_leases(pool.id, after=first.next, limit=3)
    assert second.next == ""
    ids = [lease.id for lease in (*first.leases, *second.leases)]
    assert ids == [lease.id for lease in reversed(taken) if lease is not None]
    assert all(type(lease).__name__ == "Lease" for lease in first.leases)
    holders = {lease.consumer_id for lease in first.leases}
    assert set(storage.consumer_names(holders).values()) == {"c4", "c3", "c2"}


@pytest.mark.parametrize(("after", "limit"), [("x", 1), ("1 x y", 1), ("", 0), ("", 501)])
def test_pages_that_cannot_be_asked_for(storage: AnyStorage, after: str, limit: int) -> None:
    pool = storage.ensure_pool("a")
    for look in (storage.page_proxies, storage.page_leases):
        with pytest.raises(ValueError, match=r"after|limit"):
            look(pool.id, after=after, limit=limit)


def test_names_that_others_gave(storage: AnyStorage, other_storage: AnyStorage) -> None:
    known = {other_storage.ensure_consumer(f"c{n}"): f"c{n}" for n in range(2_500)}
    trips = Trips(storage)
    few = dict(list(known.items())[:3])
    assert storage.consumer_names([*few, uuid4()]) == few
    assert 1 <= len(trips.take()) <= 5
    assert storage.consumer_names(few.keys()) == few
    assert trips.take() == []
    assert storage.consumer_names(known) == known
    assert storage.consumer_names([]) == {}


def test_a_status(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    storage.save_proxy(proxy := make_proxy(pool, country="DE"))
    banned = storage.set_proxy_status(proxy.id, ProxyStatus.BANNED)
    assert banned == storage.get_proxy(proxy.id)
    assert banned == proxy.model_copy(update={"status": ProxyStatus.BANNED})
    assert storage.acquire_lease("a", "c", 60) is None
    with pytest.raises(ProxyNotFoundError):
        storage.set_proxy_status(uuid4(), ProxyStatus.BANNED)
    with pytest.raises(ProxyNotFoundError):
        storage.set_proxy_status("x", ProxyStatus.BANNED)
    with pytest.raises(ValueError, match="no status"):
        storage.set_proxy_status(proxy.id, "no status")  # type: ignore[arg-type]


def test_ending_by_id(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    storage.save_proxy(make_proxy(pool))
    lease = storage.acquire_lease("a", "c", 60)
    assert lease is not None
    for _ in range(2):
        ended = storage.end_lease(lease.id)
        assert ended == storage.get_lease(lease.id)
        assert ended is not None and ended.status is LeaseStatus.RELEASED
    assert storage.list_leases() == []
    assert storage.end_lease(uuid4()) is None and storage.end_lease("x") is None


def test_retired_now(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    storage.save_proxy(proxy := make_proxy(pool))
    assert storage.retire_proxy(proxy.id) is True
    assert storage.get_proxy_by_id(proxy.id) is None
    with pytest.raises(ProxyNotFoundError):
        storage.retire_proxy(proxy.id)


def test_what_ails_one_pool_keeps_no_other_from_deleting_what_was_retired(
    storage: AnyStorage,
) -> None:
    pools = [storage.ensure_pool(name) for name in ("a", "b", "c")]
    proxies = [make_proxy(pool) for pool in pools]
    for number, proxy in enumerate(proxies):
        # Their directory's buckets are of the last ten bits.
        proxy.id = UUID(int=proxy.id.int >> 10 << 10 | number)
        storage.save_proxy(proxy)
        lease = storage.create_lease(proxy, "c", 60)
        assert not storage.retire_proxy(proxy.id)
        storage.release_lease(lease)
    bucket = f"{storage.settings.key_prefix}:1:proxies:000"
    entries = storage.client.hgetall(bucket)
    storage.client.delete(bucket)
    storage.client.set(bucket, "of another type")
    with pytest.raises(PharoxError):
        storage.cleanup_expired_leases()
    assert [len(storage.list_proxies(pool.id)) for pool in pools] == [1, 0, 0]
    storage.client.delete(bucket)
    storage.client.hset(bucket, mapping=entries)
    storage.cleanup_expired_leases()
    assert storage.list_proxies(pools[0].id) == []


def test_retired_when_its_lease_is_over(storage: AnyStorage, other_storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    storage.save_proxy(proxy := make_proxy(pool, max_concurrency=2))
    lease = storage.acquire_lease("a", "c", 60)
    assert lease is not None
    assert storage.retire_proxy(proxy.id) is False
    assert storage.acquire_lease("a", "c", 60) is None
    assert [state.retired for state in storage.page_proxies(pool.id).proxies] == [True]
    assert other_storage.cleanup_expired_leases() == 0
    assert [each.id for each in storage.list_leases()] == [lease.id]
    assert storage.get_proxy_by_id(proxy.id) is not None
    storage.release_lease(lease)
    assert other_storage.cleanup_expired_leases() == 0
    assert storage.get_proxy_by_id(proxy.id) is None
