"""Defects that were found by thinking, each by the shortest way to it."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from enum import Enum

import pytest
from pharox.exceptions import PharoxError, ProxyUnavailableError
from pharox.models import LeaseStatus, Proxy, ProxyFilters, ProxyPool, SelectorStrategy

from pharox_redis import new_lease_id
from pharox_redis.keys import Keys
from pharox_redis.scripts import load
from tests.conftest import StorageFactory
from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies, make_proxy
from tests.support.flavours import after_each_step
from tests.support.invariants import check_invariants
from tests.support.timetravel import expire_leases, lapse_claims


def test_a_lapsed_claim_makes_no_room_beyond_a_lowered_limit(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    storage.save_proxy(proxy := make_proxy(pool, max_concurrency=2))
    lease = storage.acquire_lease("a", "c", 60)
    found = storage.find_available_proxy("a")
    assert lease is not None and found is not None
    storage.save_proxy(proxy.model_copy(update={"max_concurrency": 1}))
    assert lapse_claims(storage, pool.id) == 1
    with pytest.raises(ProxyUnavailableError):
        storage.create_lease(found, "c", 60)
    storage.cleanup_expired_leases()


def test_an_id_used_again_over_a_hold_that_was_not_swept(make_storage: StorageFactory) -> None:
    storage = make_storage(lease_retention=0)
    pool = storage.ensure_pool("a")
    busy, wanted = make_proxy(pool, max_concurrency=8), make_proxy(pool, max_concurrency=2)
    wanted.country = "X"
    storage.add_proxies_bulk([busy, wanted])
    only, lease_id = ProxyFilters(country="X"), new_lease_id(pool.id, b"job")
    blockers = [storage.create_lease(busy, "c", 60) for _ in range(8)]
    first = storage.acquire_lease("a", "c", 60, only, lease_id=lease_id)
    assert first is not None
    expire_leases(storage, blockers, ago_ms=2000, forget=True)
    expire_leases(storage, [first], forget=True)
    again = storage.acquire_lease("a", "c", 60, only, lease_id=lease_id)
    assert again is not None and again.proxy_id == wanted.id
    check_invariants(storage)
    second = storage.acquire_lease("a", "c", 60, only)
    assert second is not None
    for lease in (again, second):
        storage.release_lease(lease)
    assert storage.acquire_lease("a", "c", 60, only) is not None


def test_leases_that_end_in_the_middle_of_a_delete_are_counted_out(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    storage.save_proxy(proxy := make_proxy(pool, max_concurrency=3))
    leases = [storage.create_lease(proxy, "c", 60) for _ in range(3)]
    key = Keys(storage.settings.key_prefix).pool(pool.id)
    storage.client.eval(load("hide_proxy").text, 1, key, str(proxy.id))
    storage.release_lease(leases[0])
    check_invariants(storage)
    storage.cleanup_expired_leases()
    stats = storage.get_pool_stats("a")
    assert stats is not None and (stats.leased_proxies, stats.total_leases) == (0, 0)


def test_a_delete_ends_no_lease_of_another_proxy(make_storage: StorageFactory) -> None:
    storage = make_storage(lease_retention=0)
    pool = storage.ensure_pool("a")
    busy, old, new = make_proxies(pool, 3, max_concurrency=8)
    old.country, new.country = "O", "N"
    storage.add_proxies_bulk([busy, old, new])
    lease_id = new_lease_id(pool.id, b"job")
    blockers = [storage.create_lease(busy, "c", 60) for _ in range(8)]
    first = storage.acquire_lease("a", "c", 60, ProxyFilters(country="O"), lease_id=lease_id)
    assert first is not None
    expire_leases(storage, blockers, ago_ms=2000, forget=True)
    expire_leases(storage, [first], forget=True)
    moved = storage.acquire_lease("a", "c", 60, ProxyFilters(country="N"), lease_id=lease_id)
    assert moved is not None and moved.proxy_id == new.id
    storage.delete_proxy(old.id)
    known = storage.get_lease(lease_id)
    assert known is not None and known.status is LeaseStatus.ACTIVE


def test_a_claim_in_another_pool_does_not_hide_ones_own(storage: AnyStorage) -> None:
    for name in ("a", "b"):
        storage.save_proxy(make_proxy(storage.ensure_pool(name)))
    assert storage.find_available_proxy("a") is not None
    found = storage.find_available_proxy("b")
    assert found is not None
    storage.create_lease(found, "c", 60)
    assert storage.acquire_lease("a", "c", 60) is not None


def test_a_lease_on_another_proxy_leaves_ones_claim_known(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    first, second = make_proxies(pool, 2)
    storage.add_proxies_bulk([first, second])
    found = storage.find_available_proxy("a")
    assert found is not None and found.id == first.id
    storage.create_lease(second, "c", 60)
    lease = storage.acquire_lease("a", "c", 60)
    assert lease is not None and lease.proxy_id == first.id


def test_a_claim_is_not_lent_to_who_names_the_proxy(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    storage.save_proxy(proxy := make_proxy(pool))
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(storage.find_available_proxy, "a").result()
        assert found is not None
        with pytest.raises(ProxyUnavailableError):
            storage.create_lease(proxy, "other", 60)
        assert thread.submit(storage.create_lease, found, "own", 60).result().proxy_id == proxy.id


def test_find_in_one_thread_and_create_in_another(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    storage.save_proxy(make_proxy(pool))
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(storage.find_available_proxy, "a").result()
    assert found is not None
    assert storage.create_lease(found, "own", 60).proxy_id == found.id


@pytest.mark.blocking_only("a predicate is a plain function: it cannot await a find")
def test_a_predicate_may_find_by_itself(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    storage.save_proxy(make_proxy(pool))
    asking = ProxyFilters(predicate=lambda _: storage.find_available_proxy("a") is not None)
    assert storage.acquire_lease("a", "c", 60, asking) is not None


def test_a_lost_half_filled_view_is_filled_from_the_start(make_storage: StorageFactory) -> None:
    storage = make_storage(view_limit=0, chunk_ms=0.001)
    pool = storage.ensure_pool("a")
    proxies = make_proxies(pool, 300)
    proxies[0].country = "AR"
    storage.add_proxies_bulk(proxies)
    view = Keys(storage.settings.key_prefix).view(pool.id, "u0")
    calls: list[object] = []

    def lose(step: object) -> None:
        calls.append(step)
        if len(calls) == 4:
            assert storage.client.unlink(view) == 1

    after_each_step(storage, lose)
    only = ProxyFilters(country="AR")
    assert storage.acquire_lease("a", "c", 60, only, SelectorStrategy.LEAST_USED) is not None
    assert len(calls) > 4


class Country(str, Enum):  # noqa: UP042 - a StrEnum's str() is its value, this one's is not
    AR = "AR"


class Marked(Proxy):
    country: str | None = "US"


def test_indexed_fields_of_models_with_a_mind_of_their_own(make_storage: StorageFactory) -> None:
    storage = make_storage(proxy_model=Marked)
    pool = storage.ensure_pool("a")
    enum, none = make_proxies(pool, 2)
    enum.country = Country.AR
    storage.add_proxies_bulk([enum, Marked(**{**none.model_dump(), "country": None})])
    assert storage.get_proxy(none.id).country is None
    found = storage.find_available_proxy("a", ProxyFilters(country="AR"))
    assert found is not None and found.country == "AR"


def test_an_index_does_not_outlive_its_content(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("a")
    storage.save_proxy(make_proxy(pool))
    lease = storage.acquire_lease("a", "solo", 315_576_000)
    assert lease is not None
    storage.release_lease(lease)
    index = Keys(storage.settings.key_prefix).leases(pool.id, str(lease.consumer_id))
    assert 0 < storage.client.pttl(index) <= 60_000


@pytest.mark.parametrize("name", ["\ud800", "a\udfff"])
def test_texts_that_cannot_be_sent(storage: AnyStorage, name: str) -> None:
    pool = storage.ensure_pool("a")
    storage.save_proxy(make_proxy(pool))
    for call in (
        lambda: storage.ensure_pool(name),
        lambda: storage.acquire_lease("a", name, 60),
        lambda: storage.acquire_lease("a", "c", 60, ProxyFilters(country=name)),
        lambda: storage.save_pool(ProxyPool(name="b", description=name)),
    ):
        with pytest.raises(PharoxError, match="UTF-8"):
            call()


def test_a_fork_amid_threads_does_not_hang(real_storage: AnyStorage) -> None:
    context = real_storage._context
    inside, leave = threading.Event(), threading.Event()

    def holder() -> None:
        with context.pools._lock, context.callers._lock:
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=holder)
    thread.start()
    assert inside.wait(30)
    child = os.fork()
    if child == 0:
        context.callers.token()
        context.pools.drop("nothing")
        os._exit(7)
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
