"""release.lua with ``void``: an id that must not be granted any more. Raw keys before and after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pharox_redis import RedisStorage
from pharox_redis.keys import lease_prefix
from tests.scripts.raw import LIMITS, NOWHERE, Bench

RETENTION = 90_000


def void(bench: Bench, lease_id: str, **changes: Any) -> Any:
    """As a caller takes back what it may have been granted: it knows of no proxy."""
    args = {"proxy_id": "", "retention_ms": RETENTION, "void": "1", **changes}
    return bench.release(lease_id, **args)


def test_an_unknown_id_is_void_for_its_retention(bench: Bench) -> None:
    before, lease_id = bench.snapshot(), bench.lease_id()
    start = bench.now()
    assert void(bench, lease_id, want_stats="1") == [0, [3, 2, 2, 0, 0]]
    assert bench.changes(before) == {f"lease:{lease_id}": (None, "void")}
    assert start <= bench.snapshot()[f"{bench.key}:lease:{lease_id}"][2] - RETENTION <= bench.now()


@pytest.mark.parametrize("changes", [{}, {"wanted": "- 0"}, {"selector": "u"}, {"token": "x"}])
def test_it_is_not_acquired(bench: Bench, changes: dict[str, str]) -> None:
    lease_id = bench.lease_id()
    args = bench.acquire_args(lease_id=lease_id, **changes)
    void(bench, lease_id)
    message = bench.refused("PHAROX_LEASE_CONFLICT", "acquire", **args)
    assert message.endswith(lease_id)
    args["lease_id"] = bench.lease_id()
    assert bench.call("acquire", **args)[0] in ("lease", "again", "taken"), "another id is"


def test_it_is_not_created(bench: Bench) -> None:
    lease_id = bench.lease_id()
    args = {
        "proxy_id": bench.id(),
        "lease_id": lease_id,
        "consumer": bench.consumer,
        "duration_ms": 60_000,
        "retention_ms": 30_000,
        "token": "",
    }
    void(bench, lease_id)
    assert bench.refused("PHAROX_LEASE_CONFLICT", "create_lease", **args).endswith(lease_id)
    bench.call("create_lease", **{**args, "lease_id": bench.lease_id()})


def test_it_may_be_granted_when_its_time_is_over(bench: Bench) -> None:
    lease_id = bench.lease_id()
    void(bench, lease_id)
    bench.client.pexpireat(bench.keys.lease(bench.pool.id, lease_id), 1)
    assert bench.acquire(lease_id=lease_id)[0] == "lease"


def test_a_callers_claim_outlives_the_refusal(bench: Bench) -> None:
    lease_id = bench.lease_id()
    bench.find(token="caller-1")
    void(bench, lease_id)
    args = bench.acquire_args(lease_id=lease_id, token="caller-1")
    bench.refused("PHAROX_LEASE_CONFLICT", "acquire", **args)
    assert len(bench.get("claims")) == 2


def test_a_known_lease_is_ended_and_not_voided(bench: Bench) -> None:
    lease_id = bench.lease()
    record, before = bench.get("lease", lease_id), bench.snapshot()
    assert void(bench, lease_id) == [1, None]
    ended = bench.get("lease", lease_id)
    assert ended.startswith(f"{record} ")
    released = int(ended.rsplit(" ", 1)[1])
    assert bench.snapshot()[f"{bench.key}:lease:{lease_id}"][2] == released + RETENTION
    assert f"held:{bench.id()}" in bench.changes(before)
    assert bench.get("held", bench.id()) is None and bench.get("expiry") is None
    # Who sends it once more gets the lease that ended, not another one.
    with bench.unchanged():
        assert bench.acquire(lease_id=lease_id)[3] == released


@pytest.mark.parametrize("swept", [False, True])
def test_an_ended_lease_stays_as_it_is(bench: Bench, swept: bool) -> None:
    released, over = bench.lease(0), bench.lease(1)
    bench.release(released)
    bench.end(over, 1)
    if swept:
        bench.call("sweep", limits=LIMITS)
    with bench.unchanged():
        assert void(bench, released) == [0, None]
    record = bench.get("lease", over)
    before = bench.snapshot()
    assert void(bench, over) == [0 if swept else 1, None]
    if swept:
        assert bench.changes(before) == {}
    assert bench.get("lease", over) == record


def test_without_retention_nothing_is_written(bench: Bench) -> None:
    with bench.unchanged():
        assert void(bench, bench.lease_id(), retention_ms=0) == [0, None]


def test_a_known_lease_without_retention_leaves_no_void(bench: Bench) -> None:
    before = bench.snapshot()
    assert void(bench, bench.lease(), retention_ms=0) == [1, None]
    assert bench.changes(before) == {}


def test_twice_changes_nothing(bench: Bench) -> None:
    lease_id = bench.lease_id()
    void(bench, lease_id)
    with bench.unchanged():
        assert void(bench, lease_id) == [0, None]
        assert void(bench, lease_id, retention_ms=2 * RETENTION) == [0, None]
        assert bench.release(lease_id) == [0, None]


@pytest.mark.parametrize("word", ["", "0", "11", "1 ", "true", "void"])
def test_only_one_word_voids(bench: Bench, word: str) -> None:
    with bench.unchanged():
        assert void(bench, bench.lease_id(), void=word) == [0, None]


@pytest.mark.parametrize("lease_id", ["", "x", NOWHERE, "a\nb"])
def test_an_id_of_no_lease_of_this_pool_is_not_voided(bench: Bench, lease_id: str) -> None:
    with bench.unchanged():
        assert void(bench, lease_id) == [0, None]


def test_a_pool_that_is_gone_gets_no_void(bench: Bench) -> None:
    lease_id = bench.lease_id()
    bench.storage.delete_pool(bench.pool.id)
    with bench.unchanged():
        assert void(bench, lease_id, want_stats="1") == [0, None]


def test_a_bad_retention_voids_nothing(bench: Bench) -> None:
    args = {"lease_id": bench.lease_id(), "proxy_id": "", "want_stats": "", "void": "1"}
    for bad in ("", "-1", "x", "1.5", "315576000001"):
        bench.refused("PHAROX_ARGUMENT", "release", **args, retention_ms=bad)


def test_nobody_sees_it(bench: Bench) -> None:
    lease_id, live = bench.lease_id(), bench.lease(1)
    void(bench, lease_id)
    # An index that names it: acquire writes none for it, so only what broke could.
    index = bench.keys.leases(bench.pool.id, bench.consumer)
    bench.client.zadd(index, {lease_id: bench.now() + RETENTION})
    with bench.unchanged():
        assert bench.call("get_lease", lease_id=lease_id) is None
        for consumer in ("", bench.consumer):
            args = {"consumer": consumer, "from": "", "limit": 10}
            assert [row[0] for row in bench.call("list_leases", **args)[2:]] == [live]
        storage, prefix = bench.storage, lease_prefix(bench.pool.id)
        assert storage.get_lease(f"{prefix}-{lease_id}") is None
        assert [str(each.id) for each in storage.list_leases()] == [f"{prefix}-{live}"]
        assert [str(each.id) for each in storage.list_leases(bench.consumer)] == [
            f"{prefix}-{live}"
        ]
    bench.client.zrem(index, lease_id)


def test_a_sweep_passes_it_by(bench: Bench) -> None:
    over = bench.lease()
    void(bench, lease_id := bench.lease_id())
    bench.end(over)
    assert bench.call("sweep", limits=LIMITS) == [1, 0]
    with bench.unchanged():
        assert bench.call("sweep", limits=LIMITS) == [0, 0]
    assert bench.get("lease", lease_id) == "void"


def test_a_deleted_pool_leaves_it_to_its_ttl(bench: Bench) -> None:
    void(bench, lease_id := bench.lease_id())
    bench.storage.delete_pool(bench.pool.id)
    left = [key for key in bench.snapshot() if bench.key in key]
    assert left == [bench.keys.lease(bench.pool.id, lease_id)]


@contextmanager
def full(bench: Bench) -> Iterator[None]:
    """The server's memory is full."""
    bench.client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        bench.client.config_set("maxmemory", 0)


def test_when_memory_is_full(real_storage: RedisStorage) -> None:
    bench = Bench(real_storage)
    live, lease_id = bench.lease(), bench.lease_id()
    before = bench.snapshot()
    with full(bench):
        # The look for a hold is a ZREM, and after that a script may write: whoever gives a lease up
        # is heard, so that the acquire under way is not granted once there is room again.
        assert void(bench, lease_id) == [0, None]
        assert bench.changes(before) == {f"lease:{lease_id}": (None, "void")}
        assert void(bench, live) == [1, None]
        assert bench.get("held", bench.id()) is None
        # Nothing new for a lease, and cleanly: its refusal does not depend on the memory.
        bench.refused("PHAROX_LEASE_CONFLICT", "acquire", **bench.acquire_args(lease_id=lease_id))
    bench.refused("PHAROX_LEASE_CONFLICT", "acquire", **bench.acquire_args(lease_id=lease_id))
