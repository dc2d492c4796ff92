"""get_pool.lua: replies; it writes nothing."""

from __future__ import annotations

from uuid import uuid4

from tests.scripts.raw import Bench


def test_replies(bench: Bench) -> None:
    with bench.unchanged():
        assert bench.call("get_pool") == ["pool", "pool", bench.get()["doc"]]
        assert bench.call("get_pool", key=bench.keys.pool(uuid4())) == []
    bench.call("hide_pool")
    with bench.unchanged():
        assert bench.call("get_pool") == ["deleting", "pool"]
    bench.storage.delete_pool(bench.pool.id)
    assert bench.call("get_pool") == []


def test_the_name_is_the_one_it_has_now(bench: Bench) -> None:
    renamed = bench.pool.model_copy(update={"name": "pool deleting", "description": "d"})
    bench.storage.save_pool(renamed)
    with bench.unchanged():
        assert bench.call("get_pool") == ["pool", "pool deleting", '{"description":"d"}']


def test_a_fenced_pool_that_does_not_exist_is_unknown(bench: Bench) -> None:
    key = bench.keys.pool(uuid4())
    assert bench.call("fence_pool", key=key, name="other", mark="m", nonce="n") == "fenced"
    assert bench.call("get_pool", key=key) == []
