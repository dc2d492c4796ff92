"""list_hidden.lua: replies; it writes nothing."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.scripts.raw import NOWHERE, Bench
from tests.support.builders import make_proxies


def purge(bench: Bench, *ids: str) -> int:
    return int(bench.call("purge_pool", *ids, chunk_us=100_000, final=""))


def test_a_pool_that_is_not_hidden(bench: Bench) -> None:
    bench.call("hide_proxy", proxy_id=bench.id(1))
    with bench.unchanged():
        assert bench.call("list_hidden", limit=500) == []
        assert bench.call("list_hidden", limit=500, key=bench.keys.pool(uuid4())) == []


def test_proxies_in_insertion_order(bench: Bench) -> None:
    bench.lease(1)
    bench.call("hide_pool")
    every = [bench.id(number) for number in range(3)]
    with bench.unchanged():
        for limit in (1, 2, 3, 500):
            for _ in range(2):
                assert bench.call("list_hidden", limit=limit) == every[:limit]
    assert purge(bench, every[0]) == 0
    assert bench.call("list_hidden", limit=2) == every[1:]


def test_then_those_whose_delete_was_broken_off_and_fences(bench: Bench) -> None:
    bench.call("hide_proxy", proxy_id=bench.id(2))
    bench.call("fence_proxy", proxy_id=NOWHERE)
    bench.call("hide_pool")
    with bench.unchanged():
        assert bench.call("list_hidden", limit=500) == [bench.id(0), bench.id(1)]
    assert purge(bench, bench.id(0), bench.id(1)) == 0
    with bench.unchanged():
        assert set(bench.call("list_hidden", limit=500)) == {bench.id(2), NOWHERE}
        (one,) = bench.call("list_hidden", limit=1)
    assert one in (bench.id(2), NOWHERE)
    assert purge(bench, bench.id(2), NOWHERE) == 1
    assert bench.call("list_hidden", limit=500) == []


def test_its_pages_empty_a_pool(bench: Bench) -> None:
    bench.storage.add_proxies_bulk(make_proxies(bench.pool, 20))
    for number in range(3):
        bench.call("hide_proxy", proxy_id=bench.id(number))
    bench.call("hide_pool")
    seen: list[str] = []
    while page := bench.call("list_hidden", limit=6):
        assert len(page) <= 6 and not set(page) & set(seen)
        seen += page
        purge(bench, *page)
    assert len(seen) == 23 and bench.get("gone") is None and bench.get("proxies") is None


@pytest.mark.parametrize("limit", ["0", "501", "", "x", "-1", "1.5", "nan", "1 ", "0x10"])
def test_refusals(bench: Bench, limit: str) -> None:
    bench.refused("PHAROX_ARGUMENT", "list_hidden", limit=limit)
    bench.call("hide_pool")
    bench.refused("PHAROX_ARGUMENT", "list_hidden", limit=limit)
