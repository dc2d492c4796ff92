"""pharox's own contract suite and benchmark."""

from __future__ import annotations

import pytest
from pharox.benchmarks import run_leasing_benchmark
from pharox.models import SelectorStrategy

from tests.conftest import StorageFactory
from tests.support.blocking import AnyStorage
from tests.support.contract import check_contract

pytestmark = pytest.mark.async_on_redis


def test_storage_contract_suite(make_storage: StorageFactory) -> None:
    check_contract(make_storage)


@pytest.mark.parametrize("selector", list(SelectorStrategy))
def test_leasing_benchmark(storage: AnyStorage, selector: SelectorStrategy) -> None:
    result = run_leasing_benchmark(storage, iterations=60, pool_size=8, selector=selector)
    assert result.metadata["hits"] == 60
    assert result.metadata["misses"] == 0
    stats = storage.get_pool_stats("benchmark-pool")
    assert stats is not None and stats.total_leases == 0
