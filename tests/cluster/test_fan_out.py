"""Operations over all pools ask the masters at the same time, with one batch each.

Two views of it: how often each master reads from its clients does not grow with the number of
pools; and while one master stands still, the others have everything that was for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pharox_redis import RedisStorage, Settings
from pharox_redis.keys import Keys
from tests.cluster.crew import CALM, Crew, Face, Flavour, wait_until
from tests.support.builders import make_proxies
from tests.support.clusters import Cluster, Node

pytestmark = pytest.mark.xdist_group("cluster")
NODE_TIMEOUT = CALM

# How a batch is sent is the client's matter: one kind of server is enough.
valkey_only = pytest.mark.parametrize("cluster", ["valkey"], indirect=True)
FEW, MANY = 6, 60
ROUND_TRIPS = 8
"""Reads a master may need: the directory's, the batch, perhaps in two parts, and what reads
besides (its replica's acknowledgements, the test's own questions). One by one it would be some
twenty for ``MANY`` pools."""

OPERATIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, int], bool]]] = {
    "cleanup_expired_leases": (lambda s: s.cleanup_expired_leases(), lambda it, n: it == 0),
    "list_pools": (lambda s: s.list_pools(), lambda it, n: len(it) == n),
    "list_leases": (lambda s: s.list_leases(), lambda it, n: len(it) == n),
}


@pytest.fixture(params=OPERATIONS)
def operation(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=[FEW, MANY])
def pools(cluster: Cluster, request: pytest.FixtureRequest) -> tuple[str, int]:
    """The prefix and number of pools with a proxy and a lease each."""
    prefix = f"fan{request.param}"
    with RedisStorage.from_url(cluster.url, Settings(key_prefix=prefix)) as storage:
        for number in range(request.param):
            pool = storage.ensure_pool(f"pool {number}")
            storage.add_proxies_bulk(make_proxies(pool, 1))
            assert storage.acquire_lease(pool.name, "consumer", 600) is not None
    return prefix, request.param


async def do(face: Face, operation: str) -> Any:
    return await getattr(face.storage, operation)()


def figure(node: Node, section: str, name: str, field: str | None = None) -> int:
    value = node.info(section).get(name, {"calls": 0} if field else 0)
    return int(value[field] if field else value)


@valkey_only
def test_round_trips(
    cluster: Cluster, mode: Flavour, pools: tuple[str, int], operation: str
) -> None:
    prefix, count = pools
    with Crew(mode, cluster.url, Settings(key_prefix=prefix)) as crew:
        right = OPERATIONS[operation][1]
        for _ in range(2):  # connections are made, scripts cached, names known
            assert right(crew.call(do, operation), count)
        before = {
            node: figure(node, "stats", "total_reads_processed") for node in cluster.masters()
        }
        assert right(crew.call(do, operation), count)
        reads = {
            node.port: figure(node, "stats", "total_reads_processed") - known
            for node, known in before.items()
        }
        assert max(reads.values()) <= ROUND_TRIPS, reads


@valkey_only
@pytest.mark.parametrize("pools", [MANY], indirect=True)
def test_at_the_same_time(
    cluster: Cluster, mode: Flavour, pools: tuple[str, int], operation: str
) -> None:
    prefix, count = pools
    keys = Keys(prefix)
    with Crew(mode, cluster.url, Settings(key_prefix=prefix)) as crew:
        for _ in range(2):
            listed = crew.list_pools()
            crew.call(do, operation)
        masters = cluster.masters()
        directory = cluster.master_of(keys.pools())
        owners = [cluster.master_of(keys.pool(pool.id)) for pool in listed]
        others = {node: owners.count(node) for node in masters}
        for still in (node for node in masters if node is not directory):
            moving = {node: n for node, n in others.items() if node is not still}
            assert min(others.values()) > 5
            before = {node: scripts_run(node) for node in moving}
            cluster.pause(still)
            try:
                job = crew.begin(do, operation)
                wait_until(
                    lambda moving=moving, before=before: all(
                        scripts_run(node) - before[node] >= n for node, n in moving.items()
                    ),
                    lambda: "the other masters have not got all that is for them",
                )
                assert not job.done()
            finally:
                cluster.resume(still)
            crew.join()
            assert OPERATIONS[operation][1](job.result(), count)
            assert {node: scripts_run(node) - before[node] for node in moving} == moving


def scripts_run(node: Node) -> int:
    return figure(node, "commandstats", "cmdstat_evalsha", "calls")


async def batches(face: Face, count: int) -> int:
    """Lease from every pool, and give all back at once; how many were ended."""
    held: list[Any] = []
    for number in range(count):
        held += await face.storage.acquire_leases(f"pool {number}", "batch", 60, 3, distinct=False)
    for lease in held[::7]:
        lease.pool_id = None  # those it looks up
    ended: int = await face.storage.release_leases(held)
    return ended


@valkey_only
def test_a_batch_of_leases_of_all_pools(cluster: Cluster, mode: Flavour, prefix: str) -> None:
    with (
        Crew(mode, cluster.url, Settings(key_prefix=prefix, min_replicas=1)) as crew,
        RedisStorage.from_url(cluster.url, Settings(key_prefix=prefix)) as storage,
    ):
        for number in range(MANY):
            pool = storage.ensure_pool(f"pool {number}")
            storage.add_proxies_bulk(make_proxies(pool, 1, max_concurrency=2))
        for _ in range(2):
            assert crew.call(batches, MANY) == 2 * MANY
            assert storage.list_leases() == []
