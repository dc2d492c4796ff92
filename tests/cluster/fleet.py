"""A fleet on a cluster: pools where a test wants them, workers and clerks, and the judgement.

*Workers* lease and release by our manager and by the steps of pharox's own; *clerks* do everything
else a storage is for, on the same pools, and know what the answers must be. Only
``StorageUnavailableError`` is no wrong answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from pharox.models import (
    HealthCheckResult,
    Proxy,
    ProxyFilters,
    ProxyPool,
    ProxyStatus,
)

from pharox_redis import RedisStorage, Settings
from pharox_redis.keys import Keys
from tests.cluster.crew import (
    Crew,
    Face,
    Flavour,
    Job,
    Ledger,
    lease_and_release,
    pool_named,
    proceed,
)
from tests.support.builders import make_proxies
from tests.support.clusters import Cluster, Node
from tests.support.invariants import check_invariants

FILTERS = ProxyFilters(country="DE", none_of=[ProxyFilters(asn=7)])
ROOMY = 40
"""Proxies of a roomy pool: more than workers hold, and may have been given without hearing of it
because the answer was lost."""


class Fleet:
    """A crew with a ledger on pools of a prefix; a ``with`` block ends it."""

    def __init__(
        self,
        url: str,
        flavour: Flavour,
        prefix: str,
        *,
        settings: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._url, self._options = url, options
        self.settings = Settings(key_prefix=prefix, **(settings or {}))
        self.ledger = Ledger()
        self.pools: dict[str, ProxyPool] = {}
        self.proxies: dict[str, list[Proxy]] = {}
        self.crew = Crew(flavour, url, self.settings, **options)
        self.crew.on_exit(self.ledger.stop)
        self.judge_storage = RedisStorage.from_url(url, self.settings, **options)
        self._names = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.crew.__exit__(kind, error, trace)
        finally:
            self.judge_storage.close()

    def key(self, pool: ProxyPool) -> str:
        """The key that says which slot the pool is."""
        return Keys(self.settings.key_prefix).pool(pool.id)

    def tight(self, name: str, fits: Callable[[str], bool] = lambda key: True) -> ProxyPool:
        """A pool that workers fight for: three proxies with limits 1 to 3 that pass the filter, and
        some that do not. ``fits`` judges the pool's key."""
        return self._fill(
            name,
            fits,
            lambda pool: [
                *(make_proxies(pool, 1, country="DE", max_concurrency=n)[0] for n in (1, 2, 3)),
                *make_proxies(pool, 2, country="DE", asn=7),
                *make_proxies(pool, 2, country="FR", max_concurrency=2),
            ],
        )

    def roomy(self, name: str, fits: Callable[[str], bool] = lambda key: True) -> ProxyPool:
        """A pool in which there is always something free."""
        return self._fill(name, fits, lambda pool: make_proxies(pool, ROOMY, country="DE"))

    def _fill(
        self, name: str, fits: Callable[[str], bool], make: Callable[[ProxyPool], list[Proxy]]
    ) -> ProxyPool:
        pool = pool_named(name, lambda pool: fits(self.key(pool)))
        proxies = make(pool)
        self.judge_storage.save_pool(pool)
        self.judge_storage.add_proxies_bulk(proxies)
        self.ledger.know(proxies)
        self.pools[name], self.proxies[name] = pool, proxies
        return pool

    def begin(self, count: int, pools: list[str], **job: Any) -> None:
        """Have workers begin."""
        roomy = frozenset(name for name in self.pools if len(self.proxies[name]) >= ROOMY)
        for _ in range(count):
            self._names += 1
            self.crew.begin(
                lease_and_release,
                self.ledger,
                f"worker-{self._names}",
                Job(tuple(pools), roomy, **job),
            )

    def begin_clerks(
        self, pools: list[str], *, fan_out: bool = True, forgetful: bool = False
    ) -> None:
        """Have a clerk for each pool begin."""
        for name in pools:
            self._names += 1
            clerk = f"clerk-{self._names}"
            self.crew.begin(keep_books, self, name, clerk, fan_out, forgetful)

    def proceed(self, calls: int = 10) -> None:
        """Wait until everybody has made some more calls, with or without success."""
        proceed(self.ledger, self._names, calls)

    def stop(self) -> None:
        """Have everybody come to an end, and raise what went wrong in the tests themselves."""
        self.ledger.stop()
        self.crew.join()

    def judge(self) -> None:
        """What must hold of every run in which no acknowledged write was lost."""
        ledger = self.ledger
        assert ledger.errors == [], "\n".join(ledger.errors[:5])
        assert ledger.over == [], ledger.over
        listed = {lease.id for lease in self.crew.list_leases()}
        held = set(ledger.held) - ledger.unsure
        assert held <= listed, f"lost: {held - listed}"
        # The others were asked for, or given back, by a call that ended with an error: that call
        # may have been performed or not.
        extra = listed - set(ledger.held)
        assert len(extra) <= len(ledger.trouble), extra
        if not ledger.trouble:
            assert ledger.granted
            assert listed == held, listed ^ held
        self.check()

    def check(self) -> None:
        """Check the invariants, by a client that has seen nothing yet: redis-py's SCAN fails with a
        KeyError when a node is not any more what the client took it for."""
        with RedisStorage.from_url(self._url, self.settings, **self._options) as fresh:
            check_invariants(fresh)


class Clerk:
    """Asks for everything there is to know of a pool, and changes what can be changed.

    ``forgetful``: what was written last may be lost, so nobody insists on it. ``fan_out``: also ask
    what takes all pools.
    """

    def __init__(
        self, face: Face, fleet: Fleet, name: str, me: str, fan_out: bool, forgetful: bool
    ) -> None:
        self.storage, self.ledger, self.pool, self.me = face.storage, fleet.ledger, name, me
        self.face, self.fan_out, self.forgetful = face, fan_out, forgetful
        self.all_pools, self.model = fleet.pools, fleet.pools[name]
        self.proxies = fleet.proxies[name]
        self.ids = [proxy.id for proxy in self.proxies]

    async def ask(
        self, what: str, operation: Coroutine[Any, Any, Any], right: Callable[[Any], bool]
    ) -> bool:
        """Whether it was answered; an answer that is not right is noted."""
        done, answer = await self.ledger.attempt(self.pool, what, operation)
        self.ledger.tried(self.me)
        if not done:
            await self.face.rest()
        else:
            try:
                fits = right(answer)
            except (AttributeError, IndexError):  # None, or nothing in it
                fits = False
            if not fits:
                self.ledger.wrong(f"{what} on {self.pool} says {answer!r}")
        return done

    async def work(self) -> None:
        dice, number = random.Random(self.me), 0
        while not self.ledger.stopped:
            number += 1
            proxy = dice.choice(self.proxies)
            for part in (self.change(proxy, number), self.check(proxy, number), self.look_up()):
                await part
            if self.fan_out:
                await self.look_everywhere()

    async def change(self, proxy: Proxy, number: int) -> None:
        """Save a proxy and read it back; this clerk is the only one that writes this pool's."""
        storage, source = self.storage, f"delivery {number}"
        said = proxy.model_copy(update={"source": source})
        saved = await self.ask("save", storage.save_proxy(said), lambda it: it is None)
        insist = saved and not self.forgetful
        await self.ask(
            "get_proxy",
            storage.get_proxy(proxy.id),
            lambda it: it.id == proxy.id and (it.source == source or not insist),
        )
        by_id = storage.get_proxy_by_id(proxy.id)
        await self.ask("by id", by_id, lambda it: it is not None and it.id == proxy.id)

    async def check(self, proxy: Proxy, number: int) -> None:
        """Report a check of a proxy's health and read it back."""
        result = HealthCheckResult(
            proxy_id=proxy.id,
            status=ProxyStatus.ACTIVE,
            latency_ms=number,
            protocol=proxy.protocol,
            checked_at=datetime.now(UTC),
        )
        applied = await self.ask(
            "health",
            self.storage.apply_health_check_result(result),
            lambda it: it is not None and it.id == proxy.id,
        )
        insist = applied and not self.forgetful
        last = self.storage.get_last_health_result(proxy.id)
        await self.ask("last health", last, lambda it: not insist or it.latency_ms == number)
        records = self.storage.list_health_records(proxy.id)
        await self.ask("records", records, lambda it: not insist or it[0].latency_ms == number)

    async def look_up(self) -> None:
        storage, model = self.storage, self.model
        await self.ask(
            "list_proxies",
            storage.list_proxies(model.id),
            lambda it: [proxy.id for proxy in it] == self.ids,
        )
        await self.ask("get_pool", storage.get_pool(model.id), lambda it: it == model)
        await self.ask("by name", storage.get_pool_by_name(self.pool), lambda it: it == model)
        await self.ask("ensure_pool", storage.ensure_pool(self.pool), lambda it: it == model)
        count = len(self.ids)
        await self.ask(
            "stats",
            storage.get_pool_stats(self.pool),
            lambda it: it is not None and it.total_proxies == it.active_proxies == count,
        )

    async def look_everywhere(self) -> None:
        """Every lease that is held before and after it was asked for leases must be among them."""
        before = self._held()
        answers: list[Any] = []
        await self.ask("list_leases", self.storage.list_leases(), lambda it: not answers.append(it))
        if answers and not self.forgetful:
            missing = (before & self._held()) - {lease.id for lease in answers[0]}
            if missing:
                self.ledger.wrong(f"list_leases does not list {missing}")
        everything = {pool.name for pool in self.all_pools.values()}
        await self.ask(
            "list_pools",
            self.storage.list_pools(),
            lambda it: {pool.name for pool in it} == everything,
        )
        # No lease comes to its end by itself while a test runs.
        await self.ask("cleanup", self.storage.cleanup_expired_leases(), lambda it: it == 0)

    def _held(self) -> set[UUID]:
        return set(self.ledger.held) - set(self.ledger.unsure)


async def keep_books(face: Face, *args: Any) -> None:
    """A clerk's work, as a body for a crew."""
    await Clerk(face, *args).work()


def on_node(cluster: Cluster, node: Node) -> Callable[[str], bool]:
    """Whether a key is on a node, as things stand now."""
    return lambda key: cluster.master_of(key) is node


def in_slot(cluster: Cluster, slot: int) -> Callable[[str], bool]:
    """Whether a key is in a slot."""
    return lambda key: cluster.slot_of(key) == slot
