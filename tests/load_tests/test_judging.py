"""The load tests' judgement: it sees each kind of violation, and blames nothing that is right.

The rules by themselves, and then on a real pool in which something is changed by hand.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "load_tests"))
from lease_load.closing import audit, close, server_time
from lease_load.judge import Judge
from lease_load.ledger import UNSURE, Holding, Ledger
from lease_load.limits import Limits
from lease_load.maintenance import Change, Maintenance
from lease_load.options import LoadOptions
from lease_load.overlaps import Excess, Overlaps
from lease_load.performing import Performer
from lease_load.rawkeys import PoolKeys

from pharox_redis import RedisStorage, Settings
from pharox_redis.keys import lease_tail
from tests.support.builders import make_proxies, make_proxy

RETENTION = 60_000


def limits(*changes: tuple[str, int, int, int]) -> Limits:
    found = Limits()
    found.change_all([("p", 1, 0, 0), *changes])
    return found


# -- limits and overlaps -------------------------------------------------------------------------


def test_a_limit_that_is_raised_counts_early_and_one_that_is_lowered_late() -> None:
    found = limits(("p", 3, 100, 110), ("p", 2, 200, 210))
    assert [found.at("p", t) for t in (99, 100, 110, 209, 210, 211)] == [1, 3, 3, 3, 3, 2]
    assert found.highest("p") == 3
    assert found.at("unknown", 5) is None and found.highest("unknown") is None


def test_two_leases_at_once_on_one_that_may_have_one() -> None:
    overlaps = Overlaps(limits())
    overlaps.add("p", 10, 20)
    overlaps.add("p", 19, 30)
    assert overlaps.settle(100) == [Excess("p", 19, 2, 1)]


def test_leases_that_follow_one_another_in_the_same_millisecond_are_right() -> None:
    overlaps = Overlaps(limits())
    for start, end in ((20, 30), (10, 20), (30, 30), (30, 31)):
        overlaps.add("p", start, end)
    assert overlaps.settle(100) == []
    assert (overlaps.judged, overlaps.late) == (3, 0)


def test_only_what_is_complete_is_judged() -> None:
    overlaps = Overlaps(limits())
    overlaps.add("p", 10, 50)
    assert overlaps.settle(40) == []
    overlaps.add("p", 45, 60)  # comes later, began after the floor
    overlaps.add("p", 5, 9)  # too late
    assert overlaps.settle(100) == [Excess("p", 45, 2, 1)]
    assert overlaps.late == 1


def test_a_limit_that_is_lowered_leaves_leases_alone() -> None:
    overlaps = Overlaps(limits(("p", 2, 0, 0), ("p", 1, 30, 31)))
    overlaps.add("p", 10, 50)
    overlaps.add("p", 20, 50)
    assert overlaps.settle(100) == []
    overlaps.add("p", 200, 300)
    overlaps.add("p", 250, 300)
    assert overlaps.settle(400) == [Excess("p", 250, 2, 1)]


# -- the audit of one lease ----------------------------------------------------------------------


def audited(
    record: str | None, *, released: float | None = None, answered: bool = True, now: int = 20_000
) -> tuple[dict[str, int], list[str]]:
    """A lease of 10 s from 1,000 ms on, released after so many s by its consumer's clock."""
    ledger = Ledger(RETENTION)
    holding = Holding("l", "p", 1_000, 11_000, asked=50.0, got=50.01)
    ledger.open["l"] = holding
    ledger.counts["acquired"] += 1
    if released is not None:
        holding.release_asked = holding.got + released
        holding.release_done = holding.release_asked + 0.01 if answered else None
    ledger.audit([holding], [record], now)
    report = ledger.report(now)
    return dict(report["counts"]), [how for _, how, _, _ in report["problems"]]


@pytest.mark.parametrize(
    ("record", "released", "end"),
    [
        ("p c 1000 11000 3005", 2.0, "released"),
        ("p c 1000 11000", None, "expired"),
        ("p c 1000 11000", 12.0, "expired"),  # too late
        ("p c 1000 11000", 9.999, "expired"),  # on the way when it expired
    ],
)
def test_a_lease_that_ended_as_it_should(record: str, released: float | None, end: str) -> None:
    counts, problems = audited(record, released=released)
    assert problems == []
    assert counts[end] == 1


@pytest.mark.parametrize(
    ("record", "released", "how"),
    [
        ("p c 1000 11000 2500", 2.0, "ended while its consumer had it"),
        ("p c 1000 11000 2500", None, "ended while its consumer had it"),
        ("p c 1000 11000", 2.0, "was released, and the release had no effect"),
        ("q c 1000 11000 3005", 2.0, "has a record that says something else"),
        (None, 2.0, "has no record"),
    ],
)
def test_a_lease_that_was_lost(record: str | None, released: float | None, how: str) -> None:
    counts, (problem,) = audited(record, released=released)
    assert problem.startswith(how)
    assert counts["lost"] == 1


def test_a_release_that_failed_may_have_been_done_or_not() -> None:
    for record, end in (("p c 1000 11000 3005", "released"), ("p c 1000 11000", "expired")):
        counts, problems = audited(record, released=2.0, answered=False)
        assert (counts[end], problems) == (1, [])


def test_a_record_that_is_read_after_its_retention_says_nothing() -> None:
    counts, problems = audited(None, released=2.0, now=200_000)
    assert (counts["unread"], problems) == (1, [])


def test_a_report_is_complete_up_to_what_is_under_way() -> None:
    ledger = Ledger(RETENTION)
    now = 1_000_000
    assert ledger.report(now)["floor"] == now - 1
    with ledger.under_way():
        time.sleep(0.01)  # what an answer takes
        assert ledger.report(now)["floor"] <= now - 10
    ledger.open["l"] = Holding("l", "p", 400_000, 1_400_000, 0.0, 0.0)
    report = ledger.report(now, last=True)
    assert report["floor"] == 399_999
    assert report["open"] == [["l", "p", 400_000, 1_400_000, None]]
    assert ledger.open == {}


# -- the judge -----------------------------------------------------------------------------------


def report(floor: float, **values: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "intervals": {},
        "problems": [],
        "changes": [],
        "deleted": [],
        "counts": {},
        "open": [],
        "statuses": None,
        "last": False,
    }
    return {**empty, "floor": floor, **values}


def test_two_processes_exceed_a_limit_together() -> None:
    judge = Judge()
    judge.limits.change("p", 1, 0, 0)
    judge.expect("one")
    judge.expect("other")
    judge.take("one", report(100, intervals={"p": [10, 20]}))
    assert judge.problems == []
    judge.take("other", report(100, intervals={"p": [15, 25]}))
    assert [problem.partition(":")[0] for problem in judge.problems] == ["limit exceeded"]


def test_nobody_is_blamed_for_what_another_process_did_and_tells_later() -> None:
    judge = Judge()
    judge.limits.change("p", 1, 0, 0)
    for name in ("one", "maintainer"):
        judge.expect(name)
    accusation = [60, "ended while its consumer had it", "lease", "q"]
    judge.take(
        "one",
        report(100, intervals={"p": [10, 90, 50, 70]}, problems=[accusation], counts={"lost": 1}),
    )
    judge.take("maintainer", report(100, changes=[("p", 2, 45, 48)], deleted=["q"]))
    assert judge.problems == []
    assert (judge.counts["lost"], judge.counts["deleted"]) == (0, 1)


def test_a_worker_that_has_not_told_its_last_is_awaited() -> None:
    judge = Judge()
    judge.expect("one")
    judge.expect("other")
    judge.take("one", report(100, last=True))
    assert judge.awaited == {"other"}


# -- the maintainer's books ----------------------------------------------------------------------


def test_a_change_that_failed_leaves_the_higher_limit_and_no_expectation() -> None:
    ledger = Ledger(RETENTION)
    pool = make_proxy(Pool()).pool_id
    proxies = [make_proxy(Pool(), max_concurrency=3) for _ in range(4)]
    books = Maintenance(pool, proxies, LoadOptions(proxies=4), ledger)
    key = str(proxies[0].id)
    change = Change(proxies[0].model_copy(update={"max_concurrency": 1}))
    books.begin(change)
    books.failed(change, 500)
    assert ledger.statuses is not None and ledger.statuses[key] == UNSURE
    assert ledger.report(1_000)["changes"] == [(key, 3, 500, 500)]
    for _ in range(200):
        planned = books.plan()
        assert str(planned.proxy.id) != key
        books.begin(planned)
        books.done(planned, 600, 601)


class Pool:
    """Enough of a pool to make proxies for."""

    id = "00000000-0000-0000-0000-000000000001"


# -- on a real pool ------------------------------------------------------------------------------


@dataclass
class Bench:
    """A pool of two proxies, and a ledger of who leased them."""

    storage: RedisStorage
    keys: PoolKeys
    ledger: Ledger
    judge: Judge
    performer: Performer

    def acquire(self, seconds: float = 0.3) -> tuple[Any, Holding]:
        with self.ledger.under_way() as asked:
            lease = self.storage.acquire_lease("load", "consumer", seconds)
            assert lease is not None
            return lease, self.ledger.granted(lease, asked)

    def let_a_millisecond_pass(self) -> None:
        """Until now, by the server's clock: a lease that is over within one says nothing."""
        began = self.performer.perform(server_time())
        while self.performer.perform(server_time()) == began:
            pass

    def release(self, lease: Any, holding: Holding) -> None:
        holding.release_asked = time.monotonic()
        self.storage.release_lease(lease)
        holding.release_done = time.monotonic()

    def look(self) -> None:
        self.judge.take_look(*self.performer.perform(self.keys.look(10)))

    def verdict(self) -> list[str]:
        now = self.performer.perform(audit(self.keys, self.ledger))
        self.judge.take("test", self.ledger.report(now, last=True))
        self.performer.perform(close(self.keys, self.judge, RETENTION))
        return self.judge.problems


@pytest.fixture
def bench(valkey_url: str, request: pytest.FixtureRequest) -> Iterator[Bench]:
    prefix = f"judging-{abs(hash(request.node.nodeid))}"
    with RedisStorage.from_url(valkey_url, Settings(key_prefix=prefix)) as storage:
        pool = storage.ensure_pool("load")
        judge = Judge()
        for proxy in make_proxies(pool, 2):
            storage.add_proxy(proxy)
            judge.limits.change(str(proxy.id), 1, 0, 0)
            judge.statuses[str(proxy.id)] = "active"
        keys = PoolKeys(prefix, pool.id)
        yield Bench(storage, keys, Ledger(RETENTION), judge, Performer(storage, keys, "load"))


def test_a_run_in_which_all_is_right(bench: Bench) -> None:
    loan = bench.acquire(5)
    bench.acquire()
    bench.look()
    bench.let_a_millisecond_pass()
    bench.release(*loan)
    assert bench.verdict() == []
    counts = bench.judge.counts
    assert (counts["acquired"], counts["released"], counts["expired"]) == (2, 1, 1)
    assert (bench.judge.judged, counts["swept"]) == (2, 1)


def test_leases_that_nobody_has_swept_yet_are_nobodys_fault(bench: Bench) -> None:
    bench.acquire(0.02)
    while bench.ledger.open:
        bench.performer.perform(audit(bench.keys, bench.ledger))
    assert bench.verdict() == []


def not_in_expiry(bench: Bench) -> None:
    lease, _ = bench.acquire()
    bench.storage.client.zrem(
        f"{bench.keys.root}:expiry", f"{lease_tail(str(lease.id))}:{lease.proxy_id}"
    )


def not_in_expiry_and_released(bench: Bench) -> None:
    lease, holding = bench.acquire(5)
    bench.storage.client.zrem(
        f"{bench.keys.root}:expiry", f"{lease_tail(str(lease.id))}:{lease.proxy_id}"
    )
    bench.release(lease, holding)


def held_by_hand(bench: Bench) -> None:
    lease, _ = bench.acquire()
    ends = time.time() * 1000 + 1_000
    bench.storage.client.zadd(f"{bench.keys.root}:held:{lease.proxy_id}", {"stranger": ends})


def leased_by_hand(bench: Bench) -> None:
    lease, _ = bench.acquire()
    ends, root = int(time.time() * 1000 + 1_000), bench.keys.root
    bench.storage.client.zadd(f"{root}:held:{lease.proxy_id}", {"stranger": ends})
    bench.storage.client.zadd(f"{root}:expiry", {f"stranger:{lease.proxy_id}": ends})


def ended_by_somebody_else(bench: Bench) -> None:
    lease, _ = bench.acquire(1)
    bench.storage.release_lease(lease)


def forgotten(bench: Bench) -> None:
    lease, holding = bench.acquire()
    bench.release(lease, holding)
    bench.storage.client.delete(bench.keys.record(lease_tail(str(lease.id))))


def without_limit(bench: Bench) -> None:
    lease, _ = bench.acquire(1)
    bench.storage.client.hdel(f"{bench.keys.root}:proxy:{lease.proxy_id}", "max")
    bench.storage.client.zadd(f"{bench.keys.root}:view:f0", {str(lease.proxy_id): 1})
    again, _ = bench.acquire()
    assert again.proxy_id == lease.proxy_id


def parked_by_hand(bench: Bench) -> None:
    lease, holding = bench.acquire()
    bench.release(lease, holding)
    bench.storage.client.zadd(f"{bench.keys.root}:view:f0", {str(lease.proxy_id): "+inf"})


def counted_twice_by_hand(bench: Bench) -> None:
    """More leases beside others than there are leases: figures below 0, which nobody can read."""
    bench.storage.client.sadd(f"{bench.keys.root}:extra", "nobody:2", "nobody:3")


def deactivated_by_hand(bench: Bench) -> None:
    pool = bench.storage.get_pool_by_name("load")
    assert pool is not None
    proxy = bench.storage.list_proxies(pool.id)[0]
    bench.storage.save_proxy(proxy.model_copy(update={"status": "inactive"}))


@pytest.mark.parametrize(
    ("plant", "blamed"),
    [
        (not_in_expiry, {"lease stuck", "keys disagree"}),
        (not_in_expiry_and_released, {"lease stuck", "keys disagree", "lease lost"}),
        (held_by_hand, {"limit exceeded", "lease stuck", "keys disagree", "lease lost"}),
        (leased_by_hand, {"limit exceeded", "lease lost"}),
        (ended_by_somebody_else, {"lease lost"}),
        (forgotten, {"lease lost"}),
        (without_limit, {"limit exceeded"}),
        (parked_by_hand, {"keys disagree", "figures wrong"}),
        (counted_twice_by_hand, {"lease stuck", "figures wrong"}),
        (deactivated_by_hand, {"save lost"}),
    ],
)
def test_what_is_done_by_hand_is_seen(
    bench: Bench, plant: Callable[[Bench], None], blamed: set[str]
) -> None:
    plant(bench)
    bench.look()
    problems = bench.verdict()
    assert blamed <= {problem.partition(":")[0] for problem in problems}, problems
