"""What a user may set, and what that is told when it is wrong."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from pharox_redis import RedisStorage, Settings
from tests.conftest import StorageFactory
from tests.support.builders import make_proxy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("key_prefix", bad) for bad in ("", "a{b", "a}b", "a b", "a\n", "\x00", "x" * 65, None)],
        *[("lease_retention", bad) for bad in (-1, math.inf, math.nan, 315_576_001, "x")],
        *[("claim_seconds", bad) for bad in (-0.1, 60.1, math.nan, math.inf)],
        *[("view_limit", bad) for bad in (-1, 1001, 1.5)],
        *[("view_idle_seconds", bad) for bad in (0, -1, math.inf, math.nan)],
        *[("chunk_ms", bad) for bad in (0, -1, 101, math.nan)],
        *[("predicate_scan_limit", bad) for bad in (0, -1)],
        *[("health_history", bad) for bad in (0, -1, 10_001)],
        *[("min_replicas", bad) for bad in (-1, 101, 0.5, None)],
        *[("replica_timeout", bad) for bad in (0, -1, 60.1, math.nan, math.inf)],
        ("key_prefiks", "x"),
    ],
)
def test_bad_values_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name) as raised:
        Settings(**{name: value})
    assert isinstance(raised.value, ValueError)


def test_every_setting_has_a_description_or_is_the_prefix() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().key_prefix = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "limits"),
    [
        ({}, "2000 64 600000"),
        ({"chunk_ms": 0.0001, "view_limit": 0, "view_idle_seconds": 0.0001}, "1 0 1"),
        ({"chunk_ms": 100, "view_limit": 1000}, "100000 1000 600000"),
    ],
)
def test_limits(settings: dict[str, Any], limits: str) -> None:
    assert Settings(**settings).limits == limits


def test_the_longest_times_fit(make_storage: StorageFactory) -> None:
    ten_years = 315_576_000
    storage = make_storage(lease_retention=ten_years, claim_seconds=60)
    pool = storage.ensure_pool("pool")
    storage.save_proxy(make_proxy(pool))
    lease = storage.acquire_lease("pool", "consumer", ten_years)
    assert lease is not None
    assert (lease.expires_at - lease.acquired_at).total_seconds() == ten_years
    storage.release_lease(lease)
    known = storage.get_lease(lease.id)
    assert known is not None and known.released_at is not None


@pytest.mark.parametrize("prefix", ["a", "a:b:c", "ü", "x" * 64, "%s", "a*b", "[a]", "a\\b"])
def test_odd_prefixes_work(make_storage: StorageFactory, prefix: str) -> None:
    storage: RedisStorage = make_storage(key_prefix=prefix)
    pool = storage.ensure_pool("pool")
    storage.save_proxy(make_proxy(pool))
    lease = storage.acquire_lease("pool", "consumer", 60)
    assert lease is not None
    storage.release_lease(lease)
    assert len(storage.list_proxies(pool.id)) == 1
    storage.delete_pool(pool.id)
    storage.client.delete(f"{prefix}:1:pools", f"{prefix}:1:consumers")
    for key in storage.client.scan_iter():
        if key.decode().startswith(f"{prefix}:1:"):
            storage.client.delete(key)


def test_prefixes_do_not_see_each_other(make_storage: StorageFactory) -> None:
    one = make_storage()
    two = make_storage(key_prefix=one.settings.key_prefix + "x")
    one.ensure_pool("pool")
    assert two.list_pools() == [] and two.get_pool_by_name("pool") is None


def test_keys_start_with_the_prefix_and_the_schema_version(make_storage: StorageFactory) -> None:
    storage = make_storage()
    pool = storage.ensure_pool("pool")
    storage.save_proxy(make_proxy(pool))
    prefix = storage.settings.key_prefix
    for key in storage.client.scan_iter(match=f"{prefix}*"):
        assert key.decode().startswith(f"{prefix}:1:")
