"""find.lua: claims, raw keys before and after."""

from __future__ import annotations

from uuid import uuid4

from tests.scripts.raw import GERMAN, UNREADABLE, Bench, question, raw_fields

TOKEN = "caller-1"


def test_a_claim_is_written_whole(bench: Bench) -> None:
    before, proxy = bench.snapshot(), bench.id()
    plain = bench.get("proxy", proxy)
    reply = bench.find()
    assert reply[:3] == ["proxy", proxy, bench.get("doc", proxy)]
    assert reply[3][:16] == raw_fields(**plain)[:16] and reply[4] == 0

    changes = bench.changes(before)
    held = changes[f"held:{proxy}"][1]
    assert set(held) == {f"!{TOKEN}"}
    until = held[f"!{TOKEN}"]
    assert 50_000 < until - bench.now() <= 60_000
    assert changes == {
        f"held:{proxy}": (None, {f"!{TOKEN}": until}),
        "expiry": (None, {f"!{TOKEN}:{proxy}": until}),
        "claims": (None, {f"p{proxy}:{TOKEN}": 0, f"t{TOKEN}:{proxy}": 0}),
        f"proxy:{proxy}": (plain, {**plain, "claim": "1"}),
        "reserved": (None, {proxy}),
        "view:f0": changes["view:f0"],
    }
    assert changes["view:f0"][1] == {**changes["view:f0"][0], proxy: float("inf")}
    assert bench.call("stats", pool_name="pool") == [3, 2, 2, 0, 0]


def test_asked_twice_it_answers_the_same(bench: Bench) -> None:
    first = bench.find()
    before = bench.snapshot()
    assert bench.find()[1] == first[1]
    assert set(bench.changes(before)) <= {f"held:{bench.id()}", "expiry"}  # only the time moves
    assert len(bench.get("held", bench.id())) == 1


def test_others_see_another(bench: Bench) -> None:
    assert bench.find()[1] == bench.id(0)
    assert bench.find(token="caller-2")[1] == bench.id(1)
    assert bench.find(token="caller-3")[1] == bench.id(1)
    with bench.unchanged():
        assert bench.find(token="caller-4") == ["none"]


def test_without_a_claim_nothing_is_held(bench: Bench) -> None:
    with bench.unchanged():
        assert bench.find(claim_ms=0)[1] == bench.id()


def test_a_lapsed_claim_is_free_again(bench: Bench) -> None:
    bench.find()
    bench.end(f"!{TOKEN}")
    assert bench.find(token="caller-2")[1] == bench.id()
    assert set(bench.get("held", bench.id())) == {"!caller-2"}
    assert not any(TOKEN in member for member in bench.get("claims"))


def test_a_round_moves_even_without_a_claim(bench: Bench) -> None:
    reply = bench.find(selector="r", claim_ms=0)
    while reply[0] == "again":
        reply = bench.find(selector="r", claim_ms=0)
    assert bench.get("proxy", reply[1])["rr"] == "1"
    assert bench.find(selector="r", claim_ms=0)[1] != reply[1]


def test_other_replies(bench: Bench) -> None:
    reply = bench.find(selector="l")
    assert reply[0] == "again" and len(reply) == 3
    with bench.unchanged():
        assert bench.find(wanted=f"{bench.id()} 9") == ["taken"]
    assert bench.find(wanted=f"{bench.id(1)} 1")[1] == bench.id(1)


def test_a_filtered_miss_is_final(bench: Bench) -> None:
    bench.lease(0)
    reply = bench.find(**question(GERMAN))
    while reply[0] == "again":
        reply = bench.find(**question(GERMAN, **{"from": reply[2]}))
    assert reply == ["none"]


def test_refusals(bench: Bench) -> None:
    for error, change in [
        ("PHAROX_POOL", {"pool_name": "other"}),
        ("PHAROX_POOL", {"key": bench.keys.pool(uuid4())}),
        ("PHAROX_ARGUMENT", {"token": ""}),
        ("PHAROX_ARGUMENT", {"token": "a:b"}),
        ("PHAROX_ARGUMENT", {"token": "a b"}),
        ("PHAROX_ARGUMENT", {"claim_ms": -1}),
        ("PHAROX_ARGUMENT", {"selector": ""}),
        ("PHAROX_ARGUMENT", {"limits": ""}),
        *(("PHAROX_ARGUMENT", {"digest": "d", "program": program}) for program in UNREADABLE),
    ]:
        bench.refused(error, "find", **{**bench.find_args(), **change})
