"""What each role does in a day, as completely as its rights must be.

The superuser builds a pool in which every branch of the scripts has something to do: leases that
are due, deletes that were broken off, views to fill and to drop, claims that ran out. Each role
then does its work on a storage of its own. A test that takes one right away must see it fail, so
the work reaches every command that the scripts use for the role.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import redis
from pharox.models import (
    Consumer,
    HealthCheckResult,
    Lease,
    Proxy,
    ProxyCredentials,
    ProxyFilters,
    ProxyHealthRecord,
    ProxyPool,
    ProxyProtocol,
    ProxyStatus,
    SelectorStrategy,
)

from pharox_redis import RedisProxyManager, RedisStorage
from pharox_redis.doctor import DataChecks, Diagnosis, ServerChecks
from pharox_redis.flows import Context, Flow, pools, proxies
from pharox_redis.importing import Terms, import_list, open_list
from pharox_redis.models import new_lease_id
from tests.support.builders import make_proxies
from tests.support.own_servers import storage_on
from tests.support.stepping import Stepped
from tests.support.timetravel import expire_leases, lapse_claims

POOL = "latam"
GERMAN = ProxyFilters(country="DE")
SETTINGS = {"health_history": 2, "view_idle_seconds": 0.001}
OUTSIDE = {
    "other:1:pools": "strange",
    "pharox:10:x": "strange",
    "pharox:2:pools": "strange",
    "pharox:1x": "strange",
    "Pharox:1:pools": "strange",
    "pharox": "strange",
    "session:42": "strange",
}
"""Keys of others: another application's, other prefixes that begin alike, another schema."""


@dataclass
class World:
    """A server with one pool, as the superuser sees it."""

    url: str
    client: redis.Redis
    storage: RedisStorage
    pool: ProxyPool
    proxies: list[Proxy]
    lease: Lease
    other: list[Lease] = field(default_factory=list)


def build(url: str, client: redis.Redis) -> World:
    """Empty the server and fill it again."""
    client.flushall()
    for key, value in OUTSIDE.items():
        client.set(key, value)
    storage = storage_on(url, client, **SETTINGS)
    pool = storage.ensure_pool(POOL)
    made = make_proxies(pool, 8, country="DE", credentials=ProxyCredentials(user="u", password="p"))
    storage.add_proxies_bulk(made)
    lease = storage.acquire_lease(POOL, "somebody", 600)
    assert lease is not None
    storage.save_health_record(_record(made[0]))
    assert storage.find_available_proxy(POOL) is not None  # leaves a claim
    client.script_flush()
    return World(url, client, storage, pool, made, lease)


def _record(proxy: Proxy) -> ProxyHealthRecord:
    return ProxyHealthRecord(
        proxy_id=proxy.id,
        reachable=True,
        latency_ms=10,
        protocol=ProxyProtocol.HTTP,
        status_after=ProxyStatus.ACTIVE,
    )


def _break_off(world: World, make: Callable[[Context], Flow[object]], steps: int) -> None:
    Stepped(world.storage, make).finish_or_die(steps)


def scrape(world: World, storage: RedisStorage) -> None:
    """What a scraper does."""
    storage.client.ping()
    assert storage.ensure_consumer("worker")
    storage.add_consumer(Consumer(name="other worker"))
    for selector in SelectorStrategy:
        for filters in (None, GERMAN, GERMAN, GERMAN):
            lease = storage.acquire_lease(POOL, "worker", 30, filters, selector)
            assert lease is not None and lease.proxy.credentials is not None
            storage.release_lease(lease)
    leases = storage.acquire_leases(POOL, "worker", 30, 3, GERMAN)
    assert len(leases) == 3 and storage.release_leases(leases) == 3
    # The same id again; and one of each kind of find, the last by a predicate.
    again = new_lease_id(world.pool.id)
    for _ in range(2):
        lease = storage.acquire_lease(POOL, "worker", 30, lease_id=again)
        assert lease is not None and lease.id == again
    storage.release_lease(lease)
    picky = ProxyFilters(predicate=lambda proxy: proxy.country == "DE")
    for filters in (None, GERMAN, picky):
        found = storage.find_available_proxy(POOL, filters)
        assert found is not None
        held = storage.create_lease(found, "worker", 30)
        assert storage.get_lease(held.id) is not None
        storage.release_lease(held)
    lease = storage.acquire_lease(POOL, "worker", 30, picky)
    assert lease is not None
    assert lease.id in {known.id for known in storage.list_leases(lease.consumer_id)}
    assert {known.id for known in storage.list_leases()} == {lease.id, world.lease.id}
    with RedisProxyManager(storage).with_lease(POOL, "worker", 30) as managed:
        assert managed is not None
    storage.release_lease(lease)
    names = storage.consumer_names([world.lease.consumer_id])
    assert list(names.values()) == ["somebody"]
    _report_health(world, storage)
    _meet_what_is_due(world, storage)
    stats = storage.get_pool_stats(POOL)
    assert stats is not None and stats.total_proxies == len(world.proxies)


def _report_health(world: World, storage: RedisStorage) -> None:
    proxy = world.proxies[1]
    for status in (ProxyStatus.BANNED, ProxyStatus.ACTIVE):
        result = HealthCheckResult(
            proxy_id=proxy.id, status=status, latency_ms=7, protocol=ProxyProtocol.HTTP
        )
        checked = storage.apply_health_check_result(result)
        assert checked is not None and checked.status is status
    storage.save_health_record(_record(proxy))
    assert len(storage.list_health_records(proxy.id)) == 2
    assert storage.get_last_health_result(proxy.id) is not None


def _meet_what_is_due(world: World, storage: RedisStorage) -> None:
    """Claims and leases that ran out, met by each that sweeps; a delete that was broken off."""
    taken = []
    while lease := storage.acquire_lease(POOL, "worker", 30):
        taken.append(lease)
    for how in range(3):
        expire_leases(world.storage, taken, forget=how == 1)
        if how == 0:
            assert storage.cleanup_expired_leases() == len(taken)
        elif how == 1:
            assert storage.find_available_proxy(POOL) is not None
        lapse_claims(world.storage, world.pool.id)
        taken = []
        while lease := storage.acquire_lease(POOL, "worker", 30):
            taken.append(lease)
        assert taken
    for lease in taken:
        storage.release_lease(lease)
    gone = taken[0].proxy.model_copy(update={"max_concurrency": 2})
    world.storage.save_proxy(gone)
    for seconds in (30, 600):
        storage.create_lease(gone, "worker", seconds)
    _break_off(world, lambda ctx: proxies.delete_proxy(ctx, gone.id), 2)
    world.client.hdel(f"pharox:1:proxies:{str(gone.id)[-3:]}", str(gone.id))
    storage.cleanup_expired_leases()
    assert storage.get_proxy_by_id(gone.id) is None
    world.storage.save_proxy(gone)


def look(world: World, storage: RedisStorage) -> None:
    """What a dashboard does."""
    look_at_figures(world, storage)
    assert len(storage.list_proxies(world.pool.id)) == len(world.proxies)
    proxy = storage.get_proxy(world.proxies[0].id)
    assert proxy.credentials is not None
    assert storage.get_proxy_by_id(world.pool.id) is None
    # Found by the directory only: its pool tells that it was deleted.
    _break_off(world, lambda ctx: proxies.delete_proxy(ctx, world.proxies[7].id), 2)
    assert storage.get_proxy_by_id(world.proxies[7].id) is None
    assert world.storage.retire_proxy(world.lease.proxy_id) is False
    states = storage.page_proxies(world.pool.id).proxies
    assert len(states) == len(world.proxies) - 1 and any(state.retired for state in states)
    world.storage.set_proxy_status(world.lease.proxy_id, ProxyStatus.ACTIVE)
    names = storage.consumer_names([world.lease.consumer_id])
    assert list(names.values()) == ["somebody"]
    assert storage.list_health_records(proxy.id)
    assert storage.get_last_health_result(proxy.id) is not None


def look_at_figures(world: World, storage: RedisStorage) -> None:
    """What a dashboard does that shows no proxies."""
    storage.client.ping()
    assert [pool.id for pool in storage.list_pools()] == [world.pool.id]
    assert storage.get_pool(world.pool.id).name == POOL
    assert storage.get_pool_by_name(POOL) is not None
    stats = storage.get_pool_stats(POOL)
    assert stats is not None and stats.total_leases == 1
    (figures,) = storage.list_pool_figures()
    assert figures == storage.get_pool_figures(world.pool.id).model_copy(update={"at": figures.at})
    assert [lease.id for lease in storage.page_leases(world.pool.id).leases] == [world.lease.id]
    assert storage.get_lease(world.lease.id) is not None
    assert [lease.id for lease in storage.list_leases()] == [world.lease.id]
    assert [lease.id for lease in storage.list_leases(world.lease.consumer_id)] == [world.lease.id]


def operate(world: World, storage: RedisStorage) -> None:
    """What an operator does: a scraper's and a dashboard's work too."""
    scrape(world, storage)
    for lease in storage.list_leases():
        if lease.id != world.lease.id:
            storage.release_lease(lease)
    look(world, storage)
    listed = open_list(io.BytesIO(b"192.0.2.77:80:user:secret\n192.0.2.78:80\n"))
    for _ in range(2):
        import_list(storage, "imported", listed.entries, Terms())
    pool = storage.get_pool_by_name("imported")
    assert pool is not None
    assert len(storage.list_proxies(pool.id)) == 2
    assert storage.acquire_lease("imported", "worker", 30, GERMAN) is None
    storage.save_pool(pool.model_copy(update={"name": "renamed"}))
    lease = storage.acquire_lease("renamed", "worker", 30)
    assert lease is not None
    storage.save_proxy(lease.proxy.model_copy(update={"country": "FR"}))
    _retire(storage, lease)
    once: dict[str, Any] = {"key": b"k", "fingerprint": "f", "keep_seconds": 60.0}
    kept = [storage.acquire_once("renamed", "worker", 30, **once) for _ in range(2)]
    assert kept[0] is not None and kept[1] is not None and kept[0].id == kept[1].id
    assert storage.end_lease(kept[0].id) is not None
    storage.delete_proxy(kept[0].proxy_id)
    # A name and an id whose owners are void are taken over behind a fence.
    _break_off(world, lambda ctx: pools.save_pool(ctx, ProxyPool(name="void")), 2)
    storage.save_pool(ProxyPool(name="void"))
    _break_off(world, lambda ctx: pools.delete_pool(ctx, pool.id), 3)
    storage.delete_pool(pool.id)
    assert storage.get_pool_by_name("renamed") is None
    inspect(storage.client)
    _doctor(world, storage)


def _doctor(world: World, storage: RedisStorage) -> None:
    """What is wrong is found, and mended."""
    pool = storage.ensure_pool("ill")
    storage.add_proxies_bulk(make_proxies(pool, 2, max_concurrency=2))
    for _ in range(2):
        assert storage.acquire_lease("ill", "worker", 30) is not None
    key = storage._context.keys.pool(pool.id)
    world.client.delete(f"{key}:extra", f"{key}:expiry")
    world.client.expire(f"{key}:proxies", 1000)
    world.client.delete(f"{key}:used")
    for repair, standing in ((False, True), (True, False), (False, False)):
        found = Diagnosis()
        DataChecks(
            storage.client, storage.settings, found, repair=repair, second_look=0.01
        ).check_all()
        assert bool(found.standing) == standing, [str(each) for each in found.findings]
    diagnosis = Diagnosis()
    ServerChecks(storage.client, storage.settings, diagnosis).check()
    assert not {"rights", "operator-rights"} & {each.kind for each in diagnosis.findings}
    storage.delete_pool(pool.id)


def _retire(storage: RedisStorage, lease: Lease) -> None:
    """A proxy that is retired while it is leased, and deleted by a sweep."""
    assert storage.set_proxy_status(lease.proxy_id, ProxyStatus.SLOW).status is ProxyStatus.SLOW
    assert storage.retire_proxy(lease.proxy_id) is False
    storage.release_lease(lease)
    storage.cleanup_expired_leases()
    assert storage.get_proxy_by_id(lease.proxy_id) is None


def inspect(client: redis.Redis) -> None:
    """What an operator asks of the server itself, without changing it."""
    assert client.info("server")["redis_version"]
    assert client.config_get("maxmemory-policy")
    keys = list(client.scan_iter(match="pharox:1:*", count=1000))
    assert keys
    assert client.type(keys[0]) and client.pttl(keys[0]) and client.memory_usage(keys[0])


WORK: dict[str, Callable[[World, RedisStorage], None]] = {
    "scraper": scrape,
    "operator": operate,
    "dashboard": look,
    "figures": look_at_figures,
}
