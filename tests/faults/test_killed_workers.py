"""Workers that are killed while they hold leases: nobody returns those, time does."""

from __future__ import annotations

import multiprocessing
import signal
from typing import Any
from uuid import UUID

import pytest
import redis
from pharox.manager import ProxyManager
from pharox.models import Lease, LeaseStatus, ProxyPool

from tests.support.blocking import AnyStorage, manager_of
from tests.support.builders import make_proxies
from tests.support.flavours import Maker
from tests.support.timetravel import expire_leases, lapse_claims

WORKERS, EACH = 3, 2


def work(url: str, prefix: str, flavour: str, manager: str, name: str, pipe: Any) -> None:
    """Take leases and a claim, say so, and wait to be killed."""
    storage = Maker(flavour).storage_on(url, key_prefix=prefix, claim_seconds=60)
    shared = manager_of(storage) if manager == "own" else ProxyManager(storage)
    held = []
    for _ in range(EACH):
        lease = shared.acquire_proxy("pool", name, 600)
        assert lease is not None
        held.append(str(lease.id))
    claimed = storage.find_available_proxy("pool")
    pipe.send((held, claimed is not None))
    pipe.recv()  # nobody sends: the kill ends it


@pytest.mark.parametrize("manager", ["own", "stock"])
def test_their_leases_end_by_time(
    real_storage: AnyStorage, real_client: redis.Redis, flavour: str, manager: str
) -> None:
    storage, pool = real_storage, ProxyPool(name="pool")
    storage.save_pool(pool)
    storage.add_proxies_bulk(make_proxies(pool, WORKERS * (EACH + 1)))
    options = real_client.connection_pool.connection_kwargs
    url = f"redis://{options['host']}:{options['port']}/{options.get('db', 0)}"
    spawn = multiprocessing.get_context("spawn")
    pipes, workers = [], []
    for number in range(WORKERS):
        here, there = spawn.Pipe()
        worker = spawn.Process(
            target=work,
            args=(url, storage.settings.key_prefix, flavour, manager, f"w{number}", there),
        )
        worker.start()
        there.close()
        pipes.append(here)
        workers.append(worker)
    ids: list[str] = []
    for pipe in pipes:
        assert pipe.poll(60)
        held, claimed = pipe.recv()
        assert claimed
        ids += held
    for worker in workers:
        worker.kill()
        worker.join(30)
        assert worker.exitcode == -signal.SIGKILL
    for pipe in pipes:
        pipe.close()

    # They are gone; what they held is still held, and counted.
    assert len(set(ids)) == WORKERS * EACH
    assert storage.acquire_lease("pool", "next", 60) is None
    stats = storage.get_pool_stats("pool")
    assert stats is not None and stats.total_leases == WORKERS * EACH
    assert stats.available_proxies == WORKERS  # claims are no leases

    leases: list[Lease] = [lease for lease in storage.list_leases() if str(lease.id) in set(ids)]
    assert len(leases) == WORKERS * EACH
    assert lapse_claims(storage, pool.id) == WORKERS
    expire_leases(storage, leases[:-1], ago_ms=5)
    assert storage.cleanup_expired_leases() == len(leases) - 1
    assert storage.cleanup_expired_leases() == 0
    expire_leases(storage, leases[-1:], ago_ms=5)
    # The last one needs no sweep: an acquire that would miss looks at what is due.
    taken = [storage.acquire_lease("pool", "next", 60) for _ in range(WORKERS * (EACH + 1))]
    assert len({lease.proxy_id for lease in taken if lease is not None}) == len(taken)
    assert storage.acquire_lease("pool", "next", 60) is None

    for lease_id in ids:
        ended = storage.get_lease(UUID(lease_id))
        assert ended is not None and ended.status is LeaseStatus.RELEASED
        assert ended.released_at == ended.expires_at
    for number in range(WORKERS):
        listed = storage.list_leases(storage.ensure_consumer(f"w{number}"))
        assert len(listed) == EACH
        assert all(lease.status is LeaseStatus.RELEASED for lease in listed)
