"""acquire_many.lua: raw keys before and after."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.scripts.raw import GERMAN, LIMITS, NOWHERE, UNREADABLE, Bench, question, raw_fields
from tests.scripts.test_void import void
from tests.support.builders import make_proxies

ONE_PAGE = 50


def batch_args(bench: Bench, **changes: Any) -> dict[str, Any]:
    args = {**bench.acquire_args(), "taken": "", "distinct": "1", **changes}
    for name in ("lease_id", "wanted", "want_stats"):
        del args[name]
    return args


def ids_for(bench: Bench, count: int) -> list[str]:
    return [bench.lease_id() for _ in range(count)]


def batch(bench: Bench, ids: list[str] | int, **changes: Any) -> Any:
    if isinstance(ids, int):
        ids = ids_for(bench, ids)
    return bench.call("acquire_many", *ids, **batch_args(bench, **changes))


def until_told(bench: Bench, count: int, **changes: Any) -> list[Any]:
    """The leases of as many calls as it takes, as the flow makes them."""
    rows: list[Any] = []
    for _ in range(100):
        wait, origin, *more = batch(
            bench, count - len(rows), taken=" ".join(row[5] for row in rows), **changes
        )
        rows += more
        if wait == -1 or len(rows) == count:
            return rows
        changes["from"] = origin
    raise AssertionError("it does not end")


def proxies_of(reply: Any) -> list[str]:
    return [row[5] for row in reply[2:]]


def test_leases_are_written_as_those_taken_alone(bench: Bench) -> None:
    before, ids = bench.snapshot(), ids_for(bench, 2)
    reply = batch(bench, ids)
    assert reply[:2] == [-1, ""] and proxies_of(reply) == [bench.id(0), bench.id(1)]
    changes = bench.changes(before)
    for number, (lease_id, row) in enumerate(zip(ids, reply[2:], strict=True)):
        proxy = bench.id(number)
        _, acquired, expires, released, consumer, _, document, fields, leases = row
        assert (row[0], released, consumer, leases) == (lease_id, "", bench.consumer, 1)
        assert expires == acquired + 60_000 and abs(acquired - bench.now()) < 10_000
        assert document == bench.get("doc", proxy)
        assert fields == raw_fields(**bench.get("proxy", proxy))[:10]
        assert list(changes[f"held:{proxy}"][1].values()) == [expires]
        record = f"{proxy} {bench.consumer} {acquired} {expires}"
        assert bench.call("get_lease", lease_id=lease_id)[:2] == [lease_id, proxy]
        assert record in [value[1] for value in changes.values()]
    assert bench.get("view", "f0")[bench.id(0)] == float("inf")
    assert bench.get("view", "f0")[bench.id(1)] == 2, "it has room, and keeps its place"
    (index,) = [key for key in changes if key.startswith("leases:")]
    assert set(changes[index][1].values()) == {reply[2][2] + 30_000}


@pytest.mark.parametrize("selector", "furl")
@pytest.mark.parametrize("filtered", [False, True])
def test_views_stand_as_after_as_many_acquires(bench: Bench, selector: str, filtered: bool) -> None:
    bench.storage.add_proxies_bulk(
        [p for n in (1, 2, None) for p in make_proxies(bench.pool, 3, max_concurrency=n)]
    )
    asked = question(GERMAN if filtered else None, selector=selector, hints="s")
    if filtered:
        bench.storage.add_proxies_bulk(make_proxies(bench.pool, 5, country="DE", max_concurrency=2))
    looks = []
    for together in (False, True):
        while bench.acquire(**{**asked, "limits": LIMITS})[0] == "again":
            pass
        if together:
            rows = until_told(
                bench, 7, distinct="", **{k: asked[k] for k in asked if k != "wanted"}
            )
            taken = [row[5] for row in rows]
        else:
            taken = []
            while len(taken) < 7:
                reply = bench.acquire(**asked)
                taken += [reply[5]] if reply[0] == "lease" else []
        looks.append([taken, views(bench)])
        for lease in bench.storage.list_leases():
            bench.storage.release_lease(lease)
        for proxy in bench.storage.list_proxies(bench.pool.id):
            bench.client.hdel(f"{bench.key}:proxy:{proxy.id}", "rr")  # as if never selected
        bench.client.hdel(bench.key, "rr")
        bench.storage.add_proxies_bulk(bench.storage.list_proxies(bench.pool.id))
    assert looks[0] == looks[1]


def views(bench: Bench) -> dict[str, Any]:
    return {name: bench.get("view", name) for name in bench.get("views")}


def test_fewer_than_asked_for(bench: Bench) -> None:
    reply = batch(bench, 5)
    assert reply[0] == -1 and proxies_of(reply) == [bench.id(0), bench.id(1)]
    reply = batch(bench, 5, distinct="")
    assert reply[0] == -1 and proxies_of(reply) == [bench.id(1)] and reply[2][8] == 2
    with bench.unchanged():
        assert batch(bench, 3) == batch(bench, 3, distinct="") == [-1, ""]


def test_each_once_or_the_best_each_time(bench: Bench) -> None:
    bench.storage.save_proxy(bench.proxies[0].model_copy(update={"max_concurrency": None}))
    assert proxies_of(batch(bench, 3, distinct="")) == [bench.id(0)] * 3
    assert proxies_of(batch(bench, 3)) == [bench.id(0), bench.id(1)]
    assert proxies_of(batch(bench, 2, taken=bench.id(0))) == [bench.id(1)]
    with bench.unchanged():
        assert batch(bench, 2, taken=f"{bench.id(1)} {bench.id(0)}") == [-1, ""]
    # For who may have one twice it does not matter which were taken.
    assert proxies_of(batch(bench, 1, taken=bench.id(0), distinct="")) == [bench.id(0)]


@pytest.mark.parametrize("selector", "fu")
@pytest.mark.parametrize("skipped", [ONE_PAGE, ONE_PAGE + 1, 2 * ONE_PAGE])
def test_pages_of_taken_ones_are_passed_over(bench: Bench, selector: str, skipped: int) -> None:
    """A hundred and more that have room and stand in front of what is left."""
    more = make_proxies(bench.pool, skipped + 1, max_concurrency=None)
    bench.storage.add_proxies_bulk(more)
    while bench.acquire(selector=selector)[0] == "again":
        pass
    for lease in bench.storage.list_leases():
        bench.storage.release_lease(lease)
    order = [
        p
        for p, score in sorted(
            bench.get("view", f"{selector}0").items(), key=lambda each: (each[1], each[0])
        )
        if score < float("inf")
    ]
    reply = batch(bench, 100, selector=selector, taken=" ".join(order[:skipped]))
    assert reply[0] == -1 and proxies_of(reply) == order[skipped:]


def test_sent_twice_it_leases_once(bench: Bench) -> None:
    ids = ids_for(bench, 2)
    args = batch_args(bench)
    first = bench.call("acquire_many", *ids, **args)
    with bench.unchanged():
        again = bench.call("acquire_many", *ids, **args)
        assert again[2:] == [[*row[:8], 1] for row in first[2:]] == first[2:]
        # The ids decide, whatever else changed.
        other = bench.call("acquire_many", *ids, **{**args, "duration_ms": 5, "selector": "u"})
        assert other == again


def test_some_are_known(bench: Bench) -> None:
    """The rest is not granted: the first call came to its end with those. Who asks goes on."""
    ids = ids_for(bench, 3)
    first = batch(bench, ids[1:2])
    assert len(first) == 3
    with bench.unchanged():
        reply = batch(bench, ids)
    assert reply[:2] == [0, ""] and reply[2:] == first[2:], "there may be more, for new ids"


def test_known_leases_that_ended_are_told_as_ended(bench: Bench) -> None:
    ids = ids_for(bench, 2)
    first = batch(bench, ids)
    bench.release(ids[0], 0)
    bench.storage.delete_proxy(bench.id(1))
    with bench.unchanged():
        one, two = batch(bench, ids)[2:]
    assert one[:3] == first[2][:3] and one[3] >= one[1] and one[8] == 0
    assert two[3] != "" and two[6:] == [None, None, 0]


def test_refusals(bench: Bench) -> None:
    taken = bench.lease(1)
    good = bench.lease_id()
    for error, change in [
        ("PHAROX_POOL", {"pool_name": "other"}),
        ("PHAROX_POOL", {"key": bench.keys.pool(uuid4())}),
        ("PHAROX_ARGUMENT", {"duration_ms": 0}),
        ("PHAROX_ARGUMENT", {"duration_ms": 315_576_000_001}),
        ("PHAROX_ARGUMENT", {"retention_ms": -1}),
        ("PHAROX_ARGUMENT", {"selector": "x"}),
        ("PHAROX_ARGUMENT", {"consumer": "a b"}),
        ("PHAROX_ARGUMENT", {"limits": "1 2"}),
        ("PHAROX_ARGUMENT", {"from": "x"}),
        ("PHAROX_ARGUMENT", {"digest": "a b"}),
        ("PHAROX_ARGUMENT", {"token": "a:b"}),
        *(("PHAROX_ARGUMENT", {"digest": "d", "program": program}) for program in UNREADABLE),
    ]:
        bench.refused(error, "acquire_many", good, **{**batch_args(bench), **change})
    args = batch_args(bench)
    for place in range(3):  # wherever it stands, the others are not granted
        ids = ids_for(bench, 2)
        foreign = [*ids[:place], str(uuid4()), *ids[place:]]
        assert foreign[place] in bench.refused("PHAROX_ARGUMENT", "acquire_many", *foreign, **args)
        somebodys = [*ids[:place], taken, *ids[place:]]
        theirs = {**args, "consumer": NOWHERE}
        message = bench.refused("PHAROX_LEASE_CONFLICT", "acquire_many", *somebodys, **theirs)
        assert message.endswith(taken)


@pytest.mark.parametrize("count", [0, 101, 150])
def test_a_hundred_at_most_and_one_at_least(bench: Bench, count: int) -> None:
    ids = ids_for(bench, count)
    bench.refused("PHAROX_ARGUMENT", "acquire_many", *ids, **batch_args(bench))


def test_a_hundred(bench: Bench) -> None:
    bench.storage.save_proxy(bench.proxies[0].model_copy(update={"max_concurrency": None}))
    reply = batch(bench, 100, distinct="")
    assert len({row[0] for row in reply[2:]}) == len(reply) - 2 == 100
    assert len(bench.get("held", bench.id())) == 100


def test_an_id_twice(bench: Bench) -> None:
    """Granted twice, its first hold would be nobody's."""
    one, two = ids_for(bench, 2)
    bench.refused("PHAROX_ARGUMENT", "acquire_many", one, two, one, **batch_args(bench))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_void_id(bench: Bench, place: int) -> None:
    """Who asked has given up: none of the others is granted either."""
    ids = ids_for(bench, 3)
    void(bench, ids[place])
    message = bench.refused("PHAROX_LEASE_CONFLICT", "acquire_many", *ids, **batch_args(bench))
    assert message.endswith(ids[place])


@pytest.mark.parametrize("place", [0, 1])
def test_a_corrupt_record(bench: Bench, place: int) -> None:
    ids = ids_for(bench, 2)
    batch(bench, ids)
    key = bench.keys.lease(bench.pool.id, ids[place])
    record = bench.client.get(key)
    bench.client.set(key, "rubbish")
    message = bench.refused("PHAROX_CORRUPT", "acquire_many", *ids, **batch_args(bench))
    assert message == f"PHAROX_CORRUPT lease:{ids[place]}"
    bench.client.set(key, record or b"", px=60_000)


def test_what_is_over_is_swept_first(bench: Bench) -> None:
    """All of it, and not the first eight only: what came free last may be the best."""
    others = make_proxies(bench.pool, 20)
    bench.storage.add_proxies_bulk(others)
    bench.proxies += others
    rows = until_told(bench, 22)
    assert [row[5] for row in rows] == [bench.id(n) for n in range(23) if n != 2]
    for number, row in enumerate(rows):
        bench.end(row[0], number + (number > 1), ago_ms=1000 + 10 * number)
    reply = batch(bench, 3)
    assert proxies_of(reply) == [bench.id(0), bench.id(1), bench.id(3)]
    assert len(bench.get("expiry")) == 3


@pytest.mark.parametrize("program", UNREADABLE[:3])
def test_an_unreadable_program_costs_its_caller_no_claim(bench: Bench, program: str) -> None:
    bench.find(token="caller-1")
    args = batch_args(bench, token="caller-1", digest="d", program=program)
    bench.refused("PHAROX_ARGUMENT", "acquire_many", bench.lease_id(), **args)
    assert "!caller-1" in bench.get("held", bench.id(0))


def test_the_callers_own_claim_is_let_go(bench: Bench) -> None:
    bench.find(token="caller-1")
    bench.find(token="caller-2")
    assert proxies_of(batch(bench, 3, token="caller-1")) == [bench.id(0), bench.id(1)]
    assert all("!caller-1" not in (bench.get("held", bench.id(n)) or ()) for n in range(3))
    assert "!caller-2" in bench.get("held", bench.id(1))


def test_known_ids_let_no_claim_go(bench: Bench) -> None:
    ids = ids_for(bench, 1)
    batch(bench, ids)
    bench.find(token="caller-1")
    with bench.unchanged():
        assert batch(bench, ids, token="caller-1")[2][0] == ids[0]
