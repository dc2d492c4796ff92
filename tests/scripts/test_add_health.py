"""add_health.lua: raw keys before and after."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.scripts.raw import NOWHERE, Bench, raw_fields


def args(bench: Bench, **changes: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "proxy_id": bench.id(),
        "record_id": str(uuid4()),
        "document": '{"a":1}',
        "latency": 42,
        "bound": 3,
        "status": "",
        "checked_us": "",
    }
    return {**known, **changes}


def test_a_record(bench: Bench) -> None:
    before, given = bench.snapshot(), args(bench)
    reply = bench.call("add_health", **given)
    id, changes = bench.id(), bench.changes(before)
    old = changes[f"proxy:{id}"][0]
    assert changes == {
        f"health:{id}": (None, [f"{given['record_id']} - {given['document']}"]),
        f"proxy:{id}": (old, {**old, "ms": "42"}),
    }
    assert reply == [bench.get("doc", id), raw_fields(**bench.get("proxy", id)), 0]


def test_a_check(bench: Bench) -> None:
    before, given = bench.snapshot(), args(bench, status="banned", checked_us=-5)
    reply = bench.call("add_health", **given)
    id, changes = bench.id(), bench.changes(before)
    assert set(changes) == {f"health:{id}", f"proxy:{id}", "idle", "view:f0"}
    old, new = changes[f"proxy:{id}"]
    assert new == {**old, "st": "banned", "chk": "-5", "rev": "2", "ms": "42"}
    assert bench.get("health", id)[0].split(" ")[1] == "active"
    assert bench.get("view", "f0")[id] == float("inf") and id in bench.get("idle")
    assert reply[1][7:11] == ["banned", "1", "-5", "2"]
    bench.call("add_health", **args(bench, status="active", checked_us=1))
    assert bench.get("view", "f0")[id] == 1 and id not in bench.get("idle")


def test_the_same_record_twice(bench: Bench) -> None:
    given = args(bench, status="slow", checked_us=5)
    first = bench.call("add_health", **given)
    bench.call("add_health", **args(bench))
    with bench.unchanged():
        assert bench.call("add_health", **given) == first


def test_the_history_is_bounded_and_the_latency_outlives_it(bench: Bench) -> None:
    records = [args(bench, latency="" if n else 9, document=f"{n}") for n in range(5)]
    for given in records:
        bench.call("add_health", **given)
    history = bench.get("health", bench.id())
    assert [entry.split(" ")[2] for entry in history] == ["4", "3", "2"]
    assert bench.get("proxy", bench.id())["ms"] == "9"


def test_latency_ranks(bench: Bench) -> None:
    while bench.find(selector="l", claim_ms=0)[0] == "again":
        pass
    bench.call("add_health", **args(bench, latency=-3))
    bench.call("add_health", **args(bench, latency=2, proxy_id=bench.id(1)))
    view = bench.get("view", "l0")
    assert (view[bench.id(0)], view[bench.id(1)]) == (-3, 2)


def test_claims_are_not_leases(bench: Bench) -> None:
    bench.find()
    assert bench.call("add_health", **args(bench))[2] == 0
    bench.lease(1)
    assert bench.call("add_health", **args(bench, proxy_id=bench.id(1)))[2] == 1


def test_refusals(bench: Bench) -> None:
    bench.call("hide_proxy", proxy_id=bench.id(1))
    for error, change in [
        ("PHAROX_PROXY", {"proxy_id": NOWHERE}),
        ("PHAROX_PROXY", {"proxy_id": bench.id(1)}),
        ("PHAROX_PROXY", {"key": bench.keys.pool(uuid4())}),
        ("PHAROX_ARGUMENT", {"bound": 0}),
        ("PHAROX_ARGUMENT", {"bound": ""}),
        ("PHAROX_ARGUMENT", {"bound": -1}),
        ("PHAROX_ARGUMENT", {"latency": "1.5"}),
        ("PHAROX_ARGUMENT", {"latency": "-"}),
        ("PHAROX_ARGUMENT", {"latency": "x"}),
        ("PHAROX_ARGUMENT", {"status": "unknown", "checked_us": 1}),
        ("PHAROX_ARGUMENT", {"status": "active", "checked_us": ""}),
        ("PHAROX_ARGUMENT", {"status": "active", "checked_us": "1.5"}),
    ]:
        bench.refused(error, "add_health", **{**args(bench), **change})
