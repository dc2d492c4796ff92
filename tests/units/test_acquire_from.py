"""``acquire_from``: which pool is asked when, and what the caller is told. Replies are made up."""

from __future__ import annotations

import itertools
import logging
import random
from typing import Any
from uuid import UUID

import pytest
from pharox.exceptions import InvalidLeaseError, PharoxError, PoolNotFoundError
from pharox.models import ProxyFilters, SelectorStrategy

from pharox_redis import (
    NotReplicatedError,
    PredicateScanLimitError,
    StorageAccessError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from pharox_redis.flows import Context, leasing
from pharox_redis.flows.base import Command
from tests.units.playing import LEASE, Play, make_context

NAMES = ["a", "b", "c"]
POOLS = {name: UUID(int=number) for number, name in enumerate(NAMES, 1)}
NONE = ["none", None]


@pytest.fixture
def ctx() -> Context:
    """Knows three pools and the consumer."""
    ctx = make_context()
    for name, pool in POOLS.items():
        ctx.pools.put(name, ctx.pool_ref(pool))
    return ctx


def acquire_from(ctx: Context, names: Any = NAMES, **changes: Any) -> Play:
    args: dict[str, Any] = {
        "pool_names": names,
        "consumer_name": "consumer",
        "duration_seconds": 60,
        "filters": None,
        "selector": None,
        "shuffle": False,
    }
    return Play(leasing.acquire_from(ctx, **{**args, **changes}))


def asks(play: Play, ctx: Context, name: str) -> None:
    """The flow asks this pool for a lease of its own."""
    play.calls("acquire", pool_name=name, duration_ms=60_000, want_stats="")
    assert play.step.key == ctx.keys.pool(POOLS[name])
    assert play.step.key == ctx.pool_ref(POOLS[name]).key


def order_of(ctx: Context, names: list[str], **changes: Any) -> list[str]:
    """In which order pools are asked that all have nothing."""
    play, found = acquire_from(ctx, names, **changes), list[str]()
    for _ in names[1:]:
        found.append(play.step.args[0])
        play.reply(NONE)
    found.append(play.step.args[0])
    assert play.end(NONE) is None
    return found


def test_pools_are_asked_as_they_are_given(ctx: Context) -> None:
    for names in itertools.permutations(NAMES):
        assert order_of(ctx, list(names)) == list(names)


@pytest.mark.parametrize("position", range(3))
def test_the_first_that_has_one_is_the_last_that_is_asked(ctx: Context, position: int) -> None:
    play = acquire_from(ctx, tuple(NAMES))
    for name in NAMES[:position]:
        asks(play, ctx, name)
        play.reply(NONE)
    asks(play, ctx, NAMES[position])
    lease = play.end(LEASE)
    assert (lease.pool_name, lease.pool_id) == (NAMES[position], POOLS[NAMES[position]])


def test_what_is_asked_is_the_callers(ctx: Context) -> None:
    filters = ProxyFilters(country="DE")
    play = acquire_from(ctx, filters=filters, selector=SelectorStrategy.LEAST_USED)
    first = play.step
    play.calls("acquire", selector="u", program='["=",2,"DE"]')
    play.reply(NONE)
    play.calls("acquire", selector="u", program='["=",2,"DE"]')
    assert play.step.args[1] != first.args[1]


def test_a_shuffle_is_a_permutation_and_may_be_any(ctx: Context) -> None:
    random.seed(1)
    given = list(NAMES)
    found = {tuple(order_of(ctx, given, shuffle=True)) for _ in range(200)}
    assert found == set(itertools.permutations(NAMES))
    assert given == NAMES, "the caller's own list stays as it is"


def test_a_shuffle_is_as_random_as_the_seed_says(ctx: Context) -> None:
    orders = []
    for _ in range(2):
        random.seed(7)
        orders.append([order_of(ctx, NAMES, shuffle=True) for _ in range(10)])
    assert orders[0] == orders[1] and len(set(map(tuple, orders[0]))) > 1


def test_a_name_that_is_given_twice_is_asked_twice(ctx: Context) -> None:
    assert order_of(ctx, ["a", "a"]) == ["a", "a"]
    assert sorted(order_of(ctx, ["a", "a", "b"], shuffle=True)) == ["a", "a", "b"]


def test_unknown_pools_are_passed_over_with_a_warning(
    ctx: Context, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "pharox_redis")
    for _ in range(2):
        play = acquire_from(ctx, ["x", "a"])
        assert play.step == Command(("HGET", ctx.keys.pools(), "x"))
        play.reply(None)
        asks(play, ctx, "a")
        assert play.end(LEASE).pool_name == "a"
    (record,) = caplog.records
    assert "'x'" in record.getMessage() and "ensure_pool" in record.getMessage()


@pytest.mark.parametrize("names", [["x", "a"], ["a", "x"]])
def test_one_that_is_known_is_enough_for_none(ctx: Context, names: list[str]) -> None:
    play = acquire_from(ctx, names)
    play.reply(None if names[0] == "x" else NONE)
    assert play.end(NONE if names[0] == "x" else None) is None


def test_all_unknown_is_an_error(ctx: Context) -> None:
    play = acquire_from(ctx, ["x", "y"])
    play.reply(None)
    with pytest.raises(PoolNotFoundError, match="'x'"):
        play.reply(None)


AILING = [
    StorageUnavailableError("away"),
    NotReplicatedError("too few"),
    StorageFullError("full"),
    PredicateScanLimitError("too many"),
]


@pytest.mark.parametrize("error", AILING, ids=lambda error: type(error).__name__)
def test_one_that_ails_is_passed_over(ctx: Context, error: PharoxError) -> None:
    play = acquire_from(ctx)
    play.fail(error)
    asks(play, ctx, "b")
    assert play.end(LEASE).pool_name == "b"


@pytest.mark.parametrize("error", AILING, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("position", range(3))
def test_and_remembered_if_no_other_has_a_lease(
    ctx: Context, position: int, error: PharoxError
) -> None:
    play = acquire_from(ctx)
    with pytest.raises(type(error)) as raised:
        for number in range(3):
            asks(play, ctx, NAMES[number])
            if number == position:
                play.fail(error)
            else:
                play.reply(NONE)
    assert raised.value is error


@pytest.mark.parametrize("names", [["x", "a"], ["a", "x"]])
def test_what_ails_outweighs_unknown(ctx: Context, names: list[str]) -> None:
    play = acquire_from(ctx, names)
    with pytest.raises(StorageUnavailableError):
        for name in names:
            if name == "x":
                play.reply(None)
            else:
                play.fail(StorageUnavailableError("away"))


def test_other_errors_end_it(ctx: Context) -> None:
    for error in (StorageAccessError("no"), StorageError("?"), InvalidLeaseError("!")):
        play = acquire_from(ctx)
        with pytest.raises(type(error)):
            play.fail(error)
    with pytest.raises(InvalidLeaseError):
        acquire_from(ctx, duration_seconds=0)


def test_interrupted_it_takes_back_what_it_asked_for_last(ctx: Context) -> None:
    play = acquire_from(ctx)
    play.reply(NONE)
    asks(play, ctx, "b")
    made = play.step.args[1]
    play.interrupt()
    play.calls("release", lease_id=made, void="1")
    assert play.step.key == ctx.keys.pool(POOLS["b"])
    play.ends_interrupted([1, None])


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("names", ["", "a", "abc", [], ()])
def test_names_that_are_none_ask_nothing(ctx: Context, names: Any, shuffle: bool) -> None:
    with pytest.raises(ValueError, match="pool_names") as raised:
        acquire_from(ctx, names, shuffle=shuffle)
    assert repr(names) in str(raised.value)
