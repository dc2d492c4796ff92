"""fence_proxy.lua: raw keys before and after."""

from __future__ import annotations

from uuid import uuid4

from tests.scripts.raw import LIMITS, NOWHERE, Bench, item
from tests.support.builders import make_proxy


def test_a_proxy_that_is_here(bench: Bench) -> None:
    with bench.unchanged():
        for number in range(3):  # whatever its status
            for _ in range(2):
                assert bench.call("fence_proxy", proxy_id=bench.id(number)) == "here"


def test_a_proxy_that_is_not_here(bench: Bench) -> None:
    bench.lease()
    before = bench.snapshot()
    assert bench.call("fence_proxy", proxy_id=NOWHERE) == "fenced"
    assert bench.changes(before) == {
        f"proxy:{NOWHERE}": (None, {"gone": "1"}),
        "gone": (None, {NOWHERE}),
    }
    with bench.unchanged():
        assert bench.call("fence_proxy", proxy_id=NOWHERE) == "fenced"


def test_a_hidden_proxy_is_fenced_already(bench: Bench) -> None:
    bench.lease()
    bench.call("hide_proxy", proxy_id=bench.id())
    with bench.unchanged():
        assert bench.call("fence_proxy", proxy_id=bench.id()) == "fenced"


def test_a_pool_that_does_not_exist_or_is_hidden_takes_no_fence(bench: Bench) -> None:
    with bench.unchanged():
        nowhere = bench.keys.pool(uuid4())
        assert bench.call("fence_proxy", key=nowhere, proxy_id=NOWHERE) == "fenced"
    bench.call("hide_pool")
    with bench.unchanged():
        assert bench.call("fence_proxy", proxy_id=NOWHERE) == "fenced"
        assert bench.call("fence_proxy", proxy_id=bench.id()) == "fenced"


def test_a_save_finds_it_gone(bench: Bench) -> None:
    proxy = make_proxy(bench.pool)
    bench.call("fence_proxy", proxy_id=str(proxy.id))
    with bench.unchanged():
        reply = bench.call("save_proxies", *item(proxy), chunk_us=100_000)
    assert reply == [1, [[0, "gone"]]]
    bench.storage.save_proxy(proxy)  # the flow clears the fence away and claims again
    assert bench.get("gone") is None
    assert bench.call("fence_proxy", proxy_id=str(proxy.id)) == "here"


def test_it_is_in_no_reply_and_in_no_figure(bench: Bench) -> None:
    before = bench.call("stats", pool_name="pool"), bench.call("list_proxies", after=0, limit=9)
    bench.call("fence_proxy", proxy_id=NOWHERE)
    with bench.unchanged():
        assert bench.call("get_proxies", NOWHERE) == ["gone"]
        after = bench.call("stats", pool_name="pool"), bench.call("list_proxies", after=0, limit=9)
    assert after == before


def test_a_sweep_or_a_purge_clears_it_away(bench: Bench) -> None:
    before = bench.snapshot()
    bench.call("fence_proxy", proxy_id=NOWHERE)
    assert bench.call("sweep", limits=LIMITS) == [0, 0]
    assert bench.changes(before) == {}
    bench.call("fence_proxy", proxy_id=NOWHERE)
    assert bench.call("purge_proxy", proxy_id=NOWHERE) == 1
    assert bench.changes(before) == {}


def test_a_deleted_pools_fences_go_with_it(bench: Bench) -> None:
    bench.call("fence_proxy", proxy_id=NOWHERE)
    bench.storage.delete_pool(bench.pool.id)
    assert not [key for key in bench.snapshot() if bench.key in key]
