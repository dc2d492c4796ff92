"""list_proxies.lua: pages and replies; it writes nothing."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.scripts.raw import Bench, raw_fields


def ask(bench: Bench, after: Any = 0, limit: Any = 100) -> Any:
    with bench.unchanged():
        return bench.call("list_proxies", after=after, limit=limit)


def test_all_in_insertion_order(bench: Bench) -> None:
    bench.lease(0)
    after, *rows = ask(bench)
    assert after == "" and [row[0] for row in rows] == [bench.id(n) for n in range(3)]
    for row in rows:
        fields = raw_fields(**bench.get("proxy", row[0]))
        assert row[1:3] == [bench.get("doc", row[0]), fields]
    assert [row[3] for row in rows] == [1, 0, 0]


def test_pages(bench: Bench) -> None:
    assert ask(bench, limit=2)[0] == "2"
    after, *rows = ask(bench, after=2, limit=2)
    assert after == "" and [row[0] for row in rows] == [bench.id(2)]
    assert ask(bench, limit=3)[0] == "3"
    assert ask(bench, after=3) == [""]
    assert ask(bench, after="9" * 30) == [""]


def test_a_hidden_proxy_is_not_listed(bench: Bench) -> None:
    bench.call("hide_proxy", proxy_id=bench.id(1))
    assert [row[0] for row in ask(bench)[1:]] == [bench.id(0), bench.id(2)]


def test_refusals(bench: Bench) -> None:
    for bad in ("0", "501", "", "x", "-1"):
        bench.refused("PHAROX_ARGUMENT", "list_proxies", after=0, limit=bad)
    for bad in ("", "-1", "x", "1.5", "(1"):
        bench.refused("PHAROX_ARGUMENT", "list_proxies", after=bad, limit=1)
    bench.refused("PHAROX_POOL", "list_proxies", after=0, limit=1, key=bench.keys.pool(uuid4()))
