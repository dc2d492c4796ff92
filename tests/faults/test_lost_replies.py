"""Commands whose reply, or which themselves, were lost on the way.

redis-py sends such a command again. For each operation each of its commands is lost once: the
result and what stands in Redis must be the same as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import pytest
import redis
from pharox.manager import ProxyManager
from pharox.models import (
    HealthCheckResult,
    Proxy,
    ProxyFilters,
    ProxyHealthRecord,
    ProxyPool,
    ProxyProtocol,
    ProxyStatus,
    SelectorStrategy,
)

from pharox_redis.flows.pools import names
from pharox_redis.keys import Keys, pool_tag
from tests.conftest import StorageFactory
from tests.support.blocking import AnyStorage, manager_of
from tests.support.builders import make_proxies
from tests.support.invariants import check_invariants
from tests.support.lossy import LossyRelay
from tests.support.own_servers import connect
from tests.support.timetravel import expire_leases


@dataclass
class Line:
    """A storage behind the relay, one that is not, and a pool of three proxies."""

    relay: LossyRelay
    shaky: AnyStorage
    sound: AnyStorage
    pool: ProxyPool
    proxies: list[Proxy]

    def leases(self) -> list[UUID]:
        return [lease.id for lease in self.sound.list_leases() if lease.pool_id == self.pool.id]

    def claims(self) -> int:
        key = Keys(self.sound.settings.key_prefix).claims(self.pool.id)
        return int(self.sound.client.zcard(key))

    def names(self) -> dict[str, str]:
        key = Keys(self.sound.settings.key_prefix).pools()
        return {k.decode(): v.decode() for k, v in self.sound.client.hgetall(key).items()}


Operation = Callable[[Line], Iterator[None]]


def acquire(line: Line) -> Iterator[None]:
    yield
    lease = line.shaky.acquire_lease(line.pool.name, "worker", 60)
    assert lease is not None and line.leases() == [lease.id]


def acquire_by_round_robin(line: Line) -> Iterator[None]:
    yield
    manager = manager_of(line.shaky)
    lease = manager.acquire_proxy(line.pool.name, selector=SelectorStrategy.ROUND_ROBIN)
    assert lease is not None and line.leases() == [lease.id]
    assert lease.proxy.current_leases == 1


def acquire_with_predicate(line: Line) -> Iterator[None]:
    last = line.proxies[-1].id
    yield
    lease = line.shaky.acquire_lease(
        line.pool.name, "worker", 60, ProxyFilters(predicate=lambda proxy: proxy.id == last)
    )
    assert lease is not None and line.leases() == [lease.id] and lease.proxy_id == last


def stock_manager(line: Line) -> Iterator[None]:
    yield
    lease = ProxyManager(line.shaky).acquire_proxy(line.pool.name)
    assert lease is not None and line.leases() == [lease.id]
    assert line.claims() == 0


def release(line: Line) -> Iterator[None]:
    lease = line.sound.acquire_lease(line.pool.name, "worker", 60)
    assert lease is not None
    yield
    line.shaky.release_lease(lease)
    assert line.leases() == []
    known = line.sound.get_lease(lease.id)
    assert known is not None and known.released_at is not None


def acquire_batch(line: Line) -> Iterator[None]:
    yield
    leases = line.shaky.acquire_leases(line.pool.name, "worker", 60, 5)
    assert len(leases) == 3 and set(line.leases()) == {lease.id for lease in leases}
    assert {lease.proxy_id for lease in leases} == {proxy.id for proxy in line.proxies}


def acquire_large_batch(line: Line) -> Iterator[None]:
    line.sound.save_proxy(line.proxies[0].model_copy(update={"max_concurrency": None}))
    yield
    leases = line.shaky.acquire_leases(line.pool.name, "worker", 60, 250, distinct=False)
    assert len(leases) == 250 and set(line.leases()) == {lease.id for lease in leases}


def release_batch(line: Line) -> Iterator[None]:
    line.sound.save_proxy(line.proxies[0].model_copy(update={"max_concurrency": None}))
    leases = line.sound.acquire_leases(line.pool.name, "worker", 60, 120, distinct=False)
    yield
    assert 0 <= line.shaky.release_leases(leases) <= 120  # what was lost is not counted
    assert line.leases() == []


def sweep(line: Line) -> Iterator[None]:
    lease = line.sound.acquire_lease(line.pool.name, "worker", 60)
    assert lease is not None
    expire_leases(line.sound, [lease])
    yield
    assert line.shaky.cleanup_expired_leases() in (0, 1)  # the count may be what was lost
    assert line.leases() == [] and line.sound.cleanup_expired_leases() == 0


def find(line: Line) -> Iterator[None]:
    yield
    found = line.shaky.find_available_proxy(line.pool.name)
    assert found is not None and line.claims() == 2  # one claim, two entries
    lease = line.shaky.create_lease(found, "worker", 60)
    assert line.claims() == 0 and line.leases() == [lease.id]


def health_record(line: Line) -> Iterator[None]:
    record = ProxyHealthRecord(
        proxy_id=line.proxies[0].id,
        reachable=True,
        latency_ms=5,
        protocol=ProxyProtocol.HTTP,
        status_after=ProxyStatus.ACTIVE,
    )
    yield
    line.shaky.save_health_record(record)
    assert [r.id for r in line.sound.list_health_records(line.proxies[0].id)] == [record.id]


def health_result(line: Line) -> Iterator[None]:
    result = HealthCheckResult(
        proxy_id=line.proxies[0].id,
        status=ProxyStatus.BANNED,
        latency_ms=5,
        protocol=ProxyProtocol.HTTP,
    )
    yield
    changed = line.shaky.apply_health_check_result(result)
    assert changed is not None and changed.status is ProxyStatus.BANNED
    (record,) = line.sound.list_health_records(line.proxies[0].id)
    assert record.status_before is ProxyStatus.ACTIVE


def delete_proxy(line: Line) -> Iterator[None]:
    assert line.sound.acquire_lease(line.pool.name, "worker", 60) is not None
    yield
    line.shaky.delete_proxy(line.proxies[0].id)
    assert line.sound.get_proxy_by_id(line.proxies[0].id) is None
    assert len(line.sound.list_proxies(line.pool.id)) == 2


def delete_pool(line: Line) -> Iterator[None]:
    assert line.sound.acquire_lease(line.pool.name, "worker", 60) is not None
    yield
    line.shaky.delete_pool(line.pool.id)
    assert line.pool.name not in line.names()
    assert all(line.sound.get_proxy_by_id(proxy.id) is None for proxy in line.proxies)


def create_pool(line: Line) -> Iterator[None]:
    made = ProxyPool(name=f"made-{line.pool.id}", description="d")
    yield
    line.shaky.save_pool(made)
    assert line.sound.get_pool_by_name(made.name) == made


def rename_pool(line: Line) -> Iterator[None]:
    changed = line.pool.model_copy(update={"name": f"renamed-{line.pool.id}"})
    yield
    line.shaky.save_pool(changed)
    assert line.sound.get_pool_by_name(changed.name) == changed
    assert line.sound.get_pool_by_name(line.pool.name) is None
    tag = pool_tag(line.pool.id)
    assert [name for name, known in line.names().items() if names(known, tag)] == [changed.name]


def save_proxies(line: Line) -> Iterator[None]:
    changed = [p.model_copy(update={"country": "FR"}) for p in line.proxies]
    given = [*changed, *make_proxies(line.pool, 60)]
    yield
    assert line.shaky.add_proxies_bulk(given) == 63
    stored = line.sound.list_proxies(line.pool.id)
    assert [proxy.id for proxy in stored] == [proxy.id for proxy in given]
    assert [proxy.country for proxy in stored[:3]] == ["FR"] * 3
    assert line.sound.get_proxy(given[-1].id) == stored[-1]


def consumer(line: Line) -> Iterator[None]:
    yield
    name = f"consumer-{line.pool.id}"
    assert line.shaky.ensure_consumer(name) == line.sound.ensure_consumer(name)


OPERATIONS: list[Operation] = [
    acquire,
    acquire_by_round_robin,
    acquire_with_predicate,
    stock_manager,
    release,
    acquire_batch,
    acquire_large_batch,
    release_batch,
    sweep,
    find,
    health_record,
    health_result,
    delete_proxy,
    delete_pool,
    create_pool,
    rename_pool,
    save_proxies,
    consumer,
]


@pytest.mark.parametrize("what", ["reply", "request"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_each_command_lost_once(
    make_real_storage: StorageFactory,
    real_client: redis.Redis,
    operation: Operation,
    what: Literal["reply", "request"],
) -> None:
    sound = make_real_storage(claim_seconds=60)
    options = real_client.connection_pool.connection_kwargs
    wrong: list[str] = []
    with LossyRelay(options["host"], options["port"]) as relay:
        for number in range(1, 40):
            client = connect(relay.url)
            shaky = make_real_storage(client, claim_seconds=60)
            pool = ProxyPool(name=f"pool-{number}")
            sound.save_pool(pool)
            proxies = make_proxies(pool, 3)
            sound.add_proxies_bulk(proxies)
            line = Line(relay, shaky, sound, pool, proxies)
            steps = operation(line)
            next(steps)
            relay.lose(number, what)
            try:
                next(steps, None)
            except AssertionError as error:
                wrong.append(f"{what} {number} lost: {error}")
            fired = relay.fired
            relay.lose(0)
            client.close()
            check_invariants(sound)
            for known in sound.list_pools():
                sound.delete_pool(known.id)
            if not fired:
                break
        else:
            raise AssertionError("the operation does not end")
    assert number > 1, "nothing was lost"
    assert not wrong, "\n".join(wrong)
