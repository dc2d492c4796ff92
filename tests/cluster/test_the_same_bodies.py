"""What the storage promises on one server, on a Cluster: pharox's contract, random histories beside
the model, and a crowd, by the very bodies that run elsewhere. For both storages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.cluster import RedisCluster

from pharox_redis import Settings
from tests.faults.test_contention import MANAGERS, Job, take_turns
from tests.properties.test_stateful import play
from tests.support.blocking import AnyStorage
from tests.support.clusters import Cluster
from tests.support.contention import fill, judge
from tests.support.contract import check_contract
from tests.support.flavours import FLAVOURS, Maker
from tests.support.invariants import check_invariants

pytestmark = pytest.mark.xdist_group("cluster")

NODE_TIMEOUT = 6000  # no node is lost here


@pytest.fixture
def client(cluster: Cluster) -> Iterator[RedisCluster]:
    """A blocking client; asyncio's twin is made from it."""
    client = cluster.client()
    yield client
    client.close()


@pytest.fixture(params=FLAVOURS)
def maker(request: pytest.FixtureRequest) -> Iterator[Maker]:
    with Maker(request.param) as made:
        yield made


@pytest.fixture
def make(client: RedisCluster, maker: Maker, prefix: str) -> Callable[[], AnyStorage]:
    return lambda: maker.storage(client, Settings(key_prefix=prefix))


def test_contract_suite(make: Callable[[], AnyStorage]) -> None:
    check_contract(make)


@pytest.mark.timeout(600)
def test_histories(client: RedisCluster, maker: Maker) -> None:
    play(client, maker, examples=20, steps=30)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_long_histories(client: RedisCluster, maker: Maker) -> None:
    play(client, maker, examples=300, steps=50)


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_crowd(make: Callable[[], AnyStorage], manager: str) -> None:
    storage = make()
    jobs = [Job(f"{manager} {limit}", manager, limit) for limit in (1, 2, None)]
    for job in jobs:
        matching = fill(storage, 3, job.limit, job.pool)
        shared = MANAGERS[manager](storage)
        with ThreadPoolExecutor(16) as threads:
            seen = list(
                threads.map(
                    lambda i, job=job, shared=shared: take_turns(
                        shared, storage.client, f"w{i}", 4, job
                    ),
                    range(16),
                )
            )
        misses = judge(storage, seen, job.limit, matching, job.pool)
        assert misses == 0 or job.limit is not None
    check_invariants(storage)
