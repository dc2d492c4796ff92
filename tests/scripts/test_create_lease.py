"""create_lease.lua: raw keys before and after."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.scripts.raw import NOWHERE, Bench


def args(bench: Bench, number: int = 0, **changes: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "proxy_id": bench.id(number),
        "lease_id": bench.lease_id(),
        "consumer": bench.consumer,
        "duration_ms": 60_000,
        "retention_ms": 30_000,
        "token": "caller-1",
    }
    return {**known, **changes}


def test_a_lease_is_written_whole(bench: Bench) -> None:
    before, given = bench.snapshot(), args(bench)
    reply = bench.call("create_lease", **given)
    lease_id, proxy = given["lease_id"], bench.id()
    acquired, expires, *rest = reply
    assert rest == ["", bench.consumer, proxy, "pool"] and expires == acquired + 60_000
    changes = bench.changes(before)
    assert set(changes) == {
        f"held:{proxy}",
        "expiry",
        f"lease:{lease_id}",
        f"leases:{bench.consumer}",
        "view:f0",
    }
    assert bench.get("lease", lease_id) == f"{proxy} {bench.consumer} {acquired} {expires}"


def test_sent_twice_it_leases_once(bench: Bench) -> None:
    given = args(bench)
    first = bench.call("create_lease", **given)
    with bench.unchanged():
        assert bench.call("create_lease", **given) == first


def test_the_callers_claim_becomes_the_lease(bench: Bench) -> None:
    bench.find()
    given = args(bench)
    bench.call("create_lease", **given)
    assert set(bench.get("held", bench.id())) == {given["lease_id"]}
    assert bench.get("claims") is None and bench.get("reserved") is None
    assert bench.call("stats", pool_name="pool") == [3, 2, 1, 1, 1]


def test_anothers_claim_counts(bench: Bench) -> None:
    bench.find(token="caller-2")
    bench.refused("PHAROX_UNAVAILABLE", "create_lease", **args(bench))


def test_a_proxy_that_is_not_active_may_be_leased(bench: Bench) -> None:
    bench.call("create_lease", **args(bench, 2))
    assert set(bench.get("held", bench.id(2))) and bench.get("idle") == {bench.id(2)}


def test_what_is_over_does_not_count(bench: Bench) -> None:
    over = bench.lease()
    bench.end(over)
    given = args(bench)
    bench.call("create_lease", **given)
    assert set(bench.get("held", bench.id())) == {given["lease_id"]}


def test_refusals(bench: Bench) -> None:
    taken = bench.lease(1)
    for error, change in [
        ("PHAROX_POOL", {"key": bench.keys.pool(uuid4())}),
        ("PHAROX_PROXY", {"proxy_id": NOWHERE}),
        ("PHAROX_LEASE_CONFLICT", {"lease_id": taken}),
        (
            "PHAROX_LEASE_CONFLICT",
            {"lease_id": taken, "proxy_id": bench.id(1), "consumer": NOWHERE},
        ),
        ("PHAROX_ARGUMENT", {"duration_ms": "0"}),
        ("PHAROX_ARGUMENT", {"duration_ms": "-5"}),
        ("PHAROX_ARGUMENT", {"retention_ms": "315576000001"}),
    ]:
        bench.refused(error, "create_lease", **{**args(bench), **change})
    bench.lease(0)
    message = bench.refused("PHAROX_UNAVAILABLE", "create_lease", **args(bench))
    assert message.endswith(bench.id())


def test_a_corrupt_record_is_refused(bench: Bench) -> None:
    lease_id = bench.lease()
    key = bench.keys.lease(bench.pool.id, lease_id)
    record = bench.client.get(key)
    bench.client.set(key, "1 2 3")
    bench.refused("PHAROX_CORRUPT", "create_lease", **args(bench, lease_id=lease_id))
    bench.client.set(key, record or b"", px=60_000)


def test_a_hidden_proxy_is_unknown(bench: Bench) -> None:
    bench.call("hide_proxy", proxy_id=bench.id())
    bench.refused("PHAROX_PROXY", "create_lease", **args(bench))
