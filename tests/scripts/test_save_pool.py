"""save_pool.lua: raw keys before and after."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from pharox_redis.flows.pools import fence_mark
from pharox_redis.keys import pool_tag
from tests.scripts.raw import Bench


def args(bench: Bench, **changes: Any) -> dict[str, Any]:
    """What the flow sends for the bench's pool as it is."""
    known: dict[str, Any] = {
        "expected": "=pool",
        "name": "pool",
        "mark": fence_mark(str(changes.get("name", "pool"))),
        "document": "{}",
        "passed": "",
    }
    return {**known, **changes}


def enter(bench: Bench, name: str) -> None:
    """What the flow does first: the bench's pool has this name in the directory."""
    bench.client.hset(bench.keys.pools(), name, pool_tag(bench.pool.id))


def test_a_new_pool(bench: Bench) -> None:
    pool_id = uuid4()
    key = bench.keys.pool(pool_id)
    bench.client.hset(bench.keys.pools(), "other", pool_tag(pool_id))
    before = bench.snapshot()
    given = args(bench, expected="", name="other")
    assert bench.call("save_pool", key=key, **given) == ["saved"]
    assert bench.changes(before) == {
        key: (None, {"name": "other", "doc": "{}", "v:f:": "f0 *"}),
        f"{key}:views": (None, {"f0": " "}),
        f"{key}:view:f0": (None, {"~": float("inf")}),
    }
    with bench.unchanged():
        assert bench.call("save_pool", key=key, **given) == ["saved"]


def test_a_known_pool(bench: Bench) -> None:
    bench.lease()
    before, known = bench.snapshot(), bench.get()
    given = args(bench, document='{"description":"x"}')
    assert bench.call("save_pool", **given) == ["saved"]
    assert bench.changes(before) == {"": (known, {**known, "doc": given["document"]})}
    with bench.unchanged():
        assert bench.call("save_pool", **given) == ["saved"]


def test_a_new_name(bench: Bench) -> None:
    bench.lease()
    enter(bench, "new")
    before, known = bench.snapshot(), bench.get()
    given = args(bench, name="new")
    assert bench.call("save_pool", **given) == ["saved"]
    assert bench.changes(before) == {"": (known, {**known, "name": "new", "doc": "{}"})}
    with bench.unchanged():  # it has the name now, though another one was expected
        assert bench.call("save_pool", **given) == ["saved"]


@pytest.mark.parametrize("expected", ["", "=other", "pool", "=", "==pool", "=pool "])
def test_another_name_than_expected(bench: Bench, expected: str) -> None:
    with bench.unchanged():
        assert bench.call("save_pool", **args(bench, expected=expected, name="new")) == ["stale"]


def test_a_pool_that_is_not_there_but_was_expected(bench: Bench) -> None:
    with bench.unchanged():
        assert bench.call("save_pool", key=bench.keys.pool(uuid4()), **args(bench)) == ["stale"]


@pytest.mark.parametrize("name", ["", "=", "ü\n", "x" * 5000])
def test_any_name(bench: Bench, name: str) -> None:
    enter(bench, name)
    assert bench.call("save_pool", **args(bench, name=name)) == ["saved"]
    assert bench.get()["name"] == name
    with bench.unchanged():
        assert bench.call("save_pool", **args(bench, expected=f"={name}x", name="new")) == ["stale"]
    assert bench.call("save_pool", **args(bench, expected=f"={name}")) == ["saved"]


def fence(bench: Bench, name: str, nonce: str, key: str | None = None) -> None:
    args = {"name": name, "mark": fence_mark(name), "nonce": nonce}
    assert bench.call("fence_pool", key=key, **args) == "fenced"


def test_a_fenced_name_is_refused_until_its_nonce_is_passed(bench: Bench) -> None:
    mark = fence_mark("new")
    fence(bench, "new", "n1")
    fence(bench, "another", "n2")
    with bench.unchanged():  # however often it is sent
        for passed in ("", "", "n2", "n", "n11", "N1", " "):
            given = args(bench, name="new", passed=passed)
            assert bench.call("save_pool", **given) == ["fenced", "n1"]
    enter(bench, "new")
    before, known = bench.snapshot(), bench.get()
    given = args(bench, name="new", passed="n1")
    assert bench.call("save_pool", **given) == ["saved"]
    assert bench.changes(before) == {
        "": (known, {**known, "name": "new", "doc": "{}"}),
        f"fence:{mark}": ("n1", None),
    }
    with bench.unchanged():
        assert bench.call("save_pool", **given) == ["saved"]
    assert bench.get("fence", fence_mark("another")) == "n2"


def test_a_new_pool_passes_a_fence(bench: Bench) -> None:
    pool_id = uuid4()
    key = bench.keys.pool(pool_id)
    fence(bench, "other", "n1", key)
    bench.client.hset(bench.keys.pools(), "other", pool_tag(pool_id))
    given = args(bench, expected="", name="other")
    with bench.unchanged():
        assert bench.call("save_pool", key=key, **given) == ["fenced", "n1"]
    given["passed"] = "n1"
    assert bench.call("save_pool", key=key, **given) == ["saved"]
    assert not [found for found in bench.snapshot() if ":fence:" in found]
    assert bench.client.hget(key, "name") in ("other", b"other")


def test_a_later_fence_is_not_passed_with_an_earlier_ones_nonce(bench: Bench) -> None:
    fence(bench, "new", "n1")
    assert bench.call("save_pool", **args(bench, name="new")) == ["fenced", "n1"]
    fence(bench, "new", "n2")
    with bench.unchanged():
        given = args(bench, name="new", passed="n1")
        assert bench.call("save_pool", **given) == ["fenced", "n2"]
    enter(bench, "new")
    assert bench.call("save_pool", **args(bench, name="new", passed="n2")) == ["saved"]
    assert bench.get("fence", fence_mark("new")) is None


def test_a_nonce_without_a_fence_does_no_harm(bench: Bench) -> None:
    with bench.unchanged():
        given = args(bench, expected="=older", name="new", passed="n1")
        assert bench.call("save_pool", **given) == ["stale"]
    enter(bench, "new")
    assert bench.call("save_pool", **args(bench, name="new", passed="n1")) == ["saved"]
    assert bench.get()["name"] == "new"


def test_a_fence_comes_before_a_stale_name(bench: Bench) -> None:
    fence(bench, "new", "n1")
    given = args(bench, expected="=older", name="new")
    with bench.unchanged():
        assert bench.call("save_pool", **given) == ["fenced", "n1"]
        # It stays until a save succeeds.
        assert bench.call("save_pool", **{**given, "passed": "n1"}) == ["stale"]
        assert bench.call("save_pool", **given) == ["fenced", "n1"]


def test_a_hidden_pool(bench: Bench) -> None:
    fence(bench, "new", "n1")
    bench.call("hide_pool")
    with bench.unchanged():
        for passed in ("", "n1"):
            assert bench.call("save_pool", **args(bench, passed=passed)) == ["deleting"]
            given = args(bench, expected="", name="new", passed=passed)
            assert bench.call("save_pool", **given) == ["deleting"]
