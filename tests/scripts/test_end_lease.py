"""end_lease.lua: a release by the id alone, which tells what the lease was."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.scripts.raw import Bench


def test_a_live_lease_ends(bench: Bench) -> None:
    lease, before = bench.lease(1), bench.now()
    tail, proxy, consumer, acquired, expires, released, name = bench.call(
        "end_lease", lease_id=lease, retention_ms=1000
    )
    assert (tail, proxy, consumer, name) == (lease, bench.id(1), bench.consumer, "pool")
    assert acquired <= before <= released <= bench.now() and expires - acquired == 60_000
    assert bench.get("held", bench.id(1)) is None and bench.get("expiry") is None
    again = bench.call("end_lease", lease_id=lease, retention_ms=1000)
    assert again[5] == released


def test_what_is_told_though_nothing_is_kept(bench: Bench) -> None:
    lease = bench.lease(1)
    assert bench.call("end_lease", lease_id=lease, retention_ms=0)[5] != ""
    assert bench.get("lease", lease) is None
    assert bench.call("end_lease", lease_id=lease, retention_ms=0) is None


def test_one_that_ran_out_ended_then(bench: Bench) -> None:
    lease = bench.lease(1)
    bench.end(lease, 1, ago_ms=5000)
    reply = bench.call("end_lease", lease_id=lease, retention_ms=1000)
    assert reply[5] == reply[4] and bench.get("held", bench.id(1)) is None


@pytest.mark.parametrize("lease", ["", "x", "8000-8000-000000000000", "no lease"])
def test_unknown(bench: Bench, lease: str) -> None:
    with bench.unchanged():
        assert bench.call("end_lease", lease_id=lease, retention_ms=1000) is None


def test_of_another_pool(bench: Bench) -> None:
    lease = bench.lease(1)
    with bench.unchanged():
        elsewhere = bench.keys.pool(uuid4())
        assert bench.call("end_lease", key=elsewhere, lease_id=lease, retention_ms=1) is None


def test_a_record_that_cannot_be_read(bench: Bench) -> None:
    lease = bench.lease(1)
    bench.client.set(bench.keys.lease(bench.pool.id, lease), "junk", keepttl=True)
    bench.refused("PHAROX_CORRUPT", "end_lease", lease_id=lease, retention_ms=1)
    bench.client.delete(bench.keys.lease(bench.pool.id, lease))


def test_retention_that_is_none(bench: Bench) -> None:
    for retention in ("", "-1", "x", "1.5", "315576000001"):
        bench.refused(
            "PHAROX_ARGUMENT", "end_lease", lease_id=bench.lease(1), retention_ms=retention
        )
        bench.call("sweep", limits="1000 1 1")
        for holder in bench.get("held", bench.id(1)):
            bench.release(holder, 1)
