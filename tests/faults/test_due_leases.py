"""Leases that are over and that nobody has swept yet, a few and hundreds at once.

They must hide no free proxy: an acquire or find that would miss sweeps first, as far as it takes.
"""

from __future__ import annotations

import pytest
from pharox.manager import ProxyManager
from pharox.models import (
    Lease,
    LeaseStatus,
    ProxyFilters,
    ProxyPool,
    ProxyStatus,
    SelectorStrategy,
)

from pharox_redis.errors import ProxyUnavailableError
from pharox_redis.flows import leasing, pools
from pharox_redis.keys import Keys
from tests.conftest import StorageFactory
from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies
from tests.support.invariants import check_invariants, dump
from tests.support.stepping import Stepped
from tests.support.timetravel import expire_leases, lapse_claims

MANY = 200
FILTERS = {
    "none": None,
    "germany": ProxyFilters(country="DE"),
    "predicate": ProxyFilters(country="DE", predicate=lambda proxy: proxy.asn != 1),
}


def leased_out(storage: AnyStorage, count: int = MANY) -> tuple[ProxyPool, list[Lease]]:
    """A pool whose every proxy is leased; each country has half of them."""
    pool = ProxyPool(name="pool")
    storage.save_pool(pool)
    storage.add_proxies_bulk(
        [
            p
            for _ in range(count // 2)
            for c in ("FR", "DE")
            for p in make_proxies(pool, 1, country=c)
        ]
    )
    leases = [storage.acquire_lease("pool", "worker", 600) for _ in range(count)]
    assert all(leases) and storage.acquire_lease("pool", "worker", 600) is None
    return pool, [lease for lease in leases if lease is not None]


@pytest.mark.parametrize("forget", [False, True], ids=["records", "forgotten"])
@pytest.mark.parametrize("filters", FILTERS)
def test_no_miss_while_something_is_due(
    make_real_storage: StorageFactory, filters: str, forget: bool
) -> None:
    storage = make_real_storage(lease_retention=0 if forget else 60)
    _, leases = leased_out(storage)
    expire_leases(storage, leases, forget=forget)
    wanted = MANY if FILTERS[filters] is None else MANY // 2
    taken = [storage.acquire_lease("pool", "next", 60, FILTERS[filters]) for _ in range(wanted)]
    assert len({lease.proxy_id for lease in taken if lease is not None}) == wanted
    assert storage.acquire_lease("pool", "next", 60, FILTERS[filters]) is None
    for lease in taken:
        assert lease is not None
        storage.release_lease(lease)
    storage.cleanup_expired_leases()
    stats = storage.get_pool_stats("pool")
    assert stats is not None and (stats.total_leases, stats.available_proxies) == (0, MANY)


@pytest.mark.parametrize("selector", list(SelectorStrategy))
@pytest.mark.parametrize("what", ["acquire", "find", "stock"])
def test_the_last_one_due_is_the_match(
    real_storage: AnyStorage, selector: SelectorStrategy, what: str
) -> None:
    """A hundred others end before the only match does: the sweep must reach it."""
    pool, leases = leased_out(real_storage, 100)
    only = leases[-1]
    match = real_storage.get_proxy(only.proxy_id).model_copy(update={"city": "Ulm"})
    real_storage.save_proxy(match)
    expire_leases(real_storage, leases[:-1], ago_ms=9000)
    expire_leases(real_storage, [only], ago_ms=10)
    filters = ProxyFilters(city="Ulm")
    if what == "acquire":
        lease = real_storage.acquire_lease("pool", "next", 60, filters, selector)
        assert lease is not None and lease.proxy_id == match.id
    elif what == "stock":
        granted = ProxyManager(real_storage).acquire_proxy("pool", "next", 60, filters, selector)
        assert granted is not None and granted.proxy_id == match.id
    else:
        found = real_storage.find_available_proxy("pool", filters, selector)
        assert found is not None and found.id == match.id and found.current_leases == 0
    real_storage.cleanup_expired_leases()
    assert real_storage.get_pool_stats("pool").active_proxies == 100  # type: ignore[union-attr]
    assert len(real_storage.list_proxies(pool.id)) == 100


@pytest.mark.parametrize("chunk_ms", [0.001, 2.0])
@pytest.mark.parametrize("forget", [False, True])
def test_a_sweep_counts_each_lease_once(
    make_real_storage: StorageFactory, forget: bool, chunk_ms: float
) -> None:
    storage = make_real_storage(chunk_ms=chunk_ms)
    pool, leases = leased_out(storage)
    found = storage.find_available_proxy("pool")
    assert found is None
    expire_leases(storage, leases[:150], forget=forget)
    assert storage.cleanup_expired_leases() == 150
    assert storage.cleanup_expired_leases() == 0
    claimed = storage.find_available_proxy("pool")
    assert claimed is not None and lapse_claims(storage, pool.id) == 1
    assert storage.cleanup_expired_leases() == 0  # a claim is no lease
    expire_leases(storage, leases[150:], forget=forget)
    assert storage.cleanup_expired_leases() == 50
    _, dumped = dump(storage)
    (left,) = dumped.values()
    assert not left.many["held"] and "expiry" not in left.single and "claims" not in left.single
    assert "extra" not in left.single and "reserved" not in left.single
    assert len(left.many["lease"]) == (0 if forget else MANY)


def test_released_after_it_was_over_and_twice(storage: AnyStorage) -> None:
    _, leases = leased_out(storage, 4)
    over, swept, twice, forgotten = leases
    expire_leases(storage, [over, swept])
    expire_leases(storage, [forgotten], forget=True)
    storage.release_lease(over)
    assert storage.cleanup_expired_leases() == 2
    for lease in (over, swept):
        storage.release_lease(lease)
        known = storage.get_lease(lease.id)
        assert known is not None and known.status is LeaseStatus.RELEASED
        assert known.released_at == known.expires_at  # it ended by itself, before the release
    storage.release_lease(forgotten)
    storage.release_lease(twice)
    first = storage.get_lease(twice.id)
    storage.release_lease(twice)
    assert storage.get_lease(twice.id) == first is not None
    again = storage.acquire_lease("pool", "next", 60)
    assert again is not None
    for lease in leases:  # an old lease never ends a new one
        storage.release_lease(lease)
    assert [lease.id for lease in storage.list_leases()] == [again.id]


def test_no_retention(make_storage: StorageFactory) -> None:
    storage = make_storage(lease_retention=0)
    _, leases = leased_out(storage, 4)
    storage.release_lease(leases[0])
    assert storage.get_lease(leases[0].id) is None
    expire_leases(storage, leases[1:], forget=True)
    assert storage.get_lease(leases[1].id) is None
    assert storage.cleanup_expired_leases() == 3
    assert storage.list_leases(leases[0].consumer_id) == []
    _, dumped = dump(storage)
    (left,) = dumped.values()
    assert not left.many["lease"] and not left.many["held"] and not left.many["leases"]


def test_a_lapsed_claim(make_storage: StorageFactory) -> None:
    storage = make_storage(claim_seconds=60)
    pool = ProxyPool(name="pool")
    storage.save_pool(pool)
    storage.save_proxy(make_proxies(pool, 1)[0])
    found = storage.find_available_proxy("pool")
    other = make_storage(claim_seconds=60)
    assert found is not None and other.acquire_lease("pool", "next", 60) is None
    assert lapse_claims(storage, pool.id) == 1
    lease = other.acquire_lease("pool", "next", 60)
    assert lease is not None
    with pytest.raises(ProxyUnavailableError):
        storage.create_lease(found, "worker", 60)
    storage.release_lease(lease)

    found = storage.find_available_proxy("pool")
    assert found is not None and lapse_claims(storage, pool.id) == 1
    lease_by_claim = storage.create_lease(found, "worker", 60)  # free, so still granted
    check_invariants(storage)
    assert [known.id for known in storage.list_leases()] == [lease_by_claim.id]
    assert not storage.client.exists(Keys(storage.settings.key_prefix).claims(pool.id))


def test_a_status_change_meets_due_leases(storage: AnyStorage) -> None:
    _, leases = leased_out(storage, 4)
    banned = storage.get_proxy(leases[0].proxy_id)
    storage.save_proxy(banned.model_copy(update={"status": ProxyStatus.BANNED}))
    expire_leases(storage, leases)
    taken = [storage.acquire_lease("pool", "next", 60) for _ in range(4)]
    assert [lease is not None for lease in taken] == [True, True, True, False]
    assert banned.id not in {lease.proxy_id for lease in taken if lease is not None}


def test_the_smallest_chunk_makes_progress(make_real_storage: StorageFactory) -> None:
    """However little time a call may take, each one gets something done."""
    storage = make_real_storage(chunk_ms=0.001)
    _, leases = leased_out(storage, 20)
    expire_leases(storage, leases)
    context = storage._context
    predicate = ProxyFilters(predicate=lambda proxy: True)
    flow = Stepped(
        storage, lambda _: leasing.acquire(context, "pool", "w", 60, predicate, None, None)
    ).finish()
    assert flow.succeeded and flow.result.lease is not None


def test_the_smallest_chunk_deletes_a_pool(make_real_storage: StorageFactory) -> None:
    storage = make_real_storage(chunk_ms=0.001)
    pool, _ = leased_out(storage, 20)
    Stepped(storage, lambda context: pools.delete_pool(context, pool.id)).finish()
    assert storage.list_pools() == []
