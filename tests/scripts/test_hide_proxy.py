"""hide_proxy.lua: raw keys before and after."""

from __future__ import annotations

from uuid import uuid4

from tests.scripts.raw import NOWHERE, Bench


def test_hidden_once(bench: Bench) -> None:
    bench.lease(1)
    bench.find(token="a", wanted=f"{bench.id(1)} 1")
    before, id = bench.snapshot(), bench.id(1)
    assert bench.call("hide_proxy", proxy_id=id) == 1
    changes = bench.changes(before)
    assert set(changes) == {"proxies", "view:f0", "reserved", "gone", f"proxy:{id}"}
    old, new = changes[f"proxy:{id}"]
    assert new == {**old, "gone": "1"} and changes["gone"] == (None, {id})
    for name in ("proxies", "view:f0", "reserved"):
        assert id in changes[name][0] and id not in (changes[name][1] or ())
    with bench.unchanged():
        assert bench.call("hide_proxy", proxy_id=id) == 1


def test_unknown(bench: Bench) -> None:
    with bench.unchanged():
        assert bench.call("hide_proxy", proxy_id=NOWHERE) == 0
        assert bench.call("hide_proxy", proxy_id="") == 0
        assert bench.call("hide_proxy", proxy_id=bench.id(), key=bench.keys.pool(uuid4())) == 0
