"""Syncs: afterwards a pool is its list, and whoever had a lease has it still.

The oracle is `expected_after`: it says what becomes of each proxy of a pool, by its own reading of
the rules. Whatever can come between (a break at any step, another sync at any step) must leave
something that the next sync makes right.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pharox.models import Lease, LeaseStatus, Proxy, ProxyPool, ProxyProtocol, ProxyStatus

from pharox_redis import RedisStorage, Settings
from pharox_redis.flows import leases as leases_flow
from pharox_redis.importing import (
    Issue,
    Record,
    SyncPlan,
    SyncResult,
    Terms,
    apply_sync,
    identity_of,
    import_list,
    plan_sync,
    proxy_id,
    read_wanted,
)
from pharox_redis.importing.pools import states_of
from pharox_redis.importing.records import Identity, Parsed
from pharox_redis.models import ProxyState
from tests.support.invariants import check_invariants
from tests.support.own_servers import raw_dump

HTTP = ProxyProtocol.HTTP
SECOND = 60.0


@contextmanager
def fresh(url: str) -> Iterator[RedisStorage]:
    """A storage with nothing in it; what it wrote goes, once its keys were found to agree."""
    storage = RedisStorage.from_url(url, Settings(key_prefix=f"t{secrets.token_hex(5)}"))
    with storage:
        yield storage
        check_invariants(storage)
        for key in list(storage.client.scan_iter(f"{storage.settings.key_prefix}:*", 1000)):
            storage.client.unlink(key)


@pytest.fixture
def storage(valkey_url: str) -> Iterator[RedisStorage]:
    with fresh(valkey_url) as storage:
        yield storage


def listed(*hosts: int, **values: Any) -> list[Parsed]:
    return [Record(HTTP, f"192.0.2.{host}", 80, **values) for host in hosts]


def plan_of(storage: RedisStorage, entries: list[Parsed], terms: Terms | None = None) -> SyncPlan:
    return plan_sync(storage, "pool", read_wanted(entries), terms or Terms())


def sync(storage: RedisStorage, entries: list[Parsed], terms: Terms | None = None) -> SyncResult:
    return apply_sync(storage, plan_of(storage, entries, terms))


def states(storage: RedisStorage) -> list[ProxyState]:
    pool = storage.get_pool_by_name("pool")
    return [] if pool is None else list(states_of(storage, pool.id))


def hosts(storage: RedisStorage, *, retired: bool = False) -> list[int]:
    """Last parts of the addresses of the proxies that are retired, or that are not."""
    return sorted(
        int(str(state.proxy.host).rpartition(".")[2])
        for state in states(storage)
        if state.retired is retired
    )


def lease(storage: RedisStorage, host: int) -> Lease:
    (proxy,) = (s.proxy for s in states(storage) if str(s.proxy.host) == f"192.0.2.{host}")
    return storage.create_lease(proxy, "holder", SECOND)


# -- any pool, any list ----------------------------------------------------------------------------


@dataclass
class Before:
    """A proxy of a pool before the sync: how it came there and what was done to it."""

    record: Record
    leases: int
    retired: bool
    copies: int


_FIELDS = ("country", "city", "latitude", "longitude", "isp", "asn", "source")

identities = st.builds(
    lambda host, user: {"host": f"192.0.2.{host}", "user": user, "password": user and "x"},
    st.integers(1, 6),
    st.sampled_from([None, None, "me"]),
)
entries = st.builds(
    lambda who, **said: Record(HTTP, port=80, **who, **said),
    identities,
    country=st.sampled_from([None, "DE", "FR"]),
    city=st.sampled_from([None, "Bonn"]),
    asn=st.sampled_from([None, 0, 64496]),
    status=st.sampled_from([None, None, *ProxyStatus]),
    max_concurrency=st.sampled_from([None, 3, 4, "unlimited"]),
)
pools = st.lists(
    st.builds(
        Before,
        entries,
        leases=st.sampled_from([0, 0, 1, 2]),
        retired=st.booleans(),
        copies=st.sampled_from([1, 1, 1, 2]),
    ),
    max_size=6,
    unique_by=lambda before: before.record.identity,
)
terms = st.builds(
    Terms,
    status=st.sampled_from([ProxyStatus.ACTIVE, ProxyStatus.SLOW]),
    max_concurrency=st.sampled_from([3, "unlimited"]),
    source=st.sampled_from([None, "provider"]),
    reset_status=st.booleans(),
    reset_max_concurrency=st.booleans(),
)


@dataclass
class World:
    """A pool as it was filled."""

    pool: ProxyPool
    leases: list[Lease] = field(default_factory=list)


def fill(storage: RedisStorage, befores: list[Before]) -> World:
    world = World(storage.ensure_pool("pool"))
    for before in befores:
        import_list(storage, "pool", [before.record], Terms(max_concurrency=3))
        (proxy,) = (
            s.proxy for s in states(storage) if identity_of(s.proxy) == before.record.identity
        )
        same = [proxy]
        for _ in range(before.copies - 1):
            same.append(proxy.model_copy(update={"id": uuid4()}))
            storage.save_proxy(same[-1])
        for each in same:
            world.leases += [
                storage.create_lease(each, f"holder-{number}", SECOND)
                for number in range(before.leases)
            ]
            if before.retired:
                storage.retire_proxy(each.id)
    return world


def expected_after(
    befores: list[ProxyState], wanted: dict[Identity, Record], terms: Terms, pool_id: UUID
) -> tuple[dict[UUID, dict[str, Any]], set[UUID]]:
    """(fields by id of the proxies in use, ids of those that wait for the end of their leases)."""
    used: dict[UUID, dict[str, Any]] = {}
    waiting: set[UUID] = set()
    taken: set[Identity] = set()
    for proxy, _, retired in befores:
        identity = identity_of(proxy)
        record = wanted.get(identity)
        if record is None or identity in taken:
            if proxy.current_leases:
                waiting.add(proxy.id)
            continue
        taken.add(identity)
        fields = {name: getattr(proxy, name) for name in (*_FIELDS, "status", "max_concurrency")}
        fields |= said(record, terms)
        if terms.reset_status or (retired and proxy.status == "inactive"):
            fields["status"] = record.status or terms.status
        if terms.reset_max_concurrency:
            fields["max_concurrency"] = limit(record, terms)
        used[proxy.id] = fields
    for identity, record in wanted.items():
        if identity not in taken:
            used[proxy_id(pool_id, identity)] = {
                **dict.fromkeys(_FIELDS),
                **said(record, terms),
                "status": record.status or terms.status,
                "max_concurrency": limit(record, terms),
            }
    return used, waiting


def said(record: Record, terms: Terms) -> dict[str, Any]:
    found = {name: getattr(record, name) for name in _FIELDS}
    found["source"] = found["source"] or terms.source
    return {name: value for name, value in found.items() if value is not None}


def limit(record: Record, terms: Terms) -> int | None:
    number = record.max_concurrency or terms.max_concurrency
    return None if number == "unlimited" else number


def check_leases(storage: RedisStorage, leases: list[Lease]) -> None:
    for lease in leases:
        now = storage.get_lease(lease.id)
        assert now is not None
        assert (now.status, now.proxy_id, now.consumer_id, now.expires_at) == (
            LeaseStatus.ACTIVE, lease.proxy_id, lease.consumer_id, lease.expires_at
        )  # fmt: skip


def check_any(url: str, befores: list[Before], entries: list[Record], terms: Terms) -> None:
    with fresh(url) as storage:
        world = fill(storage, befores)
        wanted: dict[Identity, Record] = {}
        for record in entries:
            wanted.setdefault(record.identity, record)
        before = states(storage)
        used, waiting = expected_after(before, wanted, terms, world.pool.id)
        dump = raw_dump(storage.client, storage.settings.key_prefix)
        plan = plan_of(storage, list(entries), terms)
        assert raw_dump(storage.client, storage.settings.key_prefix) == dump
        result = apply_sync(storage, plan)

        check_leases(storage, world.leases)
        after = states(storage)
        assert {s.proxy.id: fields_of(s.proxy) for s in after if not s.retired} == used
        assert {s.proxy.id for s in after if s.retired} == waiting
        assert (result.added, result.updated) == (len(plan.new), len(plan.changed))
        assert result.leaving == len(waiting)
        assert result.deleted == len(before) + result.added - len(after)
        for proxy in (s.proxy for s in after if s.retired):
            assert proxy.status != "active"

        # Again: nothing is left to do, but for those that wait.
        again = plan_of(storage, list(entries), Terms(terms.status, terms.max_concurrency))
        assert not (again.new or again.changed or again.retired)
        assert set(again.leaving) == waiting
        for held in world.leases:
            storage.release_lease(held)
        apply_sync(storage, again)
        assert {s.proxy.id: fields_of(s.proxy) for s in states(storage)} == used


def fields_of(proxy: Proxy) -> dict[str, Any]:
    return {name: getattr(proxy, name) for name in (*_FIELDS, "status", "max_concurrency")}


@given(pools, st.lists(entries, max_size=8), terms)
@settings(deadline=None, max_examples=40)
def test_any_pool_becomes_any_list(
    valkey_url: str, befores: list[Before], entries: list[Record], terms: Terms
) -> None:
    check_any(valkey_url, befores, entries, terms)


@pytest.mark.slow
@given(pools, st.lists(entries, max_size=8), terms)
@settings(deadline=None, max_examples=1500)
def test_any_pool_becomes_any_list_at_length(
    valkey_url: str, befores: list[Before], entries: list[Record], terms: Terms
) -> None:
    check_any(valkey_url, befores, entries, terms)


# -- the plan --------------------------------------------------------------------------------------


def test_a_plan_says_what_differs(storage: RedisStorage) -> None:
    sync(storage, listed(1, 2, 3, 4))
    lease(storage, 3)
    issue = Issue("line", 7, "no")
    plan = plan_of(storage, [*listed(1), issue, *listed(2, city="Bonn"), *listed(5, 1, 6), issue])
    assert [identity.host for identity in plan.new] == ["192.0.2.5", "192.0.2.6"]
    assert [(u.identity.host, u.changes) for u in plan.changed.values()] == [
        ("192.0.2.2", ("city",))
    ]
    assert [(r.identity.host, r.leases) for r in plan.retired.values()] == [
        ("192.0.2.3", 1), ("192.0.2.4", 0)
    ]  # fmt: skip
    assert (plan.unchanged, plan.present, plan.retired_percent) == (1, 4, 50)
    assert (plan.wanted.duplicates, plan.wanted.unreadable) == (1, 2)
    assert plan.wanted.issues == [issue, issue]


def test_shares_do_not_count_what_was_retired_before(storage: RedisStorage) -> None:
    sync(storage, listed(1, 2, 3, 4))
    lease(storage, 3), lease(storage, 4)
    sync(storage, listed(1, 2))
    plan = plan_of(storage, listed(1))
    assert (len(plan.retired), len(plan.leaving), plan.retired_percent) == (1, 2, 50)
    plan = plan_of(storage, listed(3))
    assert (plan.returning, len(plan.retired), plan.retired_percent) == (1, 2, 100)


def test_a_plan_makes_no_pool_and_an_empty_one_needs_none(storage: RedisStorage) -> None:
    plan = plan_of(storage, listed(1))
    assert plan.pool_is_new
    assert plan.retired_percent == 0
    assert apply_sync(storage, plan_of(storage, [])) == SyncResult()
    assert storage.list_pools() == []
    apply_sync(storage, plan)
    assert hosts(storage) == [1]


def test_a_proxy_moved_to_another_address_keeps_its_id(storage: RedisStorage) -> None:
    sync(storage, listed(1))
    (state,) = states(storage)
    storage.save_proxy(state.proxy.model_copy(update={"host": "192.0.2.9"}))
    sync(storage, listed(1, 9))
    assert hosts(storage) == [1, 9]
    assert states(storage)[0].proxy.id == state.proxy.id


def test_of_two_of_one_identity_the_first_stays(storage: RedisStorage) -> None:
    sync(storage, listed(1))
    first = states(storage)[0].proxy
    storage.save_proxy(first.model_copy(update={"id": uuid4(), "city": "Bonn"}))
    assert plan_of(storage, listed(1)).unchanged == 1
    assert sync(storage, listed(1)) == SyncResult(deleted=1)
    assert [state.proxy.id for state in states(storage)] == [first.id]


def test_a_retired_proxy_that_is_listed_comes_back(storage: RedisStorage) -> None:
    sync(storage, listed(1, 2, 3))
    leases = [lease(storage, host) for host in (1, 2)]
    one, two, three = (state.proxy.id for state in states(storage))
    storage.set_proxy_status(two, ProxyStatus.BANNED)
    storage.set_proxy_status(three, ProxyStatus.INACTIVE)
    assert sync(storage, []) == SyncResult(deleted=1, leaving=2)
    plan = plan_of(storage, listed(1, 2))
    assert [update.changes for update in plan.changed.values()] == [
        ("retired", "status"), ("retired",)
    ]  # fmt: skip
    assert apply_sync(storage, plan) == SyncResult(updated=2)
    assert [(s.proxy.id, s.proxy.status, s.retired) for s in states(storage)] == [
        (one, "active", False), (two, "banned", False)
    ]  # fmt: skip
    check_leases(storage, leases)


def test_a_retired_proxy_that_is_listed_and_deleted_meanwhile_is_added_anew(
    storage: RedisStorage,
) -> None:
    sync(storage, listed(1, 2))
    held = lease(storage, 1)
    sync(storage, listed(2))
    plan = plan_of(storage, listed(1, 2, city="Bonn"))
    storage.release_lease(held)
    storage.cleanup_expired_leases()
    assert hosts(storage) == [2]
    assert apply_sync(storage, plan) == SyncResult(added=1, updated=1)
    assert hosts(storage) == [1, 2]
    assert sync(storage, listed(1, 2, city="Bonn")) == SyncResult()


def test_what_was_put_out_of_use_by_hand_stays_so(storage: RedisStorage) -> None:
    sync(storage, listed(1, 2))
    one, two = (state.proxy.id for state in states(storage))
    storage.set_proxy_status(one, ProxyStatus.BANNED)
    storage.set_proxy_status(two, ProxyStatus.INACTIVE)
    assert sync(storage, listed(1, 2)) == SyncResult()
    assert [state.proxy.status for state in states(storage)] == ["banned", "inactive"]
    assert sync(storage, listed(1, 2), Terms(reset_status=True)) == SyncResult(updated=2)
    assert [state.proxy.status for state in states(storage)] == ["active", "active"]


def test_big_pools_are_read_and_written_in_pages(storage: RedisStorage) -> None:
    many = [Record(HTTP, f"10.0.{n >> 8}.{n & 255}", 80) for n in range(1100)]
    assert sync(storage, [*many]) == SyncResult(added=1100)
    told: list[tuple[str, int]] = []
    plan = plan_sync(
        storage, "pool", read_wanted(many[300:]), Terms(source="x"), lambda *at: told.append(at)
    )
    result = apply_sync(storage, plan, on_progress=lambda *at: told.append(at))
    assert result == SyncResult(updated=800, deleted=300)
    assert told[:2] == [("compared", 500), ("compared", 1000)]
    assert told[-1][0] == "done" and told[-1][1] > 800


def test_a_sweep_of_leases_leaves_a_proxy_that_came_back_meanwhile(
    storage: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(storage, listed(1))
    held = lease(storage, 1)
    sync(storage, [])
    storage.release_lease(held)
    finish = leases_flow.retire_proxy

    def after_a_sync(*args: Any, **kwargs: Any) -> Any:
        assert sync(storage, listed(1)) == SyncResult(updated=1)
        return finish(*args, **kwargs)

    monkeypatch.setattr(leases_flow, "retire_proxy", after_a_sync)
    storage.cleanup_expired_leases()
    assert hosts(storage) == [1]


# -- what was done by others meanwhile -------------------------------------------------------------


def test_what_happened_since_the_plan_stays(storage: RedisStorage) -> None:
    sync(storage, listed(1, 2, 3, 4))
    plan = plan_of(storage, listed(1, 2, 4, city="Bonn"))
    one, two, three, four = (state.proxy for state in states(storage))
    storage.set_proxy_status(one.id, ProxyStatus.BANNED)
    storage.delete_proxy(two.id)
    storage.delete_proxy(three.id)
    storage.save_proxy(three.model_copy(update={"id": uuid4(), "host": "192.0.2.8"}))
    # At another address it is another proxy, of which the list says nothing.
    storage.save_proxy(four.model_copy(update={"host": "192.0.2.9"}))
    result = apply_sync(storage, plan)
    assert hosts(storage) == [1, 8, 9]
    assert storage.get_proxy(four.id).city is None
    after = storage.get_proxy(one.id)
    assert (after.status, after.city) == ("banned", "Bonn")
    assert (result.updated, result.deleted) == (1, 1)
    sync(storage, listed(1, 2, 4, city="Bonn"))
    assert hosts(storage) == [1, 2, 4]


def test_a_lease_taken_since_the_plan_lives_on(storage: RedisStorage) -> None:
    sync(storage, listed(1))
    plan = plan_of(storage, [])
    held = storage.acquire_lease("pool", "holder", SECOND)
    assert held is not None
    assert apply_sync(storage, plan) == SyncResult(leaving=1)
    check_leases(storage, [held])
    assert storage.acquire_lease("pool", "other", SECOND) is None
    storage.release_lease(held)
    assert storage.acquire_lease("pool", "other", SECOND) is None
    assert sync(storage, []) == SyncResult(deleted=1)
    assert states(storage) == []


class Disturbed:
    """A storage that does something of somebody else's before its n-th call."""

    def __init__(self, storage: RedisStorage, at: int, happens: Callable[[], object]) -> None:
        self._storage, self.left, self._happens = storage, at, happens

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                self._happens()
            return method(*args, **kwargs)

        return call


class BrokenOff(BaseException):
    """What ends a sync at once, as Ctrl-C would."""


def prepared(storage: RedisStorage) -> list[Lease]:
    """A pool about which a sync to `WANTED` does something of everything."""
    sync(storage, listed(1, 2, 3, 4, 5, 6))
    leases = [lease(storage, host) for host in (2, 4, 5)]
    sync(storage, listed(1, 2, 3, 4))
    storage.set_proxy_status(states(storage)[0].proxy.id, ProxyStatus.BANNED)
    return leases


WANTED = [*listed(1, 2, city="Bonn"), *listed(5, 7, 8)]


def check_wanted(storage: RedisStorage, leases: list[Lease]) -> None:
    assert hosts(storage) == [1, 2, 5, 7, 8]
    assert hosts(storage, retired=True) == [4]
    check_leases(storage, leases)
    found = {str(s.proxy.host)[-1]: (s.proxy.status.value, s.proxy.city) for s in states(storage)}
    assert (found["1"], found["2"], found["5"]) == (
        ("banned", "Bonn"), ("active", "Bonn"), ("active", None)
    )  # fmt: skip


def steps_of(url: str) -> int:
    """How many calls such a sync makes."""
    with fresh(url) as storage:
        leases = prepared(storage)
        counted = Disturbed(storage, 1000, lambda: None)
        sync(counted, WANTED)  # type: ignore[arg-type]
        check_wanted(storage, leases)
        return 1000 - counted.left


def test_a_sync_broken_off_at_any_step_is_completed_by_the_next(valkey_url: str) -> None:
    def break_off() -> None:
        raise BrokenOff

    steps = steps_of(valkey_url)
    assert steps > 5
    for step in range(1, steps + 1):
        with fresh(valkey_url) as storage:
            leases = prepared(storage)
            with pytest.raises(BrokenOff):
                sync(Disturbed(storage, step, break_off), WANTED)  # type: ignore[arg-type]
            check_leases(storage, leases)
            check_invariants(storage)
            sync(storage, WANTED)
            check_wanted(storage, leases)


def test_the_same_sync_at_any_step_changes_nothing(valkey_url: str) -> None:
    for step in range(1, steps_of(valkey_url) + 1):
        with fresh(valkey_url) as storage:
            leases = prepared(storage)
            other = lambda storage=storage: sync(storage, WANTED)  # noqa: E731
            sync(Disturbed(storage, step, other), WANTED)  # type: ignore[arg-type]
            check_wanted(storage, leases)


def test_another_sync_at_any_step_does_no_harm(valkey_url: str) -> None:
    others = [*listed(2, 3, 6, 9), *listed(4, country="FR")]
    for step in range(1, steps_of(valkey_url) + 1):
        with fresh(valkey_url) as storage:
            leases = prepared(storage)
            other = lambda storage=storage: sync(storage, others)  # noqa: E731
            sync(Disturbed(storage, step, other), WANTED)  # type: ignore[arg-type]
            check_leases(storage, leases)
            check_invariants(storage)
            names = [(str(s.proxy.host), s.retired) for s in states(storage)]
            assert len({name for name, _ in names}) == len(names)
            sync(storage, WANTED)
            check_leases(storage, leases)
            assert hosts(storage) == [1, 2, 5, 7, 8]


def test_syncs_in_threads_agree(valkey_url: str) -> None:
    with fresh(valkey_url) as storage:
        before = [Record(HTTP, f"10.0.0.{n}", 80) for n in range(250)]
        after: list[Parsed] = [
            Record(HTTP, f"10.0.0.{n}", 80, city="Bonn") for n in range(0, 250, 2)
        ]
        sync(storage, [*before])
        leases = storage.acquire_leases("pool", "holder", SECOND, 100)
        assert len(leases) == 100
        failed: list[BaseException] = []

        def run() -> None:
            try:
                sync(storage, after)
            except BaseException as error:
                failed.append(error)

        threads = [Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        check_leases(storage, [*leases])
        sync(storage, after)
        assert hosts(storage) == list(range(0, 250, 2))
        assert hosts(storage, retired=True) == list(range(1, 100, 2))
