"""Lease ids and the lease that carries its proxy."""

from __future__ import annotations

import copy
import pickle
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pharox.exceptions import ProxyNotFoundError
from pharox.models import Lease

from pharox_redis import ProxyLease, RedisStorage, new_lease_id
from pharox_redis.keys import lease_prefix, pool_of_tag, pool_tag
from tests.support.builders import make_proxy


@given(st.uuids(), st.none() | st.binary(max_size=40))
def test_lease_ids_are_version_8_and_carry_their_pool(pool: UUID, seed: bytes | None) -> None:
    made = new_lease_id(pool, seed)
    assert made.version == 8 and made.variant == "specified in RFC 4122"
    assert str(made)[:13] == lease_prefix(pool)
    assert UUID(str(made)) == made


@given(st.uuids(), st.binary(max_size=40))
def test_a_seed_decides(pool: UUID, seed: bytes) -> None:
    assert new_lease_id(pool, seed) == new_lease_id(pool, seed)
    assert new_lease_id(pool, seed) != new_lease_id(pool, seed + b"x")


def test_without_a_seed_every_id_is_new() -> None:
    pool = uuid4()
    assert len({new_lease_id(pool) for _ in range(1000)}) == 1000
    assert new_lease_id(pool, b"") == new_lease_id(pool, b"")


def test_one_seed_gives_each_pool_its_own() -> None:
    assert str(new_lease_id(uuid4(), b"s"))[14:] != str(new_lease_id(uuid4(), b"s"))[14:]


@given(st.uuids())
def test_tags(pool: UUID) -> None:
    tag = pool_tag(pool)
    assert len(tag) == 22 and pool_of_tag(tag) == pool
    assert not set("{}: ") & set(tag)


@pytest.mark.parametrize("bad", ["", "x", "!" * 22, "A" * 21, "A" * 24, "ü" * 22])
def test_what_is_no_tag(bad: str) -> None:
    with pytest.raises(ValueError):
        pool_of_tag(bad)


@pytest.fixture
def lease(storage: RedisStorage) -> ProxyLease:
    pool = storage.ensure_pool("pool")
    storage.save_proxy(make_proxy(pool, country="DE", max_concurrency=3))
    lease = storage.acquire_lease("pool", "consumer", 60)
    assert lease is not None
    return lease


@pytest.mark.parametrize("looked", [False, True])
def test_pickles_and_copies_carry_the_proxy(lease: ProxyLease, looked: bool) -> None:
    if looked:
        assert lease.proxy.country == "DE"
    copies = [
        pickle.loads(pickle.dumps(lease)),
        copy.copy(lease),
        copy.deepcopy(lease),
        lease.model_copy(),
        lease.model_copy(deep=True),
    ]
    for other in copies:
        assert type(other) is ProxyLease
        assert other.model_dump() == lease.model_dump()
        assert other.proxy == lease.proxy


def test_it_is_a_pharox_lease(lease: ProxyLease) -> None:
    assert isinstance(lease, Lease)
    assert set(lease.model_dump()) == set(Lease.model_fields)
    plain = Lease.model_validate(lease.model_dump())
    assert plain.model_dump() == lease.model_dump()
    assert Lease.model_validate_json(lease.model_dump_json()).id == lease.id
    assert lease.proxy is lease.proxy and lease.proxy.id == lease.proxy_id
    assert lease.proxy.current_leases == 1


def test_a_lease_without_its_proxy_says_so() -> None:
    made = ProxyLease.model_validate(
        {"proxy_id": uuid4(), "consumer_id": uuid4(), "expires_at": "2030-01-01T00:00:00Z"}
    )
    with pytest.raises(ProxyNotFoundError, match=str(made.proxy_id)):
        _ = made.proxy


def test_a_deep_copy_is_independent(lease: ProxyLease) -> None:
    other = lease.model_copy(deep=True)
    lease.proxy.country = "XX"
    assert other.proxy.country == "DE"
