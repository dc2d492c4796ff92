"""list_leases.lua: pages and replies; it writes nothing."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.scripts.raw import Bench


def ask(bench: Bench, consumer: str = "", origin: str = "", limit: Any = 100) -> Any:
    with bench.unchanged():
        return bench.call("list_leases", consumer=consumer, limit=limit, **{"from": origin})


def test_active_leases_of_all(bench: Bench) -> None:
    other = str(uuid4())
    live = {bench.lease(0), bench.lease(1, consumer=other)}
    over, claimed = bench.lease(1), bench.find(token="t")
    bench.end(over, 1)
    assert claimed == ["none", 0, ""] or claimed[0] in ("none", "proxy")
    origin, name, *rows = ask(bench)
    assert (origin, name) == ("", "pool")
    assert {row[0] for row in rows} == live
    for row in rows:
        assert row == bench.call("get_lease", lease_id=row[0])[:6]


def test_a_consumers_leases_with_ended_ones(bench: Bench) -> None:
    live, ended = bench.lease(1), bench.lease(0)
    bench.lease(1, consumer=str(uuid4()))
    bench.release(ended, retention_ms=9000)
    _, _, *rows = ask(bench, bench.consumer)
    assert {row[0]: row[5] != "" for row in rows} == {live: False, ended: True}
    assert ask(bench, str(uuid4())) == ["", "pool"]


@pytest.mark.parametrize("mine", [True, False])
def test_pages_with_equal_scores(bench: Bench, mine: bool) -> None:
    bench.storage.save_proxy(bench.proxies[1].model_copy(update={"max_concurrency": None}))
    leases = {bench.lease(1) for _ in range(23)}
    score = bench.now() + 50_000
    for lease_id in leases:
        bench.client.zadd(f"{bench.key}:expiry", {f"{lease_id}:{bench.id(1)}": score})
        bench.client.zadd(f"{bench.key}:held:{bench.id(1)}", {lease_id: score})
        bench.client.zadd(f"{bench.key}:leases:{bench.consumer}", {lease_id: score + 30_000})
        proxy, consumer, acquired, _ = bench.get("lease", lease_id).split(" ")
        bench.client.set(
            f"{bench.key}:lease:{lease_id}", f"{proxy} {consumer} {acquired} {score}", keepttl=True
        )
    seen: list[str] = []
    origin, pages = "", 0
    while not pages or origin:
        origin, _, *rows = ask(bench, bench.consumer if mine else "", origin, 5)
        seen += [row[0] for row in rows]
        pages += 1
    assert sorted(seen) == sorted(leases) and pages == 5


def test_a_member_that_left_does_not_disturb_the_pages(bench: Bench) -> None:
    bench.storage.save_proxy(bench.proxies[1].model_copy(update={"max_concurrency": None}))
    leases = [bench.lease(1) for _ in range(6)]
    origin, _, *rows = ask(bench, limit=3)
    bench.release(rows[-1][0], proxy_id=rows[-1][1], retention_ms=0)
    rest = ask(bench, origin=origin)[2:]
    assert {row[0] for row in rows} | {row[0] for row in rest} == set(leases)
    assert len(rest) == 3


def test_an_unknown_pool(bench: Bench) -> None:
    args = {"consumer": "", "from": "", "limit": 5}
    with bench.unchanged():
        assert bench.call("list_leases", key=bench.keys.pool(uuid4()), **args) == ["", ""]


def test_refusals(bench: Bench) -> None:
    for limit in ("0", "501", "", "x", "-1"):
        bench.refused("PHAROX_ARGUMENT", "list_leases", consumer="", limit=limit, **{"from": ""})
    for origin in ("x", "1", "1 ", "1 2 3"):
        bench.refused("PHAROX_ARGUMENT", "list_leases", consumer="", limit=5, **{"from": origin})


def test_a_corrupt_record(bench: Bench) -> None:
    lease_id = bench.lease()
    key, record = f"{bench.key}:lease:{lease_id}", bench.get("lease", lease_id)
    bench.client.set(key, "x", keepttl=True)
    for consumer in ("", bench.consumer):
        message = bench.refused(
            "PHAROX_CORRUPT", "list_leases", consumer=consumer, limit=5, **{"from": ""}
        )
        assert message.endswith(f"lease:{lease_id}")
    bench.client.set(key, record, keepttl=True)
