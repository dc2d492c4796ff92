"""Servers that forget: their script cache, or, without persistence, everything.

A storage object keeps its connections and its caches of pools and consumers meanwhile.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pharox.exceptions import PoolNotFoundError, ProxyNotFoundError
from pharox.manager import ProxyManager
from pharox.models import ProxyFilters, ProxyPool, SelectorStrategy

from tests.conftest import StorageFactory
from tests.support.blocking import AnyStorage, manager_of
from tests.support.builders import make_proxies
from tests.support.flavours import Maker, before_each_trip
from tests.support.invariants import check_invariants
from tests.support.own_servers import KINDS, own_server
from tests.support.timetravel import expire_leases

GERMAN = ProxyFilters(country="DE")


def fill(storage: AnyStorage, *names: str, count: int = 4) -> list[ProxyPool]:
    pools = [ProxyPool(name=name) for name in names]
    for pool in pools:
        storage.save_pool(pool)
        storage.add_proxies_bulk(make_proxies(pool, count, country="DE"))
    return pools


def test_no_command_finds_its_script(make_real_storage: StorageFactory) -> None:
    """Single calls and pipelines: each script is unknown each time."""
    storage, flushes = make_real_storage(), list[bool]()
    before_each_trip(storage, lambda _: flushes.append(storage.client.script_flush("SYNC")))
    pools = fill(storage, "one", "two", "three")
    leases = [
        lease
        for pool in pools
        for lease in (
            manager_of(storage).acquire_proxy(pool.name, "w", 60),
            ProxyManager(storage).acquire_proxy(pool.name, "w", 60, GERMAN),
        )
        if lease is not None
    ]
    assert len(leases) == 6
    assert {lease.id for lease in storage.list_leases()} == {lease.id for lease in leases}
    assert len(storage.list_leases(storage.ensure_consumer("w"))) == 6
    assert [pool.name for pool in storage.list_pools()] == ["one", "three", "two"]
    expire_leases(storage, leases[:4])
    assert storage.cleanup_expired_leases() == 4
    storage.release_lease(leases[4])
    storage.delete_pool(pools[0].id)
    assert [lease.id for lease in storage.list_leases()] == [leases[5].id]
    assert len(flushes) > 30


def test_flushes_in_mid_run(real_storage: AnyStorage) -> None:
    fill(real_storage, "one", "two")
    started, over = threading.Event(), threading.Event()

    def flush() -> None:
        started.set()
        while not over.is_set():
            real_storage.client.script_flush("SYNC")

    def work(number: int) -> int:
        manager, taken = manager_of(real_storage), 0
        for turn in range(30):
            lease = manager.acquire_proxy(("one", "two")[turn % 2], f"w{number}", 60)
            if lease is not None:
                taken += 1
                manager.release_proxy(lease)
            real_storage.cleanup_expired_leases()
        return taken

    with ThreadPoolExecutor(5) as threads:
        flusher = threads.submit(flush)
        assert started.wait(10)
        try:
            taken = list(threads.map(work, range(4)))
        finally:
            over.set()
        flusher.result(10)
    assert taken == [30] * 4
    assert real_storage.list_leases() == []


@pytest.mark.parametrize("kind", KINDS)
def test_crash_with_the_append_only_file(kind: str, maker: Maker) -> None:
    with own_server(kind) as server:
        storage = maker.storage_on(server.url, predicate_scan_limit=10)
        fill(storage, "pool", count=6)
        manager = manager_of(storage)
        leases = [manager.acquire_proxy("pool", "w", 600, GERMAN) for _ in range(3)]
        claimed = storage.find_available_proxy("pool")
        assert claimed is not None
        server.kill()
        server.restart()
        # Nothing is made anew: neither storage nor manager.
        assert {known.id for known in storage.list_leases()} == {
            lease.id for lease in leases if lease is not None
        }
        more = [manager.acquire_proxy("pool", "w", 600, GERMAN) for _ in range(3)]
        assert len({lease.proxy_id for lease in [*leases, *more] if lease is not None}) >= 5
        storage.cleanup_expired_leases()
        check_invariants(storage)
        for lease in leases:
            assert lease is not None
            manager.release_proxy(lease)
        check_invariants(storage)
        storage.close()


@pytest.mark.parametrize("kind", KINDS)
def test_restart_of_an_empty_server(kind: str, maker: Maker) -> None:
    with own_server(kind, {"appendonly": "no", "save": ""}) as server:
        storage = maker.storage_on(server.url)
        pools = fill(storage, "pool", "other")
        own, stock = manager_of(storage), ProxyManager(storage)
        for selector in SelectorStrategy:
            for _ in range(2):  # the second time the filter's view is asked for
                lease = own.acquire_proxy("pool", "w", 60, GERMAN, selector)
                assert lease is not None
                own.release_proxy(lease)
        lease = own.acquire_proxy("pool", "w", 60)
        assert lease is not None
        consumer, proxy = storage.ensure_consumer("w"), lease.proxy
        server.kill()
        server.restart()

        with pytest.raises(PoolNotFoundError):
            storage.acquire_lease("pool", "w", 60)
        assert own.acquire_proxy("pool", "w", 60, GERMAN) is None
        assert stock.acquire_proxy("pool", "w", 60) is None
        assert storage.find_available_proxy("pool", GERMAN) is None
        assert storage.get_pool_stats("pool") is None
        assert storage.get_pool_by_name("pool") is None
        with pytest.raises(PoolNotFoundError):
            storage.get_pool(pools[0].id)
        with pytest.raises(PoolNotFoundError):
            storage.save_proxy(proxy)
        with pytest.raises(ProxyNotFoundError):
            storage.create_lease(proxy, "w", 60)
        storage.release_lease(lease)
        assert storage.get_lease(lease.id) is None
        assert storage.list_leases() == [] and storage.list_pools() == []
        assert storage.cleanup_expired_leases() == 0

        storage.save_pool(pools[0])  # the same id under its name
        fill(storage, "other")  # another id under the name that is cached
        storage.save_proxy(proxy)
        for manager in (own, stock):
            for name in ("pool", "other"):
                for selector in SelectorStrategy:
                    lease = manager.acquire_proxy(name, "w", 60, GERMAN, selector)
                    assert lease is not None
                    assert lease.consumer_id == consumer
                    manager.release_proxy(lease)
        assert len(storage.list_leases(consumer)) >= 4
        check_invariants(storage)
        storage.close()
