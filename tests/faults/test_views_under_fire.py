"""Views that vanish, change or fill while they are used.

Views are derived: losing one costs time, never a right answer. What "right" is comes from the
proxies' own models and pharox's ``ProxyFilters.matches``: no miss while a match is free, and no
lease of a proxy that does not match, is not active or has all the leases it may have.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
import redis
from pharox.models import Proxy, ProxyFilters, ProxyPool, ProxyStatus, SelectorStrategy

from pharox_redis.flows import leasing
from pharox_redis.keys import Keys
from tests.conftest import StorageFactory
from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies, make_proxy
from tests.support.invariants import check_invariants
from tests.support.stepping import Stepped

GERMAN, FRENCH = ProxyFilters(country="DE"), ProxyFilters(country="FR")
SELECTORS = list(SelectorStrategy)


def fill(storage: AnyStorage, count: int) -> tuple[ProxyPool, list[Proxy]]:
    """A pool of French proxies; the last tenth is German."""
    pool = ProxyPool(name="pool")
    storage.save_pool(pool)
    tenth = max(1, count // 10)
    made = make_proxies(pool, count - tenth, country="FR")
    made += make_proxies(pool, tenth, country="DE")
    storage.add_proxies_bulk(made)
    return pool, made


def views(storage: AnyStorage, pool: ProxyPool) -> list[str]:
    keys = Keys(storage.settings.key_prefix)
    names = storage.client.hkeys(keys.views(pool.id))
    return [keys.view(pool.id, name.decode()) for name in names]


def free_matches(storage: AnyStorage, pool: ProxyPool, filters: ProxyFilters) -> set[UUID]:
    return {
        proxy.id
        for proxy in storage.list_proxies(pool.id)
        if proxy.status is ProxyStatus.ACTIVE
        and (proxy.max_concurrency is None or proxy.current_leases < proxy.max_concurrency)
        and filters.matches(proxy)
    }


@pytest.mark.parametrize("selector", SELECTORS)
def test_any_views_evicted_before_any_call(
    real_storage: AnyStorage, selector: SelectorStrategy
) -> None:
    pool, _ = fill(real_storage, 60)
    asked = (ProxyFilters(), GERMAN, FRENCH)
    for filters in (*asked, *asked):  # the second time makes views of their own
        lease = real_storage.acquire_lease("pool", "w", 60, filters, selector)
        assert lease is not None
        real_storage.release_lease(lease)
    known = views(real_storage, pool)
    assert len(known) >= 3
    for gone in [known, *([name] for name in known)]:
        for filters in asked:
            real_storage.client.unlink(*gone)
            free = free_matches(real_storage, pool, filters)
            lease = real_storage.acquire_lease("pool", "w", 60, filters, selector)
            assert lease is not None and lease.proxy_id in free
            real_storage.client.unlink(*gone)
            found = real_storage.find_available_proxy("pool", filters, selector)
            assert found is not None and found.id in free - {lease.proxy_id}
            real_storage.client.unlink(*gone)
            # A save and a release meet the gap; what they say is not lost.
            real_storage.save_proxy(make_proxy(pool, country="ES"))
            real_storage.release_lease(lease)
        check_invariants(real_storage)


Event = Callable[[AnyStorage, ProxyPool, list[Proxy], random.Random], None]


def evict(storage: AnyStorage, pool: ProxyPool, made: list[Proxy], rng: random.Random) -> None:
    storage.client.unlink(rng.choice(views(storage, pool)))


def reattribute(
    storage: AnyStorage, pool: ProxyPool, made: list[Proxy], rng: random.Random
) -> None:
    at = rng.randrange(len(made) - 1)
    country = "FR" if made[at].country == "DE" else "DE"
    made[at] = made[at].model_copy(update={"country": country})
    storage.save_proxy(made[at])


def delete(storage: AnyStorage, pool: ProxyPool, made: list[Proxy], rng: random.Random) -> None:
    storage.delete_proxy(made.pop(rng.randrange(len(made) - 1)).id)


def insert(storage: AnyStorage, pool: ProxyPool, made: list[Proxy], rng: random.Random) -> None:
    made.insert(0, make_proxy(pool, country=rng.choice(["DE", "FR"])))
    storage.save_proxy(made[0])


def ban(storage: AnyStorage, pool: ProxyPool, made: list[Proxy], rng: random.Random) -> None:
    at = rng.randrange(len(made) - 1)
    made[at] = made[at].model_copy(update={"status": rng.choice(list(ProxyStatus))})
    storage.save_proxy(made[at])


def lease(storage: AnyStorage, pool: ProxyPool, made: list[Proxy], rng: random.Random) -> None:
    proxy = made[rng.randrange(len(made) - 1)]
    if storage.get_proxy(proxy.id).current_leases == 0:
        storage.create_lease(proxy, "other", 60)


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("seed", range(2))
def test_the_pool_changes_while_a_view_fills(
    make_real_storage: StorageFactory, selector: SelectorStrategy, seed: int
) -> None:
    """Chunks are short, and between any two calls of an acquire something else happens. Views are
    evicted a few times only: one that is lost again and again is never full."""
    quick, rng = make_real_storage(), random.Random(f"{seed} {selector}")
    slow = make_real_storage(chunk_ms=0.05)
    pool, made = fill(quick, 2000)
    steps, events = 0, [evict, reattribute, delete, insert, ban, lease]
    for _ in range(6):
        flow = Stepped(
            slow,
            lambda context: leasing.acquire(context, "pool", "w", 60, GERMAN, selector, None),
        )
        while not flow.over:
            flow.step()
            steps += 1
            assert steps < 2_000
            if not flow.over:
                for event in rng.sample(events[1:] if steps > 20 else events, 2):
                    event(quick, pool, made, rng)
        assert flow.succeeded, flow.error
        granted = flow.result.lease
        assert granted is not None, "made[-1] is left alone: something German is free"
        assert GERMAN.matches(granted.proxy) and granted.proxy.status is ProxyStatus.ACTIVE
        if quick.get_proxy_by_id(granted.proxy_id) is not None:
            quick.release_lease(granted)
    assert steps > 15, "a chunk does not end when its time is up"
    check_invariants(quick)
    # Every match is handed out, each once, and then there is a miss.
    free = free_matches(quick, pool, GERMAN)
    taken = [slow.acquire_lease("pool", "w", 60, GERMAN, selector) for _ in free]
    assert {granted.proxy_id for granted in taken if granted is not None} == free
    assert slow.acquire_lease("pool", "w", 60, GERMAN, selector) is None


def test_a_pool_made_again_under_a_cached_name(make_real_storage: StorageFactory) -> None:
    storage, other = make_real_storage(), make_real_storage()
    previous: set[UUID] = set()
    for turn in range(6):
        pool, made = fill(other, 20)
        ids = {proxy.id for proxy in made}
        for selector in SELECTORS:
            for filters in (None, GERMAN, GERMAN):
                granted = storage.acquire_lease("pool", "w", 60, filters, selector)
                assert granted is not None and granted.proxy_id in ids - previous
                storage.release_lease(granted)
                found = storage.find_available_proxy("pool", filters, selector)
                assert found is not None and found.id in ids
        stats = storage.get_pool_stats("pool")
        assert stats is not None and (stats.total_proxies, stats.total_leases) == (20, 0)
        assert storage.cleanup_expired_leases() == 0
        previous |= ids
        other.delete_pool(pool.id)
        if turn % 2:
            assert storage.find_available_proxy("pool", GERMAN) is None
            assert storage.get_pool_stats("pool") is None


def test_more_filters_than_views(make_real_storage: StorageFactory) -> None:
    storage = make_real_storage(view_limit=2)
    pool = ProxyPool(name="pool")
    storage.save_pool(pool)
    countries = [f"C{number}" for number in range(6)]
    storage.add_proxies_bulk([p for c in countries for p in make_proxies(pool, 2, country=c)])
    keys = Keys(storage.settings.key_prefix)
    for selector in SELECTORS:
        for country in countries * 3:
            filters = ProxyFilters(country=country)
            leases = [storage.acquire_lease("pool", "w", 60, filters, selector) for _ in range(2)]
            assert all(granted and granted.proxy.country == country for granted in leases)
            assert storage.acquire_lease("pool", "w", 60, filters, selector) is None
            for granted in leases:
                assert granted is not None
                storage.release_lease(granted)
            assert storage.client.zcard(keys.used(pool.id)) <= 2
        check_invariants(storage)


@pytest.mark.parametrize("selector", SELECTORS)
def test_idle_views_are_dropped(
    make_real_storage: StorageFactory, selector: SelectorStrategy
) -> None:
    storage = make_real_storage(view_idle_seconds=3600)
    pool, _ = fill(storage, 40)
    used = Keys(storage.settings.key_prefix).used(pool.id)
    for _ in range(3):
        for filters in (GERMAN, FRENCH):
            for _ in range(3):
                granted = storage.acquire_lease("pool", "w", 60, filters, selector)
                assert granted is not None and filters.matches(granted.proxy)
                storage.release_lease(granted)
        names = storage.client.zrange(used, 0, -1)
        assert len(names) == 2
        storage.client.zadd(used, {names[0]: 1}, xx=True)  # last used long ago
        assert storage.cleanup_expired_leases() == 0
        assert storage.client.zrange(used, 0, -1) == names[1:]
        check_invariants(storage)


def test_evictions_under_load(real_storage: AnyStorage, real_client: redis.Redis) -> None:
    pool, _ = fill(real_storage, 300)  # thirty German ones, four workers: a match is always free

    def work(number: int) -> list[str]:
        wrong = []
        for turn in range(25):
            if number == 0:
                real_client.unlink(*views(real_storage, pool))
                continue
            selector = SELECTORS[(number + turn) % 4]
            granted = real_storage.acquire_lease("pool", f"w{number}", 60, GERMAN, selector)
            if granted is None:
                wrong.append(f"miss by {selector}")
                continue
            if not GERMAN.matches(granted.proxy):
                wrong.append(f"{granted.proxy_id} does not match")
            real_storage.release_lease(granted)
        return wrong

    with ThreadPoolExecutor(5) as threads:
        assert list(itertools.chain.from_iterable(threads.map(work, range(5)))) == []
