"""However much there is to do, a call stays within its chunk: counted in the commands it makes, as
in ``tests/faults/test_big_pool.py``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from pharox.models import ProxyFilters, SelectorStrategy

from pharox_redis import RedisStorage, Settings
from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies
from tests.support.flavours import Maker
from tests.support.invariants import check_invariants
from tests.support.own_servers import KINDS, own_server
from tests.support.timetravel import expire_leases

VIEWS, MOST_COMMANDS = 48, 2_500


class Counted:
    """A storage whose calls are short, on a server whose commands are counted."""

    def __init__(self, storage: AnyStorage, client: redis.Redis) -> None:
        self.storage, self.client = storage, client

    def begin(self) -> None:
        self.client.config_resetstat()

    def calls(self) -> tuple[int, float]:
        """How many script calls there were, and the commands in each, about."""
        stats = self.client.info("commandstats")
        scripts = sum(stats[name]["calls"] for name in stats if "eval" in name)
        return scripts, (sum(stats[name]["calls"] for name in stats) - scripts) / scripts


@pytest.fixture(scope="module", params=KINDS)
def counted(request: pytest.FixtureRequest) -> Iterator[Counted]:
    with (
        own_server(request.param, {"appendonly": "no", "save": ""}) as server,
        Maker("blocking") as maker,
    ):
        client = redis.Redis.from_url(server.url)
        yield Counted(maker.storage_on(server.url, client, chunk_ms=0.5), client)
        client.close()


def test_a_batch_in_a_pool_with_many_views(counted: Counted) -> None:
    storage = counted.storage
    pool = storage.ensure_pool("views")
    storage.add_proxies_bulk(make_proxies(pool, 200, country="DE"))
    for number in range(VIEWS // 2):
        filters = ProxyFilters(country="DE", none_of=[ProxyFilters(asn=number)])
        for selector in (SelectorStrategy.FIRST_AVAILABLE, SelectorStrategy.LEAST_USED):
            for _ in range(3):
                storage.release_leases(
                    storage.acquire_leases("views", "c", 60, 1, filters, selector)
                )
    counted.begin()
    leases = storage.acquire_leases("views", "c", 60, 100)
    calls, commands = counted.calls()
    assert len(leases) == 100 and calls > 1 and commands < MOST_COMMANDS, (calls, commands)
    counted.begin()
    assert storage.release_leases(leases) == 100
    calls, commands = counted.calls()
    assert calls > 1 and commands < MOST_COMMANDS, (calls, commands)
    check_invariants(storage)


def test_hundreds_of_leases_that_are_due(counted: Counted) -> None:
    storage = counted.storage
    pool = storage.ensure_pool("due")
    storage.add_proxies_bulk(make_proxies(pool, 1000))
    leases = storage.acquire_leases("due", "c", 60, 1000)
    assert len(leases) == 1000
    expire_leases(storage, leases)
    counted.begin()
    again = storage.acquire_leases("due", "c", 60, 100)
    calls, commands = counted.calls()
    assert len(again) == 100 and calls > 2 and commands < MOST_COMMANDS, (calls, commands)
    assert [lease.proxy_id for lease in again] == [lease.proxy_id for lease in leases[:100]]
    storage.release_leases(again)


@pytest.mark.parametrize("distinct", [True, False])
def test_a_filter_that_is_new_and_rare(counted: Counted, distinct: bool) -> None:
    """Each lease takes a walk over those that do not match."""
    storage = counted.storage
    name = f"rare {distinct}"
    pool = storage.ensure_pool(name)
    for _ in range(20):
        storage.add_proxies_bulk(make_proxies(pool, 90, country="FR"))
        storage.add_proxies_bulk(make_proxies(pool, 2, country="DE", max_concurrency=2))
    counted.begin()
    rare = ProxyFilters(country="DE", none_of=[ProxyFilters(asn=77)])
    leases = storage.acquire_leases(name, "c", 60, 10, rare, distinct=distinct)
    calls, commands = counted.calls()
    assert len(leases) == 10 and commands < MOST_COMMANDS, (calls, commands)


def walked(counted: Counted, name: str, chunk_ms: float, distinct: bool) -> tuple[int, float]:
    """Eight leases by a filter that has no view, behind eighty proxies that it refuses."""
    made = RedisStorage(counted.client, Settings(chunk_ms=chunk_ms))
    pool = made.ensure_pool(name)
    made.add_proxies_bulk(make_proxies(pool, 80, country="FR"))
    made.add_proxies_bulk(make_proxies(pool, 20, country="DE", max_concurrency=2))
    made.ensure_consumer("c")
    counted.begin()
    filters = ProxyFilters(country="DE", none_of=[ProxyFilters(asn=7)])
    leases = made.acquire_leases(name, "c", 60, 8, filters, distinct=distinct)
    assert len(leases) == 8
    return counted.calls()


def test_a_call_that_walks_looks_at_the_watch_after_every_lease(counted: Counted) -> None:
    calls, _ = walked(counted, "watched", 0.001, False)
    assert calls >= 8


def test_a_walk_goes_on_behind_the_last_lease(counted: Counted) -> None:
    calls, commands = walked(counted, "on", 100, True)
    assert calls * commands < 80 + 8 * 40 < 8 * 80


def test_many_taken_ones_stand_in_front(counted: Counted) -> None:
    storage = counted.storage
    pool = storage.ensure_pool("front")
    storage.add_proxies_bulk(make_proxies(pool, 2000, max_concurrency=None))
    counted.begin()
    leases = storage.acquire_leases("front", "c", 60, 2000)
    _, commands = counted.calls()
    assert len({lease.proxy_id for lease in leases}) == 2000 and commands < MOST_COMMANDS, commands
    assert storage.release_leases(leases) == 2000
