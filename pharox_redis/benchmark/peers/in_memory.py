"""pharox's ``InMemoryStorage``: the same proxies inside this process, without a server."""

from __future__ import annotations

from pharox.manager import ProxyManager
from pharox.models import ProxyPool
from pharox.storage import InMemoryStorage

from pharox_redis.benchmark.bench import proxies
from pharox_redis.benchmark.peers.managers import CONSUMER


def in_memory_manager(pool: ProxyPool, size: int) -> ProxyManager:
    """pharox's manager over as many proxies as a bench pool has, under the pool's name."""
    storage = InMemoryStorage()
    storage.save_pool(pool)
    storage.ensure_consumer(CONSUMER)
    storage.add_proxies_bulk(list(proxies(pool, 0, size)))
    return ProxyManager(storage)
