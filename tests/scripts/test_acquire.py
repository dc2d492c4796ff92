"""acquire.lua: raw keys before and after."""

from __future__ import annotations

from uuid import uuid4

import pytest
from pharox.models import ProxyFilters

from tests.scripts.raw import GERMAN, NOWHERE, UNREADABLE, Bench, question, raw_fields


def test_a_lease_is_written_whole(bench: Bench) -> None:
    before = bench.snapshot()
    lease_id, proxy = bench.lease_id(), bench.id()
    reply = bench.acquire(lease_id=lease_id, want_stats="1")

    kind, acquired, expires, released, consumer, proxy_id, document, fields, leases, stats = reply
    assert (kind, released, consumer, proxy_id, leases) == ("lease", "", bench.consumer, proxy, 1)
    assert expires == acquired + 60_000 and abs(acquired - bench.now()) < 10_000
    assert document == bench.get("doc", proxy)
    stored = bench.get("proxy", proxy)
    assert fields == raw_fields(**stored)[:10]
    assert stats == [3, 2, 1, 1, 1]

    changes = bench.changes(before)
    assert changes == {
        f"held:{proxy}": (None, {lease_id: expires}),
        "expiry": (None, {f"{lease_id}:{proxy}": expires}),
        f"lease:{lease_id}": (None, f"{proxy} {bench.consumer} {acquired} {expires}"),
        f"leases:{bench.consumer}": (None, {lease_id: expires + 30_000}),
        "view:f0": changes["view:f0"],
    }
    parked = {**changes["view:f0"][0], proxy: float("inf")}
    assert changes["view:f0"][1] == parked
    after = bench.snapshot()
    until = expires + 30_000
    assert after[f"{bench.key}:lease:{lease_id}"][2] == until
    # An eighth longer than it need be, so that the leases that follow find it long enough.
    assert after[f"{bench.key}:leases:{bench.consumer}"][2] == until + (60_000 + 30_000) // 8


def test_a_proxy_with_room_keeps_its_place(bench: Bench) -> None:
    first, second = bench.acquire(), bench.acquire()
    assert first[5] == bench.id(0) and second[5] == bench.id(1)
    assert bench.get("view", "f0")[bench.id(1)] == 2
    assert bench.acquire()[5] == bench.id(1)
    assert bench.get("view", "f0")[bench.id(1)] == float("inf")
    with bench.unchanged():
        assert bench.acquire() == ["none", None]
        assert bench.acquire(want_stats="1") == ["none", [3, 2, 0, 2, 3]]


def test_sent_twice_it_leases_once(bench: Bench) -> None:
    args = bench.acquire_args()
    first = bench.call("acquire", **args)
    with bench.unchanged():
        assert bench.call("acquire", **args) == first
        # The id decides, whatever else changed.
        assert bench.call("acquire", **{**args, "duration_ms": 5, "selector": "u"}) == first


def test_a_known_lease_that_ended_is_returned_as_ended(bench: Bench) -> None:
    args = bench.acquire_args()
    reply = bench.call("acquire", **args)
    bench.release(args["lease_id"], proxy_id=reply[5])
    with bench.unchanged():
        again = bench.call("acquire", **args)
    assert again[:3] == reply[:3] and again[3] >= reply[1] and again[8] == 0


def test_a_known_lease_of_a_deleted_proxy_comes_without_it(bench: Bench) -> None:
    args = bench.acquire_args()
    reply = bench.call("acquire", **args)
    bench.storage.delete_proxy(reply[5])
    with bench.unchanged():
        again = bench.call("acquire", **args)
    assert again[0] == "lease" and again[3] != "" and again[6:] == [None, None, 0, None]


def test_refusals(bench: Bench) -> None:
    taken = bench.lease(1)
    for error, change in [
        ("PHAROX_POOL", {"pool_name": "other"}),
        ("PHAROX_POOL", {"key": bench.keys.pool(uuid4())}),
        ("PHAROX_LEASE_CONFLICT", {"lease_id": taken, "consumer": NOWHERE}),
        ("PHAROX_ARGUMENT", {"duration_ms": 0}),
        ("PHAROX_ARGUMENT", {"duration_ms": 315_576_000_001}),
        ("PHAROX_ARGUMENT", {"retention_ms": -1}),
        ("PHAROX_ARGUMENT", {"selector": "x"}),
        ("PHAROX_ARGUMENT", {"limits": "1 2", "wanted": "- 0"}),
        ("PHAROX_ARGUMENT", {"token": "a:b"}),
        ("PHAROX_ARGUMENT", {"token": "a b"}),
        *(("PHAROX_ARGUMENT", {"digest": "d", "program": program}) for program in UNREADABLE),
    ]:
        args = bench.acquire_args()
        message = bench.refused(error, "acquire", **{**args, **change})
        assert message.split(" ")[1], message


def test_a_corrupt_record_is_refused(bench: Bench) -> None:
    lease_id = bench.lease()
    key = bench.keys.lease(bench.pool.id, lease_id)
    record = bench.client.get(key)
    bench.client.set(key, "rubbish")
    message = bench.refused("PHAROX_CORRUPT", "acquire", **bench.acquire_args(lease_id=lease_id))
    assert message == f"PHAROX_CORRUPT lease:{lease_id}"
    bench.client.set(key, record or b"", px=60_000)


def test_what_is_over_is_swept_first(bench: Bench) -> None:
    over = bench.acquire(pool_name="pool")
    lease_id = next(iter(bench.get("held", bench.id())))
    bench.end(lease_id)
    reply = bench.acquire()
    assert reply[5] == over[5] == bench.id()
    assert lease_id not in bench.get("held", bench.id())


def test_many_leases_over_do_not_make_a_false_miss(bench: Bench) -> None:
    bench.client.hdel(f"{bench.key}:proxy:{bench.id(1)}", "max")
    bench.storage.save_proxy(bench.proxies[1].model_copy(update={"max_concurrency": 40}))
    leases = [bench.lease(1) for _ in range(40)]
    bench.lease(0)
    for lease_id in leases:
        bench.end(lease_id, 1)
    assert bench.acquire()[5] == bench.id(1)


def test_a_round_is_noted(bench: Bench) -> None:
    reply = bench.acquire(selector="r")
    while reply[0] == "again":
        reply = bench.acquire(selector="r")
    first = reply[5]
    assert first == min(bench.id(0), bench.id(1))
    assert bench.get()["rr"] == "1" and bench.get("proxy", first)["rr"] == "1"
    assert bench.acquire(selector="r")[5] == max(bench.id(0), bench.id(1))


def test_an_unfilled_view_says_again(bench: Bench) -> None:
    reply = bench.acquire(selector="u")
    assert reply[0] == "again" and len(reply) == 3 and reply[2] == ""
    assert bench.get()["v:u:"] == "u0 0" and bench.get("view", "u0") == {"~": float("inf")}
    assert bench.acquire(selector="u")[0] == "lease"
    assert bench.get()["v:u:"] == "u0 *"


def test_a_filter_seen_before_is_registered(bench: Bench) -> None:
    asked = question(GERMAN)
    assert bench.acquire(**asked)[5] == bench.id()
    assert set(bench.get("views")) == {"f0"}
    bench.release(next(iter(bench.get("held", bench.id()))), retention_ms=0)
    assert bench.acquire(**{**asked, "hints": "s"})[5] == bench.id()
    assert bench.get("views")["f1"] == f"{asked['digest']} {asked['program']}"
    assert set(bench.get("used")) == {"f1"}
    assert bench.get()[f"v:f:{asked['digest']}"] == "f1 0"


def test_use_is_noted_when_asked(bench: Bench) -> None:
    asked = question(GERMAN, hints="s")
    bench.acquire(**asked)
    bench.client.zadd(bench.keys.used(bench.pool.id), {"f1": 1})
    bench.acquire(**asked)  # fills the view, finds nothing
    bench.client.unlink(f"{bench.key}:held:{bench.id()}", f"{bench.key}:expiry")
    bench.storage.save_proxy(bench.proxies[0])
    assert bench.get("used") == {"f1": 1}
    assert bench.acquire(**{**asked, "hints": "st"})[0] == "lease"
    assert bench.get("used")["f1"] > 1


@pytest.mark.parametrize("limit", [0, 1])
def test_the_bound_on_views_holds(bench: Bench, limit: int) -> None:
    # A pool has views that other clients registered, and nobody used them for long.
    for country in ("DE", "FR"):
        bench.find(claim_ms=0, **question(ProxyFilters(country=country), hints="s"))
    before = set(bench.get("used"))
    assert len(before) == 2
    for number in range(4):
        filters = ProxyFilters(country="DE", none_of=[ProxyFilters(city=f"c{number}")])
        asked = question(filters, hints="s", limits=f"100000 {limit} 600000")
        used = bench.keys.used(bench.pool.id)
        for name in bench.get("used") or ():
            bench.client.zadd(used, {name: 1}, xx=True)
        assert bench.find(claim_ms=0, **asked)[0] in ("proxy", "again")
    registered = {name for name in bench.get("views") if name != "f0"}
    assert registered == set(bench.get("used") or ())
    assert len(registered - before) <= limit, "those of others may wait for a sweep"


def test_a_wanted_proxy_or_none(bench: Bench) -> None:
    with bench.unchanged():
        assert bench.acquire(wanted=f"{bench.id(1)} 7") == ["taken"]
        assert bench.acquire(wanted=f"{NOWHERE} 1") == ["taken"]
        assert bench.acquire(wanted=f"{bench.id(2)} 1") == ["taken"]
    assert bench.acquire(wanted=f"{bench.id(1)} 1")[5] == bench.id(1)


def test_the_callers_own_claim_is_let_go_first(bench: Bench) -> None:
    before = bench.snapshot()
    assert bench.find()[1] == bench.id()
    args = bench.acquire_args(token="caller-1", want_stats="1")
    reply = bench.call("acquire", **args)
    assert (reply[0], reply[5], reply[8]) == ("lease", bench.id(), 1)
    assert reply[9] == [3, 2, 1, 1, 1]
    assert reply[7] == raw_fields(**bench.get("proxy", bench.id()))[:10]
    # All is as if it had not asked before.
    changes, lease_id = bench.changes(before), args["lease_id"]
    assert set(changes) == {
        *(f"held:{bench.id()}", "expiry", "view:f0"),
        *(f"lease:{lease_id}", f"leases:{bench.consumer}"),
    }
    assert changes[f"held:{bench.id()}"] == (None, {lease_id: reply[2]})
    assert changes["expiry"] == (None, {f"{lease_id}:{bench.id()}": reply[2]})


def test_other_claims_stand(bench: Bench) -> None:
    assert bench.find()[1] == bench.id(0)
    assert bench.acquire(token="caller-2")[5] == bench.id(1)
    assert bench.acquire(token="caller")[5] == bench.id(1), "a token is not a prefix"
    with bench.unchanged():
        assert bench.acquire() == ["none", None]
    assert set(bench.get("held", bench.id(0))) == {"!caller-1"}


def test_a_miss_lets_the_claim_go_too(bench: Bench) -> None:
    before = bench.snapshot()
    for changes, reply in (
        ({"wanted": f"{bench.id(2)} 1"}, ["taken"]),
        (question(ProxyFilters(country="XX")), ["none", None]),
    ):
        bench.find()
        assert bench.acquire(**{**bench.acquire_args(token="caller-1"), **changes}) == reply
        assert bench.changes(before) == {}


def test_a_known_lease_lets_no_claim_go(bench: Bench) -> None:
    args = bench.acquire_args(wanted=f"{bench.id(1)} 1")
    first = bench.call("acquire", **args)
    bench.find()
    with bench.unchanged():
        assert bench.call("acquire", **{**args, "token": "caller-1"}) == first
    for error, change in (
        ("PHAROX_POOL", {"pool_name": "other"}),
        ("PHAROX_LEASE_CONFLICT", {"lease_id": args["lease_id"], "consumer": NOWHERE}),
        ("PHAROX_ARGUMENT", {"limits": "x"}),
    ):
        given = {**bench.acquire_args(token="caller-1"), **change}
        bench.refused(error, "acquire", **given)


@pytest.mark.parametrize("program", UNREADABLE)
@pytest.mark.parametrize("hints", ["", "s", "st"])
def test_a_program_that_cannot_be_read_is_registered_nowhere(
    bench: Bench, program: str, hints: str
) -> None:
    for selector in "furl":
        args = bench.acquire_args(selector=selector, digest="d", program=program, hints=hints)
        message = bench.refused("PHAROX_ARGUMENT", "acquire", **args)
        assert message == f"PHAROX_ARGUMENT {args['lease_id']}"
    # Nor is it read where a view has the answer.
    asked = question(GERMAN, hints="s")
    bench.find(claim_ms=0, **asked)
    assert bench.find(claim_ms=0, **asked)[0] == "proxy"
    assert bench.acquire(**{**asked, "program": program})[5] == bench.id()


@pytest.mark.parametrize("name", ["acquire", "find", "candidates"])
def test_an_unreadable_program_costs_its_caller_no_claim(bench: Bench, name: str) -> None:
    bench.find(token="caller-1")
    asked = question(digest="d", program="[")
    args = {
        "acquire": lambda: bench.acquire_args(**asked, token="caller-1"),
        "find": lambda: bench.find_args(**asked),
        "candidates": lambda: {
            **{key: asked[key] for key in asked if key != "hints"},
            "pool_name": "pool",
            "token": "caller-1",
            "wanted": 10,
        },
    }[name]()
    bench.refused("PHAROX_ARGUMENT", name, **args)
    assert any("!caller-1" in (bench.get("held", bench.id(i)) or ()) for i in range(3))


@pytest.mark.parametrize(
    "program",
    [
        '["@"]',
        '["@",1,2]',
        '["@","x",2,3]',
        '["@",1,[],3]',
        '["~"]',
        '["~",1]',
        "[]",
        '["?"]',
        '["~","x","y"]',
        '["@",1,2,"x"]',
    ],
)
@pytest.mark.parametrize("hints", ["", "s"])
def test_a_malformed_node_does_not_match(bench: Bench, program: str, hints: str) -> None:
    placed = [
        proxy.model_copy(update={"latitude": 1.0, "longitude": 2.0}) for proxy in bench.proxies
    ]
    bench.storage.add_proxies_bulk(placed)
    reply = bench.acquire(**question(digest="d", program=program, hints=hints))
    assert reply[0] in ("none", "again"), reply
