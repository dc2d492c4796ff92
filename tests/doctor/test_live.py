"""The doctor beside a pool in use: nothing is told of what is well, and what is mended meanwhile
costs nobody a lease."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import redis
from pharox.exceptions import PharoxError
from pharox.models import HealthCheckResult, ProxyFilters, ProxyPool, ProxyStatus, SelectorStrategy

from pharox_redis import RedisStorage, Settings
from pharox_redis.flows import auditing
from pharox_redis.flows.pools import delete_pool
from tests.doctor.conftest import PREFIX
from tests.doctor.world import World, examine, kinds, told
from tests.support.builders import make_proxies
from tests.support.invariants import check_invariants
from tests.support.stepping import MakeFlow, Stepped

FILTERS = (None, ProxyFilters(country="DE"), ProxyFilters(country="US"))
WORKERS = 4


class Crew:
    """Threads that do something again and again until they are told to stop."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.stop = threading.Event()
        self.problems: list[str] = []
        self.turns = 0

    @contextmanager
    def at_work(self, *jobs: Callable[[RedisStorage, random.Random], None]) -> Iterator[None]:
        threads = [
            threading.Thread(target=self._work, args=(job, number))
            for number, job in enumerate(jobs)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(60)
        assert not self.problems, self.problems

    def _work(self, job: Callable[[RedisStorage, random.Random], None], number: int) -> None:
        chance = random.Random(number)
        with redis.Redis.from_url(self.url) as client:
            storage = RedisStorage(client, Settings(key_prefix=PREFIX, view_idle_seconds=0.01))
            while not self.stop.is_set() and not self.problems:
                try:
                    job(storage, chance)
                    self.turns += 1
                except Exception as error:
                    self.problems.append(f"{job.__name__}: {error!r}")


def lease(storage: RedisStorage, chance: random.Random) -> None:
    """Take and give back, in every way; some leases and claims run out by themselves."""
    options: dict[str, Any] = {
        "filters": chance.choice(FILTERS),
        "selector": chance.choice(list(SelectorStrategy)),
    }
    kind = chance.randrange(4)
    if kind == 0:
        held = storage.acquire_leases("pool", "worker", chance.choice((0.01, 60)), 5, **options)
        storage.release_leases(held[1:])
    elif kind == 1 and (found := storage.find_available_proxy("pool", **options)):
        with suppress(PharoxError):
            storage.release_lease(storage.create_lease(found, "worker", 60))
    elif taken := storage.acquire_lease("pool", "worker", chance.choice((0.01, 60)), **options):
        storage.release_lease(taken)
    storage.cleanup_expired_leases()


def change(storage: RedisStorage, chance: random.Random) -> None:
    """Save, ban, retire, check and delete proxies; make, rename and delete a pool."""
    pool = storage.ensure_pool("pool")
    made = make_proxies(pool, 3, country=chance.choice(("DE", "US")), max_concurrency=2)
    storage.add_proxies_bulk(made)
    storage.set_proxy_status(made[0].id, chance.choice(list(ProxyStatus)))
    storage.save_proxy(made[1].model_copy(update={"country": "FR", "max_concurrency": None}))
    storage.apply_health_check_result(
        HealthCheckResult(
            proxy_id=made[1].id, status=ProxyStatus.ACTIVE, latency_ms=3, protocol=made[1].protocol
        )
    )
    storage.retire_proxy(made[1].id)
    with suppress(PharoxError):
        storage.delete_proxy(made[0].id)
    storage.delete_proxy(made[2].id)
    if chance.random() < 0.3:
        other = ProxyPool(name=f"other {chance.randrange(3)}")
        with suppress(PharoxError):
            storage.save_pool(other)
            storage.add_proxies_bulk(make_proxies(other, 4))
            storage.save_pool(other.model_copy(update={"name": f"another {chance.randrange(3)}"}))
        with suppress(PharoxError):
            storage.delete_pool(other.id)


def never_alarmed(world: World, url: str, rounds: int) -> None:
    crew = Crew(url)
    with crew.at_work(*[lease] * WORKERS, change):
        for _ in range(rounds):
            found = examine(world.storage)
            assert kinds(found) == set(), told(found)
            if crew.problems:
                break
    assert crew.turns > rounds
    check_invariants(world.storage)


def test_a_healthy_pool_under_load_is_healthy(world: World, valkey_url: str) -> None:
    never_alarmed(world, valkey_url, 15)


@pytest.mark.slow
def test_a_healthy_pool_under_load_is_healthy_for_long(world: World, valkey_url: str) -> None:
    never_alarmed(world, valkey_url, 300)


def spoil(world: World, chance: random.Random) -> None:
    """Damage that by itself frees no leased proxy."""
    client, id = world.client, str(chance.choice((world.free, world.wide, world.banned)).id)
    for harm in chance.sample(
        (
            lambda: client.delete(world.at("extra")),
            lambda: client.delete(world.at("idle")),
            lambda: client.delete(world.at("used")),
            lambda: client.zrem(world.at("view", "f0"), id),
            lambda: client.delete(world.at("view", "u0")),
            lambda: client.zadd(world.at("view", "f0"), {id: "inf"}),
            lambda: client.zadd(world.at("view", "l0"), {id: 1}),
            lambda: client.hdel(world.at("proxy", id), "views"),
            lambda: client.zrem(world.at("proxies"), id),
            lambda: client.delete(world.index()),
            lambda: client.hset(world.key, "seq", 1),
        ),
        3,
    ):
        harm()


def mended_beside_leases(world: World, url: str, rounds: int) -> None:
    """Every lease that is taken is watched: by itself, and by a count outside the prefix."""
    crew, chance, client = Crew(url), random.Random(7), world.client
    limits = {
        str(proxy.id): proxy.max_concurrency for proxy in world.storage.list_proxies(world.pool.id)
    }
    standing = {lease.id for lease in world.storage.list_leases()}

    def watched(storage: RedisStorage, turn: random.Random) -> None:
        taken = storage.acquire_lease("pool", "worker", 60, turn.choice(FILTERS))
        if taken is None:
            return
        id = str(taken.proxy_id)
        load = client.hincrby("watch", id, 1)
        limit = limits[id]
        assert limit is None or load <= limit, f"{id} is over its limit"
        known = storage.get_lease(taken.id)
        assert known is not None and known.released_at is None, "a live lease is lost"
        client.hincrby("watch", id, -1)
        storage.release_lease(taken)
        after = storage.get_lease(taken.id)
        assert after is not None and after.released_at is not None

    client.delete("watch")
    try:
        for lease_ in world.storage.list_leases():
            client.hincrby("watch", str(lease_.proxy_id), 1)
        with crew.at_work(*[watched] * WORKERS):
            for _ in range(rounds):
                spoil(world, chance)
                mended = examine(world.storage, repair=True)
                assert mended.standing == 0, told(mended)
        assert crew.turns > rounds
        assert {lease.id for lease in world.storage.list_leases()} == standing
        again = examine(world.storage)
        assert kinds(again) == set(), told(again)
        check_invariants(world.storage)
    finally:
        client.delete("watch")


def test_a_pool_is_mended_while_it_is_used(world: World, valkey_url: str) -> None:
    mended_beside_leases(world, valkey_url, 15)


@pytest.mark.slow
def test_a_pool_is_mended_for_long_while_it_is_used(world: World, valkey_url: str) -> None:
    mended_beside_leases(world, valkey_url, 300)


def check_entries(world: World) -> MakeFlow:
    """The repair of the directory's entries of three proxies."""
    ids = [str(proxy.id) for proxy in (world.free, world.leased, world.wide)]
    return lambda ctx: auditing.audit_entries(ctx, ctx.pool_ref(world.pool.id), ids, True)


def take(flow: Stepped, steps: int) -> Stepped:
    while not flow.over and steps:
        flow.step()
        steps -= 1
    return flow


@pytest.mark.parametrize("steps", range(10))
def test_a_pool_that_is_being_deleted_lacks_no_entries(world: World, steps: int) -> None:
    delete = take(Stepped(world.storage, lambda ctx: delete_pool(ctx, world.pool.id)), steps)
    assert Stepped(world.storage, check_entries(world)).finish().result == []
    take(delete, 1000)
    assert not list(world.client.scan_iter(f"{PREFIX}:1:proxies:*"))


@pytest.mark.parametrize("steps", range(10))
def test_no_entry_is_put_back_of_a_pool_that_is_deleted_meanwhile(
    world: World, put_back: Callable[[], None], steps: int
) -> None:
    for other in range(10):
        put_back()
        for proxy in (world.free, world.leased, world.wide):
            world.client.hdel(world.keys.directory(str(proxy.id)), str(proxy.id))
        audit = take(Stepped(world.storage, check_entries(world)), steps)
        delete = take(Stepped(world.storage, lambda ctx: delete_pool(ctx, world.pool.id)), other)
        take(audit, 1000)
        take(delete, 1000)
        assert not list(world.client.scan_iter(f"{PREFIX}:1:proxies:*")), other
