"""Processes that contend: what they write down, and that they end."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pharox.models import Proxy

from pharox_redis.benchmark.bench import SMALL, Bench, proxies
from pharox_redis.benchmark.contender import LOCK, OURS, Contender, Plan, Round, locked, play
from pharox_redis.benchmark.crowd import CrowdError, overlaps, run_crowd
from pharox_redis.benchmark.peers.locks import lock_name
from pharox_redis.benchmark.rows import Verdict
from pharox_redis.benchmark.sections.contention import POOL, _make_pool, contention


@pytest.mark.parametrize(
    ("holds", "expected"),
    [
        ([], (0, 0)),
        ([("a", 1, 2), ("a", 2, 3)], (0, 1)),  # the moment one ends the other may begin
        ([("a", 1, 3), ("b", 2, 4)], (0, 2)),
        ([("a", 1, 3), ("a", 2, 4)], (1, 2)),
        ([("a", 1, 9), ("a", 2, 3), ("b", 2, 3), ("a", 4, 5)], (2, 3)),
    ],
)
def test_overlaps(holds: list[tuple[str, float, float]], expected: tuple[int, int]) -> None:
    assert overlaps(holds) == expected


def played(acquire: Callable[[], str | None], release: Callable[[str], object]) -> Round:
    done = Round("x")
    play(Contender(acquire, release, str), done, 0.01)
    return done


def test_nothing_to_take_is_a_miss_and_no_error() -> None:
    answers = iter(["a", None, None])
    done = played(lambda: next(answers, "b"), lambda _: None)
    assert (done.misses, done.errors) == (2, 0)
    assert [name for name, *_ in done.holds][:2] == ["a", "b"]
    assert overlaps(done.holds) == (0, 1)
    assert done.ended - done.began >= 0.01


@pytest.mark.parametrize("broken", ["acquire", "release"])
def test_whatever_is_raised_is_an_error_and_the_round_goes_on(broken: str) -> None:
    def fail(*_: object) -> str:
        raise ValueError("no")

    acquire, release = (lambda: "a"), (lambda _: None)
    done = played(
        fail if broken == "acquire" else acquire, fail if broken == "release" else release
    )
    assert done.errors > 3
    assert done.messages == ["ValueError: no"] * 3


def plan_on(bench: Bench) -> Plan:
    return Plan(bench.url, bench.prefix, POOL, 2, (OURS, LOCK), 2, 0.1)


def test_processes_share_what_there_is(bench: Bench) -> None:
    _make_pool(bench, 2)
    rounds: list[int] = []
    notes = run_crowd(plan_on(bench), 3, lambda: rounds.append(1))
    assert [[done.contender for done in each] for each in notes] == [[OURS, LOCK] * 3] * 3
    assert len(rounds) == 6
    assert [done.hold for done in notes[0]] == [0, 0, 0, 0, 0.002, 0.002]
    assert {done.errors for each in notes for done in each} == {0}
    for name in (OURS, LOCK):
        holds = [h for each in notes for done in each if done.contender == name for h in done.holds]
        assert holds and overlaps(holds)[0] == 0
        assert 1 <= len({name for name, *_ in holds}) <= 2
        kept = [hold for each in notes for hold in each[-2 if name is OURS else -1].holds]
        assert min(end - start for _, start, end in kept) >= 0.002
        assert overlaps(kept)[1] == 2, "three processes never used both at a time"
    assert bench.storage().list_leases() == []
    assert multiprocessing.active_children() == []


def test_a_limit_that_does_not_hold_is_a_budget_missed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlimited(*args: Any) -> list[Proxy]:
        return [p.model_copy(update={"max_concurrency": None}) for p in proxies(*args)]

    bench.profile = replace(SMALL, round_seconds=0.05)
    monkeypatch.setattr("pharox_redis.benchmark.sections.contention.proxies", unlimited)
    *_, limits = contention(bench)
    assert limits.what.endswith("leases beyond a limit")
    assert limits.verdict is Verdict.FAIL
    assert "at most 2 of 1 held" in limits.note


def test_a_process_that_cannot_begin_ends_all_of_them(bench: Bench) -> None:
    plan = replace(plan_on(bench), contenders=(OURS, "nobody"))
    with pytest.raises(CrowdError, match="KeyError: 'nobody'"):
        run_crowd(plan, 2, lambda: None)
    assert multiprocessing.active_children() == []


def test_an_interrupted_run_ends_its_processes(bench: Bench) -> None:
    def interrupt() -> None:
        assert len(multiprocessing.active_children()) == 2
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_crowd(replace(plan_on(bench), seconds=60.0), 2, interrupt)
    assert multiprocessing.active_children() == []


def test_a_lock_that_is_taken_is_passed_over(bench: Bench) -> None:
    bench.client.set(lock_name(bench.prefix, 0), "somebody's")
    contender = locked(bench.client, bench.prefix, 2)
    for _ in range(5):
        held = contender.acquire()
        assert contender.name(held) == lock_name(bench.prefix, 1)
        assert contender.acquire() is None
        contender.release(held)
