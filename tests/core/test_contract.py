"""pharox's own contract suite and benchmark."""

from __future__ import annotations

import pytest
from pharox.benchmarks import run_leasing_benchmark
from pharox.models import Proxy, ProxyPool, SelectorStrategy
from pharox.storage import IStorage
from pharox.tests.adapters import StorageContractFixtures, storage_contract_suite

from tests.conftest import StorageFactory
from tests.support.blocking import AnyStorage
from tests.support.invariants import check_invariants

pytestmark = pytest.mark.async_on_redis


def seed_pool(storage: IStorage, pool: ProxyPool) -> ProxyPool:
    storage.save_pool(pool)
    return storage.get_pool(str(pool.id))


def seed_proxy(storage: IStorage, proxy: Proxy) -> Proxy:
    storage.save_proxy(proxy)
    return storage.get_proxy(str(proxy.id))


def test_storage_contract_suite(make_storage: StorageFactory) -> None:
    made: list[AnyStorage] = []

    def make() -> AnyStorage:
        made.append(make_storage())
        return made[-1]

    storage_contract_suite(
        StorageContractFixtures(
            make_storage=make,
            seed_pool=seed_pool,
            seed_proxy=seed_proxy,
            teardown_storage=check_invariants,
        )
    )
    assert len(made) == 11


@pytest.mark.parametrize("selector", list(SelectorStrategy))
def test_leasing_benchmark(storage: AnyStorage, selector: SelectorStrategy) -> None:
    result = run_leasing_benchmark(storage, iterations=60, pool_size=8, selector=selector)
    assert result.metadata["hits"] == 60
    assert result.metadata["misses"] == 0
    stats = storage.get_pool_stats("benchmark-pool")
    assert stats is not None and stats.total_leases == 0
