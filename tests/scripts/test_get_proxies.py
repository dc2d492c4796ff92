"""get_proxies.lua: replies; it writes nothing."""

from __future__ import annotations

from uuid import uuid4

from tests.scripts.raw import NOWHERE, Bench, raw_fields


def test_replies_in_order(bench: Bench) -> None:
    bench.lease(1)
    bench.find(token="a", wanted=f"{bench.id(1)} 1")
    bench.call("hide_proxy", proxy_id=bench.id(0))
    with bench.unchanged():
        reply = bench.call("get_proxies", bench.id(1), NOWHERE, bench.id(0), bench.id(1), "")
    fields = raw_fields(**bench.get("proxy", bench.id(1)))
    one = [bench.get("doc", bench.id(1)), fields, 1]
    assert reply == [one, "", "gone", one, ""]


def test_none_in_a_hidden_pool(bench: Bench) -> None:
    bench.call("hide_pool")
    assert bench.call("get_proxies", bench.id()) == [""]
    assert bench.call("get_proxies", bench.id(), key=bench.keys.pool(uuid4())) == [""]


def test_bound(bench: Bench) -> None:
    assert bench.call("get_proxies", *[NOWHERE] * 500) == [""] * 500
    bench.refused("PHAROX_ARGUMENT", "get_proxies", *[NOWHERE] * 501)
