"""A pool that is half moved, one operation at a time.

The classic move is stopped in the middle, with the pool's own key on the one side or the other.
Every operation then either does what it does at any time, or raises ``StorageUnavailableError`` and
has written nothing on either node. What it must not do is answer from the half it sees: that there
is no such pool, no proxy free, no lease.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
import redis.asyncio
from pharox.models import (
    Consumer,
    HealthCheckResult,
    Lease,
    Proxy,
    ProxyFilters,
    ProxyHealthRecord,
    ProxyPool,
    ProxyStatus,
)

from pharox_redis import RedisStorage, Settings, StorageUnavailableError
from pharox_redis.keys import Keys
from tests.cluster.crew import CALM, Crew, Flavour
from tests.support.builders import make_proxies, make_proxy
from tests.support.clusters import Cluster, Node
from tests.support.invariants import check_invariants

pytestmark = pytest.mark.xdist_group("cluster")
NODE_TIMEOUT = CALM

UNAVAILABLE = "unavailable"
"""Instead of a result."""


@dataclass
class Half:
    """A pool with something of everything, the keys of which are on two nodes."""

    crew: Crew
    keys: Keys
    pool: ProxyPool
    other: ProxyPool
    proxies: list[Proxy]
    held: Lease
    ended: Lease
    stale: Crew

    def operations(self) -> dict[str, Callable[[Crew], Any]]:
        """Everything a storage can be asked for, so that results can be compared."""
        pool, proxy, held = self.pool, self.proxies[3], self.held
        record = ProxyHealthRecord(
            proxy_id=proxy.id,
            reachable=True,
            protocol=proxy.protocol,
            status_after=ProxyStatus.ACTIVE,
        )
        check = HealthCheckResult(
            proxy_id=proxy.id,
            status=ProxyStatus.INACTIVE,
            latency_ms=7,
            protocol=proxy.protocol,
            checked_at=datetime.now(UTC),
        )
        only_even = ProxyFilters(predicate=lambda proxy: proxy.port % 2 == 0)
        german = ProxyFilters(country="DE")
        newcomer = Consumer(name="newcomer")
        changed = pool.model_copy(update={"description": "changed"})
        renamed = pool.model_copy(update={"name": "renamed"})
        return {
            # What needs one key, or none of this pool.
            "get_pool": lambda s: s.get_pool(pool.id),
            "get_pool_by_name": lambda s: s.get_pool_by_name("half"),
            "ensure_pool": lambda s: s.ensure_pool("half"),
            "list_pools": lambda s: s.list_pools(),
            "ensure_consumer": lambda s: s.ensure_consumer("consumer"),
            "add_consumer": lambda s: s.add_consumer(newcomer),
            "list_health_records": lambda s: s.list_health_records(proxy.id),
            "get_last_health_result": lambda s: s.get_last_health_result(proxy.id),
            "other pool": lambda s: s.get_pool_stats("other").total_proxies,
            "other pool, acquire": lambda s: s.acquire_lease("other", "consumer", 60) is None,
            # What needs many.
            "acquire": lambda s: s.acquire_lease("half", "consumer", 60),
            "acquire, new consumer": lambda s: s.acquire_lease("half", "newcomer", 60),
            "acquire, filters": lambda s: s.acquire_lease("half", "consumer", 60, german),
            "acquire, predicate": lambda s: s.acquire_lease("half", "consumer", 60, only_even),
            "acquire, known id": lambda s: s.acquire_lease(
                "half", "consumer", 60, lease_id=held.id
            ),
            "acquire_from": lambda s: s.acquire_lease_from(["half"], "consumer", 60),
            "find": lambda s: s.find_available_proxy("half"),
            "find, predicate": lambda s: s.find_available_proxy("half", only_even),
            "create_lease": lambda s: s.create_lease(proxy, "consumer", 60),
            "release": lambda s: s.release_lease(held.model_copy()),
            "release, model": lambda s: s.release_lease(held.model_copy(update={"pool_id": None})),
            "cleanup": lambda s: s.cleanup_expired_leases(),
            "get_lease": lambda s: s.get_lease(held.id),
            "get_lease, ended": lambda s: s.get_lease(self.ended.id),
            "list_leases": lambda s: s.list_leases(),
            "list_leases, consumer": lambda s: s.list_leases(held.consumer_id),
            "stats": lambda s: s.get_pool_stats("half"),
            "save_pool": lambda s: s.save_pool(changed),
            "rename": lambda s: s.save_pool(renamed),
            "save_proxy": lambda s: s.save_proxy(proxy.model_copy(update={"country": "IT"})),
            "add_proxies": lambda s: s.add_proxies_bulk(make_proxies(pool, 3)),
            "get_proxy": lambda s: s.get_proxy(proxy.id),
            "get_proxy_by_id": lambda s: s.get_proxy_by_id(proxy.id),
            "list_proxies": lambda s: s.list_proxies(pool.id),
            "to another pool": lambda s: s.save_proxy(
                proxy.model_copy(update={"pool_id": self.other.id})
            ),
            "health": lambda s: s.apply_health_check_result(check),
            "health record": lambda s: s.save_health_record(record),
            "delete_proxy": lambda s: s.delete_proxy(proxy.id),
        }


ANSWERED = {
    "get_pool",
    "get_pool_by_name",
    "ensure_pool",
    "list_pools",
    "ensure_consumer",
    "add_consumer",
    "list_health_records",
    "get_last_health_result",
    "other pool",
    "other pool, acquire",
}

COLD = ("get_pool", "acquire", "find", "release", "get_lease", "list_leases", "stats", "save_proxy")
"""What is also asked by a storage that has no connections, names or slots in mind yet."""


@pytest.fixture
def half(
    cluster: Cluster, mode: Flavour, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Half]:
    # Every refusal takes as long as the client tries again, which is not the matter here.
    for client in (redis.RedisCluster, redis.asyncio.RedisCluster):
        monkeypatch.setattr(client, "RedisClusterRequestTTL", 4)
    settings = Settings(key_prefix=prefix)
    with (
        RedisStorage.from_url(cluster.url, settings) as storage,
        Crew(mode, cluster.url, settings) as crew,
        Crew(mode, cluster.url, settings) as stale,
    ):
        pool, other = storage.ensure_pool("half"), storage.ensure_pool("other")
        proxies = make_proxies(pool, 12, country="DE", max_concurrency=2)
        storage.add_proxies_bulk([*proxies, make_proxy(other)])
        held, ended = (storage.acquire_lease("half", "consumer", 300) for _ in range(2))
        assert held and ended and storage.acquire_lease("other", "consumer", 300)
        storage.release_lease(ended)
        storage.save_health_record(
            ProxyHealthRecord(
                proxy_id=proxies[3].id,
                reachable=True,
                latency_ms=5,
                protocol=proxies[3].protocol,
                status_after=ProxyStatus.ACTIVE,
            )
        )
        assert storage.acquire_lease("half", "consumer", 300, ProxyFilters(country="DE"))
        yield Half(crew, Keys(prefix), pool, other, proxies, held, ended, stale)


def raw(cluster: Cluster, slot: int, *nodes: Node) -> list[dict[str, bytes]]:
    """Each node's keys of a slot with their values, whatever the other node has."""
    found = []
    for node in nodes:
        keys = node.ask("CLUSTER", "GETKEYSINSLOT", slot, 10_000)
        with node.client() as client, client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.execute_command("ASKING")
                pipe.dump(key)
            values = pipe.execute()[1::2]
        # None: its time was over.
        found.append({k: v for k, v in zip(keys, values, strict=True) if v is not None})
    return found


def result_of(operation: Callable[[Crew], Any], crew: Crew) -> Any:
    try:
        return operation(crew)
    except StorageUnavailableError:
        return UNAVAILABLE


@pytest.mark.parametrize(
    "cluster", ["valkey", pytest.param("redis", marks=pytest.mark.slow)], indirect=True
)
@pytest.mark.parametrize("first", ["rest", pytest.param("pool", marks=pytest.mark.slow)])
def test_every_operation(half: Half, cluster: Cluster, first: str) -> None:
    """``first``: what of the pool is moved first, its own key or half of the rest."""
    operations, pool_key = half.operations(), half.keys.pool(half.pool.id)
    slot, here = cluster.slot_of(pool_key), cluster.master_of(pool_key)
    there = next(node for node in cluster.masters() if node is not here)
    right = {name: operations[name](half.crew) for name in ANSWERED}
    # The second storage knows nothing when the move has begun; the first knows pools and scripts.
    cluster.begin_move(slot, there)
    keys = sorted(here.ask("CLUSTER", "GETKEYSINSLOT", slot, 10_000))
    if first == "pool":
        cluster.move_keys(slot, [pool_key])
    else:
        keys.remove(pool_key)
        cluster.move_keys(slot, keys[::2])
    before = raw(cluster, slot, here, there)
    assert all(before)

    for crew in (half.crew, half.stale):
        for name in operations if crew is half.crew else COLD:
            operation = operations[name]
            result = result_of(operation, crew)
            if name in ANSWERED:
                assert result == right[name], name
            else:
                assert result == UNAVAILABLE, name
            assert raw(cluster, slot, here, there) == before, name

    while cluster.move_some(slot, 1000):
        pass
    # All is there, but the slot was not handed over: a new key could still be on either side.
    assert result_of(operations["acquire"], half.crew) == UNAVAILABLE
    assert operations["get_pool"](half.crew) == half.pool
    cluster.finish_move(slot, there)
    for crew in (half.crew, half.stale):
        assert crew.get_lease(half.held.id).released_at is None
        assert crew.acquire_lease("half", "consumer", 60) is not None
    with RedisStorage.from_url(cluster.url, Settings(key_prefix=half.keys.root[:-2])) as storage:
        check_invariants(storage)


@pytest.mark.parametrize("cluster", ["valkey"], indirect=True)
def test_delete_pool(half: Half, cluster: Cluster) -> None:
    """A delete begins by hiding the pool, which takes one key and can be done at any time; the rest
    is left for later, and whoever asks again carries on."""
    pool_key = half.keys.pool(half.pool.id)
    slot, here = cluster.slot_of(pool_key), cluster.master_of(pool_key)
    there = next(node for node in cluster.masters() if node is not here)
    cluster.begin_move(slot, there)
    assert cluster.move_some(slot, 10) == 10
    assert result_of(lambda s: s.delete_pool(half.pool.id), half.crew) == UNAVAILABLE
    assert half.crew.get_pool_by_name("half") is None
    while cluster.move_some(slot, 1000):
        pass
    cluster.finish_move(slot, there)
    half.stale.delete_pool(half.pool.id)
    assert half.crew.list_pools() == [half.other]
    left = {key.split("}")[1][:7] for key in raw(cluster, slot, there)[0]}
    assert left <= {":lease:", ":leases", ":fence:"}
