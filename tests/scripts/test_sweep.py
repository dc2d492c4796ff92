"""sweep.lua: raw keys before and after."""

from __future__ import annotations

from pharox.models import ProxyFilters

from tests.scripts.raw import GERMAN, LIMITS, Bench, question


def test_nothing_due(bench: Bench) -> None:
    bench.lease()
    bench.find(claim_ms=60_000)
    with bench.unchanged():
        assert bench.call("sweep", limits=LIMITS) == [0, 0]


def test_what_is_over_ends_and_its_record_stays(bench: Bench) -> None:
    before = bench.snapshot()
    over = bench.lease()
    bench.end(over)
    record = bench.get("lease", over)
    assert bench.call("sweep", limits=LIMITS) == [1, 0]
    assert set(bench.changes(before)) == {f"lease:{over}", f"leases:{bench.consumer}"}
    assert bench.get("lease", over) == record
    with bench.unchanged():
        assert bench.call("sweep", limits=LIMITS) == [0, 0]


def test_claims_end_uncounted(bench: Bench) -> None:
    bench.find()
    bench.end("!caller-1")
    assert bench.call("sweep", limits=LIMITS) == [0, 0]
    assert bench.get("claims") is None and bench.get("reserved") is None
    assert bench.get("held", bench.id()) is None
    assert "claim" not in bench.get("proxy", bench.id())


def test_a_live_lease_beside_one_that_is_over_stays(bench: Bench) -> None:
    over, live = bench.lease(1), bench.lease(1)
    bench.end(over, 1)
    assert bench.call("sweep", limits=LIMITS) == [1, 0]
    assert set(bench.get("held", bench.id(1))) == {live}
    assert bench.get("view", "f0")[bench.id(1)] == 2


def test_it_stops_itself_and_says_so(bench: Bench) -> None:
    bench.storage.save_proxy(bench.proxies[1].model_copy(update={"max_concurrency": None}))
    leases = [bench.lease(1) for _ in range(120)]
    for lease_id in leases:
        bench.end(lease_id, 1)
    ended = [bench.call("sweep", limits="0 64 600000") for _ in range(3)]
    assert ended == [[50, 1], [50, 1], [20, 0]]


def test_exactly_a_chunk_says_more_and_then_nothing(bench: Bench) -> None:
    bench.storage.save_proxy(bench.proxies[1].model_copy(update={"max_concurrency": None}))
    for _ in range(50):
        bench.end(bench.lease(1), 1)
    assert bench.call("sweep", limits="0 64 600000") == [50, 1]
    assert bench.call("sweep", limits="0 64 600000") == [0, 0]


def test_idle_views_go(bench: Bench) -> None:
    for filters in (GERMAN, ProxyFilters(country="FR")):
        bench.find(claim_ms=0, **question(filters, hints="s"))
    used = bench.keys.used(bench.pool.id)
    bench.client.zadd(used, {"f1": bench.now() - 700_000})
    before = bench.snapshot()
    assert bench.call("sweep", limits=LIMITS) == [0, 0]
    assert set(bench.changes(before)) == {"", "views", "used", "view:f1"}
    assert set(bench.get("views")) == {"f0", "f2"} == {"f0", *bench.get("used")}
    assert bench.get("view", "f1") is None


def test_a_delete_that_was_broken_off_is_carried_on(bench: Bench) -> None:
    lease_id = bench.lease()
    bench.call("hide_proxy", proxy_id=bench.id())
    assert bench.call("sweep", limits=LIMITS) == [0, 0]
    assert bench.get("gone") is None and bench.get("proxy", bench.id()) is None
    assert bench.get("held", bench.id()) is None and bench.get("expiry") is None
    assert bench.get("lease", lease_id).count(" ") == 4


def test_a_pool_that_does_not_exist(bench: Bench) -> None:
    with bench.unchanged():
        assert bench.call("sweep", limits=LIMITS, key=f"{bench.key}x") == [0, 0]


def test_refusals(bench: Bench) -> None:
    for bad in ("", "1 2", "a b c", "1 2 3 4", "-1 2 3", "1.5 2 3"):
        bench.refused("PHAROX_ARGUMENT", "sweep", limits=bad)
