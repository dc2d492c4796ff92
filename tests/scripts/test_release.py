"""release.lua: raw keys before and after."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.scripts.raw import NOWHERE, Bench


def release(bench: Bench, lease_id: str, number: int = 0, **changes: Any) -> Any:
    return bench.release(lease_id, number, **changes)


def test_everything_but_the_record_is_as_before(bench: Bench) -> None:
    before = bench.snapshot()
    lease_id = bench.lease()
    record = bench.get("lease", lease_id)
    assert release(bench, lease_id, want_stats="1") == [1, [3, 2, 2, 0, 0]]
    changes = bench.changes(before)
    assert set(changes) == {f"lease:{lease_id}", f"leases:{bench.consumer}"}
    ended = bench.get("lease", lease_id)
    assert ended.startswith(record + " ")
    released = int(ended.rsplit(" ", 1)[1])
    assert abs(released - bench.now()) < 10_000
    assert bench.snapshot()[f"{bench.key}:lease:{lease_id}"][2] == released + 30_000
    assert bench.get("leases", bench.consumer) == {lease_id: released + 30_000}


def test_twice_changes_nothing(bench: Bench) -> None:
    lease_id = bench.lease()
    assert release(bench, lease_id) == [1, None]
    with bench.unchanged():
        assert release(bench, lease_id) == [0, None]
        assert release(bench, lease_id, want_stats="1") == [0, [3, 2, 2, 0, 0]]


def test_without_retention_nothing_stays(bench: Bench) -> None:
    before = bench.snapshot()
    assert release(bench, bench.lease(), retention_ms=0) == [1, None]
    assert bench.changes(before) == {}


def test_what_is_unknown_or_over(bench: Bench) -> None:
    swept = bench.lease()
    bench.end(swept)
    bench.call("sweep", limits="1000 1 1")
    with bench.unchanged():
        assert release(bench, bench.lease_id()) == [0, None]
        assert release(bench, str(uuid4())) == [0, None]
        assert release(bench, swept) == [0, None]


def test_the_record_decides_which_proxy(bench: Bench) -> None:
    lease_id = bench.lease(0)
    assert release(bench, lease_id, 1) == [1, None]
    assert bench.get("held", bench.id(0)) is None


def test_a_lease_whose_record_is_gone_ends_by_the_callers_word(bench: Bench) -> None:
    lease_id = bench.lease(0)
    bench.client.delete(f"{bench.key}:lease:{lease_id}")
    assert release(bench, lease_id, 1) == [0, None]
    assert release(bench, lease_id, 0) == [1, None]
    assert bench.get("held", bench.id()) is None and bench.get("expiry") is None


def test_a_deleted_proxy_is_not_brought_back(bench: Bench) -> None:
    lease_id, proxy = bench.lease(), bench.id()
    bench.storage.delete_proxy(proxy)
    with bench.unchanged():
        assert release(bench, lease_id) == [0, None]
    assert bench.get("proxy", proxy) is None


def test_old_entries_leave_the_consumers_index(bench: Bench) -> None:
    index = f"{bench.key}:leases:{bench.consumer}"
    bench.lease(1, consumer=bench.consumer)
    bench.client.zadd(index, {f"old-{n}": n for n in range(40)})
    for _ in range(200):
        if not bench.client.zcount(index, 0, 100):
            break
        release(bench, bench.lease())
    assert not bench.client.zcount(index, 0, 100)


def test_refusals(bench: Bench) -> None:
    lease_id = bench.lease()
    args = {"lease_id": lease_id, "proxy_id": NOWHERE, "want_stats": "", "void": ""}
    for bad in ("", "-1", "x", "1.5", "315576000001"):
        bench.refused("PHAROX_ARGUMENT", "release", **args, retention_ms=bad)
    record = bench.get("lease", lease_id)
    bench.client.set(f"{bench.key}:lease:{lease_id}", "x", keepttl=True)
    bench.refused("PHAROX_CORRUPT", "release", **args, retention_ms=1)
    bench.client.set(f"{bench.key}:lease:{lease_id}", record, keepttl=True)
