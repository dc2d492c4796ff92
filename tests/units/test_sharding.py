"""Shards of a hot pool: their slots, their ids, who is in which."""

from __future__ import annotations

from uuid import uuid4

import pytest
from redis.crc import key_slot

from pharox_redis import RedisStorage, Settings
from pharox_redis.keys import Keys
from pharox_redis.sharding import SLOTS, shard_names, shard_of, shard_pools

KNOWN = [722, 65, 168]
KNOWN_ID = "a70e79fc-8015-50ef-ac74-1d17c9fd3227"


@pytest.mark.parametrize("count", [1, 2, 6, 7, 12, 100])
@pytest.mark.parametrize("prefix", ["pharox", "other"])
def test_each_has_its_part_of_the_slots(count: int, prefix: str) -> None:
    pools = shard_pools("latam", count, Settings(key_prefix=prefix))
    slots = [key_slot(Keys(prefix).pool(pool.id).encode()) for pool in pools]
    assert [slot * count // SLOTS for slot in slots] == list(range(count))
    assert [pool.name for pool in pools] == shard_names("latam", count)
    for masters in (m for m in range(1, count + 1) if count % m == 0):
        ranges = [slot * masters // SLOTS for slot in slots]
        assert {ranges.count(master) for master in range(masters)} == {count // masters}


def test_made_again_they_are_the_same(storage: RedisStorage) -> None:
    settings = storage.settings
    for _ in range(2):
        for pool in shard_pools("latam", 3, settings):
            storage.save_pool(pool)
    assert storage.list_pools() == shard_pools("latam", 3, settings)
    other = shard_pools("latam", 3, Settings(key_prefix="other"))
    assert {pool.id for pool in other}.isdisjoint({pool.id for pool in storage.list_pools()})


@pytest.mark.parametrize("count", [0, -1, 1025])
def test_counts_that_make_no_sense(count: int) -> None:
    with pytest.raises(ValueError, match=str(count)):
        shard_pools("latam", count)


def test_a_proxy_is_in_one_shard_and_users_tell_them_apart() -> None:
    users = [str(uuid4()) for _ in range(600)]
    found = [shard_of(6, "gate.example", 8000, user) for user in users]
    assert found == [shard_of(6, "gate.example", 8000, user) for user in users]
    assert all(found.count(shard) > 60 for shard in range(6))
    assert shard_of(6, "192.0.2.1", 8080) == shard_of(6, "192.0.2.1", 8080, "")


def test_no_other_machine_and_no_later_release_says_otherwise() -> None:
    assert [shard_of(1000, "192.0.2.1", port) for port in range(3)] == KNOWN
    assert str(shard_pools("latam", 2)[1].id) == KNOWN_ID
