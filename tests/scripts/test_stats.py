"""stats.lua: the figures; it writes nothing."""

from __future__ import annotations

from uuid import uuid4

from tests.scripts.raw import Bench


def figures(bench: Bench) -> list[int]:
    with bench.unchanged():
        reply: list[int] = bench.call("stats", pool_name="pool")
    assert all(type(figure) is int for figure in reply)
    return reply


def test_figures_follow(bench: Bench) -> None:
    # total, active, available, leased proxies, leases
    assert figures(bench) == [3, 2, 2, 0, 0]
    bench.lease(1)
    assert figures(bench) == [3, 2, 2, 1, 1]
    bench.find(token="a")
    bench.find(token="b")
    assert figures(bench) == [3, 2, 2, 1, 1]
    bench.lease(2)
    assert figures(bench) == [3, 2, 2, 2, 2]
    bench.call("hide_proxy", proxy_id=bench.id(0))
    assert figures(bench) == [2, 1, 1, 2, 2]


def test_refusals(bench: Bench) -> None:
    bench.refused("PHAROX_POOL", "stats", pool_name="")
    bench.refused("PHAROX_POOL", "stats", pool_name="Pool")
    bench.refused("PHAROX_POOL", "stats", pool_name="pool", key=bench.keys.pool(uuid4()))
    bench.call("hide_pool")
    bench.refused("PHAROX_POOL", "stats", pool_name="pool")
