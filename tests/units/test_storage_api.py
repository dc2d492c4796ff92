"""RedisStorage and RedisProxyManager as their users meet them: bad input, odd names, copies,
lease ids, callbacks, round trips."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from pharox.exceptions import (
    InvalidLeaseError,
    PoolNotFoundError,
    ProxyNotFoundError,
    ProxyUnavailableError,
)
from pharox.manager import ProxyManager
from pharox.models import (
    Consumer,
    HealthCheckResult,
    Lease,
    LeaseStatus,
    Proxy,
    ProxyFilters,
    ProxyHealthRecord,
    ProxyPool,
    ProxyProtocol,
    ProxyStatus,
    RetryConfig,
    SelectorStrategy,
)
from pharox.storage import InMemoryStorage, IStorage
from pydantic import BaseModel

from pharox_redis import (
    InvalidProxyError,
    LeaseConflictError,
    LeaseIdError,
    PoolNameTakenError,
    PredicateScanLimitError,
    ProxyLease,
    ProxyPoolConflictError,
    RedisProxyManager,
    RedisStorage,
    new_lease_id,
)
from tests.conftest import StorageFactory
from tests.scripts.raw import Snapshot, snapshot
from tests.support.blocking import AnyStorage, manager_of
from tests.support.builders import make_proxies, make_proxy
from tests.support.flavours import Trips

NAMES = [
    *("plain", "with space", " ", "a:b:c", "{a}", "}{", "{", "a\nb", "a\x00b", "\x00", "ü€😀"),
    *("x" * 3000, "%s %d", "*", "[a-z]", "\\", "'\"", "pool\u202e", "e\u0301", "-", "0", "~", "!"),
    *("PHAROX_POOL x", "\ufeff", "\x7f", "\t"),
]


def keys(storage: AnyStorage) -> Snapshot:
    return snapshot(storage.client, storage.settings.key_prefix)


def seed(storage: AnyStorage, count: int = 1, **fields: Any) -> tuple[ProxyPool, list[Proxy]]:
    pool = storage.ensure_pool("pool")
    proxies = make_proxies(pool, count, **fields)
    storage.add_proxies_bulk(proxies)
    return pool, proxies


# -- the contract ----------------------------------------------------------------------------------


def test_signatures_are_the_contracts() -> None:
    for name, method in vars(IStorage).items():
        if name.startswith("_") or not callable(method):
            continue
        theirs = list(inspect.signature(method).parameters.values())
        ours = list(inspect.signature(getattr(RedisStorage, name)).parameters.values())
        for wanted, found in zip(theirs, ours, strict=False):
            assert found.name == wanted.name, f"{name}({found.name})"
            assert found.kind == wanted.kind and found.default == wanted.default, name
        assert len(ours) >= len(theirs), name
        for extra in ours[len(theirs) :]:
            assert extra.default is not inspect.Parameter.empty, f"{name}: {extra.name}"


def test_arguments_may_be_given_by_the_contracts_names(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("pool")
    assert storage.add_proxies_bulk(proxies=[make_proxy(pool)]) == 1


def test_the_managers_methods_are_pharoxs() -> None:
    for name in ("acquire_proxy", "release_proxy", "acquire_proxy_with_retry", "with_lease"):
        theirs = inspect.signature(getattr(ProxyManager, name)).parameters
        ours = inspect.signature(getattr(RedisProxyManager, name)).parameters
        assert list(theirs) == list(ours), name
        for parameter in theirs:
            assert theirs[parameter].default == ours[parameter].default, f"{name}({parameter})"


def test_what_is_public_in_memory_is_here_too() -> None:
    public = {name for name in vars(InMemoryStorage) if not name.startswith("_")}
    assert public <= set(dir(RedisStorage))


# -- unknown things --------------------------------------------------------------------------------


def test_an_unknown_pool(storage: AnyStorage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "pharox_redis"):
        for _ in range(3):
            assert storage.find_available_proxy("nowhere") is None
            assert storage.get_pool_stats("nowhere") is None
            assert manager_of(storage).acquire_proxy("nowhere") is None
    assert len(caplog.records) == 1 and "'nowhere'" in caplog.text
    with pytest.raises(PoolNotFoundError, match="'nowhere'"):
        storage.acquire_lease("nowhere", "consumer", 60)
    assert storage.get_pool_by_name("nowhere") is None
    unknown = str(uuid4())
    for call in (storage.get_pool, storage.delete_pool, storage.list_proxies):
        with pytest.raises(PoolNotFoundError, match=unknown):
            call(unknown)
    with pytest.raises(PoolNotFoundError, match=unknown):
        storage.save_proxy(make_proxy(ProxyPool(id=UUID(unknown), name="x")))


def test_an_unknown_proxy(storage: AnyStorage) -> None:
    pool, _ = seed(storage)
    other, before = make_proxy(pool), keys(storage)
    assert storage.get_proxy_by_id(other.id) is None
    for call in (storage.get_proxy, storage.delete_proxy):
        with pytest.raises(ProxyNotFoundError, match=str(other.id)):
            call(str(other.id))
    result = HealthCheckResult(
        proxy_id=other.id, status=ProxyStatus.ACTIVE, latency_ms=1, protocol=ProxyProtocol.HTTP
    )
    assert storage.apply_health_check_result(result) is None
    assert storage.get_last_health_result(other.id) is None
    assert storage.list_health_records(other.id) == []
    record = ProxyHealthRecord(
        proxy_id=other.id,
        reachable=True,
        protocol=ProxyProtocol.HTTP,
        status_after=ProxyStatus.ACTIVE,
    )
    with pytest.raises(ProxyNotFoundError, match=str(other.id)):
        storage.save_health_record(record)
    assert keys(storage) == before
    with pytest.raises(ProxyNotFoundError, match=str(other.id)):
        storage.create_lease(other, "consumer", 60)


@pytest.mark.parametrize("bad", ["", "x", "None", "12345678-1234"])
def test_ids_that_are_none(storage: AnyStorage, bad: str) -> None:
    for call in (storage.get_pool, storage.delete_pool, storage.list_proxies):
        with pytest.raises(PoolNotFoundError):
            call(bad)
    for call in (storage.get_proxy, storage.delete_proxy):
        with pytest.raises(ProxyNotFoundError):
            call(bad)
    assert storage.get_lease(bad) is None and storage.list_leases(bad) == []
    assert storage.get_proxy_by_id(bad) is None


# -- bad values leave nothing half-done ------------------------------------------------------------


@pytest.mark.parametrize(
    "duration",
    [0, -1, -0.001, math.nan, math.inf, -math.inf, 315_576_001, 10**30, "60", None, True],
)
def test_bad_durations(storage: AnyStorage, duration: Any) -> None:
    _, (proxy,) = seed(storage)
    before = keys(storage)
    with pytest.raises(InvalidLeaseError, match="duration_seconds"):
        storage.acquire_lease("pool", "consumer", duration)
    with pytest.raises(InvalidLeaseError, match="duration_seconds"):
        storage.create_lease(proxy, "consumer", duration)
    assert keys(storage) == before


@pytest.mark.parametrize("duration", [0, -1, math.nan, math.inf, 315_576_001])
def test_bad_durations_of_the_manager(storage: AnyStorage, duration: float) -> None:
    seed(storage)
    before = keys(storage)
    with pytest.raises(InvalidLeaseError, match="duration_seconds"):
        manager_of(storage).acquire_proxy("pool", "consumer", duration)
    assert keys(storage) == before


def test_a_bulk_with_one_proxy_of_a_missing_pool_writes_nothing(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("pool")
    before = keys(storage)
    given = [*make_proxies(pool, 3), make_proxy(ProxyPool(name="missing")), make_proxy(pool)]
    with pytest.raises(PoolNotFoundError):
        storage.add_proxies_bulk(given)
    assert keys(storage) == before
    assert storage.add_proxies_bulk([]) == 0


@pytest.mark.parametrize("field", ["latitude", "longitude"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_coordinates_that_are_no_numbers(storage: AnyStorage, field: str, value: float) -> None:
    pool = storage.ensure_pool("pool")
    before = keys(storage)
    with pytest.raises(InvalidProxyError, match=field):
        storage.add_proxies_bulk([make_proxy(pool), make_proxy(pool, **{field: value})])
    assert keys(storage) == before


def test_a_proxy_in_another_pool(storage: AnyStorage) -> None:
    _, (proxy,) = seed(storage)
    other = storage.ensure_pool("other")
    before = keys(storage)
    moved = proxy.model_copy(update={"pool_id": other.id})
    with pytest.raises(ProxyPoolConflictError, match=str(proxy.id)):
        storage.save_proxy(moved)
    with pytest.raises(ProxyPoolConflictError):
        storage.add_proxies_bulk([make_proxy(other), moved])
    with pytest.raises(ProxyPoolConflictError):
        storage.add_proxies_bulk([proxy, moved])
    assert keys(storage) == before
    storage.delete_proxy(proxy.id)
    storage.save_proxy(moved)
    assert storage.get_proxy(proxy.id).pool_id == other.id


def test_of_two_with_one_id_the_last_counts(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("pool")
    proxy = make_proxy(pool, country="DE")
    assert storage.add_proxies_bulk([proxy, proxy.model_copy(update={"country": "FR"})]) == 2
    assert [each.country for each in storage.list_proxies(pool.id)] == ["FR"]


def test_a_pool_name_that_is_taken(storage: AnyStorage) -> None:
    pool, _ = seed(storage)
    before = keys(storage)
    with pytest.raises(PoolNameTakenError, match="'pool'"):
        storage.save_pool(ProxyPool(name="pool"))
    assert keys(storage) == before
    other = storage.ensure_pool("other")
    before = keys(storage)
    with pytest.raises(PoolNameTakenError):
        storage.save_pool(ProxyPool(id=other.id, name="pool"))
    assert keys(storage) == before
    assert storage.get_pool(pool.id).name == "pool"


def test_a_predicate_that_raises(storage: AnyStorage) -> None:
    seed(storage, 3)
    storage.find_available_proxy("pool", ProxyFilters(predicate=lambda proxy: False))

    def broken(proxy: Proxy) -> bool:
        raise LookupError("broken")

    for call in (
        lambda: storage.acquire_lease("pool", "consumer", 60, ProxyFilters(predicate=broken)),
        lambda: storage.find_available_proxy("pool", ProxyFilters(predicate=broken)),
    ):
        with pytest.raises(LookupError, match="broken"):
            call()
    assert storage.list_leases() == []


def test_a_hopeless_predicate(make_storage: StorageFactory) -> None:
    storage = make_storage(predicate_scan_limit=5)
    seed(storage, 9)
    with pytest.raises(PredicateScanLimitError, match="predicate_scan_limit"):
        storage.acquire_lease("pool", "consumer", 60, ProxyFilters(predicate=lambda proxy: False))


@pytest.mark.timeout(15)
def test_the_shortest_chunks_still_get_everything_done(make_storage: StorageFactory) -> None:
    storage = make_storage(chunk_ms=0.001)
    pool, proxies = seed(storage, 20, country="DE")
    filters = ProxyFilters(country="DE", predicate=lambda proxy: proxy.id == proxies[7].id)
    lease = storage.acquire_lease("pool", "consumer", 60, filters)
    assert lease is not None and lease.proxy_id == proxies[7].id
    storage.delete_pool(pool.id)
    assert storage.list_pools() == []


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_any_name_will_do(storage: AnyStorage, name: str) -> None:
    pool = storage.ensure_pool(name)
    assert pool.name == name and storage.get_pool(pool.id) == pool
    assert storage.get_pool_by_name(name) == pool and storage.list_pools() == [pool]
    storage.save_proxy(make_proxy(pool, source=name, city=name))
    lease = storage.acquire_lease(name, name, 60, ProxyFilters(source=name))
    assert lease is not None and lease.pool_name == name and lease.proxy.city == name
    assert lease.consumer_id == storage.ensure_consumer(name)
    assert len(storage.list_leases(lease.consumer_id)) == 1
    stats = storage.get_pool_stats(name)
    assert stats is not None and (stats.pool_name, stats.total_leases) == (name, 1)
    storage.release_lease(lease)
    found = storage.find_available_proxy(name, ProxyFilters(city=name))
    assert found is not None
    assert storage.create_lease(found, name, 60).pool_name == name
    storage.delete_pool(pool.id)
    assert storage.list_pools() == []


def test_an_empty_name_works_or_is_refused(storage: AnyStorage) -> None:
    before = keys(storage)
    try:
        pool = storage.ensure_pool("")
    except (ValueError, PoolNotFoundError, PoolNameTakenError):
        assert keys(storage) == before
        return
    assert storage.get_pool(pool.id) == pool == storage.get_pool_by_name("")
    storage.save_proxy(make_proxy(pool))
    assert storage.acquire_lease("", "consumer", 60) is not None
    storage.delete_pool(pool.id)


def test_an_empty_consumer_name(storage: AnyStorage) -> None:
    seed(storage)
    lease = storage.acquire_lease("pool", "", 60)
    assert lease is not None and lease.consumer_id == storage.ensure_consumer("")


# -- pools and consumers ---------------------------------------------------------------------------


def test_ensure_pool_twice(storage: AnyStorage) -> None:
    pool = storage.ensure_pool("pool")
    before = keys(storage)
    assert storage.ensure_pool("pool") == pool
    assert keys(storage) == before


def test_rename(make_storage: StorageFactory) -> None:
    storage, other = make_storage(), make_storage()
    pool, (proxy,) = seed(storage)
    assert other.find_available_proxy("pool") is not None  # has it in its cache
    renamed = pool.model_copy(update={"name": "renamed", "description": "d"})
    storage.save_pool(renamed)
    assert storage.list_pools() == [renamed] == other.list_pools()
    for each in (storage, other):
        assert each.get_pool_by_name("pool") is None
        with pytest.raises(PoolNotFoundError):
            each.acquire_lease("pool", "consumer", 60)
    lease = other.create_lease(proxy, "consumer", 60)
    assert lease.pool_name == "renamed"
    fresh = storage.ensure_pool("pool")
    assert fresh.id != pool.id and other.get_pool_by_name("pool") == fresh


def test_a_deleted_pools_name_is_free_again(make_storage: StorageFactory) -> None:
    storage, other = make_storage(), make_storage()
    pool, _ = seed(storage, 3)
    assert other.acquire_lease("pool", "consumer", 60)
    storage.delete_pool(pool.id)
    with pytest.raises(PoolNotFoundError):
        storage.delete_pool(pool.id)
    again, _ = seed(storage, 1)
    lease = other.acquire_lease("pool", "consumer", 60)
    assert lease is not None and lease.pool_id == again.id


def test_a_consumer_keeps_its_id(storage: AnyStorage) -> None:
    known = storage.ensure_consumer("consumer")
    model = Consumer(name="consumer")
    storage.add_consumer(model)
    assert model.id == known == storage.ensure_consumer("consumer")
    mine = Consumer(name="mine")
    wanted = mine.id
    storage.add_consumer(mine)
    assert mine.id == wanted == storage.ensure_consumer("mine")


def test_consumers_have_the_same_id_everywhere(make_storage: StorageFactory) -> None:
    assert make_storage().ensure_consumer("c") == make_storage().ensure_consumer("c")


# -- copies ----------------------------------------------------------------------------------------


def spoil(model: BaseModel) -> None:
    for name in type(model).model_fields:
        if name != "id":
            model.__dict__[name] = None


def test_what_is_returned_is_the_callers_own(storage: AnyStorage) -> None:
    pool, (proxy,) = seed(storage, max_concurrency=9, country="DE")
    lease = storage.acquire_lease("pool", "consumer", 60)
    assert lease is not None
    reads: list[Callable[[], Any]] = [
        lambda: storage.get_pool(pool.id),
        lambda: storage.ensure_pool("pool"),
        lambda: storage.get_pool_by_name("pool"),
        lambda: storage.list_pools()[0],
        lambda: storage.get_proxy(proxy.id),
        lambda: storage.list_proxies(pool.id)[0],
        lambda: storage.get_lease(lease.id),
        lambda: storage.list_leases()[0],
        lambda: storage.find_available_proxy("pool"),
    ]
    before = keys(storage)
    wanted = [read() for read in reads]
    for read in reads:
        spoil(read())
    assert [read() for read in reads] == wanted
    storage.list_pools().clear()
    assert len(storage.list_pools()) == 1
    assert before[next(key for key in before if ":doc:" in key)][1] is not None


def test_arguments_may_change_after_the_call(storage: AnyStorage) -> None:
    pool = ProxyPool(name="pool", description="d")
    storage.save_pool(pool)
    proxy = make_proxy(pool, country="DE")
    storage.save_proxy(proxy)
    before = keys(storage)
    wanted = (storage.get_pool(pool.id), storage.get_proxy(proxy.id))
    spoil(pool)
    spoil(proxy)
    assert keys(storage) == before
    assert (storage.get_pool(pool.id), storage.get_proxy(proxy.id)) == wanted


def test_arguments_are_not_changed_by_the_call(storage: AnyStorage) -> None:
    pool, (proxy,) = seed(storage, current_leases=7, checked_at=datetime(2020, 1, 1))
    filters = ProxyFilters(none_of=[ProxyFilters(country="XX")])
    kept = (pool.model_copy(deep=True), proxy.model_copy(deep=True), filters.model_dump())
    storage.save_pool(pool)
    storage.save_proxy(proxy)
    lease = storage.acquire_lease("pool", "consumer", 60, filters)
    assert lease is not None
    dumped = lease.model_dump()
    storage.release_lease(lease)
    assert (pool, proxy, filters.model_dump()) == kept
    assert lease.model_dump() == dumped


# -- lease ids -------------------------------------------------------------------------------------


def test_an_id_that_is_known_returns_its_lease(storage: AnyStorage) -> None:
    pool, _ = seed(storage, 2)
    lease_id = new_lease_id(pool.id)
    first = storage.acquire_lease("pool", "consumer", 60, lease_id=lease_id)
    assert first is not None and first.id == lease_id
    before = keys(storage)
    second = storage.acquire_lease("pool", "consumer", 5, lease_id=lease_id)
    assert second is not None and second.model_dump() == first.model_dump()
    assert second.proxy == first.proxy
    with pytest.raises(LeaseConflictError, match=str(lease_id)):
        storage.acquire_lease("pool", "another", 60, lease_id=lease_id)
    assert {k: v for k, v in keys(storage).items() if "consumers" not in k} == {
        k: v for k, v in before.items() if "consumers" not in k
    }


@pytest.mark.parametrize("foreign", [uuid4(), UUID(int=0), new_lease_id(uuid4())])
def test_a_foreign_id_is_refused(storage: AnyStorage, foreign: UUID) -> None:
    seed(storage)
    storage.ensure_consumer("consumer")
    before = keys(storage)
    with pytest.raises(LeaseIdError, match="new_lease_id") as raised:
        storage.acquire_lease("pool", "consumer", 60, lease_id=foreign)
    assert isinstance(raised.value, InvalidLeaseError)
    assert keys(storage) == before


def test_an_ended_one_is_returned_as_ended(storage: AnyStorage) -> None:
    pool, _ = seed(storage, 2)
    lease_id = new_lease_id(pool.id)
    first = storage.acquire_lease("pool", "consumer", 60, lease_id=lease_id)
    assert first is not None
    storage.release_lease(first)
    again = storage.acquire_lease("pool", "consumer", 60, lease_id=lease_id)
    assert again is not None and again.status == LeaseStatus.RELEASED
    assert again.released_at is not None and storage.list_leases() == []


@pytest.mark.parametrize("how", ["release", "delete"])
def test_a_known_id_whose_proxy_was_deleted(storage: AnyStorage, how: str) -> None:
    pool, _ = seed(storage, 2)
    lease_id = new_lease_id(pool.id)
    first = storage.acquire_lease("pool", "consumer", 60, lease_id=lease_id)
    assert first is not None
    if how == "release":
        storage.release_lease(first)
    storage.delete_proxy(first.proxy_id)
    again = storage.acquire_lease("pool", "consumer", 60, lease_id=lease_id)
    assert again is not None and again.status == LeaseStatus.RELEASED
    with pytest.raises(ProxyNotFoundError):
        _ = again.proxy


def test_a_known_id_with_a_filter_python_decides(storage: AnyStorage) -> None:
    pool, _ = seed(storage, 1)
    lease_id = new_lease_id(pool.id)
    filters = ProxyFilters(predicate=lambda proxy: True)
    first = storage.acquire_lease("pool", "consumer", 60, filters, lease_id=lease_id)
    assert first is not None
    again = storage.acquire_lease("pool", "consumer", 60, filters, lease_id=lease_id)
    assert again is not None and again.id == first.id


def test_a_lease_read_again(storage: AnyStorage) -> None:
    pool, (proxy,) = seed(storage)
    lease = storage.acquire_lease("pool", "consumer", 60)
    assert lease is not None and isinstance(lease, ProxyLease)
    plain = Lease.model_validate(lease.model_dump())
    for lease_id in (lease.id, str(lease.id), str(lease.id).upper()):
        assert storage.get_lease(lease_id) == plain
    assert storage.list_leases() == [plain]
    assert (
        storage.list_leases(lease.consumer_id)
        == [plain]
        == storage.list_leases(str(lease.consumer_id))
    )
    storage.release_lease(lease)
    ended = storage.get_lease(lease.id)
    assert ended is not None and ended.status == LeaseStatus.RELEASED
    assert ended.released_at is not None and ended.acquired_at <= ended.released_at
    assert storage.list_leases() == [] and storage.list_leases(lease.consumer_id) == [ended]
    assert storage.get_lease(new_lease_id(pool.id)) is None
    assert storage.get_lease(uuid4()) is None
    assert storage.list_leases(uuid4()) == []
    assert (lease.proxy_id, lease.pool_id) == (proxy.id, pool.id)


def test_leases_of_several_pools_are_listed(storage: AnyStorage) -> None:
    found = set()
    for name in ("a", "b", "c"):
        storage.save_proxy(make_proxy(storage.ensure_pool(name)))
        lease = storage.acquire_lease(name, "consumer", 60)
        assert lease is not None
        found.add(lease.id)
    assert {lease.id for lease in storage.list_leases()} == found
    assert {lease.id for lease in storage.list_leases(storage.ensure_consumer("consumer"))} == found


def test_a_release_of_what_is_unknown(storage: AnyStorage) -> None:
    pool, (proxy,) = seed(storage)
    before = keys(storage)
    for pool_id in (None, pool.id, uuid4()):
        for lease_id in (uuid4(), new_lease_id(pool.id)):
            storage.release_lease(
                Lease(
                    id=lease_id,
                    proxy_id=proxy.id,
                    consumer_id=uuid4(),
                    pool_id=pool_id,
                    expires_at=datetime.now(UTC) + timedelta(seconds=9),
                )
            )
    assert keys(storage) == before


def test_a_full_proxy(storage: AnyStorage) -> None:
    _, (proxy,) = seed(storage)
    storage.create_lease(proxy, "consumer", 60)
    with pytest.raises(ProxyUnavailableError, match=str(proxy.id)):
        storage.create_lease(proxy, "consumer", 60)


# -- a find and then an acquire --------------------------------------------------------------------

FILTERS = {
    "none": None,
    "exact": ProxyFilters(country="DE"),
    "predicate": ProxyFilters(predicate=lambda proxy: proxy.country == "DE"),
}


def in_memory(pool: ProxyPool, proxies: list[Proxy]) -> InMemoryStorage:
    """pharox's own storage with the same pool."""
    memory = InMemoryStorage()
    memory.save_pool(pool)
    memory.add_proxies_bulk([proxy.model_copy() for proxy in proxies])
    return memory


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS.keys())
@pytest.mark.parametrize("selector", SelectorStrategy)
def test_a_find_does_not_keep_its_proxy_from_its_callers_acquire(
    make_storage: StorageFactory, selector: SelectorStrategy, filters: ProxyFilters | None
) -> None:
    storage = make_storage(claim_seconds=60)
    pool, proxies = seed(storage, country="DE")
    memory = in_memory(pool, proxies)
    memory.ensure_consumer("consumer")
    for _ in range(2):
        found = storage.find_available_proxy("pool", filters, selector)
        assert found == memory.find_available_proxy("pool", filters, selector) == proxies[0]
        lease = storage.acquire_lease("pool", "consumer", 60, filters, selector)
        theirs = memory.find_available_proxy("pool", filters, selector)
        assert lease is not None and theirs is not None
        assert lease.proxy_id == theirs.id
        their_lease = memory.create_lease(theirs, "consumer", 60)
        stats, their_stats = storage.get_pool_stats("pool"), memory.get_pool_stats("pool")
        assert stats is not None and their_stats is not None
        assert stats.model_dump(exclude={"collected_at"}) == their_stats.model_dump(
            exclude={"collected_at"}
        )
        assert storage.acquire_lease("pool", "consumer", 60, filters, selector) is None
        assert storage.find_available_proxy("pool", filters, selector) is None
        assert memory.find_available_proxy("pool", filters, selector) is None
        storage.release_lease(lease)
        memory.release_lease(their_lease)


@pytest.mark.parametrize("selector", SelectorStrategy)
def test_of_several_the_one_that_was_found_is_acquired_as_in_memory(
    make_storage: StorageFactory, selector: SelectorStrategy
) -> None:
    storage = make_storage(claim_seconds=60)
    pool, proxies = seed(storage, 3)
    memory = in_memory(pool, proxies)
    theirs = [memory.find_available_proxy("pool", None, selector) for _ in range(2)]
    assert None not in theirs
    found = storage.find_available_proxy("pool", None, selector)
    lease = storage.acquire_lease("pool", "consumer", 60, None, selector)
    assert found is not None and lease is not None
    # A round goes on with every look, all else comes to the same proxy again.
    assert (found.id == lease.proxy_id) == (theirs[0] == theirs[1])
    stats = storage.get_pool_stats("pool")
    assert stats is not None and (stats.available_proxies, stats.total_leases) == (2, 1)


def test_the_managers_find_and_acquire_alike(make_storage: StorageFactory) -> None:
    storage = make_storage(claim_seconds=60)
    pool, proxies = seed(storage)
    memory = in_memory(pool, proxies)
    for each, manager in (
        (memory, ProxyManager(memory)),
        (storage, ProxyManager(storage)),
        (storage, manager_of(storage)),
    ):
        assert each.find_available_proxy("pool") == proxies[0]
        lease = manager.acquire_proxy("pool")
        assert lease is not None and lease.proxy_id == proxies[0].id
        assert manager.acquire_proxy("pool") is None
        manager.release_proxy(lease)


def test_another_callers_find_keeps_its_proxy(make_storage: StorageFactory) -> None:
    storage = make_storage(claim_seconds=60)
    _, (proxy,) = seed(storage)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(storage.find_available_proxy, "pool").result() == proxy
        assert storage.acquire_lease("pool", "consumer", 60) is None
        lease = other.submit(storage.acquire_lease, "pool", "consumer", 60).result()
    assert lease is not None and lease.proxy_id == proxy.id


# -- the manager -----------------------------------------------------------------------------------


def shape(model: BaseModel | None) -> Any:
    """A model's types, field by field; times and ids differ between storages."""
    if model is None:
        return None
    found = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            found[name] = shape(value)
        elif isinstance(value, (str, int)) and not name.endswith("_ms"):
            found[name] = value
        else:
            found[name] = type(value).__name__
    return found


def watched(manager: ProxyManager, storage: Any, pool: ProxyPool) -> list[Any]:
    seen: list[Any] = []
    manager.register_acquire_callback(lambda payload: seen.append(shape(payload)))
    manager.register_release_callback(lambda payload: seen.append(shape(payload)))
    lease = manager.acquire_proxy("pool")
    assert lease is not None
    assert manager.acquire_proxy("pool", "default", 60, ProxyFilters(country="XX")) is None
    assert manager.acquire_proxy("nowhere") is None
    manager.release_proxy(lease)
    manager.release_proxy(lease)
    with manager.with_lease("pool", "default") as second:
        assert second is not None
    return seen


def test_callbacks_and_payloads_are_pharoxs(storage: AnyStorage) -> None:
    memory = InMemoryStorage()
    pool, proxies = seed(storage, 2)
    memory.save_pool(pool)
    memory.add_proxies_bulk(proxies)
    ours = watched(manager_of(storage), storage, pool)
    theirs = watched(ProxyManager(memory), memory, pool)
    assert len(ours) == len(theirs) == 7
    assert ours == theirs
    assert watched(ProxyManager(storage), storage, pool) == theirs


def test_the_manager_notes_when_it_released(storage: AnyStorage) -> None:
    seed(storage)
    manager = manager_of(storage)
    lease = manager.acquire_proxy("pool", "consumer")
    assert lease is not None and lease.proxy.max_concurrency == 1
    manager.release_proxy(lease)
    assert lease.released_at is not None


def test_the_manager_wants_our_storage() -> None:
    with pytest.raises(TypeError, match="InMemoryStorage"):
        RedisProxyManager(InMemoryStorage())  # type: ignore[arg-type]


def test_retries_pause_by_the_callers_function(storage: AnyStorage) -> None:
    _, (proxy,) = seed(storage)
    lease = storage.create_lease(proxy, "other", 60)
    manager, pauses = manager_of(storage), list[float]()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            storage.release_lease(lease)

    config = RetryConfig(max_attempts=5, backoff_seconds=0.5, max_backoff_seconds=1.5)
    found = manager.acquire_proxy_with_retry("pool", retry_config=config, sleep_fn=pause)
    assert found is not None and found.proxy.id == proxy.id
    assert pauses == [0.5, 1.0, 1.5]
    assert (
        manager.acquire_proxy_with_retry(
            "pool", max_attempts=2, backoff_seconds=0.1, sleep_fn=pauses.append
        )
        is None
    )
    assert pauses[3:] == [0.1]
    manager.release_proxy(found)
    with manager.with_retrying_lease("pool", sleep_fn=pauses.append) as again:
        assert again is not None
    assert len(pauses) == 4


# -- round trips -----------------------------------------------------------------------------------


@pytest.mark.parametrize("filters", [None, ProxyFilters(country="DE")])
def test_one_trip_each_way(real_storage: AnyStorage, filters: ProxyFilters | None) -> None:
    storage = real_storage
    seed(storage, 5, country="DE")
    manager = manager_of(storage)
    for _ in range(4):  # the caches, the view
        lease = manager.acquire_proxy("pool", "consumer", 60, filters)
        assert lease is not None
        manager.release_proxy(lease)
    trips = Trips(storage)
    for _ in range(3):
        lease = manager.acquire_proxy("pool", "consumer", 60, filters)
        assert trips.take() == ["EVALSHA"]
        assert lease is not None and lease.proxy.country == "DE"
        assert trips.take() == []
        manager.release_proxy(lease)
        assert trips.take() == ["EVALSHA"]
        lease = storage.acquire_lease("pool", "consumer", 60, filters)
        assert lease is not None and trips.take() == ["EVALSHA"]
        storage.release_lease(lease)
        assert trips.take() == ["EVALSHA"]
    payloads: list[Any] = []
    manager.register_acquire_callback(payloads.append)
    manager.register_release_callback(payloads.append)
    lease = manager.acquire_proxy("pool", "consumer", 60, filters)
    assert lease is not None
    manager.release_proxy(lease)
    assert trips.take() == ["EVALSHA", "EVALSHA"]
    assert [payload.pool_stats.total_leases for payload in payloads] == [1, 0]


def test_figures_cost_nothing_when_nobody_asks(
    real_storage: AnyStorage,
) -> None:
    storage, client = real_storage, real_storage.client
    seed(storage, 3)
    manager = manager_of(storage)

    def counted() -> int:
        client.config_resetstat()
        lease = manager.acquire_proxy("pool", "consumer")
        assert lease is not None
        manager.release_proxy(lease)
        stats = client.info("commandstats")
        return int(stats.get("cmdstat_zcount", {"calls": 0})["calls"])

    counted()
    assert counted() == 0
    manager.register_acquire_callback(lambda payload: None)
    assert counted() == 1
    manager.register_release_callback(lambda payload: None)
    assert counted() == 2


def test_a_miss_takes_one_trip(real_storage: AnyStorage) -> None:
    storage = real_storage
    seed(storage, 1)
    assert storage.acquire_lease("pool", "consumer", 60)
    assert storage.find_available_proxy("pool") is None  # the script is known from here on
    trips = Trips(storage)
    assert storage.acquire_lease("pool", "consumer", 60) is None
    assert storage.find_available_proxy("pool") is None
    assert trips.take() == ["EVALSHA"] * 2


# -- health ----------------------------------------------------------------------------------------


def test_health_round_trip(storage: AnyStorage) -> None:
    _, (proxy,) = seed(storage, status=ProxyStatus.SLOW)
    moment = datetime(2024, 1, 2, 3, 4, 5, 678_901)
    result = HealthCheckResult(
        proxy_id=proxy.id,
        status=ProxyStatus.ACTIVE,
        latency_ms=12,
        protocol=ProxyProtocol.SOCKS5,
        checked_at=moment,
        error_message="e",
    )
    found = storage.apply_health_check_result(result)
    assert found is not None and found.status == ProxyStatus.ACTIVE
    assert found.checked_at == moment.replace(tzinfo=UTC)
    (record,) = storage.list_health_records(proxy.id)
    assert (record.status_before, record.status_after) == (ProxyStatus.SLOW, ProxyStatus.ACTIVE)
    assert record.latency_ms == 12 and record.checked_at == moment.replace(tzinfo=UTC)
    last = storage.get_last_health_result(proxy.id)
    assert last == result.model_copy(update={"checked_at": moment.replace(tzinfo=UTC)})
    own = ProxyHealthRecord(
        proxy_id=proxy.id,
        reachable=False,
        protocol=ProxyProtocol.HTTP,
        status_before=ProxyStatus.BANNED,
        status_after=ProxyStatus.SLOW,
        checked_at=moment.replace(tzinfo=UTC),
    )
    storage.save_health_record(own)
    storage.save_health_record(own)
    assert storage.list_health_records(proxy.id) == [own, record]
    assert storage.list_health_records(proxy.id, 1) == [own]
    assert storage.list_health_records(proxy.id, 0) == []
    assert storage.get_proxy(proxy.id).status == ProxyStatus.ACTIVE


def test_a_health_check_of_the_far_past_is_refused_cleanly(storage: AnyStorage) -> None:
    _, (proxy,) = seed(storage)
    before = keys(storage)
    result = HealthCheckResult(
        proxy_id=proxy.id,
        status=ProxyStatus.ACTIVE,
        latency_ms=1,
        protocol=ProxyProtocol.HTTP,
        checked_at=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    )
    with pytest.raises(InvalidProxyError, match="1 to 9999"):
        storage.apply_health_check_result(result)
    assert keys(storage) == before
