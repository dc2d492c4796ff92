"""Flows whose caller goes away, and leases that must not be given: what is still sent. The replies
are made up."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from pharox.exceptions import PoolNotFoundError, ProxyNotFoundError
from pharox.models import Proxy, ProxyFilters, ProxyProtocol

from pharox_redis import NotReplicatedError, StorageAccessError, new_lease_id
from pharox_redis.errors import PoolMismatchError, StorageError, StorageUnavailableError
from pharox_redis.flows import Context, Interrupted, OnMaster, Pause, leases, leasing
from pharox_redis.flows.base import (
    AT_ONCE,
    BREATH,
    Command,
    Flow,
    in_turns,
    to_the_end,
)
from pharox_redis.flows.confirming import confirm, take_back
from pharox_redis.keys import pool_tag
from pharox_redis.scripts import Call
from tests.units.playing import (
    CONSUMER,
    DOC,
    LEASE,
    POOL,
    PROXY,
    Play,
    acquire,
    fields,
    make_context,
)

MINUTE = 60_000
RECORD = f"{PROXY} {CONSUMER} 1000 61000"


def takes_back(play: Play, ctx: Context, pool: UUID, lease_id: str) -> None:
    """The flow releases a lease of which it does not know whether it was granted."""
    play.calls("release", lease_id=lease_id, proxy_id="", want_stats="", void="1")
    assert play.step.key == ctx.keys.pool(pool)


def sent_id(play: Play) -> str:
    """The lease id of the call that the flow waits for."""
    return str(dict(zip(play.step.script.argv, play.step.args, strict=False))["lease_id"])


# -- taking back -----------------------------------------------------------------------------------


def test_an_id_is_void_for_a_minute(ctx: Context) -> None:
    call = take_back(ctx.pool_ref(POOL), "x")
    sent = dict(zip(call.script.argv, call.args, strict=True))
    assert (sent["retention_ms"], sent["void"]) == (MINUTE, "1")


# -- replicas --------------------------------------------------------------------------------------


def confirming(own: bool = False, **settings: Any) -> tuple[Context, Play]:
    """A confirmation of the lease ``x`` that expires at 61 s, and its first step."""
    ctx = make_context(**{"min_replicas": 2, "replica_timeout": 0.25, **settings})
    play = Play(confirm(ctx, ctx.pool_ref(POOL), [("x", 61_000)], own))
    record = ctx.keys.lease(POOL, "x")
    assert play.step == OnMaster(
        ctx.keys.pool(POOL),
        (
            Command(("GETEX", record, "PXAT", 61_000 + ctx.retention_ms)),
            Command(("WAIT", 2, 250)),
        ),
    )
    return ctx, play


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("acknowledged", [2, 3])
def test_a_lease_that_enough_replicas_have(own: bool, acknowledged: int) -> None:
    for retention in (0, 60):
        _, play = confirming(own, lease_retention=retention)
        assert play.end([RECORD, acknowledged]) is None


AWAY = StorageUnavailableError("away")
UNCONFIRMED = {
    "too few": ([RECORD, 1], "1 of 2"),
    "none": ([RECORD, 0], "0 of 2"),
    "not there": ([None, 2], "no of 2"),  # the server asked is not the one that granted it
    "WAIT failed": ([RECORD, AWAY], "no of 2"),
    "GETEX failed": ([AWAY, 2], "no of 2"),
    "both failed": ([StorageError("moved"), AWAY], "no of 2"),
}


@pytest.mark.parametrize(("replies", "told"), UNCONFIRMED.values(), ids=UNCONFIRMED.keys())
def test_one_that_they_have_not_is_taken_back(replies: list[Any], told: str) -> None:
    ctx, play = confirming()
    play.reply(replies)
    takes_back(play, ctx, POOL, "x")
    with pytest.raises(NotReplicatedError, match=rf"Lease x .* {told} .* 0\.25 s") as raised:
        play.reply([1, None])
    assert isinstance(raised.value, StorageUnavailableError)


@pytest.mark.parametrize(("replies", "told"), UNCONFIRMED.values(), ids=UNCONFIRMED.keys())
def test_one_with_an_id_of_the_callers_own_stays(replies: list[Any], told: str) -> None:
    _, play = confirming(own=True)
    with pytest.raises(NotReplicatedError, match=told):
        play.reply(replies)


REFUSED = StorageAccessError("not for you")


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("replies", [[RECORD, REFUSED], [REFUSED, 2], [None, REFUSED]])
def test_who_may_not_wait_is_told_so(own: bool, replies: list[Any]) -> None:
    ctx, play = confirming(own)
    last: Any = replies
    if not own:
        play.reply(replies)
        takes_back(play, ctx, POOL, "x")
        last = [1, None]
    with pytest.raises(StorageAccessError, match="not for you"):
        play.reply(last)


def test_a_take_back_that_fails_says_what_failed() -> None:
    _, play = confirming()
    play.reply([RECORD, 0])
    with pytest.raises(StorageUnavailableError, match="away"):
        play.fail(AWAY)


def test_without_replicas_nobody_waits(ctx: Context) -> None:
    assert ctx.settings.min_replicas == 0
    assert acquire(ctx).end(LEASE).lease is not None
    assert creating(ctx).end(CREATED).pool_name == "pool"


@pytest.mark.parametrize("lease_id", [None, new_lease_id(POOL)])
def test_an_acquired_lease_is_given_once_it_is_confirmed(lease_id: UUID | None) -> None:
    play = acquire(make_context(min_replicas=1), lease_id=lease_id)
    made = sent_id(play)
    assert lease_id is None or made == str(lease_id)
    play.reply(LEASE)
    assert isinstance(play.step, OnMaster)
    look = play.step.commands[0].args
    assert made in str(look[1]) and look[3] == 61_000 + 60_000
    assert str(play.end([RECORD, 1]).lease.id) == made


def test_one_that_had_ended_is_not_confirmed() -> None:
    """Asked for by its own id again: there is nothing that a fail-over could lose."""
    play = acquire(make_context(min_replicas=1), lease_id=new_lease_id(POOL))
    assert play.end([*LEASE[:3], 2000, *LEASE[4:]]).lease.released_at is not None


@pytest.mark.parametrize("own", [False, True])
def test_an_acquired_lease_that_is_not_confirmed(own: bool) -> None:
    ctx = make_context(min_replicas=1)
    play = acquire(ctx, lease_id=new_lease_id(POOL) if own else None)
    made = sent_id(play)
    play.reply(LEASE)
    if own:
        with pytest.raises(NotReplicatedError, match=made):
            play.reply([RECORD, 0])
        return
    play.reply([RECORD, 0])
    takes_back(play, ctx, POOL, made)
    with pytest.raises(NotReplicatedError, match=made):
        play.reply([1, None])


def test_nothing_free_is_not_waited_for() -> None:
    assert acquire(make_context(min_replicas=1)).end(["none", None]).lease is None


def test_a_created_lease_is_given_once_it_is_confirmed() -> None:
    ctx = make_context(min_replicas=1)
    play = creating(ctx)
    made = sent_id(play)
    play.reply(CREATED)
    assert str(play.end([RECORD, 1]).id) == made
    play = creating(ctx)
    made = sent_id(play)
    play.reply(CREATED)
    play.reply([RECORD, 0])
    takes_back(play, ctx, POOL, made)
    with pytest.raises(NotReplicatedError, match=made):
        play.reply([1, None])


# -- acquire, interrupted --------------------------------------------------------------------------


def test_before_there_is_an_id_nothing_is_taken_back(ctx: Context) -> None:
    play = acquire(ctx, pool_name="other")
    assert play.step == Command(("HGET", ctx.keys.pools(), "other"))
    play.ends_interrupted(at_once=True)
    play = acquire(ctx, consumer_name="new")
    assert [step.args[0] for step in play.step] == ["HSETNX", "HGET"]
    play.ends_interrupted(at_once=True)
    play = acquire(ctx, filters=PICKY)
    play.calls("candidates")
    play.ends_interrupted(at_once=True)


PICKY = ProxyFilters(country="DE", predicate=lambda proxy: True)
PAGE = ["page", "", [PROXY, DOC, fields(co="DE"), 0]]
# What the flow was told before it was interrupted, once it had made an id.
STORIES: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "asking": ({}, []),
    "pausing": ({}, [["again", 2500, ""]]),
    "asking after a pause": ({}, [["again", 2500, ""], None]),
    "asking for a candidate": ({"filters": PICKY}, [PAGE]),
    "scanning once more": ({"filters": PICKY}, [PAGE, ["taken"]]),
    "waiting for replicas": ({}, [LEASE]),
    "taking back": ({}, [LEASE, [RECORD, 0]]),
}


@pytest.mark.parametrize(("args", "replies"), STORIES.values(), ids=STORIES.keys())
def test_an_acquire_takes_back_what_it_may_have_got(
    args: dict[str, Any], replies: list[Any]
) -> None:
    ctx = make_context(min_replicas=1)
    play = acquire(ctx, **args)
    steps = [play.step, *[play.reply(reply) for reply in replies]]
    made = {
        str(step.args[1])
        for step in steps
        if isinstance(step, Call) and step.script.name == "acquire"
    }
    assert len(made) == 1
    play.interrupt()
    takes_back(play, ctx, POOL, made.pop())
    play.ends_interrupted([1, None])


@pytest.mark.parametrize(
    "replies", [[], [["again", 0, ""]], [LEASE]], ids=["asking", "again", "waiting for replicas"]
)
def test_an_id_of_the_callers_own_is_not_taken_back(replies: list[Any]) -> None:
    """It may have been granted to somebody before."""
    ctx, own = make_context(min_replicas=1), new_lease_id(POOL)
    play = acquire(ctx, lease_id=own)
    for reply in replies:
        play.reply(reply)
    play.ends_interrupted(at_once=True)


def test_every_pool_that_was_asked_is_told(ctx: Context) -> None:
    other = uuid4()
    play = acquire(ctx)
    first = sent_id(play)
    play.fail(PoolMismatchError("no"))
    play.reply(pool_tag(other))
    second = sent_id(play)
    play.interrupt()
    takes_back(play, ctx, POOL, first)
    play.reply([0, None])
    takes_back(play, ctx, other, second)
    play.ends_interrupted([1, None])


def test_interrupted_once_more_it_ends(ctx: Context) -> None:
    play = acquire(ctx)
    play.interrupt()
    play.ends_interrupted(at_once=True)


def test_interrupted_when_the_lease_is_decided_nothing_is_taken_back(ctx: Context) -> None:
    """Figures are asked for when nothing was free: there is no lease."""
    play = acquire(ctx, want_stats=True)
    play.reply(["none", None])
    play.calls("stats")
    play.ends_interrupted(at_once=True)


def test_a_find_leaves_its_claim_to_lapse(ctx: Context) -> None:
    play = Play(leasing.find(ctx, "pool", None, None))
    play.calls("find")
    play.ends_interrupted(at_once=True)


# -- create_lease, interrupted ---------------------------------------------------------------------

CREATED = [1000, 61_000, "", CONSUMER, PROXY, "pool"]


def creating(ctx: Context, consumer: str = "consumer") -> Play:
    proxy = Proxy(id=UUID(PROXY), pool_id=POOL, host="h", port=1, protocol=ProxyProtocol.HTTP)
    return Play(leasing.create_lease(ctx, proxy, consumer, 60))


def test_a_create_takes_back_what_it_may_have_got(ctx: Context) -> None:
    play = creating(ctx)
    made = sent_id(play)
    play.interrupt()
    takes_back(play, ctx, POOL, made)
    play.ends_interrupted([1, None])


@pytest.mark.parametrize("replies", [[CREATED], [CREATED, [RECORD, 0]]])
def test_a_create_that_waits_for_replicas_takes_back(replies: list[Any]) -> None:
    ctx = make_context(min_replicas=1)
    play = creating(ctx)
    made = sent_id(play)
    for reply in replies:
        play.reply(reply)
    play.interrupt()
    takes_back(play, ctx, POOL, made)
    play.ends_interrupted([1, None])


def test_a_create_elsewhere_takes_back_elsewhere(ctx: Context) -> None:
    other = uuid4()
    play = creating(ctx)
    first = sent_id(play)
    play.fail(ProxyNotFoundError("no"))
    play.reply(pool_tag(other))
    made = sent_id(play)
    assert made != first
    play.interrupt()
    takes_back(play, ctx, other, made)
    play.ends_interrupted([1, None])


def test_a_create_without_an_id_takes_nothing_back(ctx: Context) -> None:
    play = creating(ctx, "new")
    assert [step.args[0] for step in play.step] == ["HSETNX", "HGET"]
    play.ends_interrupted(at_once=True)
    play = creating(ctx)
    play.fail(ProxyNotFoundError("no"))  # refused: this id was not granted
    assert play.step == Command(("HGET", ctx.keys.directory(PROXY), PROXY))
    play.ends_interrupted(at_once=True)


# -- to the end ------------------------------------------------------------------------------------

ONE, TWO = Command(("ECHO", "1")), Command(("ECHO", "2"))


def two_steps() -> Flow[list[Any]]:
    return [(yield ONE), (yield TWO)]


def test_a_flow_that_nobody_interrupts_returns_its_result() -> None:
    play = Play(to_the_end(two_steps()))
    assert play.step == ONE and play.reply("a") == TWO
    assert play.end("b") == ["a", "b"]


def test_an_interrupted_step_is_done_once_more() -> None:
    seen: list[Any] = []

    def flow() -> Flow[None]:
        seen.append((yield ONE))
        seen.append((yield TWO))

    play = Play(to_the_end(flow()))
    assert play.interrupt() == ONE
    assert play.interrupt() == ONE, "however often"
    assert play.reply("a") == TWO
    assert play.interrupt() == TWO
    play.ends_interrupted("b")
    assert seen == ["a", "b"]


def test_interrupted_before_the_last_step_it_ends_interrupted_all_the_same() -> None:
    play = Play(to_the_end(two_steps()))
    play.interrupt()
    play.reply("a")
    play.ends_interrupted("b")


def test_the_interruption_told_is_the_callers() -> None:
    play = Play(to_the_end(two_steps()))
    thrown = Interrupted()
    play.flow.throw(thrown)
    play.reply("a")
    with pytest.raises(Interrupted) as raised:
        play.reply("b")
    assert raised.value is thrown and raised.value.__suppress_context__


@pytest.mark.parametrize("interrupted", [False, True])
def test_errors_go_through(interrupted: bool) -> None:
    play = Play(to_the_end(two_steps()))
    if interrupted:
        play.interrupt()
    with pytest.raises(StorageUnavailableError, match="away"):
        play.fail(StorageUnavailableError("away"))


def test_a_flow_may_catch_them() -> None:
    def flow() -> Flow[str]:
        try:
            yield ONE
        except PoolNotFoundError as error:
            return str((yield TWO)) + str(error)
        raise AssertionError

    play = Play(to_the_end(flow()))
    assert play.fail(PoolNotFoundError("!")) == TWO
    assert play.end("b") == "b!"
    play = Play(to_the_end(flow()))
    play.interrupt()
    assert play.fail(PoolNotFoundError("!")) == TWO
    play.ends_interrupted("b")


def test_an_error_may_end_a_flow_well() -> None:
    def flow() -> Flow[str]:
        try:
            yield ONE
        except PoolNotFoundError:
            return "caught"
        raise AssertionError

    with pytest.raises(StopIteration) as stop:
        Play(to_the_end(flow())).fail(PoolNotFoundError("!"))
    assert stop.value.value == "caught"


def test_a_flow_without_steps() -> None:
    def flow() -> Flow[str]:
        return "done"
        yield ONE

    with pytest.raises(StopIteration) as stop:
        next(to_the_end(flow()))
    assert stop.value.value == "done"


def test_a_flow_that_is_closed_does_nothing_more() -> None:
    play = Play(to_the_end(two_steps()))
    play.flow.close()
    with pytest.raises(StopIteration):
        play.reply("a")


def test_a_release_is_sent_all_the_same(ctx: Context) -> None:
    lease = acquire(ctx).end(LEASE).lease
    play = Play(to_the_end(leases.release(ctx, lease)))
    sent = play.step
    play.calls("release", lease_id=str(lease.id), void="")
    assert play.interrupt() is sent
    play.ends_interrupted([1, None])


# -- in turns --------------------------------------------------------------------------------------


def breaths(count: int) -> tuple[int, list[int]]:
    """How often a flow over so many items lets others run, and its result."""
    flow, taken = in_turns(range(count), lambda number: number * 2), 0
    try:
        step = next(flow)
        while True:
            assert step is BREATH and step == Pause(0)
            taken += 1
            step = flow.send(None)
    except StopIteration as stop:
        return taken, stop.value


@pytest.mark.parametrize(
    ("count", "wanted"), [(0, 0), (1, 0), (49, 0), (50, 1), (51, 1), (100, 2), (149, 2), (500, 10)]
)
def test_a_breath_after_every_fifty(count: int, wanted: int) -> None:
    assert AT_ONCE == 50
    assert breaths(count) == (wanted, [number * 2 for number in range(count)])


def test_the_work_is_done_between_the_breaths() -> None:
    done: list[int] = []
    flow = in_turns(iter(range(120)), done.append)
    for wanted in (50, 100):
        next(flow)
        assert len(done) == wanted
    with pytest.raises(StopIteration):
        next(flow)
    assert done == list(range(120))


def test_what_the_work_raises_goes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        next(in_turns([1, 0], lambda number: 1 / number))


def test_a_scan_breathes_too(ctx: Context) -> None:
    none = ProxyFilters(country="DE", predicate=lambda proxy: False)
    play = acquire(ctx, filters=none)
    rows = [[str(UUID(int=n)), DOC, fields(co="DE"), 0] for n in range(1, 121)]
    assert play.reply(["page", "", *rows]) is BREATH
    assert play.reply(None) is BREATH
    assert play.end(None).lease is None


@pytest.mark.parametrize("count", [49, 50, 100])
def test_a_list_of_leases_breathes(ctx: Context, count: int) -> None:
    play = Play(leases.list_leases(ctx, None))
    play.reply(["pool", pool_tag(POOL)])
    row = [str(new_lease_id(POOL)), PROXY, CONSUMER, 1000, 61_000, ""]
    reply = [["", "pool", *[row] * count]]
    for _ in range(count // AT_ONCE):
        assert play.reply(reply) is BREATH
        reply = None  # type: ignore[assignment]
    assert len(play.end(reply)) == count
