"""Flows without any Redis: the replies are made up here."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from pharox.exceptions import InvalidLeaseError, PoolNotFoundError, ProxyNotFoundError
from pharox.models import Lease, Proxy, ProxyFilters, ProxyPool, ProxyProtocol, SelectorStrategy

from pharox_redis import (
    PoolNameTakenError,
    PredicateScanLimitError,
    ProxyPoolConflictError,
    Settings,
    new_lease_id,
)
from pharox_redis.errors import PoolMismatchError, StorageUnavailableError
from pharox_redis.flows import Context, leases, leasing, pools, proxies
from pharox_redis.flows.base import Bounded, Command, Pause, checked, in_chunks
from pharox_redis.keys import lease_tail, pool_tag
from pharox_redis.scripts import Call
from tests.support.builders import make_proxy
from tests.units.playing import (
    CONSUMER,
    DOC,
    LEASE,
    OTHER,
    POOL,
    PROXY,
    Play,
    acquire,
    fields,
    make_context,
)


def test_a_hit_is_one_step(ctx: Context) -> None:
    play = acquire(ctx)
    play.calls("acquire", pool_name="pool", consumer=CONSUMER, duration_ms=60_000, want_stats="")
    sent = play.step
    result = play.end(LEASE)
    assert lease_tail(str(result.lease.id)) == sent.args[1] and result.stats is None
    assert result.lease.proxy.current_leases == 1
    assert result.lease.pool_id == POOL and result.lease.pool_name == "pool"
    assert result.lease.acquired_at == datetime.fromtimestamp(1, UTC)


def test_an_acquire_lets_go_of_its_callers_find(ctx: Context) -> None:
    proxy = make_proxy(ProxyPool(id=POOL, name="pool"))
    acquire(ctx).calls("acquire", token="")
    ctx.callers.claimed("another", POOL, proxy)
    acquire(ctx).calls("acquire", token="")
    ctx.callers.claimed(ctx.callers.token(), OTHER, proxy)
    acquire(ctx).calls("acquire", token="")
    ctx.callers.claimed(ctx.callers.token(), POOL, proxy)
    play = acquire(ctx)
    play.calls("acquire", token=ctx.callers.token())
    play.reply(["again", 0, ""])
    play.calls("acquire", token=ctx.callers.token())
    acquire(ctx, filters=picky(1)).calls("candidates", token=ctx.callers.token())
    ctx.callers.used(ctx.callers.token(), POOL, proxy.id)
    acquire(ctx).calls("acquire", token="")


def test_again_with_a_pause_goes_on_with_the_same_id(ctx: Context) -> None:
    play = acquire(ctx, selector=SelectorStrategy.LEAST_USED)
    first = play.step
    play.calls("acquire", selector="u", **{"from": ""})
    assert play.reply(["again", 2500, "7 x"]) == Pause(0.0025)
    play.reply(None)
    play.calls("acquire", **{"from": "7 x"})
    assert play.step.args[1] == first.args[1]
    play.reply(["again", 0, ""])  # no pause
    play.calls("acquire", **{"from": ""})
    assert play.end(["none", None]).lease is None


def test_a_stale_cache_is_refreshed_once(ctx: Context) -> None:
    other = uuid4()
    play = acquire(ctx)
    first = play.step.args[1]
    step = play.fail(PoolMismatchError("no"))
    assert step == Command(("HGET", ctx.keys.pools(), "pool"))
    play.reply(pool_tag(other))
    play.calls("acquire")
    assert play.step.key == ctx.keys.pool(other)
    assert play.step.args[1] != first, "the id is the other pool's"
    assert play.end(LEASE).lease.pool_id == other
    known = ctx.pools.get("pool")
    assert known is not None and known.id == other


def test_a_cache_that_stays_stale_is_an_error(ctx: Context) -> None:
    play = acquire(ctx)
    play.fail(PoolMismatchError("no"))
    play.reply(pool_tag(POOL))
    with pytest.raises(PoolNotFoundError, match=r"ensure_pool\('pool'\)") as raised:
        play.fail(PoolMismatchError("no"))
    assert type(raised.value) is PoolNotFoundError
    assert ctx.pools.get("pool") is None


def test_an_unknown_pool_takes_one_look(ctx: Context) -> None:
    play = acquire(ctx, pool_name="other")
    with pytest.raises(PoolNotFoundError, match="'other'"):
        play.reply(None)


def test_find_in_an_unknown_pool_is_none(ctx: Context) -> None:
    play = Play(leasing.find(ctx, "other", None, None))
    assert play.end(None) is None
    play = Play(leasing.find(ctx, "pool", None, None))
    play.fail(PoolMismatchError("no"))
    assert play.end(None) is None


@pytest.mark.parametrize(
    "bad", [0, -1, 0.0, float("nan"), float("inf"), 315_576_000.1, True, "60", None, 1j]
)
def test_bad_durations_send_nothing(ctx: Context, bad: Any) -> None:
    with pytest.raises(InvalidLeaseError, match="duration_seconds"):
        acquire(ctx, duration_seconds=bad)


@pytest.mark.parametrize(("seconds", "ms"), [(0.001, 1), (0.0015, 2), (1, 1000), (1.25, 1250)])
def test_durations(ctx: Context, seconds: float, ms: int) -> None:
    acquire(ctx, duration_seconds=seconds).calls("acquire", duration_ms=ms)


def test_an_unknown_consumer_is_registered_once(ctx: Context) -> None:
    play = acquire(ctx, consumer_name="new")
    kinds = [step.args[0] for step in play.step]
    assert kinds == ["HSETNX", "HGET"]
    play.reply([0, CONSUMER])
    play.calls("acquire", consumer=CONSUMER)
    acquire(ctx, consumer_name="new").calls("acquire", consumer=CONSUMER)


def test_a_consumer_that_is_claimed_but_not_found_is_claimed_again(ctx: Context) -> None:
    """On a Cluster, while the directory's slot moves, two nodes may answer the two commands."""
    play = acquire(ctx, consumer_name="new")
    play.reply([0, None])
    assert [step.args[0] for step in play.step] == ["HSETNX", "HGET"]
    play.reply([0, CONSUMER])
    play.calls("acquire", consumer=CONSUMER)


def test_an_error_goes_through(ctx: Context) -> None:
    play = acquire(ctx)
    with pytest.raises(StorageUnavailableError, match="gone"):
        play.fail(StorageUnavailableError("gone"))


def candidate(number: int, **known: str) -> list[Any]:
    return [str(UUID(int=number)), DOC, fields(**known), 0]


def picky(good: int) -> ProxyFilters:
    return ProxyFilters(country="DE", predicate=lambda proxy: proxy.id == UUID(int=good))


def test_a_predicate_is_tested_here(ctx: Context) -> None:
    play = acquire(ctx, filters=picky(2))
    play.calls("candidates", selector="f", wanted=16, **{"from": ""})
    play.reply(["page", "2 x", candidate(1, co="DE"), candidate(2, co="DE")])
    play.calls("acquire", wanted=f"{UUID(int=2)} 3")
    assert play.end(LEASE).lease is not None


def test_a_proxy_that_was_taken_meanwhile_is_passed_over(ctx: Context) -> None:
    play = acquire(ctx, filters=picky(1))
    play.reply(["page", "", candidate(1, co="DE")])
    play.calls("acquire", wanted=f"{UUID(int=1)} 3")
    play.reply(["taken"])
    play.calls("candidates", **{"from": ""})  # one was lost: once more before it says none
    assert play.end(["page", ""]).lease is None


def test_a_scan_goes_on_page_by_page(ctx: Context) -> None:
    play = acquire(ctx, filters=picky(9))
    play.reply(["page", "1 x", candidate(1, co="DE")])
    play.calls("candidates", wanted=200, **{"from": "1 x"})
    assert play.reply(["again", 1000, "1 x"]) == Pause(0.001)
    play.reply(None)
    play.calls("candidates", **{"from": "1 x"})
    assert play.end(["page", ""]).lease is None


def test_a_hopeless_scan_ends(ctx: Context) -> None:
    ctx = make_context(predicate_scan_limit=2)
    play = acquire(ctx, filters=picky(9))
    rows = [candidate(number, co="DE") for number in (1, 2, 3)]
    with pytest.raises(PredicateScanLimitError, match="refused 2 proxies"):
        play.reply(["page", "", *rows])


def test_a_known_lease_is_asked_for_before_a_scan(ctx: Context) -> None:
    lease_id = new_lease_id(POOL)
    play = acquire(ctx, filters=picky(1), lease_id=lease_id)
    play.calls("acquire", lease_id=lease_tail(str(lease_id)), wanted="- 0")
    assert play.end(LEASE).lease.id == lease_id


def test_figures_come_with_the_reply(ctx: Context) -> None:
    play = acquire(ctx, want_stats=True)
    play.calls("acquire", want_stats="1")
    stats = play.end([*LEASE[:9], [5, 4, 3, 2, 1]]).stats
    assert (stats.total_proxies, stats.total_leases) == (5, 1)
    play = acquire(ctx, want_stats=True)
    assert play.end(["none", [5, 4, 3, 2, 1]]).stats.active_proxies == 4


def test_create_lease_finds_a_proxy_that_moved(ctx: Context) -> None:
    other = uuid4()
    proxy = Proxy(id=UUID(PROXY), pool_id=POOL, host="h", port=1, protocol=ProxyProtocol.HTTP)
    play = Play(leasing.create_lease(ctx, proxy, "consumer", 60))
    play.calls("create_lease", proxy_id=PROXY)
    step = play.fail(ProxyNotFoundError("no"))
    assert step == Command(("HGET", ctx.keys.directory(PROXY), PROXY))
    play.reply(pool_tag(other))
    assert play.step.key == ctx.keys.pool(other)
    lease = play.end([1000, 61_000, "", CONSUMER, PROXY, "elsewhere"])
    assert lease.pool_id == other and lease.pool_name == "elsewhere"


def test_create_lease_gives_up_on_a_proxy_that_is_gone(ctx: Context) -> None:
    proxy = Proxy(id=UUID(PROXY), pool_id=POOL, host="h", port=1, protocol=ProxyProtocol.HTTP)
    play = Play(leasing.create_lease(ctx, proxy, "consumer", 60))
    play.fail(ProxyNotFoundError("no"))
    with pytest.raises(ProxyNotFoundError, match=PROXY):
        play.reply(None)


def a_lease(**changes: Any) -> Lease:
    known: dict[str, Any] = {
        "id": new_lease_id(POOL),
        "proxy_id": PROXY,
        "consumer_id": CONSUMER,
        "pool_id": POOL,
        "pool_name": "pool",
        "expires_at": datetime.now(UTC),
    }
    return Lease(**{**known, **changes})


def test_a_release_is_one_step(ctx: Context) -> None:
    lease = a_lease()
    play = Play(leases.release(ctx, lease))
    play.calls("release", lease_id=lease_tail(str(lease.id)), proxy_id=PROXY, retention_ms=60_000)
    assert play.end([1, None]).ended is True


def test_a_release_without_its_pool_looks_it_up(ctx: Context) -> None:
    lease = a_lease(pool_id=None)
    Play(leases.release(ctx, lease)).calls("release")  # the cache knows
    play = Play(leases.release(Context(Settings(), Proxy), lease))
    assert play.step.args[0] == "HGETALL"
    play.reply(["a", pool_tag(uuid4()), "pool", pool_tag(POOL)])
    play.calls("release")
    assert play.step.key == ctx.keys.pool(POOL)


def test_a_foreign_lease_is_nobodys(ctx: Context) -> None:
    play = Play(leases.release(ctx, a_lease(id=uuid4(), pool_id=None)))
    assert play.step.args[0] == "HGETALL"
    assert play.end({}).ended is False


def test_a_sweep_goes_on_until_nothing_is_due(ctx: Context) -> None:
    play = Play(leases.sweep_all(ctx))
    assert [type(step) for step in play.step] == [Command, Call]
    play.reply([[pool_tag(POOL)], [50, 1]])
    for reply in ([50, 1], [7, 0]):
        (step,) = play.step
        assert (step.script.name, step.key) == ("sweep", ctx.keys.pool(POOL))
        if reply[1]:
            play.reply([reply])
    assert play.end([[7, 0]]) == 107


def test_all_pools_that_have_more_are_swept_at_once(ctx: Context) -> None:
    others = [uuid4(), uuid4()]
    for number, other in enumerate(others):
        ctx.pools.put(f"other-{number}", ctx.pool_ref(other))
    every = [ctx.keys.pool(pool) for pool in (POOL, *others)]
    play = Play(leases.sweep_all(ctx))
    assert [step.key for step in play.step[1:]] == every
    play.reply([[pool_tag(POOL)], [1, 1], [2, 0], [3, 1]])
    assert [step.key for step in play.step] == [every[0], every[2]]
    play.reply([[10, 0], [20, 1]])
    assert [step.key for step in play.step] == [every[2]]
    assert play.end([[100, 0]]) == 136


def test_a_pool_that_cannot_be_swept_is_an_error(ctx: Context) -> None:
    play = Play(leases.sweep_all(ctx))
    play.reply([[pool_tag(POOL)], [1, 1]])
    with pytest.raises(StorageUnavailableError, match="away"):
        play.reply([StorageUnavailableError("away")])


def test_a_sweep_reaches_pools_it_did_not_know(ctx: Context) -> None:
    other = uuid4()
    play = Play(leases.sweep_all(ctx))
    play.reply([[pool_tag(POOL), pool_tag(other)], [1, 0]])
    assert play.step.args[0] == "HGETALL"
    play.reply(["pool", pool_tag(POOL), "other", pool_tag(other)])
    assert [step.key for step in play.step] == [ctx.keys.pool(other)]
    assert play.end([[2, 0]]) == 3


# -- names of pools --------------------------------------------------------------------------------

NEW = ProxyPool(name="name")


def saving(ctx: Context, known: list[Any], claimed: list[Any], pool: ProxyPool = NEW) -> Play:
    """A save up to what follows the claim of its name: what GET_POOL said, what the claim said."""
    play = Play(pools.save_pool(ctx, pool))
    play.calls("get_pool")
    assert play.step.key == ctx.keys.pool(pool.id)
    play.reply(known)
    claims(play, ctx, pool)
    play.reply(claimed)
    return play


def is_numbered(entry: str, tag: str) -> bool:
    """Whether it is a claim's own entry for the pool of this tag."""
    return re.fullmatch(
        rf"{re.escape(tag)}\.[A-Za-z0-9_-]{{4}}", entry
    ) is not None and pools.names(entry, tag)


def claims(play: Play, ctx: Context, pool: ProxyPool) -> str:
    """The flow claims the pool's name and looks who has it; what it wants the entry to say."""
    claim, look = (step.args for step in play.step)
    assert claim[:3] == ("HSETNX", ctx.keys.pools(), pool.name) and len(claim) == 4
    assert is_numbered(claim[3], pool_tag(pool.id)), claim
    assert look == ("HGET", ctx.keys.pools(), pool.name)
    return str(claim[3])


def test_no_claim_of_a_name_is_like_another(ctx: Context) -> None:
    tag, seen = pool_tag(NEW.id), set()
    for _ in range(3):
        play = Play(pools.save_pool(ctx, NEW))
        play.reply([])
        seen.add(claims(play, ctx, NEW))
    assert len(seen) == 3
    assert pools.names(tag, tag) and all(pools.names(entry, tag) for entry in seen)
    assert not any(pools.names(entry, pool_tag(OTHER)) for entry in seen)
    assert not pools.names(f"{tag}x", tag) and not pools.names("", tag)


def test_a_new_pool_takes_three_steps(ctx: Context) -> None:
    play = saving(ctx, [], [1, pool_tag(NEW.id)])
    play.calls("save_pool", expected="", name="name", mark=pools.fence_mark("name"), passed="")
    assert play.end(["saved"]) is None
    known = ctx.pools.get("name")
    assert known is not None and known.id == NEW.id


def test_a_known_pool_is_expected_to_have_its_name(ctx: Context) -> None:
    play = saving(ctx, ["pool", "name", "{}"], [0, pool_tag(NEW.id)])
    play.calls("save_pool", expected="=name", name="name", passed="")
    assert play.end(["saved"]) is None


@pytest.mark.parametrize("name", ["pool", "", "ü" * 500, "a:b {c}"])
def test_marks_are_short_and_plain(name: str) -> None:
    mark = pools.fence_mark(name)
    assert re.fullmatch(r"[0-9a-f]{20}", mark) and mark != pools.fence_mark(f"{name} ")


def test_a_name_that_is_taken_writes_nothing(ctx: Context) -> None:
    play = saving(ctx, [], [0, pool_tag(POOL)])
    play.calls("fence_pool", name="name", mark=pools.fence_mark("name"))
    assert play.step.key == ctx.keys.pool(POOL)
    assert re.fullmatch(r"[0-9a-f]{16}", play.step.args[2])
    with pytest.raises(PoolNameTakenError, match="ensure_pool"):
        play.reply("here")


@pytest.mark.parametrize("number", ["", ".1a2b3c4d", ".a-_Z"])
def test_a_void_name_is_taken_over_when_its_pool_is_fenced(ctx: Context, number: str) -> None:
    owner = pool_tag(POOL) + number
    play = saving(ctx, [], [0, owner])
    play.calls("fence_pool")
    play.reply("fenced")
    play.calls("swap_entry", field="name", expected=owner)
    wanted = play.step.args[2]
    assert is_numbered(wanted, pool_tag(NEW.id))
    play.reply(wanted)
    play.calls("save_pool", expected="", name="name", passed="")
    assert play.end(["saved"]) is None


def test_a_void_name_that_another_takes_first_is_looked_at_again(ctx: Context) -> None:
    other = uuid4()
    play = saving(ctx, [], [0, pool_tag(POOL)])
    play.reply("fenced")
    play.reply(pool_tag(other))  # the swap met another entry
    assert [step.args[0] for step in play.step] == ["HSETNX", "HGET"]
    play.reply([0, pool_tag(other)])
    play.calls("fence_pool")
    assert play.step.key == ctx.keys.pool(other)
    with pytest.raises(PoolNameTakenError):
        play.reply("here")


def test_the_delete_of_the_pool_that_had_the_name_is_finished_first(ctx: Context) -> None:
    tag = pool_tag(POOL)
    play = saving(ctx, [], [0, tag])
    play.reply("deleting")
    play.calls("get_pool")
    play.reply(["deleting", "name"])
    assert play.step == Command(("HGET", ctx.keys.pools(), "name"))
    play.reply(tag)
    removes(play, ctx, tag)
    assert [step.args[0] for step in play.step] == ["HSETNX", "HGET"]
    play.reply([1, pool_tag(NEW.id)])
    play.calls("save_pool")
    assert play.end(["saved"]) is None


def removes(play: Play, ctx: Context, entry: str) -> None:
    """What follows once a pool is hidden and its name's entry was read."""
    play.calls("list_hidden", limit=200)
    play.reply([PROXY])
    assert play.step == [Command(("HGET", ctx.keys.directory(PROXY), PROXY))]
    play.reply([f"{pool_tag(POOL)}.5"])
    (step,) = play.step
    assert (step.script.name, step.key) == ("swap_entry", ctx.keys.directory(PROXY))
    assert step.args == (PROXY, f"{pool_tag(POOL)}.5", "")
    play.reply([""])
    play.calls("purge_pool", final="")
    assert play.step.args[2:] == (PROXY,)
    play.reply(0)
    play.calls("list_hidden")
    play.reply([])
    play.calls("purge_pool", final="")
    assert play.step.args[2:] == ()
    play.reply(1)
    play.calls("swap_entry", field="name", expected=entry, wanted="")
    play.reply("")
    play.calls("purge_pool", final="1")
    play.reply(1)


@pytest.mark.parametrize("outcome", ["fenced", "stale"])
def test_a_name_that_was_given_away_meanwhile_is_claimed_anew(ctx: Context, outcome: str) -> None:
    tag = pool_tag(NEW.id)
    play = saving(ctx, [], [1, tag])
    play.reply([outcome, "0123abcd"] if outcome == "fenced" else [outcome])
    play.calls("get_pool")
    play.reply(["pool", "older", "{}"] if outcome == "stale" else [])
    claims(play, ctx, NEW)
    play.reply([0, tag])
    # Somebody may be about to change the entry they read: a new one defeats that.
    play.calls("swap_entry", field="name", expected=tag)
    wanted = play.step.args[2]
    assert is_numbered(wanted, tag)
    play.reply(wanted)
    # A fence is passed once the name is claimed anew, and no other one than that which was met.
    if outcome == "stale":
        play.calls("save_pool", expected="=older", passed="")
    else:
        play.calls("save_pool", expected="", passed="0123abcd")


@pytest.mark.parametrize("then", [["fenced", "second"], ["stale"], ["saved"]])
def test_only_the_fence_that_was_met_last_is_passed(ctx: Context, then: list[str]) -> None:
    play = saving(ctx, [], [1, pool_tag(NEW.id)])
    play.reply(["fenced", "first"])
    play.reply([])
    play.reply([0, pool_tag(NEW.id)])
    play.reply(play.step.args[2])
    play.calls("save_pool", passed="first")
    if then == ["saved"]:
        assert play.end(then) is None
        return
    play.reply(then)
    play.reply([])
    play.reply([0, pool_tag(NEW.id)])
    play.reply(play.step.args[2])
    play.calls("save_pool", passed="second" if then[0] == "fenced" else "")


def test_a_name_that_never_comes_to_rest_is_an_error(ctx: Context) -> None:
    play = saving(ctx, [], [1, pool_tag(NEW.id)])
    with pytest.raises(PoolNameTakenError, match="too fast"):
        for _ in range(99):
            play.calls("save_pool")
            play.reply(["fenced", "nonce"])
            play.reply([])
            play.reply([0, pool_tag(NEW.id)])
            play.reply(play.step.args[2])


def test_a_pool_that_is_being_deleted_is_removed_before_it_is_saved(ctx: Context) -> None:
    tag, pool = pool_tag(POOL), ProxyPool(id=POOL, name="name")
    play = Play(pools.save_pool(ctx, pool))
    play.reply(["deleting", "name"])
    play.calls("get_pool")
    play.reply(["deleting", "name"])
    play.reply(tag)
    removes(play, ctx, tag)
    play.calls("get_pool")
    play.reply([])
    play.reply([1, tag])
    play.calls("swap_entry", expected=tag)  # claimed anew: the other delete may yet release it
    play.reply(play.step.args[2])
    play.calls("save_pool", expected="")
    assert play.end(["saved"]) is None


def test_a_rename_releases_the_old_name_when_it_is_fenced(ctx: Context) -> None:
    tag, pool = pool_tag(POOL), ProxyPool(id=POOL, name="new")
    play = saving(ctx, ["pool", "pool", "{}"], [1, tag], pool)
    play.calls("save_pool", expected="=pool", name="new", mark=pools.fence_mark("new"))
    assert play.reply(["saved"]) == Command(("HGET", ctx.keys.pools(), "pool"))
    assert ctx.pools.get("pool") is None
    play.reply(f"{tag}.7")
    play.calls("fence_pool", name="pool", mark=pools.fence_mark("pool"))
    assert play.step.key == ctx.keys.pool(POOL)
    play.reply("fenced")
    play.calls("swap_entry", field="pool", expected=f"{tag}.7", wanted="")
    assert play.end("") is None
    known = ctx.pools.get("new")
    assert known is not None and known.id == POOL


@pytest.mark.parametrize("entry", [None, pool_tag(OTHER)])
def test_a_rename_releases_nobody_elses_name(ctx: Context, entry: str | None) -> None:
    pool = ProxyPool(id=POOL, name="new")
    play = saving(ctx, ["pool", "pool", "{}"], [1, pool_tag(POOL)], pool)
    play.reply(["saved"])
    assert play.end(entry) is None


def test_a_rename_that_was_renamed_back_keeps_the_old_name(ctx: Context) -> None:
    pool = ProxyPool(id=POOL, name="new")
    play = saving(ctx, ["pool", "pool", "{}"], [1, pool_tag(POOL)], pool)
    play.reply(["saved"])
    play.reply(pool_tag(POOL))
    play.calls("fence_pool", name="pool")
    assert play.end("here") is None


def test_a_failed_save_leaves_an_entry_that_no_pool_confirms(ctx: Context) -> None:
    play = saving(ctx, [], [1, pool_tag(NEW.id)])
    play.calls("save_pool")
    with pytest.raises(StorageUnavailableError):
        play.fail(StorageUnavailableError("full"))
    assert ctx.pools.get("name") is None


# -- deletes ---------------------------------------------------------------------------------------


def test_a_pools_delete(ctx: Context) -> None:
    tag = pool_tag(POOL)
    play = Play(pools.delete_pool(ctx, POOL))
    play.calls("get_pool")
    assert play.reply(["pool", "name", "{}"]) == Command(("HGET", ctx.keys.pools(), "name"))
    play.reply(tag)
    play.calls("hide_pool")
    play.reply(["name"])
    assert ctx.pools.get("name") is None
    removes_to_the_end(play, ctx, tag)


def test_a_pools_delete_that_was_broken_off_is_carried_on(ctx: Context) -> None:
    play = Play(pools.delete_pool(ctx, POOL))
    play.reply(["deleting", "name"])
    play.reply(f"{pool_tag(POOL)}.3")
    removes_to_the_end(play, ctx, f"{pool_tag(POOL)}.3")


def removes_to_the_end(play: Play, ctx: Context, entry: str) -> None:
    with pytest.raises(StopIteration):
        removes(play, ctx, entry)


@pytest.mark.parametrize("entry", [None, pool_tag(OTHER), f"{pool_tag(OTHER)}.1"])
def test_a_delete_releases_nobody_elses_name(ctx: Context, entry: str | None) -> None:
    play = Play(pools.delete_pool(ctx, POOL))
    play.reply(["pool", "name", "{}"])
    play.reply(entry)
    play.reply(["name"])
    play.calls("list_hidden")
    play.reply([])
    play.calls("purge_pool", final="")
    play.reply(1)
    play.calls("purge_pool", final="1")
    assert play.end(1) is None


def test_a_pool_that_was_renamed_before_it_was_hidden_is_looked_at_again(ctx: Context) -> None:
    play = Play(pools.delete_pool(ctx, POOL))
    play.reply(["pool", "old", "{}"])
    play.reply(pool_tag(POOL))
    play.calls("hide_pool")
    play.reply(["new"])
    play.calls("get_pool")
    assert play.reply(["deleting", "new"]) == Command(("HGET", ctx.keys.pools(), "new"))


def test_a_delete_of_an_unknown_pool(ctx: Context) -> None:
    play = Play(pools.delete_pool(ctx, POOL))
    with pytest.raises(PoolNotFoundError, match=str(POOL)):
        play.reply([])


def test_a_proxys_delete(ctx: Context) -> None:
    entry = f"{pool_tag(POOL)}.9"
    play = Play(proxies.delete_proxy(ctx, PROXY))
    assert play.step == Command(("HGET", ctx.keys.directory(PROXY), PROXY))
    play.reply(entry)
    play.calls("hide_proxy", proxy_id=PROXY)
    assert play.step.key == ctx.keys.pool(POOL)
    play.reply(1)
    play.calls("swap_entry", field=PROXY, expected=entry, wanted="")
    assert play.step.key == ctx.keys.directory(PROXY)
    play.reply("")
    play.calls("purge_proxy", proxy_id=PROXY)
    play.reply(0)
    play.calls("purge_proxy", proxy_id=PROXY)
    assert play.end(1) is None


def test_a_delete_of_a_proxy_that_its_pool_does_not_confirm(ctx: Context) -> None:
    play = Play(proxies.delete_proxy(ctx, PROXY))
    play.reply(pool_tag(POOL))
    with pytest.raises(ProxyNotFoundError, match=PROXY):
        play.reply(0)
    with pytest.raises(ProxyNotFoundError, match=PROXY):
        Play(proxies.delete_proxy(ctx, PROXY)).reply(None)


# -- saves of proxies ------------------------------------------------------------------------------


def a_proxy() -> Proxy:
    return Proxy(id=UUID(PROXY), pool_id=POOL, host="h", port=1, protocol=ProxyProtocol.HTTP)


def saves(ctx: Context, entry: str | None, stored: Any) -> Play:
    """A save of one proxy, up to what follows the two looks: at the directory, at the pool."""
    play = Play(proxies.save_proxies(ctx, [a_proxy()]))
    (step,) = play.step
    assert step.script.name == "get_pool"
    play.reply([["pool", "pool", "{}"]])
    assert play.step == [Command(("HGET", ctx.keys.directory(PROXY), PROXY))]
    play.reply([entry])
    if entry and not pools.names(entry, pool_tag(POOL)):
        play.calls("get_proxies")
        play.reply([""])
    play.calls("get_proxies")
    assert play.step.key == ctx.keys.pool(POOL)
    play.reply([stored])
    return play


def swaps(play: Play, expected: str) -> str:
    """The flow claims one entry; what it wants it to say."""
    (step,) = play.step
    assert step.script.name == "swap_entry" and step.args[:2] == (PROXY, expected)
    return str(step.args[2])


def saved(play: Play, ctx: Context, revision: str, entry: str) -> Any:
    """The flow writes the proxy and confirms its entry."""
    play.calls("save_proxies")
    assert play.step.args[1:3] == (PROXY, revision)
    assert play.reply([1, []]) == [Command(("HGET", ctx.keys.directory(PROXY), PROXY))]
    return play.end([entry])


def test_a_new_proxy_is_claimed_written_and_confirmed(ctx: Context) -> None:
    tag = pool_tag(POOL)
    play = saves(ctx, None, "")
    wanted = swaps(play, "")
    assert is_numbered(wanted, tag)
    play.reply([wanted])
    assert saved(play, ctx, "", wanted) == 1


def test_a_known_proxy_is_not_claimed(ctx: Context) -> None:
    play = saves(ctx, pool_tag(POOL), [DOC, fields(), 0])
    assert saved(play, ctx, "3", pool_tag(POOL)) == 1


def test_an_entry_of_ours_without_a_proxy_is_claimed_with_a_number(ctx: Context) -> None:
    tag = pool_tag(POOL)
    play = saves(ctx, tag, "")
    wanted = swaps(play, tag)
    assert is_numbered(wanted, tag)
    play.reply([wanted])
    assert saved(play, ctx, "", wanted) == 1


def test_an_entry_that_a_delete_releases_meanwhile_is_claimed_once_more(ctx: Context) -> None:
    tag = pool_tag(POOL)
    play = saves(ctx, tag, "")
    swaps(play, tag)
    play.reply([""])
    play.calls("swap_entry", field=PROXY, expected="")
    wanted = play.step.args[2]
    assert is_numbered(wanted, tag)
    play.reply(wanted)
    assert saved(play, ctx, "", wanted) == 1


def test_a_void_entry_is_taken_over_when_its_pool_is_fenced(ctx: Context) -> None:
    other = uuid4()
    play = saves(ctx, pool_tag(other), "")
    play.calls("fence_proxy", proxy_id=PROXY)
    assert play.step.key == ctx.keys.pool(other)
    play.reply("fenced")
    wanted = swaps(play, pool_tag(other))
    assert is_numbered(wanted, pool_tag(POOL))
    play.reply([wanted])
    assert saved(play, ctx, "", wanted) == 1


def test_a_proxy_that_came_to_be_there_meanwhile_is_left_there(ctx: Context) -> None:
    play = saves(ctx, pool_tag(uuid4()), "")
    with pytest.raises(ProxyPoolConflictError, match=PROXY):
        play.reply("here")


def test_an_entry_that_another_pool_claims_first_is_left_alone(ctx: Context) -> None:
    play = saves(ctx, None, "")
    with pytest.raises(ProxyPoolConflictError, match="nothing of it was written"):
        play.reply([pool_tag(uuid4())])


def test_a_delete_that_a_save_meets_is_finished_before_it_claims(ctx: Context) -> None:
    tag = pool_tag(POOL)
    play = saves(ctx, tag, "gone")
    assert play.step == [Command(("HGET", ctx.keys.directory(PROXY), PROXY))]
    play.reply([tag])
    assert swaps(play, tag) == ""
    play.reply([""])
    play.calls("purge_proxy", proxy_id=PROXY)
    play.reply(1)
    assert is_numbered(swaps(play, tag), tag)
    play.reply([""])
    play.calls("swap_entry", expected="")
    play.reply(play.step.args[2])
    play.calls("save_proxies")


def test_what_is_stale_or_gone_is_read_again(ctx: Context) -> None:
    tag = pool_tag(POOL)
    play = saves(ctx, tag, [DOC, fields(), 0])
    play.calls("save_proxies")
    play.reply([1, [[0, "stale"]]])
    assert play.step == [Command(("HGET", ctx.keys.directory(PROXY), PROXY))]
    play.reply([tag])
    play.calls("get_proxies")
    play.reply([[DOC, fields(rev="9"), 0]])
    play.calls("save_proxies")
    assert play.step.args[2] == "9"
    play.reply([1, [[0, "gone"]]])
    play.reply([tag])
    assert swaps(play, tag) == ""
    play.reply([""])
    play.calls("purge_proxy")
    play.reply(1)
    play.reply([None])
    play.calls("get_proxies")
    play.reply([""])
    assert swaps(play, "").startswith(f"{tag}."), "claimed anew"


def test_an_entry_that_was_released_while_it_wrote_is_set_again(ctx: Context) -> None:
    tag = pool_tag(POOL)
    play = saves(ctx, tag, [DOC, fields(), 0])
    play.reply([1, []])
    play.reply([None])
    play.calls("swap_entry", field=PROXY, expected="")
    assert is_numbered(play.step.args[2], tag)
    assert play.end(tag) == 1


@pytest.mark.parametrize("found", [None, ""])
def test_an_entry_that_was_given_away_while_it_wrote_decides(
    ctx: Context, found: str | None
) -> None:
    other = uuid4()
    play = saves(ctx, pool_tag(POOL), [DOC, fields(), 0])
    play.reply([1, []])
    if found is None:
        play.reply([pool_tag(other)])
    else:
        play.reply([found])
        play.reply(pool_tag(other))  # another pool was faster
    play.calls("hide_proxy", proxy_id=PROXY)
    assert play.step.key == ctx.keys.pool(POOL)
    play.reply(1)
    play.calls("purge_proxy")
    with pytest.raises(ProxyPoolConflictError, match=str(other)):
        play.reply(1)


def test_an_empty_bulk_asks_nothing(ctx: Context) -> None:
    with pytest.raises(StopIteration) as stop:
        next(proxies.save_proxies(ctx, []))
    assert stop.value.value == 0


@pytest.mark.parametrize("bad", ["", "x", "../etc", None, 5])
def test_ids_that_are_none_ask_nothing(ctx: Context, bad: Any) -> None:
    for flow, error in (
        (proxies.get_proxy(ctx, bad), ProxyNotFoundError),
        (proxies.delete_proxy(ctx, bad), ProxyNotFoundError),
        (proxies.list_proxies(ctx, bad), PoolNotFoundError),
        (pools.get_pool(ctx, bad), PoolNotFoundError),
        (pools.delete_pool(ctx, bad), PoolNotFoundError),
    ):
        with pytest.raises(error):
            next(flow)
    with pytest.raises(StopIteration) as stop:
        next(leases.get_lease(ctx, bad))
    assert stop.value.value is None


def test_bounded_forgets_the_oldest() -> None:
    known: Bounded[int, int] = Bounded(2)
    for number in (1, 2, 1, 3):
        known.put(number, number)
    assert known.items() == [(1, 1), (3, 3)]
    known.drop(1)
    known.drop(9)
    assert known.get(1) is None and known.get(3) == 3


def test_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx, now = Context(Settings(view_idle_seconds=80), Proxy), [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    pool = ctx.pool_ref(POOL)
    assert ctx.hints(pool, "f", "") == ""
    assert "s" not in ctx.hints(pool, "f", "d")
    now[0] += 9
    assert "s" not in ctx.hints(pool, "u", "d")
    assert "s" in ctx.hints(pool, "f", "d")
    now[0] += 11
    assert ctx.hints(pool, "f", "d") == "st"
    now[0] += 1
    assert ctx.hints(pool, "f", "d") == "s"
    now[0] += 81
    assert "s" not in ctx.hints(pool, "f", "d")


def test_small_helpers() -> None:
    assert list(in_chunks([1, 2, 3], 2)) == [[1, 2], [3]]
    assert checked([1, None]) == [1, None]
    with pytest.raises(ProxyNotFoundError):
        checked([1, ProxyNotFoundError("x"), PoolNotFoundError("y")])
