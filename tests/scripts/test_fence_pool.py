"""fence_pool.lua: raw keys before and after."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.scripts.raw import Bench

HOUR_MS = 3_600_000
MARK = "0123456789abcdef0123"
NONCE = "fedcba9876543210"


def test_a_name_the_pool_has(bench: Bench) -> None:
    with bench.unchanged():
        for _ in range(2):
            assert bench.call("fence_pool", name="pool", mark=MARK, nonce=NONCE) == "here"


@pytest.mark.parametrize("name", ["other", "", "Pool", "pool ", "=pool", "poo"])
def test_a_name_it_does_not_have(bench: Bench, name: str) -> None:
    bench.lease()
    before = bench.snapshot()
    assert bench.call("fence_pool", name=name, mark=MARK, nonce=NONCE) == "fenced"
    assert bench.changes(before) == {f"fence:{MARK}": (None, NONCE)}
    assert HOUR_MS - 60_000 < bench.ttl("fence", MARK) <= HOUR_MS


def test_twice_it_lasts_an_hour_from_the_last_time(bench: Bench) -> None:
    bench.call("fence_pool", name="other", mark=MARK, nonce=NONCE)
    bench.client.pexpire(f"{bench.key}:fence:{MARK}", 5000)
    assert bench.call("fence_pool", name="other", mark=MARK, nonce="later") == "fenced"
    assert bench.get("fence", MARK) == "later" and bench.ttl("fence", MARK) > HOUR_MS - 60_000


def test_each_name_has_a_fence_of_its_own(bench: Bench) -> None:
    before = bench.snapshot()
    for name, mark in (("one", "a1"), ("two", "b2")):
        assert bench.call("fence_pool", name=name, mark=mark, nonce=f"{name}!") == "fenced"
    assert bench.changes(before) == {"fence:a1": (None, "one!"), "fence:b2": (None, "two!")}


def test_a_pool_that_does_not_exist(bench: Bench) -> None:
    key = bench.keys.pool(uuid4())
    before = bench.snapshot()
    assert bench.call("fence_pool", key=key, name="pool", mark=MARK, nonce=NONCE) == "fenced"
    assert bench.changes(before) == {f"{key}:fence:{MARK}": (None, NONCE)}


def test_a_hidden_pool(bench: Bench) -> None:
    bench.call("hide_pool")
    with bench.unchanged():
        for name in ("pool", "other"):
            assert bench.call("fence_pool", name=name, mark=MARK, nonce=NONCE) == "deleting"


def test_nothing_else_minds_a_fence(bench: Bench) -> None:
    bench.call("fence_pool", name="other", mark=MARK, nonce=NONCE)
    fence = f"{bench.key}:fence:{MARK}"
    assert bench.acquire()[0] == "lease" and bench.find()[0] == "proxy"
    assert bench.storage.get_pool(bench.pool.id) == bench.pool
    bench.storage.delete_pool(bench.pool.id)
    # It goes by itself: what deletes a pool does not know its fences.
    assert [key for key in bench.snapshot() if key.startswith(f"{bench.key}:fence")] == [fence]
