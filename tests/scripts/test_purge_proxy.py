"""purge_proxy.lua: raw keys before and after."""

from __future__ import annotations

from tests.scripts.raw import NOWHERE, Bench


def test_a_proxy_that_is_not_hidden_is_left_alone(bench: Bench) -> None:
    bench.lease()
    with bench.unchanged():
        assert bench.call("purge_proxy", proxy_id=bench.id()) == 1
        assert bench.call("purge_proxy", proxy_id=NOWHERE) == 1


def test_leases_end_and_keys_go(bench: Bench) -> None:
    lease_id, id = bench.lease(1), bench.id(1)
    bench.find(token="a", wanted=f"{id} 1")
    bench.call(
        "add_health", proxy_id=id, record_id="r", document="{}", latency=7, bound=5, status="",
        checked_us="",
    )  # fmt: skip
    record, ttl = bench.get("lease", lease_id), bench.ttl("lease", lease_id)
    bench.call("hide_proxy", proxy_id=id)
    assert bench.call("purge_proxy", proxy_id=id) == 1
    for key in ("proxy", "doc", "held", "health"):
        assert bench.get(key, id) is None
    for key in ("expiry", "claims", "gone", "extra", "reserved"):
        assert bench.get(key) is None
    ended = bench.get("lease", lease_id)
    assert ended.startswith(f"{record} ") and int(ended.split(" ")[4]) <= bench.now()
    assert 0 < bench.ttl("lease", lease_id) <= ttl
    with bench.unchanged():
        assert bench.call("purge_proxy", proxy_id=id) == 1


def test_a_hundred_leases_a_call(bench: Bench) -> None:
    bench.storage.save_proxy(bench.proxies[1].model_copy(update={"max_concurrency": None}))
    for _ in range(130):
        bench.lease(1)
    bench.call("hide_proxy", proxy_id=bench.id(1))
    assert bench.call("purge_proxy", proxy_id=bench.id(1)) == 0
    assert len(bench.get("held", bench.id(1))) == 30 and bench.get("proxy", bench.id(1))
    assert bench.call("purge_proxy", proxy_id=bench.id(1)) == 1
    assert bench.get("proxy", bench.id(1)) is None
