"""release_many.lua: raw keys before and after."""

from __future__ import annotations

from typing import Any

import pytest

from pharox_redis import RedisStorage
from tests.scripts.raw import LIMITS, NOWHERE, Bench
from tests.scripts.test_void import full, void

MS = 100_000


def release(bench: Bench, *items: str, **changes: Any) -> Any:
    return bench.call("release_many", *items, **{"retention_ms": 30_000, "chunk_us": MS, **changes})


def leased(bench: Bench, count: int) -> list[str]:
    """The items of so many leases on the first proxy, which takes any number."""
    bench.storage.save_proxy(bench.proxies[0].model_copy(update={"max_concurrency": None}))
    return [part for _ in range(count) for part in (bench.lease(0), bench.id(0))]


def test_everything_but_the_records_is_as_before(bench: Bench) -> None:
    before = bench.snapshot()
    one, two = bench.lease(0), bench.lease(1)
    assert release(bench, one, bench.id(0), two, bench.id(1)) == [1, 1]
    changes = bench.changes(before)
    (index,) = [key for key in changes if key.startswith("leases:")]
    assert len(changes) == 3 and all(key.startswith("lease") for key in changes)
    released = {int(changes[k][1].rsplit(" ", 1)[1]) for k in changes if k != index}
    assert len(released) == 1 and abs(min(released) - bench.now()) < 10_000
    after = bench.snapshot()
    for key in changes.keys() - {index}:
        assert after[f"{bench.key}:{key}"][2] == min(released) + 30_000
    assert set(changes[index][1].values()) == {min(released) + 30_000}


def test_as_by_release(bench: Bench) -> None:
    """The same leases ended one by one leave the same."""
    looks = []
    for together in (False, True):
        before = bench.snapshot()
        pairs = [(bench.lease(n), bench.id(n)) for n in (0, 1, 1)]
        if together:
            assert release(bench, *(part for pair in pairs for part in pair)) == [1, 1, 1]
        else:
            for lease_id, proxy in pairs:
                assert bench.release(lease_id, proxy_id=proxy) == [1, None]
        looks.append({key.split(":")[0] for key in bench.changes(before)})
    assert looks[0] == looks[1] == {"lease", "leases"}


def test_twice_changes_nothing(bench: Bench) -> None:
    items = leased(bench, 3)
    assert release(bench, *items) == [1, 1, 1]
    with bench.unchanged():
        assert release(bench, *items) == [0, 0, 0]
    one = bench.lease(1)
    assert release(bench, one, bench.id(1), one, bench.id(1)) == [1, 0], "twice in one call, too"


def test_without_retention_nothing_stays(bench: Bench) -> None:
    before = bench.snapshot()
    assert release(bench, bench.lease(0), bench.id(0), retention_ms=0) == [1]
    assert bench.changes(before) == {}


def test_what_is_unknown_void_or_over(bench: Bench) -> None:
    swept, ended = bench.lease(0), bench.lease(1)
    bench.end(swept)
    bench.call("sweep", limits=LIMITS)
    bench.release(ended, 1)
    void(bench, gone := bench.lease_id())
    items = [part for each in (swept, ended, gone, bench.lease_id()) for part in (each, NOWHERE)]
    with bench.unchanged():
        assert release(bench, *items) == [0, 0, 0, 0]


def test_the_record_decides_which_proxy(bench: Bench) -> None:
    lease_id = bench.lease(0)
    assert release(bench, lease_id, bench.id(1)) == [1]
    assert bench.get("held", bench.id(0)) is None


def test_a_lease_whose_record_is_gone_ends_by_the_callers_word(bench: Bench) -> None:
    lease_id = bench.lease(0)
    bench.client.delete(bench.keys.lease(bench.pool.id, lease_id))
    assert release(bench, lease_id, bench.id(1), lease_id, bench.id(0)) == [0, 1]
    assert bench.get("held", bench.id()) is None and bench.get("expiry") is None


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_that_cannot_be_read_is_left_and_told_of(bench: Bench, place: int) -> None:
    items = leased(bench, 3)
    key = bench.keys.lease(bench.pool.id, items[2 * place])
    record = bench.client.get(key)
    bench.client.set(key, "rubbish", keepttl=True)
    assert release(bench, *items) == [-1 if at == place else 1 for at in range(3)]
    assert len(bench.get("held", bench.id(0))) == len(bench.get("expiry")) == 1
    bench.client.set(key, record or b"", keepttl=True)
    assert release(bench, *items) == [1 if at == place else 0 for at in range(3)]


def test_of_a_deleted_pool(bench: Bench) -> None:
    items = leased(bench, 2)
    bench.storage.delete_pool(bench.pool.id)
    with bench.unchanged():
        assert release(bench, *items) == [0, 0]


def test_refusals(bench: Bench) -> None:
    items = leased(bench, 2)
    for bad in ("", "-1", "x", "1.5", "315576000001"):
        for name in ("retention_ms", "chunk_us"):
            if (name, bad) != ("chunk_us", "315576000001"):
                args = {"retention_ms": 1, "chunk_us": MS, name: bad}
                bench.refused("PHAROX_ARGUMENT", "release_many", *items, **args)
    args = {"retention_ms": 1, "chunk_us": MS}
    bench.refused("PHAROX_ARGUMENT", "release_many", *items[:3], **args)
    bench.refused("PHAROX_ARGUMENT", "release_many", *["x"] * 202, **args)
    with bench.unchanged():
        assert release(bench) == [] and release(bench, *["x"] * 200) == [0] * 100


@pytest.mark.parametrize("chunk_us", [0, 1])
def test_however_short_a_chunk_is(bench: Bench, chunk_us: int) -> None:
    items = leased(bench, 30)
    calls = 0
    while items:
        told = release(bench, *items, chunk_us=chunk_us)
        assert told == [1] * len(told) and told
        items, calls = items[2 * len(told) :], calls + 1
    assert calls == 4 and bench.get("expiry") is None


def test_memory_full(real_storage: RedisStorage) -> None:
    bench = Bench(real_storage)
    items = leased(bench, 3)
    with full(bench):
        assert release(bench, *items) == [1, 1, 1]
    assert bench.get("expiry") is None and len(bench.storage.list_leases(bench.consumer)) == 3
