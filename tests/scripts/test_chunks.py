"""However short a chunk is, each call gets something done: what loops until it is done ends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scripts.raw import GERMAN, Bench, question
from tests.support.builders import make_proxies

CALLS = 60


@pytest.mark.parametrize("chunk_us", [0, 1])
def test_purge_pool(bench: Bench, chunk_us: int) -> None:
    bench.lease(1)
    bench.call("hide_pool")
    for _ in range(CALLS):
        ids = bench.call("list_hidden", limit=2)
        if bench.call("purge_pool", *ids, chunk_us=chunk_us, final="") == 1:
            break
    assert bench.get("proxies") is None and bench.get()["deleting"] == "pool"
    assert bench.call("purge_pool", chunk_us=chunk_us, final="1") == 1
    assert bench.get() is None


@pytest.mark.parametrize("chunk_us", [0, 1])
@pytest.mark.parametrize("selector", "furl")
def test_candidates(bench: Bench, chunk_us: int, selector: str) -> None:
    asked = question(None, selector=selector, limits=f"{chunk_us} 64 600000", wanted=10)
    del asked["hints"]
    reply: Any = ["again", 0, ""]
    for _ in range(CALLS):
        reply = bench.call("candidates", pool_name="pool", token="", **asked)
        if reply[0] == "page":
            break
    assert reply[0] == "page" and len(reply) == 4


@pytest.mark.parametrize("chunk_us", [0, 1])
@pytest.mark.parametrize("selector", "furl")
@pytest.mark.parametrize("hints", ["", "s"])
def test_find(bench: Bench, chunk_us: int, selector: str, hints: str) -> None:
    bench.storage.add_proxies_bulk(make_proxies(bench.pool, 130, country="FR"))
    bench.lease(0)
    asked = question(GERMAN, selector=selector, hints=hints, limits=f"{chunk_us} 64 600000")
    reply: Any = ["again", 0, ""]
    for _ in range(CALLS):
        reply = bench.find(**{**asked, "from": reply[2]})
        if reply[0] != "again":
            break
    assert reply[0] == "none"


def test_sweep(bench: Bench) -> None:
    bench.storage.save_proxy(bench.proxies[1].model_copy(update={"max_concurrency": None}))
    for _ in range(120):
        bench.end(bench.lease(1), 1)
    replies = [bench.call("sweep", limits="0 64 600000") for _ in range(4)]
    assert sum(ended for ended, _ in replies) == 120 and replies[-1] == [0, 0]


def test_save_proxies(bench: Bench) -> None:
    bench.storage = type(bench.storage)(
        bench.client, bench.storage.settings.model_copy(update={"chunk_ms": 0.001})
    )
    assert bench.storage.add_proxies_bulk(make_proxies(bench.pool, 120)) == 120
    assert len(bench.get("proxies")) == 123
