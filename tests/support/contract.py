"""pharox's own contract suite, on storages of any kind."""

from __future__ import annotations

from collections.abc import Callable

from pharox.models import Proxy, ProxyPool
from pharox.storage import IStorage
from pharox.tests.adapters import StorageContractFixtures, storage_contract_suite

from tests.support.blocking import AnyStorage
from tests.support.invariants import check_invariants


def seed_pool(storage: IStorage, pool: ProxyPool) -> ProxyPool:
    storage.save_pool(pool)
    return storage.get_pool(str(pool.id))


def seed_proxy(storage: IStorage, proxy: Proxy) -> Proxy:
    storage.save_proxy(proxy)
    return storage.get_proxy(str(proxy.id))


def check_contract(make: Callable[[], AnyStorage]) -> None:
    """Run the suite, each of its parts on a storage of its own, and the invariants after each."""
    made: list[AnyStorage] = []

    def noted() -> AnyStorage:
        made.append(make())
        return made[-1]

    storage_contract_suite(
        StorageContractFixtures(
            make_storage=noted,
            seed_pool=seed_pool,
            seed_proxy=seed_proxy,
            teardown_storage=check_invariants,
        )
    )
    assert len(made) == 11
