"""Random histories, played on the storage and on the model side by side.

The machine does to a storage, of either flavour, what any caller may do (in random order, from two
clients that share a prefix but no cache) and the same to :class:`tests.support.oracle.Oracle`.
After every step both must have chosen the same proxy, or failed with the same kind of error, and
must show the same pools, proxies, lease counts and figures. Ids come from the test data, because
ids break ties.

Settings are part of the data: few views, none, views that idle out at once, chunks of a
microsecond (every loop of a script stops as early as it may), no claims, no retention; pools that
are larger than a script's page. Time moves by ``expire_leases``; nothing waits.

The model has one caller. Where the second client asks for a proxy, the claim left by a bare find of
the first is let lapse before.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid5

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pharox.exceptions import PharoxError
from pharox.manager import ProxyManager
from pharox.models import (
    AcquireEventPayload,
    HealthCheckResult,
    Lease,
    LeaseStatus,
    PoolStatsSnapshot,
    Proxy,
    ProxyFilters,
    ProxyHealthRecord,
    ProxyPool,
    ProxyProtocol,
    ProxyStatus,
    SelectorStrategy,
)

from pharox_redis import Settings
from tests.support.blocking import AnyStorage, manager_of
from tests.support.flavours import Maker
from tests.support.invariants import check_invariants
from tests.support.oracle import Oracle
from tests.support.timetravel import expire_leases, lapse_claims

T = TypeVar("T")

NAMES = ["p", "q", "r"]
CONSUMERS = ["default", "ann", "bob"]
LONG = "a city whose name does not fit a compact hash, " + "o" * 40
CHECKED = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)
# At most this many leases may be due in a pool, with two claims: an acquire sweeps the first eight.
DUE_AT_ONCE = 6
# Script calls a step may take.
PATIENCE = 1500

ids = st.uuids()
places = st.sampled_from(
    [(None, None), (None, None), (52.5, 13.4), (52.5000004, 13.4), (48.1, 11.6), (-33.9, 151.2)]
)
statuses = st.sampled_from(
    [ProxyStatus.ACTIVE] * 6 + [ProxyStatus.INACTIVE, ProxyStatus.SLOW, ProxyStatus.BANNED]
)
moments = st.sampled_from([0, 1, 999, 1000, 1001, 2500]).map(
    lambda micros: CHECKED + timedelta(microseconds=micros)
)
attributes = st.fixed_dictionaries(
    {
        "country": st.sampled_from([None, "", "DE", "DE", "US"]),
        "source": st.sampled_from([None, "a", "b"]),
        "city": st.sampled_from([None, LONG, "#c"]),
        "asn": st.sampled_from([None, 0, 64512]),
        "place": places,
        "status": statuses,
        "max_concurrency": st.sampled_from([None, 1, 1, 2, 3]),
        "checked_at": moments,
        "port": st.sampled_from([8080, 8081]),
    }
)


def even_port(proxy: Proxy) -> bool:
    return proxy.port % 2 == 0


def idle(proxy: Proxy) -> bool:
    return proxy.current_leases == 0


usual_filters = st.sampled_from(
    [
        ProxyFilters(country="DE"),
        ProxyFilters(country="US"),
        ProxyFilters(source="a"),
        ProxyFilters(source="b", country="DE"),
        ProxyFilters(city=LONG),
        ProxyFilters(city="#c"),
        ProxyFilters(asn=0),
        ProxyFilters(country="nowhere"),
        ProxyFilters(latitude=52.5, longitude=13.4),
        ProxyFilters(latitude=52.5, longitude=13.4, radius_km=600),
        ProxyFilters(none_of=[ProxyFilters(country="DE")]),
        ProxyFilters(any_of=[ProxyFilters(asn=64512), ProxyFilters(source="a")]),
        ProxyFilters(predicate=even_port),
        ProxyFilters(country="DE", predicate=idle),
        ProxyFilters(none_of=[ProxyFilters(source="a", predicate=even_port)]),
    ]
)
leaves = st.builds(
    ProxyFilters,
    country=st.sampled_from([None, "", "DE", "US"]),
    source=st.sampled_from([None, "a"]),
    asn=st.sampled_from([None, 0]),
    predicate=st.sampled_from([None, None, None, even_port]),
)
branches = st.lists(st.one_of(leaves, usual_filters), max_size=2)
nested_filters = st.builds(
    ProxyFilters,
    source=st.sampled_from([None, "b"]),
    all_of=branches,
    any_of=branches,
    none_of=branches,
)
filters_or_none = st.one_of(st.none(), usual_filters, usual_filters, nested_filters)
selectors = st.sampled_from([None, *SelectorStrategy])
# What is asked for: most often one of the two favourites of this history, so that their views get
# registered, filled, and used after whatever happens in between.
wishes = st.one_of(st.integers(0, 1), st.integers(0, 1), st.tuples(filters_or_none, selectors))
favourites = st.tuples(st.one_of(st.none(), usual_filters), selectors)
picks = st.integers(0, 63)
clients = st.booleans()

limits = st.fixed_dictionaries(
    {
        "view_limit": st.sampled_from([64, 3, 1, 0]),
        "view_idle_seconds": st.sampled_from([600.0, 600.0, 0.001]),
        "chunk_ms": st.sampled_from([2.0, 0.001]),
        "claim_seconds": st.sampled_from([60.0, 60.0, 0.0]),
        "lease_retention": st.sampled_from([3600.0, 3600.0, 0.0]),
        "predicate_scan_limit": st.just(10_000),
    }
)


Wish = tuple[ProxyFilters | None, SelectorStrategy | None]


class Patience:
    """Counts a client's script calls, so that a flow that never ends fails, and shrinks."""

    def __init__(self, client: Any) -> None:
        self.calls = 0
        send = client.execute_command

        def counted(*args: Any, **options: Any) -> Any:
            self.calls += args[0] == "EVALSHA"
            assert self.calls < PATIENCE, f"{PATIENCE} script calls, and no end: {args[2:]}"
            return send(*args, **options)

        client.execute_command = counted


class Fleet(RuleBasedStateMachine):
    """Two clients of one prefix, and the model of what they must see."""

    client: redis.Redis
    maker: Maker
    patience: Patience

    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"s{secrets.token_hex(5)}"
        self.both: tuple[AnyStorage, AnyStorage] | None = None
        self.leases: list[tuple[Lease, Lease]] = []
        self.graveyard: list[UUID] = []
        self.claimed: tuple[bool, UUID, UUID] | None = None
        self.lapsed = False
        self.limits_hold = True
        self.turn = False

    # -- set-up and end --------------------------------------------------------------------------

    @initialize(
        limits=limits,
        pool_id=ids,
        first=st.lists(st.tuples(ids, attributes), max_size=6, unique_by=lambda each: each[0]),
        crowd=st.sampled_from([0] * 7 + [130]),
        favourites=st.tuples(favourites, favourites),
    )
    def begin(
        self,
        limits: dict[str, Any],
        pool_id: UUID,
        first: list[tuple[UUID, dict[str, Any]]],
        crowd: int,
        favourites: tuple[Wish, Wish],
    ) -> None:
        self.favourites = favourites
        chosen = Settings(key_prefix=self.prefix, **limits)
        self.both = (
            self.maker.storage(self.client, chosen),
            self.maker.storage(self.client, chosen),
        )
        self.model = Oracle(retains=limits["lease_retention"] > 0)
        pool = ProxyPool(id=pool_id, name=NAMES[0])
        self.agree(lambda s: s.save_pool(pool), False)
        proxies = [self.proxy(pool_id, id, values) for id, values in first]
        for number in range(crowd):
            values = {
                "country": "US" if number % 10 else "DE",
                "source": None if number % 51 else "a",
                "max_concurrency": 1,
                "checked_at": CHECKED,
                "port": 8081 if number % 17 else 8080,
            }
            proxies.append(self.proxy(pool_id, uuid5(pool_id, str(number)), values))
        self.agree(lambda s: s.add_proxies_bulk(proxies), False)

    def teardown(self) -> None:
        self.patience.calls = 0
        if self.both is None:
            return
        try:
            check_invariants(self.both[0], limits=self.limits_hold)
        finally:
            self.maker.dismiss()
            keys = list(self.client.scan_iter(match=f"{self.prefix}:*", count=1000))
            if keys:
                self.client.unlink(*keys)

    # -- helpers ---------------------------------------------------------------------------------

    def real(self, second: bool) -> AnyStorage:
        assert self.both
        return self.both[second]

    @staticmethod
    def outcome(call: Callable[[], T]) -> tuple[T | None, PharoxError | None]:
        try:
            return call(), None
        except PharoxError as error:
            return None, error

    def agree(self, call: Callable[[Any], T], second: bool) -> tuple[T | None, T | None]:
        """Do the same to both; errors must be of the same kind."""
        return self.agree2(lambda: call(self.real(second)), lambda: call(self.model))

    def agree2(
        self, real_call: Callable[[], T], model_call: Callable[[], T]
    ) -> tuple[T | None, T | None]:
        got, error = self.outcome(real_call)
        wanted, wanted_error = self.outcome(model_call)
        if wanted_error is None:
            assert error is None, f"raised {error!r}, the model returned {wanted!r}"
        else:
            assert isinstance(error, type(wanted_error)), (error, got, wanted_error)
        return got, wanted

    @staticmethod
    def proxy(pool_id: UUID, id: UUID, values: dict[str, Any]) -> Proxy:
        fields = dict(values)
        latitude, longitude = fields.pop("place", (None, None))
        return Proxy(
            **{
                "id": id,
                "pool_id": pool_id,
                "host": "192.0.2.1",
                "protocol": ProxyProtocol.HTTP,
                "status": ProxyStatus.ACTIVE,
                "latitude": latitude,
                "longitude": longitude,
                **fields,
            }
        )

    def wish(self, wanted: int | Wish) -> Wish:
        return self.favourites[wanted] if isinstance(wanted, int) else wanted

    def pools(self) -> list[ProxyPool]:
        return self.model.list_pools()

    def all_proxies(self) -> list[Proxy]:
        return [each for pool in self.pools() for each in self.model.list_proxies(str(pool.id))]

    def some_pool(self, pick: int) -> ProxyPool:
        pools = self.pools()
        return pools[pick % len(pools)]

    def some_proxy(self, pick: int) -> Proxy:
        proxies = self.all_proxies()
        return proxies[pick % len(proxies)]

    def let_go(self, second: bool, asks_by_find: bool) -> None:
        """Let the claim of a bare find lapse, unless who asks now lets it go by itself."""
        if self.claimed is not None and not (asks_by_find and self.claimed[0] == second):
            lapse_claims(self.real(second), self.claimed[1])
            self.claimed, self.lapsed = None, True

    def save(self, proxy: Proxy, second: bool) -> None:
        known = self.model.get_proxy_by_id(proxy.id)
        if known and proxy.max_concurrency and proxy.max_concurrency <= known.current_leases:
            self.limits_hold = False
        self.agree(lambda s: s.save_proxy(proxy), second)

    def granted(self, got: Lease | None, wanted: Lease | None, model_proxy: Proxy | None) -> None:
        if wanted is None or got is None:
            assert got is wanted, f"got {got!r}, the model {wanted!r}"
            return
        assert got.proxy_id == wanted.proxy_id, f"leased {got.proxy_id}, not {wanted.proxy_id}"
        assert (got.pool_id, got.pool_name) == (wanted.pool_id, wanted.pool_name)
        assert got.status == wanted.status == LeaseStatus.ACTIVE
        if model_proxy is not None:
            assert got.proxy.model_dump() == {  # type: ignore[attr-defined]
                **model_proxy.model_dump(),
                "current_leases": model_proxy.current_leases + 1,
            }
        self.leases.append((got, wanted))

    # -- pools -----------------------------------------------------------------------------------

    @rule(id=ids, name=st.sampled_from(NAMES), second=clients)
    def create_pool(self, id: UUID, name: str, second: bool) -> None:
        self.agree(lambda s: s.save_pool(ProxyPool(id=id, name=name)), second)

    @precondition(lambda self: self.pools())
    @rule(pick=picks, name=st.sampled_from(NAMES), second=clients)
    def change_pool(self, pick: int, name: str, second: bool) -> None:
        changed = self.some_pool(pick).model_copy(update={"name": name, "description": "new"})
        self.agree(lambda s: s.save_pool(changed), second)

    @rule(name=st.sampled_from(NAMES), second=clients)
    def ensure_pool(self, name: str, second: bool) -> None:
        found = self.real(second).ensure_pool(name)
        known = {pool.name: pool for pool in self.pools()}
        if name in known:
            assert found == known[name]
        else:
            self.model.save_pool(found)

    @precondition(lambda self: len(self.pools()) > 1)
    @rule(pick=picks, second=clients)
    def delete_pool(self, pick: int, second: bool) -> None:
        pool = self.some_pool(pick)
        self.graveyard += [each.id for each in self.model.list_proxies(str(pool.id))][:10]
        self.agree(lambda s: s.delete_pool(str(pool.id)), second)
        self.agree(lambda s: s.delete_pool(str(pool.id)), second)
        self.agree(lambda s: s.get_pool(str(pool.id)), not second)
        self.agree(lambda s: s.list_proxies(str(pool.id)), not second)

    # -- proxies ---------------------------------------------------------------------------------

    @precondition(lambda self: self.pools())
    @rule(pick=picks, id=ids, values=attributes, second=clients)
    def add_proxy(self, pick: int, id: UUID, values: dict[str, Any], second: bool) -> None:
        self.save(self.proxy(self.some_pool(pick).id, id, values), second)

    @precondition(lambda self: self.pools())
    @rule(
        pick=picks,
        new=st.lists(st.tuples(ids, attributes), max_size=4),
        known=st.lists(picks, max_size=2),
        second=clients,
    )
    def add_bulk(
        self, pick: int, new: list[tuple[UUID, Any]], known: list[int], second: bool
    ) -> None:
        pool = self.some_pool(pick)
        batch = [self.proxy(pool.id, id, values) for id, values in new]
        mine = self.model.list_proxies(str(pool.id))
        batch += [mine[each % len(mine)] for each in known if mine]
        batch += batch[:1]
        got, wanted = self.agree(lambda s: s.add_proxies_bulk(batch), second)
        assert got == wanted

    @precondition(lambda self: self.all_proxies())
    @rule(pick=picks, values=attributes, second=clients)
    def rewrite_proxy(self, pick: int, values: dict[str, Any], second: bool) -> None:
        known = self.some_proxy(pick)
        self.save(self.proxy(known.pool_id, known.id, values), second)

    @precondition(lambda self: self.all_proxies())
    @rule(
        pick=picks,
        change=st.sampled_from(["status", "max_concurrency", "country", "place", "checked_at"]),
        values=attributes,
        second=clients,
    )
    def change_proxy(self, pick: int, change: str, values: dict[str, Any], second: bool) -> None:
        known = self.some_proxy(pick)
        update = (
            dict(zip(("latitude", "longitude"), values["place"], strict=True))
            if change == "place"
            else {change: values[change]}
        )
        self.save(known.model_copy(update=update), second)

    @precondition(lambda self: self.all_proxies() and len(self.pools()) > 1)
    @rule(pick=picks, pool=picks, second=clients)
    def move_proxy(self, pick: int, pool: int, second: bool) -> None:
        moved = self.some_proxy(pick).model_copy(update={"pool_id": self.some_pool(pool).id})
        self.save(moved, second)

    @precondition(lambda self: self.all_proxies())
    @rule(pick=picks, second=clients)
    def delete_proxy(self, pick: int, second: bool) -> None:
        proxy = self.some_proxy(pick)
        self.graveyard.append(proxy.id)
        self.agree(lambda s: s.delete_proxy(str(proxy.id)), second)

    @precondition(lambda self: self.graveyard and self.pools())
    @rule(pick=picks, pool=picks, values=attributes, second=clients)
    def dig_up(self, pick: int, pool: int, values: dict[str, Any], second: bool) -> None:
        id = self.graveyard[pick % len(self.graveyard)]
        gone = self.model.get_proxy_by_id(id) is None
        if gone:
            self.agree(lambda s: s.delete_proxy(str(id)), second)
            self.agree(lambda s: s.get_proxy(str(id)), second)
            assert self.real(second).get_proxy_by_id(id) is None
            self.save(self.proxy(self.some_pool(pool).id, id, values), second)

    @rule(id=ids, pool_id=ids, values=attributes, second=clients)
    def save_into_no_pool(
        self, id: UUID, pool_id: UUID, values: dict[str, Any], second: bool
    ) -> None:
        self.agree(lambda s: s.save_proxy(self.proxy(pool_id, id, values)), second)

    # -- leases ----------------------------------------------------------------------------------

    def acquire(
        self, via: str, name: str, consumer: str, filters: Any, selector: Any, second: bool
    ) -> None:
        pool = next((each.id for each in self.pools() if each.name == name), None)
        own = self.claimed is not None and self.claimed[1] == pool
        self.let_go(second, own)
        storage = self.real(second)
        if own:
            self.claimed = None
        if via == "stock":
            self.claimed = None
            got, wanted = self.agree(
                lambda s: ProxyManager(s).acquire_proxy(name, consumer, 300, filters, selector),
                second,
            )
            self.granted(got, wanted, None)
            return
        proxy = self.model.find_available_proxy(name, filters, selector)
        lease = self.model.create_lease(proxy, consumer, 300) if proxy else None
        if via == "manager":
            seen: list[AcquireEventPayload] = []
            manager = manager_of(storage)
            manager.register_acquire_callback(seen.append)
            got = manager.acquire_proxy(name, consumer, 300, filters, selector)
            self.same_figures(seen[0].pool_stats, self.model.get_pool_stats(name))
        else:
            got = None
            if self.model.get_pool_stats(name) is not None:
                got = storage.acquire_lease(name, consumer, 300, filters, selector)
        self.granted(got, lease, proxy)

    @rule(
        via=st.sampled_from(["storage", "storage", "manager", "stock"]),
        name=st.sampled_from(["p", "p", "p", "q", "r"]),
        consumer=st.sampled_from(CONSUMERS),
        wish=wishes,
        second=clients,
        times=st.integers(1, 2),
    )
    def acquire_any(
        self, via: str, name: str, consumer: str, wish: Any, second: bool, times: int
    ) -> None:
        for _ in range(times):
            self.acquire(via, name, consumer, *self.wish(wish), second)

    @rule(wish=st.integers(0, 1))
    def acquire_favourite(self, wish: int) -> None:
        self.acquire("manager", "p", "default", *self.wish(wish), False)

    @rule(
        name=st.sampled_from(["p", "p", "p", "q", "r"]),
        consumer=st.sampled_from(CONSUMERS),
        wish=wishes,
        second=clients,
        count=st.sampled_from([1, 2, 3, 5, 9, 101, 130]),
        distinct=st.booleans(),
        kept=st.integers(0, 3),
    )
    def acquire_batch(
        self,
        name: str,
        consumer: str,
        wish: Any,
        second: bool,
        count: int,
        distinct: bool,
        kept: int,
    ) -> None:
        """Take many at once, and give all but a few of them back at once, to either client."""
        filters, selector = self.wish(wish)
        pool = next((each.id for each in self.pools() if each.name == name), None)
        own = self.claimed is not None and self.claimed[1] == pool
        self.let_go(second, own)
        if own:
            self.claimed = None
        storage, before = self.real(second), len(self.leases)
        got, wanted = self.agree2(
            lambda: storage.acquire_leases(
                name, consumer, 300, count, filters, selector, distinct=distinct
            ),
            lambda: self.model.acquire_leases(
                name, consumer, 300, count, filters, selector, distinct=distinct
            ),
        )
        if got is None or wanted is None:
            assert got is wanted
            return
        assert [each.proxy_id for each in got] == [lease.proxy_id for lease, _ in wanted]
        for lease, (model_lease, as_leased) in zip(got, wanted, strict=True):
            assert lease.proxy.model_dump() == as_leased
            self.granted(lease, model_lease, None)
        back = self.leases[before + kept :]
        ended = self.real(not second).release_leases([lease for lease, _ in back])
        assert ended == len(back)
        for _, model_lease in back:
            self.model.release_lease(model_lease)

    @precondition(lambda self: self.leases)
    @rule(chosen=st.lists(picks, max_size=6), stray=st.booleans(), second=clients)
    def release_batch(self, chosen: list[int], stray: bool, second: bool) -> None:
        """Live ones, ended ones, the same twice, of several pools, gone with their pools."""
        pairs = [self.leases[-1 - pick % len(self.leases)] for pick in chosen]
        held = [got.model_copy(update={"pool_id": None} if stray else {}) for got, _ in pairs]
        ended = self.real(second).release_leases(held)
        live = {lease.id for lease in self.model.list_leases()}
        live |= {lease.id for lease in self.model.due()}
        unswept = {wanted.id for _, wanted in pairs} & live
        assert len(unswept) >= ended >= len(unswept - {lease.id for lease in self.model.due()}), (
            "those that are over may have been swept"
        )
        for _, wanted in pairs:
            self.model.release_lease(wanted)

    def ask(self, name: str, filters: Any, selector: Any, second: bool) -> Proxy | None:
        self.let_go(second, True)
        got, wanted = self.agree(lambda s: s.find_available_proxy(name, filters, selector), second)
        assert (got and got.id) == (wanted and wanted.id)
        assert (got and got.model_dump()) == (wanted and wanted.model_dump())
        if got is not None:
            if self.claimed is not None and self.claimed[1] != got.pool_id:
                lapse_claims(self.real(second), self.claimed[1])
                self.lapsed = True
            self.claimed = (second, got.pool_id, got.id)
        return got

    @rule(
        name=st.sampled_from(["p", "p", "q", "r"]),
        wish=wishes,
        second=clients,
        times=st.integers(1, 2),
        consumer=st.sampled_from([None, "ann"]),
    )
    def find(self, name: str, wish: Any, second: bool, times: int, consumer: str | None) -> None:
        """Ask, perhaps twice, and perhaps lease what was found."""
        found = [self.ask(name, *self.wish(wish), second) for _ in range(times)][-1]
        if found is not None and consumer is not None:
            self.create(found, consumer, second)

    @rule(name=st.sampled_from(["p", "p", "q"]), wish=wishes, second=clients)
    def find_by_all(self, name: str, wish: Any, second: bool) -> None:
        for selector in SelectorStrategy:
            self.ask(name, self.wish(wish)[0], selector, second)

    @rule(
        name=st.sampled_from(["p", "p", "q"]),
        wish=wishes,
        second=clients,
        kept=st.integers(0, 2),
    )
    def drain(self, name: str, wish: Any, second: bool, kept: int) -> None:
        """Lease one after the other: that shows the whole order. Give most of them back."""
        before = len(self.leases)
        for _ in range(8):
            taken = len(self.leases)
            self.acquire("storage", name, "bob", *self.wish(wish), second)
            if len(self.leases) == taken:
                break
        for got, wanted in self.leases[before + kept :]:
            self.real(second).release_lease(got)
            self.model.release_lease(wanted)

    @precondition(lambda self: self.all_proxies())
    @rule(pick=picks, consumer=st.sampled_from([*CONSUMERS, "new"]), second=clients)
    def create_on_chosen(self, pick: int, consumer: str, second: bool) -> None:
        self.create(self.some_proxy(pick), consumer, second)

    def create(self, proxy: Proxy, consumer: str, second: bool) -> None:
        if self.claimed is not None and self.claimed[0] != second:
            self.let_go(second, False)
        if self.lapsed:
            # What is over makes room, claims too, and the model has none: sweep both.
            self.cleanup(second)
        got, wanted = self.agree(lambda s: s.create_lease(proxy, consumer, 300), second)
        if self.claimed is not None and self.claimed[2] == proxy.id and got is not None:
            self.claimed = None
        self.granted(got, wanted, None)

    @rule(id=ids, pool_id=ids, duration=st.sampled_from([300, 0, -1]), second=clients)
    def create_on_unknown(self, id: UUID, pool_id: UUID, duration: int, second: bool) -> None:
        proxy = self.proxy(pool_id, id, {"port": 1})
        self.agree(lambda s: s.create_lease(proxy, "ann", duration), second)

    @precondition(lambda self: self.leases)
    @rule(pick=picks, managed=st.booleans(), second=clients)
    def release(self, pick: int, managed: bool, second: bool) -> None:
        got, wanted = self.leases[-1 - pick % len(self.leases)]
        if managed:
            manager_of(self.real(second)).release_proxy(got)
        else:
            self.real(second).release_lease(got)
        self.model.release_lease(wanted)

    @rule(id=ids, proxy_id=ids, second=clients)
    def release_unknown(self, id: UUID, proxy_id: UUID, second: bool) -> None:
        lease = Lease(id=id, proxy_id=proxy_id, consumer_id=id, expires_at=CHECKED)
        self.agree(lambda s: s.release_lease(lease), second)

    @precondition(lambda self: self.leases)
    @rule(chosen=st.lists(picks, min_size=1, max_size=4), forget=st.booleans())
    def expire(self, chosen: list[int], forget: bool) -> None:
        live = {lease.id for lease in self.model.list_leases()}
        for pick in chosen:
            got, wanted = self.leases[-1 - pick % len(self.leases)]
            if wanted.id in live and len(self.model.due(wanted.pool_id)) < DUE_AT_ONCE:
                live.remove(wanted.id)
                expire_leases(self.real(False), [got], forget=forget)
                self.model.expire([wanted.id], forget=forget)

    @rule(second=clients)
    def cleanup(self, second: bool) -> None:
        got, wanted = self.agree(lambda s: s.cleanup_expired_leases(), second)
        assert got == wanted
        self.lapsed = False

    @precondition(lambda self: self.leases)
    @rule(pick=picks, second=clients)
    def acquire_again(self, pick: int, second: bool) -> None:
        """A command sent twice leases once."""
        got, wanted = self.leases[-1 - pick % len(self.leases)]
        known = self.model.get_lease(str(wanted.id))
        names = {pool.id: pool.name for pool in self.pools()}
        owners = {id: name for name, id in self.model._consumer_name_to_id.items()}
        if known is not None and known.pool_id in names:
            again = self.real(second).acquire_lease(
                names[known.pool_id], owners[known.consumer_id], 300, lease_id=got.id
            )
            assert again is not None
            assert (again.id, again.proxy_id, again.status) == (
                got.id,
                known.proxy_id,
                known.status,
            )

    # -- health ----------------------------------------------------------------------------------

    @precondition(lambda self: self.all_proxies() or self.graveyard)
    @rule(
        pick=picks,
        status=statuses,
        latency=st.sampled_from([0, 5, 5, 20, 2**53 - 1]),
        at=moments,
        second=clients,
    )
    def check_result(
        self, pick: int, status: ProxyStatus, latency: int, at: datetime, second: bool
    ) -> None:
        known = [each.id for each in self.all_proxies()] + self.graveyard
        result = HealthCheckResult(
            proxy_id=known[pick % len(known)],
            status=status,
            latency_ms=latency,
            protocol=ProxyProtocol.HTTP,
            checked_at=at,
            error_message=None if latency else "slow",
        )
        got, wanted = self.agree(lambda s: s.apply_health_check_result(result), second)
        assert got == wanted
        self.same_health(result.proxy_id, second)

    @precondition(lambda self: self.all_proxies() or self.graveyard)
    @rule(
        records=st.lists(
            st.tuples(
                ids, picks, st.sampled_from([True, True, False]), st.sampled_from([None, 1, 5, 20])
            ),
            min_size=1,
            max_size=4,
            unique_by=lambda each: each[0],
        ),
        at=moments,
        second=clients,
    )
    def record_health(
        self,
        records: list[tuple[UUID, int, bool, int | None]],
        at: datetime,
        second: bool,
    ) -> None:
        known = [each.id for each in self.all_proxies()] + self.graveyard
        for id, pick, reachable, latency in records:
            record = ProxyHealthRecord(
                id=id,
                proxy_id=known[pick % len(known)],
                checked_at=at,
                reachable=reachable,
                latency_ms=latency,
                protocol=ProxyProtocol.SOCKS5,
                status_after=ProxyStatus.ACTIVE,
            )
            self.agree(lambda s, record=record: s.save_health_record(record), second)
            self.same_health(record.proxy_id, second)

    def same_health(self, proxy_id: UUID, second: bool) -> None:
        got, wanted = self.agree(lambda s: s.list_health_records(proxy_id), second)
        assert got is not None and wanted is not None
        assert [each.model_dump(exclude={"id"}) for each in got] == [
            each.model_dump(exclude={"id"}) for each in wanted
        ]
        assert self.real(second).get_last_health_result(
            proxy_id
        ) == self.model.get_last_health_result(proxy_id)

    # -- damage ----------------------------------------------------------------------------------

    @rule(pick=picks, wish=wishes)
    def evict_view(self, pick: int, wish: Any) -> None:
        """A server under memory pressure takes a view's key away, used again soon or not."""
        views = sorted(self.client.scan_iter(match=f"{self.prefix}:*:view:*", count=1000))
        views = [key for key in views if not key.endswith(b":f0")]
        if views:
            self.client.delete(views[pick % len(views)])
            self.ask("p", *self.wish(wish), bool(pick % 2))

    # -- what must hold ----------------------------------------------------------------------------

    @staticmethod
    def same_figures(got: PoolStatsSnapshot | None, wanted: PoolStatsSnapshot | None) -> None:
        unlike = {"collected_at"}
        assert (got and got.model_dump(exclude=unlike)) == (
            wanted and wanted.model_dump(exclude=unlike)
        )

    @invariant()
    def same_pools(self) -> None:
        self.patience.calls = 0
        if self.both is None:
            return
        self.turn = not self.turn
        storage = self.real(self.turn)
        for name in NAMES:
            self.same_figures(storage.get_pool_stats(name), self.model.get_pool_stats(name))
        for pool in self.pools():
            got = storage.list_proxies(str(pool.id))
            wanted = self.model.list_proxies(str(pool.id))
            assert [each.id for each in got] == [each.id for each in wanted]
            assert got == wanted

    @rule(second=clients)
    def same_leases(self, second: bool) -> None:
        storage = self.real(second)
        model_id = {got.id: wanted.id for got, wanted in self.leases}

        def states(leases: list[Lease]) -> set[tuple[UUID, UUID, LeaseStatus]]:
            return {
                (model_id.get(lease.id, lease.id), lease.proxy_id, lease.status) for lease in leases
            }

        assert states(storage.list_leases()) == states(self.model.list_leases())
        for name in CONSUMERS:
            got = storage.list_leases(str(storage.ensure_consumer(name)))
            wanted = self.model.list_leases(str(self.model.ensure_consumer(name)))
            assert len(got) == len(wanted) and states(got) == states(wanted)
        for got_lease, wanted_lease in self.leases[-8:]:
            found = storage.get_lease(str(got_lease.id))
            known = self.model.get_lease(str(wanted_lease.id))
            assert (found and found.status) == (known and known.status)
            if found and known:
                assert (found.released_at is None) == (known.released_at is None)

    @rule(second=clients)
    def same_directory(self, second: bool) -> None:
        storage = self.real(second)
        assert storage.list_pools() == sorted(self.pools(), key=lambda pool: pool.name)
        for pool in self.pools():
            assert storage.get_pool(str(pool.id)) == pool
        for proxy in self.all_proxies()[:5]:
            assert storage.get_proxy(str(proxy.id)) == proxy

    @rule()
    def look_at_the_keys(self) -> None:
        check_invariants(self.real(False), limits=self.limits_hold)


def play(client: redis.Redis, maker: Maker, examples: int, steps: int) -> None:
    parts = {"client": client, "maker": maker, "patience": Patience(maker.talker(client))}
    machine = type("TheFleet", (Fleet,), parts)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize="CI" in os.environ,
            database=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
        ),
    )


@pytest.mark.async_on_redis
@pytest.mark.timeout(600)
def test_histories(client: redis.Redis, maker: Maker, target: str) -> None:
    """A step on the fake takes ten times as long as on a server. It is over in seconds unless it
    fails: then a small history is looked for, which may take minutes."""
    share = 1 if maker.flavour == "blocking" else 2  # each call passes from thread to thread
    if target == "fake":
        play(client, maker, examples=25 // share, steps=20)
    else:
        play(client, maker, examples=80 // share, steps=30)


@pytest.mark.async_on_redis
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_long_histories(client: redis.Redis, maker: Maker) -> None:
    play(client, maker, examples=600, steps=60)
