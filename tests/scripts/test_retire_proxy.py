"""retire_proxy.lua: out of use without ending a lease."""

from __future__ import annotations

from uuid import uuid4

from tests.scripts.raw import LIMITS, Bench
from tests.support.invariants import check_invariants


def retire(bench: Bench, number: int) -> str:
    said: str = bench.call("retire_proxy", proxy_id=bench.id(number))
    return said


def test_one_that_nobody_holds_is_hidden(bench: Bench) -> None:
    assert [retire(bench, 0), retire(bench, 0)] == ["hidden", "hidden"]
    assert bench.id(0) in bench.get("gone") and bench.get("retired") is None


def test_one_that_is_over_and_not_swept_is_held_by_nobody(bench: Bench) -> None:
    bench.end(bench.lease(1), 1)
    bench.find(token="a")
    bench.end("!a")
    assert [retire(bench, 0), retire(bench, 1)] == ["hidden", "hidden"]
    assert bench.call("pool_figures")[7] == 1


def test_one_with_a_lease_gets_no_other(bench: Bench) -> None:
    lease = bench.lease(1)
    assert [retire(bench, 1), retire(bench, 1)] == ["retired", "retired"]
    assert bench.get("retired") == {bench.id(1)} and bench.get("proxy", bench.id(1))["st"] == (
        "inactive"
    )
    assert lease in bench.get("held", bench.id(1))
    assert [bench.acquire()[0], bench.acquire()[0]] == ["lease", "none"]
    rows = bench.call("list_proxies", after=0, limit=10)[1:]
    assert [row[5] for row in rows] == [0, 1, 0]
    check_invariants(bench.storage)
    assert bench.call("sweep", limits=LIMITS) == [0, 0]
    bench.release(lease, 1)
    assert bench.call("sweep", limits=LIMITS) == [0, 0, bench.id(1)]
    assert retire(bench, 1) == "hidden"
    assert bench.call("sweep", limits=LIMITS)[2:] == [] and bench.get("retired") is None


def test_a_claim_holds_it_too(bench: Bench) -> None:
    bench.find(token="a")
    assert retire(bench, 0) == "retired"


def test_another_status_stays(bench: Bench) -> None:
    bench.lease(1)
    bench.call("set_status", proxy_id=bench.id(1), status="banned")
    assert retire(bench, 1) == "retired"
    assert bench.get("proxy", bench.id(1))["st"] == "banned"


def test_a_health_check_does_not_bring_it_back(bench: Bench) -> None:
    lease = bench.lease(1)
    retire(bench, 1)
    bench.call(
        "add_health",
        proxy_id=bench.id(1),
        record_id=str(uuid4()),
        document="{}",
        latency=5,
        bound=3,
        status="active",
        checked_us=1,
    )
    assert bench.get("proxy", bench.id(1))["st"] == "inactive"
    assert bench.get("proxy", bench.id(1))["ms"] == "5"
    bench.release(lease, 1)


def test_it_is_wanted_again(bench: Bench) -> None:
    bench.lease(1)
    retire(bench, 1)
    bench.storage.save_proxy(bench.proxies[1])
    assert bench.get("retired") is None
    retire(bench, 1)
    bench.call("set_status", proxy_id=bench.id(1), status="slow")
    assert bench.get("retired") == {bench.id(1)}
    bench.call("set_status", proxy_id=bench.id(1), status="active")
    assert bench.get("retired") is None


def test_unknown(bench: Bench) -> None:
    with bench.unchanged():
        assert bench.call("retire_proxy", proxy_id=str(uuid4())) == ""
        assert bench.call("retire_proxy", proxy_id="", key=bench.keys.pool(uuid4())) == ""
