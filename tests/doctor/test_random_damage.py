"""Whatever of what derives is damaged, and however much of it at once, a repair makes it whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from pharox_redis.drivers import text
from tests.doctor.damages import ELSEWHERE
from tests.doctor.world import World, examine, kinds, told
from tests.support.invariants import check_invariants

# What can be made again from the rest. Not `gone` and `retired`: those are decisions.
SORTED = ("proxies", "used", "expiry", "claims", "held", "view", "leases")
SETS = ("extra", "idle", "reserved")
POOL_FIELDS = ("seq", "rr", "got", "v:")
PROXY_FIELDS = ("seq", "rev", "rr", "ms", "views", "claim")
SCORES = (0, 1, -1, 3.5, 2**53, 4e12, float("inf"), float("-inf"))
JUNK = ("", "x", "-1", "1.5", "9" * 20, "f0", "f99 *", " ", "a b c")
MEMBERS = ("x", "x:y", ":", "!", "~", "p:", "t", ELSEWHERE, f"{ELSEWHERE}:2", f"!t:{ELSEWHERE}")

Step = tuple[int, int, str, Any]
steps = st.lists(
    st.tuples(
        st.integers(0, 10_000),
        st.integers(0, 10_000),
        st.sampled_from(("drop", "drop one", "alter", "add", "expire")),
        st.tuples(st.sampled_from(SCORES), st.sampled_from(JUNK), st.sampled_from(MEMBERS)),
    ),
    min_size=1,
    max_size=12,
)


def name_of(world: World, key: str) -> str:
    return key.removeprefix(world.key).lstrip(":").split(":")[0]


def damage(world: World, step: Step) -> None:
    """Do one raw thing to one raw key of those that are there now."""
    which, what, action, (score, junk, member) = step
    client = world.client
    keys = sorted(text(key) for key in client.scan_iter(match=f"{world.key}*", count=1000))
    wanted = [key for key in keys if name_of(world, key) in (*SORTED, *SETS, "", "proxy", "views")]
    key = wanted[which % len(wanted)]
    name = name_of(world, key)
    if name in ("", "proxy"):
        chosen = POOL_FIELDS if name == "" else PROXY_FIELDS
        fields = [each for each in text(client.hkeys(key)) if each.startswith(chosen)]
        fields = [each for each in fields if each.startswith("v:") or each in chosen]
        if fields:
            field = sorted(fields)[what % len(fields)]
            client.hset(key, field, junk) if action == "alter" else client.hdel(key, field)
        return
    if action == "drop":
        client.unlink(key)
    elif action == "expire":
        client.expire(key, 9000)
    elif name in SETS:
        if action == "add":
            client.sadd(key, member)
        else:
            client.srem(key, sorted(client.smembers(key))[what % client.scard(key)])
    elif name == "views":
        field = sorted(client.hkeys(key))[what % client.hlen(key)]
        client.hset(key, field, junk) if action == "alter" else client.hdel(key, field)
    elif action == "add":
        client.zadd(key, {member: score})
    else:
        rank = what % client.zcard(key)
        (chosen_member,) = client.zrange(key, rank, rank)
        if action == "alter":
            client.zadd(key, {chosen_member: score})
        else:
            client.zrem(key, chosen_member)


def is_made_whole(world: World, put_back: Callable[[], None], planted: list[Step]) -> None:
    put_back()
    leases = {lease.id for lease in world.storage.list_leases()}
    note(repr(planted))
    for step in planted:
        damage(world, step)
    mended = examine(world.storage, repair=True)
    assert mended.standing == 0, told(mended)
    check_invariants(world.storage)
    again = examine(world.storage)
    assert kinds(again) == set(), told(again)
    assert {lease.id for lease in world.storage.list_leases()} == leases, "a live lease is lost"


# Shrinking takes minutes here: a failure shows what was planted as it is.
quickly = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@quickly
@given(planted=steps)
def test_random_damage(world: World, put_back: Callable[[], None], planted: list[Step]) -> None:
    is_made_whole(world, put_back, planted)


@pytest.mark.slow
@settings(quickly, max_examples=3000)
@given(planted=steps)
def test_much_random_damage(
    world: World, put_back: Callable[[], None], planted: list[Step]
) -> None:
    is_made_whole(world, put_back, planted)
