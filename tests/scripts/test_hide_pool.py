"""hide_pool.lua: raw keys before and after."""

from __future__ import annotations

from uuid import uuid4

from tests.scripts.raw import Bench


def test_hidden_once(bench: Bench) -> None:
    bench.lease()
    before, known = bench.snapshot(), bench.get()
    assert bench.call("hide_pool") == ["pool"]
    name = known.pop("name")
    assert bench.changes(before) == {"": ({**known, "name": name}, {**known, "deleting": name})}
    with bench.unchanged():
        assert bench.call("hide_pool") == ["pool"]


def test_unknown(bench: Bench) -> None:
    with bench.unchanged():
        assert bench.call("hide_pool", key=bench.keys.pool(uuid4())) == []
