"""swap_entry.lua: compare and set on a directory."""

from __future__ import annotations

import pytest

from tests.scripts.raw import Bench


@pytest.mark.parametrize("stored", ["", "a", "b"])
@pytest.mark.parametrize("expected", ["", "a", "b"])
@pytest.mark.parametrize("wanted", ["", "a", "c"])
def test_compare_and_set(bench: Bench, stored: str, expected: str, wanted: str) -> None:
    key = bench.keys.consumers()
    bench.client.hset(key, "other", "x")
    if stored:
        bench.client.hset(key, "name", stored)
    want = wanted if stored == expected else stored
    call = {"field": "name", "expected": expected, "wanted": wanted}
    assert bench.call("swap_entry", key=key, **call) == want
    found = bench.client.hgetall(key)
    assert found == {b"other": b"x", **({b"name": want.encode()} if want else {})}


def test_twice_is_once(bench: Bench) -> None:
    key = bench.keys.consumers()
    call = {"field": "name", "expected": "", "wanted": "a"}
    assert bench.call("swap_entry", key=key, **call) == "a"
    with bench.unchanged():
        assert bench.call("swap_entry", key=key, **call) == "a"


def test_any_text(bench: Bench) -> None:
    key = bench.keys.consumers()
    for name in ("", " ", "a:b", "{x}", "\x00", "ü\n", "x" * 5000):
        assert bench.call("swap_entry", key=key, field=name, expected="", wanted="1") == "1"
        assert bench.client.hget(key, name) == b"1"
        assert bench.call("swap_entry", key=key, field=name, expected="1", wanted="") == ""
    assert not bench.client.exists(key)
