"""purge_pool.lua: raw keys before and after."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.scripts.raw import GERMAN, NOWHERE, Bench, question


def purge(bench: Bench, *ids: str, final: str = "", chunk_us: Any = 100_000, **more: Any) -> Any:
    return bench.call("purge_pool", *ids, chunk_us=chunk_us, final=final, **more)


def every(bench: Bench) -> list[str]:
    return [bench.id(number) for number in range(3)]


def own(bench: Bench) -> set[str]:
    """What there is of the pool, the prefix cut off."""
    keys = bench.snapshot()
    return {key.removeprefix(bench.key) for key in keys if key.startswith(bench.key)}


def fill(bench: Bench) -> None:
    bench.lease(1)
    bench.lease(1, consumer=str(uuid4()))
    bench.find()
    bench.find(token="other", **question(GERMAN, hints="s"))
    bench.call("hide_proxy", proxy_id=bench.id(2))
    bench.call(
        "add_health", proxy_id=bench.id(), record_id="r", document="{}", latency=7, bound=5,
        status="", checked_us="",
    )  # fmt: skip


def test_a_pool_that_is_not_hidden_is_left_alone(bench: Bench) -> None:
    fill(bench)
    with bench.unchanged():
        for final in ("", "1"):
            assert purge(bench, *every(bench), final=final) == 1
            assert purge(bench, final=final, chunk_us=1, key=bench.keys.pool(uuid4())) == 1


def test_all_of_it_goes(bench: Bench) -> None:
    fill(bench)
    bench.call("hide_pool")
    for proxy in every(bench):
        bench.client.hdel(bench.keys.directory(proxy), proxy)
    bench.client.hdel(bench.keys.pools(), "pool")
    assert purge(bench, *every(bench), final="1") == 1
    assert bench.snapshot() == {}
    assert purge(bench, final="1") == 1
    assert bench.snapshot() == {}


def test_its_own_key_stays_until_the_last_call(bench: Bench) -> None:
    fill(bench)
    bench.call("hide_pool")
    hidden = bench.get()
    assert purge(bench, *every(bench)) == 1
    assert bench.get() == {name: hidden[name] for name in hidden if not name.startswith("v:")}
    assert own(bench) == {""}
    with bench.unchanged():
        assert purge(bench) == 1
    assert purge(bench, final="1") == 1
    assert own(bench) == set()
    with bench.unchanged():
        assert purge(bench, final="1") == 1


def test_the_last_call_removes_nothing_too_soon(bench: Bench) -> None:
    bench.call("hide_pool")
    for left in (every(bench)[:1], every(bench)[1:2]):
        assert purge(bench, *left, final="1") == 0
        assert bench.get()["deleting"] == "pool"
    assert purge(bench, bench.id(2), final="1") == 1
    assert own(bench) == set()


def test_ended_leases_stay_readable_keys_with_a_ttl(bench: Bench) -> None:
    ended = bench.lease()
    bench.release(ended, retention_ms=9000)
    bench.lease(1)
    bench.call("hide_pool")
    assert purge(bench, *every(bench), final="1") == 1
    assert own(bench) == {f":lease:{ended}", f":leases:{bench.consumer}"}
    assert 0 < bench.ttl("leases", bench.consumer) <= 9000


@pytest.mark.parametrize("final", ["", "1"])
def test_it_stops_itself(bench: Bench, final: str) -> None:
    bench.call("hide_pool")
    replies = [
        purge(bench, *(bench.get("proxies") or ()), chunk_us=0, final=final) for _ in range(9)
    ]
    assert replies == [0, 0, 0, *[1] * 6]
    assert (bench.get() is None) == (final == "1")


def test_leases_go_fifty_at_a_time(bench: Bench) -> None:
    bench.storage.save_proxy(bench.proxies[1].model_copy(update={"max_concurrency": None}))
    for _ in range(120):
        bench.lease(1)
    bench.call("hide_pool")
    left = []
    for _ in range(3):
        assert purge(bench, chunk_us=0) == 0
        left.append(len(bench.get("expiry") or ()))
    assert left == [70, 20, 0]
    assert not [key for key in own(bench) if key.startswith((":lease:", ":leases:"))]


def test_proxies_not_named_keep_the_pool(bench: Bench) -> None:
    bench.call("hide_pool")
    assert purge(bench, bench.id(0)) == 0
    assert set(bench.get("proxies")) == {bench.id(1), bench.id(2)}
    assert bench.get()["deleting"] == "pool"


def test_hidden_proxies_and_fences_not_named_keep_the_pool(bench: Bench) -> None:
    bench.call("hide_proxy", proxy_id=bench.id(2))
    bench.call("fence_proxy", proxy_id=NOWHERE)
    bench.call("hide_pool")
    assert purge(bench, bench.id(0), bench.id(1), final="1") == 0
    assert bench.get("gone") == {bench.id(2), NOWHERE}
    assert purge(bench, bench.id(2), NOWHERE, final="1") == 1
    assert own(bench) == set()


def test_refusals(bench: Bench) -> None:
    bench.call("hide_pool")
    for bad in ("", "x", "-1", "1.5"):
        for final in ("", "1"):
            bench.refused("PHAROX_ARGUMENT", "purge_pool", bench.id(), chunk_us=bad, final=final)
