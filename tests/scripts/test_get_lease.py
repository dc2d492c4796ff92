"""get_lease.lua: replies; it writes nothing."""

from __future__ import annotations

import pytest

from tests.scripts.raw import Bench


def test_a_live_lease(bench: Bench) -> None:
    lease_id = bench.lease()
    proxy, consumer, acquired, expires = bench.get("lease", lease_id).split(" ")
    with bench.unchanged():
        reply = bench.call("get_lease", lease_id=lease_id)
    assert reply == [lease_id, proxy, consumer, int(acquired), int(expires), "", "pool"]


def test_one_that_is_over_but_not_swept(bench: Bench) -> None:
    lease_id = bench.lease()
    bench.end(lease_id)
    with bench.unchanged():
        reply = bench.call("get_lease", lease_id=lease_id)
    assert reply[5] == reply[4] < bench.now()


def test_a_released_one(bench: Bench) -> None:
    lease_id = bench.lease()
    bench.release(lease_id, retention_ms=1000)
    reply = bench.call("get_lease", lease_id=lease_id)
    assert reply[3] <= reply[5] < reply[4]


@pytest.mark.parametrize("lease_id", ["", "x", "a:b"])
def test_an_unknown_one(bench: Bench, lease_id: str) -> None:
    with bench.unchanged():
        assert bench.call("get_lease", lease_id=lease_id) is None


def test_none_in_a_hidden_pool(bench: Bench) -> None:
    lease_id = bench.lease()
    bench.call("hide_pool")
    assert bench.call("get_lease", lease_id=lease_id) is None


def test_a_corrupt_record(bench: Bench) -> None:
    lease_id = bench.lease()
    record = bench.get("lease", lease_id)
    for bad in ("", "x", "a b c d", "a b 1", "a b 1 2 3 4", "a b 1.5 2"):
        bench.client.set(f"{bench.key}:lease:{lease_id}", bad, keepttl=True)
        bench.refused("PHAROX_CORRUPT", "get_lease", lease_id=lease_id)
    bench.client.set(f"{bench.key}:lease:{lease_id}", record, keepttl=True)
