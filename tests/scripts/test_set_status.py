"""set_status.lua: a proxy's status, and nothing else of it."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.scripts.raw import GERMAN, Bench, question
from tests.support.invariants import check_invariants


@pytest.mark.parametrize("status", ["inactive", "slow", "banned", "active"])
def test_every_status(bench: Bench, status: str) -> None:
    bench.acquire(**question(GERMAN, hints="s", selector="l"))
    before = bench.get("proxy", bench.id(1))
    document, fields, leases = bench.call("set_status", proxy_id=bench.id(1), status=status)
    after = bench.get("proxy", bench.id(1))
    assert int(after.pop("rev")) == int(before.pop("rev")) + 1
    before["st"] = status
    assert (after, fields[7], leases) == (before, status, 0)
    assert document == bench.get("doc", bench.id(1))
    check_invariants(bench.storage)


def test_its_leases_go_on(bench: Bench) -> None:
    lease = bench.lease(1)
    bench.call("set_status", proxy_id=bench.id(1), status="banned")
    assert lease in bench.get("held", bench.id(1))
    assert bench.call("stats", pool_name="pool") == [3, 1, 1, 1, 1]
    bench.call("set_status", proxy_id=bench.id(1), status="active")
    assert bench.call("stats", pool_name="pool") == [3, 2, 2, 1, 1]


def test_a_save_of_what_was_read_before_is_refused(bench: Bench) -> None:
    bench.call("set_status", proxy_id=bench.id(0), status="banned")
    bench.storage.save_proxy(bench.proxies[0])  # it reads again, and writes what it was given
    assert bench.get("proxy", bench.id(0))["st"] == "active"


def test_refusals(bench: Bench) -> None:
    for status in ("", "ACTIVE", "gone", "x"):
        bench.refused("PHAROX_ARGUMENT", "set_status", proxy_id=bench.id(0), status=status)
    bench.refused("PHAROX_PROXY", "set_status", proxy_id=str(uuid4()), status="active")
    bench.call("hide_proxy", proxy_id=bench.id(0))
    bench.refused("PHAROX_PROXY", "set_status", proxy_id=bench.id(0), status="active")
