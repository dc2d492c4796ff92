"""acquire_many.lua where a view has no answer yet, its chunk is short, or memory is full."""

from __future__ import annotations

import pytest
from redis.exceptions import ResponseError

from pharox_redis import RedisStorage
from pharox_redis.errors import StorageFullError, translate
from tests.scripts.raw import GERMAN, NOWHERE, Bench, question
from tests.scripts.test_acquire_many import batch, until_told
from tests.scripts.test_void import full
from tests.support.builders import make_proxies


@pytest.mark.parametrize("selector", "furl")
@pytest.mark.parametrize("hints", ["", "s"])
@pytest.mark.parametrize("filtered", [False, True])
def test_the_smallest_chunk_makes_progress(
    bench: Bench, selector: str, hints: str, filtered: bool
) -> None:
    bench.storage.add_proxies_bulk(make_proxies(bench.pool, 10, country="DE", max_concurrency=2))
    bench.storage.add_proxies_bulk(make_proxies(bench.pool, 110, country="FR"))
    asked = question(GERMAN if filtered else None, selector=selector, hints=hints)
    del asked["wanted"]
    rows = until_told(bench, 11, **{**asked, "limits": "0 64 600000"})
    assert len(rows) == len({row[5] for row in rows}) == 11


def test_a_walk_goes_on_behind_the_last_lease(bench: Bench) -> None:
    """Who is refused by the filter is looked at once a call."""
    bench.storage.add_proxies_bulk(make_proxies(bench.pool, 90, country="FR"))
    bench.storage.add_proxies_bulk(make_proxies(bench.pool, 30, country="DE"))
    asked = question(GERMAN)
    del asked["wanted"]
    reply = batch(bench, 40, **asked)
    assert len(reply) == 2 + 31 and reply[:2] == [-1, ""], "the end of the walk is the answer"
    assert set(bench.get("views")) == {"f0"}


def test_a_view_is_registered_on_the_way(bench: Bench) -> None:
    bench.storage.add_proxies_bulk(make_proxies(bench.pool, 30, country="DE", max_concurrency=2))
    asked = question(GERMAN, hints="s")
    del asked["wanted"]
    assert len(until_told(bench, 31, **asked)) == 31
    assert bench.get("views")["f1"] == f"{asked['digest']} {asked['program']}"
    bench.client.zadd(bench.keys.used(bench.pool.id), {"f1": 1})
    batch(bench, 2, **asked)
    assert bench.get("used") == {"f1": 1}
    batch(bench, 2, **{**asked, "hints": "st"})
    assert bench.get("used")["f1"] > 1


def test_a_view_that_is_lost(bench: Bench) -> None:
    bench.storage.add_proxies_bulk(make_proxies(bench.pool, 60))
    bench.client.unlink(f"{bench.key}:view:f0")
    assert len(until_told(bench, 70)) == 62


def test_heads_that_are_not_free_are_mended(bench: Bench) -> None:
    bench.lease(0)
    bench.client.zadd(f"{bench.key}:view:f0", {bench.id(0): 1, bench.id(2): 0, NOWHERE: -1})
    assert [row[5] for row in until_told(bench, 3)] == [bench.id(1)]
    assert NOWHERE not in bench.get("view", "f0")


def test_memory_full(real_storage: RedisStorage) -> None:
    bench = Bench(real_storage)
    with full(bench), bench.unchanged(), pytest.raises(ResponseError) as raised:
        batch(bench, 2)
    assert isinstance(translate(raised.value), StorageFullError)


@pytest.mark.parametrize("over", [1, 3])
def test_no_more_is_leased_than_is_swept_when_memory_is_full(
    real_storage: RedisStorage, over: int
) -> None:
    bench = Bench(real_storage)
    bench.storage.save_proxy(bench.proxies[0].model_copy(update={"max_concurrency": None}))
    for _ in range(over):
        bench.end(bench.lease(0), 0)
    with full(bench):
        reply = batch(bench, 10, distinct="")
        assert len(reply) == 2 + over and reply[0] == 0
        with bench.unchanged(), pytest.raises(ResponseError):
            batch(bench, 10, distinct="")
    for _ in range(over):
        bench.end(bench.lease(0), 0)
    assert len(batch(bench, 10, distinct="")) == 12
