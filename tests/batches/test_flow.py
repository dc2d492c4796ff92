"""The flows of batches without any Redis: the replies are made up."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from pharox.models import Lease, ProxyFilters

from pharox_redis import NotReplicatedError, new_lease_id
from pharox_redis.errors import PoolMismatchError, StorageError, StorageUnavailableError
from pharox_redis.flows import Context, OnMaster, Pause, batches
from pharox_redis.flows.base import BREATH, Command
from pharox_redis.keys import lease_tail, pool_tag
from pharox_redis.scripts import Call
from tests.units.playing import CONSUMER, DOC, OTHER, POOL, PROXY, Play, fields, make_context

RECORD = f"{PROXY} {CONSUMER} 1000 61000"


@pytest.fixture
def ctx() -> Context:
    return make_context()


def taking(ctx: Context, count: int, **changes: Any) -> Play:
    args: dict[str, Any] = {
        "pool_name": "pool",
        "consumer_name": "consumer",
        "duration_seconds": 60,
        "count": count,
        "filters": None,
        "selector": None,
        "distinct": True,
    }
    return Play(batches.acquire_many(ctx, **{**args, **changes}))


def ids_of(step: Any) -> list[str]:
    """What a call is about, besides its named arguments."""
    assert isinstance(step, Call)
    return [str(value) for value in step.args[len(step.script.argv) :]]


def row(lease_id: str, released: Any = "", proxy: str = PROXY) -> list[Any]:
    return [lease_id, 1000, 61_000, released, CONSUMER, proxy, DOC, fields(), 1]


def taken_back(step: Any) -> list[str]:
    """The ids of calls that take leases back."""
    calls = step if isinstance(step, list) else [step]
    for call in calls:
        assert call.script.name == "release"
        assert dict(zip(call.script.argv, call.args, strict=True))["void"] == "1"
    return [str(call.args[0]) for call in calls]


def test_a_batch_is_one_step(ctx: Context) -> None:
    play = taking(ctx, 3)
    play.calls("acquire_many", distinct="1", taken="", consumer=CONSUMER, **{"from": ""})
    ids = ids_of(play.step)
    assert len(set(ids)) == 3
    assert [lease_tail(str(lease.id)) for lease in play.end([-1, "", *map(row, ids)])] == ids


def test_it_goes_on_for_what_is_left(ctx: Context) -> None:
    play = taking(ctx, 103)
    first = ids_of(play.step)
    assert len(first) == 100
    play.reply([0, "", *map(row, first[:98])])
    assert play.step == BREATH
    play.reply(None)
    second = ids_of(play.step)
    assert len(second) == 5 and not set(first) & set(second)
    play.calls("acquire_many", taken=" ".join([PROXY] * 98))
    assert play.reply([2500, "7 x", row(second[0])]) == Pause(0.0025)
    play.reply(None)
    play.calls("acquire_many", **{"from": "7 x"})
    third = ids_of(play.step)
    assert len(third) == 4
    leases = play.end([-1, "", *map(row, third[:2])])
    assert [lease_tail(str(lease.id)) for lease in leases] == [*first[:98], second[0], *third[:2]]


def test_those_that_are_not_distinct_name_none(ctx: Context) -> None:
    play = taking(ctx, 2, distinct=False)
    play.reply([0, "", row(ids_of(play.step)[0])])
    play.calls("acquire_many", distinct="", taken="")


def test_known_ones_are_not_all_there_are(ctx: Context) -> None:
    """A command that was sent again tells what its first try granted; that may have been cut off
    by its chunk."""
    play = taking(ctx, 4)
    ids = ids_of(play.step)
    play.reply([0, "", row(ids[0]), row(ids[1], 5000)])
    again = ids_of(play.step)
    assert len(again) == 2
    assert len(play.end([-1, ""])) == 2


@pytest.mark.parametrize("error", [StorageUnavailableError("away"), PoolMismatchError("gone")])
def test_what_it_has_outlives_an_error(ctx: Context, error: StorageError) -> None:
    play = taking(ctx, 2)
    ids = ids_of(play.step)
    play.reply([0, "", row(ids[0])])
    with pytest.raises(StopIteration) as stop:
        play.fail(error)
    assert [lease_tail(str(lease.id)) for lease in stop.value.value] == ids[:1]


def test_an_error_at_once_is_raised(ctx: Context) -> None:
    play = taking(ctx, 2)
    play.reply([0, ""])
    with pytest.raises(StorageUnavailableError):
        play.fail(StorageUnavailableError("away"))


def test_a_stale_cache_is_refreshed_once(ctx: Context) -> None:
    play = taking(ctx, 2)
    play.fail(PoolMismatchError("other name"))
    assert play.step == Command(("HGET", ctx.keys.pools(), "pool"))
    play.reply(pool_tag(OTHER))
    assert play.step.key == ctx.keys.pool(OTHER)
    assert len(play.end([-1, "", *map(row, ids_of(play.step))])) == 2


def played(min_replicas: int, steps: int) -> tuple[Play, list[str]] | None:
    """A batch of sixty that takes three calls, some steps on, and what it has been granted."""
    play, granted = taking(make_context(min_replicas=min_replicas), 60), list[str]()
    for _ in range(steps):
        reply: Any = None
        if isinstance(play.step, Call):
            asked = ids_of(play.step)
            given = asked[: {60: 50, 10: 9, 1: 1}[len(asked)]]
            granted += given
            reply = [700, "", *map(row, given)]
        elif isinstance(play.step, OnMaster):
            reply = [RECORD] * (len(play.step.commands) - 1) + [1]
        try:
            play.reply(reply)
        except StopIteration:
            return None
    return play, granted


@pytest.mark.parametrize("min_replicas", [0, 1])
def test_interrupted_wherever_it_waits(min_replicas: int) -> None:
    """In a call, a breath, a pause, a wait for replicas: all it may have is taken back, once."""
    met: list[str] = []
    while (state := played(min_replicas, len(met))) is not None:
        play, granted = state
        met.append(type(play.step).__name__)
        may_have = granted + (ids_of(play.step) if isinstance(play.step, Call) else [])
        back = taken_back(play.interrupt())
        assert len(back) == len(set(back)) and set(back) >= set(may_have)
        play.ends_interrupted([[1, None]] * len(back))
    assert met.count("Call") == 3 and met.count("Pause") == 3
    assert met.count("OnMaster") == 3 * min_replicas


def test_one_whose_node_was_away_is_taken_back_by_itself(ctx: Context) -> None:
    play = taking(ctx, 2)
    ids = ids_of(play.step)
    assert taken_back(play.interrupt()) == ids
    play.reply([StorageUnavailableError("away"), [1, None]])
    assert taken_back(play.step) == ids[:1]
    play.ends_interrupted([1, None])


def test_replicas_confirm_all_at_once() -> None:
    ctx = make_context(min_replicas=1)
    play = taking(ctx, 2)
    ids = ids_of(play.step)
    play.reply([-1, "", *map(row, ids)])
    assert isinstance(play.step, OnMaster)
    assert [command.args[0] for command in play.step.commands] == ["GETEX", "GETEX", "WAIT"]
    assert len(play.end([RECORD, RECORD, 1])) == 2


@pytest.mark.parametrize("replies", [[RECORD, RECORD, 0], [None, RECORD, 1]])
@pytest.mark.parametrize("before", [0, 1])
def test_replicas_do_not_confirm(replies: list[Any], before: int) -> None:
    """The leases of that call are taken back; those of an earlier one are what there is."""
    play = taking(make_context(min_replicas=1), 2 + before)
    kept = ids_of(play.step)[:before]
    if before:
        play.reply([0, "", row(kept[0])])
        play.reply([RECORD, 1])
    ids = ids_of(play.step)[:2]
    play.reply([-1, "", *map(row, ids)])
    assert taken_back(play.reply(replies)) == ids
    if before:
        assert [lease_tail(str(lease.id)) for lease in play.end([[1, None]] * 2)] == kept
        return
    with pytest.raises(NotReplicatedError, match=rf"Lease \S+-{ids[0]} and 1 more"):
        play.reply([[1, None]] * 2)


def test_what_ended_meanwhile_needs_no_replica() -> None:
    play = taking(make_context(min_replicas=1), 1)
    (lease_id,) = ids_of(play.step)
    (lease,) = play.end([0, "", row(lease_id, 3000)])
    assert lease.released_at is not None


def test_by_a_predicate_interrupted(ctx: Context) -> None:
    """What it has is taken back with what it asks for."""
    play = taking(ctx, 2, filters=ProxyFilters(predicate=lambda proxy: True), distinct=False)
    play.calls("candidates")
    page = ["page", "", [PROXY, DOC, fields(), 0]]
    play.reply(page)
    first = play.step.args[1]
    play.reply(["lease", 1000, 61_000, "", CONSUMER, PROXY, DOC, fields(), 1, None])
    play.reply(page)
    second = play.step.args[1]
    assert taken_back(play.interrupt()) == [second]
    play.reply([0, None])
    assert taken_back(play.step) == [first]
    play.ends_interrupted([1, None])


# -- releases --------------------------------------------------------------------------------------


def held(pool: UUID | None = POOL, of: UUID = POOL) -> Lease:
    return Lease(
        id=new_lease_id(of),
        pool_id=pool,
        proxy_id=UUID(PROXY),
        consumer_id=UUID(CONSUMER),
        expires_at="2030-01-01T00:00:00Z",
    )


def releasing(ctx: Context, leases: list[Lease]) -> Play:
    return Play(batches.release_many(ctx, leases))


def test_nothing_to_release_takes_no_step(ctx: Context) -> None:
    with pytest.raises(StopIteration) as stop:
        next(batches.release_many(ctx, []))
    assert stop.value.value == 0


def test_what_a_chunk_was_too_short_for(ctx: Context) -> None:
    leases = [held() for _ in range(120)]
    play = releasing(ctx, leases)
    assert [len(ids_of(call)) for call in play.step] == [200, 40]
    play.reply([[1] * 80, [1] * 20])
    assert ids_of(play.step)[::2] == [lease_tail(str(lease.id)) for lease in leases[80:100]]
    play.reply([1] * 8)
    assert ids_of(play.step)[::2] == [lease_tail(str(lease.id)) for lease in leases[88:100]]
    assert play.end([0] * 12) == 108


def test_strays_cost_one_look_at_the_directory(ctx: Context) -> None:
    other, third = UUID(int=77), UUID(int=78)
    leases = [held(None), held(POOL, OTHER), held(None, other), held(None, third)]
    play = releasing(ctx, leases)
    assert play.step == Command(("HGETALL", ctx.keys.pools()))
    play.reply(["pool", pool_tag(POOL), "a", pool_tag(OTHER), "b", pool_tag(other)])
    keys = {call.key: ids_of(call)[0] for call in play.step}
    assert keys == {
        ctx.keys.pool(pool): lease_tail(str(lease.id))
        for pool, lease in zip((POOL, OTHER, other), leases, strict=False)
    }
    assert play.end([[1], [1], [0]]) == 2
    play = releasing(ctx, leases[:3])
    assert len(play.step) == 3, "now they are known"


def test_an_error_of_one_pool_comes_last(ctx: Context) -> None:
    play = releasing(ctx, [held(), held(OTHER, OTHER), held(OTHER, OTHER)])
    play.reply([StorageUnavailableError("away"), [1]])
    assert len(ids_of(play.step)) == 2, "the other pool's go on"
    with pytest.raises(StorageUnavailableError):
        play.reply([1])
