"""candidates.lua: pages, replies, what it must not change."""

from __future__ import annotations

from typing import Any

import pytest
from pharox.models import ProxyFilters

from tests.scripts.raw import GERMAN, UNREADABLE, Bench, question, raw_fields
from tests.support.builders import make_proxies


def ask(bench: Bench, filters: ProxyFilters | None = None, **changes: Any) -> Any:
    asked = question(filters)
    del asked["hints"]
    args: dict[str, Any] = {"pool_name": "pool", "token": "caller-1", **asked, "wanted": 10}
    return bench.call("candidates", **{**args, **changes})


def refused(bench: Bench, error: str, **changes: Any) -> None:
    asked = question()
    del asked["hints"]
    args: dict[str, Any] = {"pool_name": "pool", "token": "", **asked, "wanted": 10}
    bench.refused(error, "candidates", **{**args, **changes})


def test_a_page(bench: Bench) -> None:
    with bench.unchanged():
        kind, origin, *rows = ask(bench)
    assert (kind, origin) == ("page", "")
    assert [row[0] for row in rows] == [bench.id(0), bench.id(1)]  # 2 is not active
    for proxy_id, document, fields, leases in rows:
        assert document == bench.get("doc", proxy_id)
        assert fields == raw_fields(**bench.get("proxy", proxy_id)) and leases == 0


def test_pages_go_on_behind_the_last_seen(bench: Bench) -> None:
    bench.storage.add_proxies_bulk(make_proxies(bench.pool, 5, country="DE"))
    seen: list[str] = []
    origin, pages = "", 0
    while pages == 0 or origin:
        _, origin, *rows = ask(bench, GERMAN, wanted=2, **{"from": origin})
        seen += [row[0] for row in rows]
        pages += 1
    assert len(seen) == len(set(seen)) == 6 and pages >= 3
    scores = bench.get("view", "f0")
    assert seen == sorted(seen, key=lambda id: scores[id])


def test_the_callers_own_claim_does_not_hide_a_proxy(bench: Bench) -> None:
    bench.find()
    assert [row[0] for row in ask(bench, token="caller-2")[2:]] == [bench.id(1)]
    assert [row[0] for row in ask(bench)[2:]] == [bench.id(0), bench.id(1)]
    assert bench.get("claims") is None and bench.get("held", bench.id()) is None


def test_what_is_over_is_swept(bench: Bench) -> None:
    lease_id = bench.lease()
    bench.end(lease_id)
    assert [row[0] for row in ask(bench)[2:]] == [bench.id(0), bench.id(1)]


def test_a_view_is_made_first(bench: Bench) -> None:
    reply = ask(bench, selector="u")
    for _ in range(5):
        if reply[0] == "page":
            break
        assert reply[0] == "again" and isinstance(reply[1], int) and reply[2] == ""
        reply = ask(bench, selector="u")
    assert {row[0] for row in reply[2:]} == {bench.id(0), bench.id(1)}
    assert bench.get()["v:u:"] == "u0 *"


def test_a_lost_view_is_filled_again(bench: Bench) -> None:
    bench.client.unlink(f"{bench.key}:view:f0")
    reply = ask(bench)
    for _ in range(5):
        if reply[0] == "page":
            break
        reply = ask(bench)
    assert [row[0] for row in reply[2:]] == [bench.id(0), bench.id(1)]


@pytest.mark.parametrize("wanted", ["0", "501", "", "x", "-1", "1.5", "nan"])
def test_bad_page_sizes(bench: Bench, wanted: str) -> None:
    refused(bench, "PHAROX_ARGUMENT", wanted=wanted)


@pytest.mark.parametrize("program", UNREADABLE)
def test_a_program_that_cannot_be_read(bench: Bench, program: str) -> None:
    for selector in "furl":
        refused(bench, "PHAROX_ARGUMENT", selector=selector, digest="d", program=program)


def test_refusals(bench: Bench) -> None:
    refused(bench, "PHAROX_POOL", pool_name="other")
    refused(bench, "PHAROX_ARGUMENT", token="a:b")
    refused(bench, "PHAROX_ARGUMENT", selector="x")
    refused(bench, "PHAROX_ARGUMENT", limits="1")
    refused(bench, "PHAROX_ARGUMENT", **{"from": "x"})
