"""A request that is repeated under its key gets the lease it got before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pharox.exceptions import PoolNotFoundError
from pharox.models import LeaseStatus

from pharox_redis import IdempotencyConflictError
from pharox_redis.keys import lease_tail
from tests.conftest import StorageFactory
from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies
from tests.support.timetravel import expire_leases


def once(storage: AnyStorage, key: bytes = b"k", print_: str = "f1", **changes: Any) -> Any:
    args = {"key": key, "fingerprint": print_, "keep_seconds": 600.0, **changes}
    return storage.acquire_once("a", "c", 60, **args)


@pytest.fixture
def other_storage(storage: AnyStorage, make_storage: StorageFactory) -> AnyStorage:
    """Another client, which knows nothing of what the first one has seen."""
    return make_storage()


@pytest.fixture
def pool(storage: AnyStorage) -> Any:
    pool = storage.ensure_pool("a")
    storage.add_proxies_bulk(make_proxies(pool, 3, max_concurrency=1))
    return pool


@pytest.mark.usefixtures("pool")
def test_again(storage: AnyStorage, other_storage: AnyStorage) -> None:
    first = once(storage)
    assert first.proxy.id == first.proxy_id
    assert once(other_storage).model_dump() == first.model_dump()
    assert [lease.id for lease in storage.list_leases()] == [first.id]
    assert once(storage, b"other").id != first.id


@pytest.mark.usefixtures("pool")
def test_at_once(storage: AnyStorage) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: once(storage), range(16)))
    assert len({lease.id for lease in found}) == 1 and len(storage.list_leases()) == 1


@pytest.mark.usefixtures("pool")
def test_another_request_under_the_key(storage: AnyStorage) -> None:
    lease = once(storage)
    with pytest.raises(IdempotencyConflictError, match="new key"):
        once(storage, print_="f2")
    storage.release_lease(lease)
    with pytest.raises(IdempotencyConflictError):
        once(storage, print_="f2")


def test_nothing_free_is_no_answer_to_keep(storage: AnyStorage, pool: Any) -> None:
    held = storage.acquire_leases("a", "c", 60, 3)
    assert once(storage) is None and once(storage) is None
    with pytest.raises(IdempotencyConflictError):
        once(storage, print_="f2")
    storage.release_lease(held[0])
    assert once(storage) is not None
    assert pool.name == "a"


@pytest.mark.usefixtures("pool")
def test_after_its_end(storage: AnyStorage) -> None:
    lease = once(storage)
    storage.release_lease(lease)
    again = once(storage)
    assert (again.id, again.status) == (lease.id, LeaseStatus.RELEASED)
    assert storage.list_leases() == []


def test_after_its_record_is_gone(storage: AnyStorage, pool: Any) -> None:
    lease = once(storage)
    expire_leases(storage, [lease], forget=True)
    again = once(storage)
    assert (again.id, again.status, again.proxy_id) == (
        lease.id,
        LeaseStatus.RELEASED,
        lease.proxy_id,
    )
    assert again.acquired_at == lease.acquired_at <= again.released_at <= lease.expires_at
    assert storage.get_lease(lease.id) is None
    assert storage.cleanup_expired_leases() == 1
    assert pool.id == again.pool_id


def test_a_caller_that_died_before_the_note(storage: AnyStorage, pool: Any) -> None:
    lease = once(storage)
    note = storage._context.keys.once(pool.id, lease_tail(str(lease.id)))
    storage.client.set(note, "f1", keepttl=True)
    assert once(storage).id == lease.id
    assert len(storage.list_leases()) == 1


def test_how_long_it_is_known(storage: AnyStorage, pool: Any) -> None:
    lease = once(storage, keep_seconds=0.5)
    note = storage._context.keys.once(pool.id, lease_tail(str(lease.id)))
    # Never less than the lease's record lives.
    assert 115_000 < storage.client.pttl(note) <= 120_000
    other = once(storage, b"other")
    note = storage._context.keys.once(pool.id, lease_tail(str(other.id)))
    assert 590_000 < storage.client.pttl(note) <= 600_000


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize(
    "changes", [{"print_": ""}, {"print_": "a b"}, {"print_": "ü"}, {"keep_seconds": 0}]
)
def test_what_cannot_be_used(storage: AnyStorage, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"fingerprint|keep_seconds"):
        once(storage, **changes)


def test_no_pool(storage: AnyStorage) -> None:
    with pytest.raises(PoolNotFoundError, match="ensure_pool"):
        once(storage)
    storage.ensure_pool("a")
    assert once(storage) is None


def test_a_pool_that_took_the_name_over(storage: AnyStorage, other_storage: AnyStorage) -> None:
    old = storage.ensure_pool("a")
    assert once(storage) is None
    other_storage.delete_pool(old.id)
    new = other_storage.ensure_pool("a")
    other_storage.add_proxies_bulk(make_proxies(new, 1))
    assert once(storage).pool_id == new.id
