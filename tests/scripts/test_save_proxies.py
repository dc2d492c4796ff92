"""save_proxies.lua: raw keys before and after."""

from __future__ import annotations

from uuid import uuid4

from tests.scripts.raw import GERMAN, NOWHERE, Bench, item, question
from tests.support.builders import make_proxy


def enter(bench: Bench, *proxies: str) -> None:
    """What the flow does first: the directory entries."""
    tag = bench.key.rsplit("{", 1)[1][:-1]
    for proxy in proxies:
        bench.client.hset(bench.keys.directory(proxy), proxy, tag)


def test_a_new_proxy_is_written_whole(bench: Bench) -> None:
    proxy = make_proxy(bench.pool, country="IT")
    enter(bench, str(proxy.id))
    before, id = bench.snapshot(), str(proxy.id)
    columns = item(proxy, longitude="1.5", latitude="-2.5", asn="7", source="s", city="c", isp="i")
    assert bench.call("save_proxies", *columns, chunk_us=100_000) == [1, []]
    changes = bench.changes(before)
    assert changes == {
        "": (changes[""][0], {**changes[""][0], "seq": "4"}),
        "proxies": (changes["proxies"][0], {**changes["proxies"][0], id: 4}),
        f"proxy:{id}": (
            None,
            {
                "rev": "1", "seq": "4", "chk": "1000", "so": "s", "co": "IT", "ci": "c",
                "is": "i", "as": "7", "la": "-2.5", "lo": "1.5", "st": "active", "max": "1",
                "views": "f0",
            },
        ),
        f"doc:{id}": (None, columns[12]),
        "view:f0": (changes["view:f0"][0], {**changes["view:f0"][0], id: 4}),
    }  # fmt: skip


def test_live_state_is_never_touched(bench: Bench) -> None:
    lease_id, id = bench.lease(), bench.id()
    bench.call(
        "add_health", proxy_id=id, record_id="r", document="{}", latency=7, bound=5, status="",
        checked_us="",
    )  # fmt: skip
    before = bench.snapshot()
    columns = item(bench.proxies[0], "1", city="Rom", max="3", status="slow")
    assert bench.call("save_proxies", *columns, chunk_us=100_000) == [1, []]
    changes = bench.changes(before)
    assert set(changes) == {f"proxy:{id}", f"doc:{id}", "idle"}
    old, new = changes[f"proxy:{id}"]
    assert new == {**old, "ci": "Rom", "max": "3", "st": "slow", "rev": "2", "chk": "1000"}
    assert lease_id in bench.get("held", id) and new["ms"] == "7"


def test_an_empty_column_removes_the_field(bench: Bench) -> None:
    columns = item(bench.proxies[0], "1", country="", max="")
    bench.call("save_proxies", *columns, chunk_us=100_000)
    stored = bench.get("proxy", bench.id())
    assert not {"co", "ci", "max"} & set(stored)


def test_views_follow_the_fields(bench: Bench) -> None:
    bench.find(claim_ms=0, **question(GERMAN, hints="s"))
    bench.find(claim_ms=0, **question(GERMAN))
    assert set(bench.get("view", "f1")) == {"~", bench.id(0), bench.id(2)}
    bench.call("save_proxies", *item(bench.proxies[0], "1", country="FR"), chunk_us=100_000)
    assert set(bench.get("view", "f1")) == {"~", bench.id(2)}
    assert bench.get("proxy", bench.id(0))["views"] == "f0"
    bench.call("save_proxies", *item(bench.proxies[1], "1", country="DE"), chunk_us=100_000)
    assert set(bench.get("view", "f1")) == {"~", bench.id(1), bench.id(2)}


def test_a_stale_revision_is_left_alone(bench: Bench) -> None:
    new = make_proxy(bench.pool)
    with bench.unchanged():
        reply = bench.call(
            "save_proxies",
            *item(bench.proxies[0], "7"),
            *item(bench.proxies[1], ""),
            *item(new, "1"),
            chunk_us=100_000,
        )
    assert reply == [3, [[0, "stale"], [1, "stale"], [2, "stale"]]]


def test_sent_twice_the_second_is_stale(bench: Bench) -> None:
    columns = item(bench.proxies[0], "1")
    assert bench.call("save_proxies", *columns, chunk_us=100_000) == [1, []]
    with bench.unchanged():
        assert bench.call("save_proxies", *columns, chunk_us=100_000) == [1, [[0, "stale"]]]


def test_a_hidden_proxy_says_gone(bench: Bench) -> None:
    bench.call("hide_proxy", proxy_id=bench.id())
    with bench.unchanged():
        reply = bench.call("save_proxies", *item(bench.proxies[0], ""), chunk_us=100_000)
    assert reply == [1, [[0, "gone"]]]


def test_it_stops_itself(bench: Bench) -> None:
    proxies = [make_proxy(bench.pool) for _ in range(3)]
    enter(bench, *(str(proxy.id) for proxy in proxies))
    columns = [column for proxy in proxies for column in item(proxy)]
    assert bench.call("save_proxies", *columns, chunk_us=0) == [1, []]
    assert len(bench.get("proxies")) == 4


def test_nothing_to_do(bench: Bench) -> None:
    with bench.unchanged():
        assert bench.call("save_proxies", chunk_us=1) == [0, []]


def test_all_is_checked_before_the_first_write(bench: Bench) -> None:
    good = item(bench.proxies[0], "1", city="changed")
    for change in (
        {"status": "unknown"},
        {"status": ""},
        {"status": "ACTIVE"},
        {"max": "-1"},
        {"max": "1.5"},
        {"max": "x"},
        {"checked": ""},
        {"checked": "x"},
        {"checked": "1.5"},
    ):
        bad = item(bench.proxies[1], "1", **change)
        message = bench.refused("PHAROX_ARGUMENT", "save_proxies", *good, *bad, chunk_us=1000)
        assert message.endswith(bench.id(1))
    for chunk_us in ("", "-1", "x", "1.5"):
        bench.refused("PHAROX_ARGUMENT", "save_proxies", *good, chunk_us=chunk_us)
    bench.refused("PHAROX_ARGUMENT", "save_proxies", *good[:-1], chunk_us=1000)
    bench.refused("PHAROX_ARGUMENT", "save_proxies", NOWHERE, chunk_us=1000)
    other = bench.keys.pool(uuid4())
    bench.refused("PHAROX_POOL", "save_proxies", *good, chunk_us=1000, key=other)


def test_a_status_after_a_plus_is_for_new_ones(bench: Bench) -> None:
    """Known ones keep theirs, but for those that retiring made inactive."""
    fresh, known, slow = make_proxy(bench.pool), bench.proxies[1], bench.proxies[2]
    enter(bench, str(fresh.id))
    bench.call("set_status", proxy_id=str(slow.id), status="inactive")
    bench.lease()
    assert bench.call("retire_proxy", proxy_id=bench.id(), only="") == "retired"
    for proxy, status in (
        (fresh, "active"),
        (known, "active"),
        (slow, "inactive"),
        (bench.proxies[0], "active"),
    ):
        revision = (bench.get("proxy", str(proxy.id)) or {}).get("rev", "")
        columns = item(proxy, revision, status="+active", city="Rom")
        assert bench.call("save_proxies", *columns, chunk_us=100_000) == [1, []]
        stored = bench.get("proxy", str(proxy.id))
        assert (stored["st"], stored["ci"]) == (status, "Rom")
    assert set(bench.get("idle")) == {str(slow.id)}
    assert not bench.get("retired")
