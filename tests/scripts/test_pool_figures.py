"""pool_figures.lua: a pool, its figures, and what is counted; it writes nothing."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.scripts.raw import GERMAN, LIMITS, Bench, question


def figures(bench: Bench) -> list[Any]:
    with bench.unchanged():
        reply: list[Any] = bench.call("pool_figures")
    return reply


def counted(bench: Bench) -> list[int]:
    """Granted, missed, reclaimed."""
    found: list[int] = figures(bench)[5:]
    return found


def test_the_head(bench: Bench) -> None:
    before = bench.now()
    name, document, at, totals, views, *counts = figures(bench)
    assert (name, document, totals, views, counts) == (
        "pool",
        "{}",
        [3, 2, 2, 0, 0],
        0,
        [0, 0, 0],
    )
    assert before <= at <= bench.now()


def test_what_is_granted_and_what_is_missed(bench: Bench) -> None:
    bench.acquire()
    bench.lease(1)
    assert counted(bench) == [2, 0, 0]
    assert bench.acquire()[0] == "lease"
    assert bench.acquire()[0] == "none"
    assert bench.acquire(want_stats="1")[0] == "none"
    assert bench.find()[0] == "none"
    assert counted(bench) == [3, 3, 0]
    assert bench.acquire(**question(GERMAN, hints="s"))[0] == "none"
    assert counted(bench) == [3, 4, 0]


def test_the_views_of_filters(bench: Bench) -> None:
    bench.acquire(selector="u")
    assert figures(bench)[4] == 0
    bench.acquire(**question(GERMAN, hints="s"))
    assert figures(bench)[4] == 1


def test_a_lease_that_is_asked_for_again_is_not_counted_again(bench: Bench) -> None:
    again = bench.acquire_args()
    bench.call("acquire", **again)
    bench.call("acquire", **again)
    bench.find(token="a")
    assert counted(bench) == [1, 0, 0]


def test_a_batch(bench: Bench) -> None:
    args = {**bench.acquire_args(), "taken": "", "distinct": "1"}
    args = {k: args[k] for k in args if k not in ("lease_id", "wanted", "want_stats")}
    ids = [bench.lease_id() for _ in range(5)]
    assert len(bench.call("acquire_many", *ids, **args)) == 2 + 2
    assert counted(bench) == [2, 0, 0]
    bench.call("acquire_many", *ids, **args)  # sent twice
    assert counted(bench) == [2, 0, 0]
    # One more fits on the second proxy, and then nothing.
    assert len(bench.call("acquire_many", bench.lease_id(), **args)) == 2 + 1
    assert len(bench.call("acquire_many", bench.lease_id(), **args)) == 2
    assert counted(bench) == [3, 1, 0]


def test_what_sweeps_and_acquires_reclaim(bench: Bench) -> None:
    for number in (0, 1):
        bench.end(bench.lease(number), number)
    bench.find(token="a")
    bench.call("sweep", limits=LIMITS)
    assert counted(bench) == [2, 0, 2]
    bench.call("sweep", limits=LIMITS)
    assert counted(bench) == [2, 0, 2]
    bench.end(bench.lease(1), 1)
    bench.acquire()
    assert counted(bench) == [4, 0, 3]


def test_what_makes_room_for_a_named_lease_is_reclaimed(bench: Bench) -> None:
    bench.end(bench.lease())
    bench.end(bench.lease())
    assert counted(bench) == [2, 0, 1]
    bench.lease()
    assert counted(bench) == [3, 0, 2]
    bench.find(token="a")
    bench.end("!a", 1)
    bench.find(token="b")
    bench.end("!b", 1)
    bench.lease(1)
    bench.lease(1)
    assert counted(bench) == [5, 0, 2]  # claims are in no figure


def test_no_such_pool(bench: Bench) -> None:
    assert bench.call("pool_figures", key=bench.keys.pool(uuid4())) is None
    bench.call("hide_pool")
    assert bench.call("pool_figures") is None
