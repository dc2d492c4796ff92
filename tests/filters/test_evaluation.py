"""The Lua evaluation against ``ProxyFilters.matches``, on every target.

First ``lua/includes/matches.lua`` itself: a script of the tests includes it and judges a batch of
pairs in a call, so that thousands of pairs take seconds. Then the whole storage: from a pool of
random proxies an acquire leases the first one, in the selector's order, that ``matches`` accepts.

Some pairs are left out, see ``strategies.decides``: those where pharox itself raises, and those
where the last bit of the C library's sine decides whether a distance is within the radius.
"""

from __future__ import annotations

import math
import secrets
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pharox.models import Proxy, ProxyFilters, ProxyPool, SelectorStrategy

from pharox_redis import RedisStorage, Settings
from pharox_redis.codec import INDEXED, encode_proxy
from pharox_redis.filters import compile_filters
from pharox_redis.scripts import lua_root, resolve
from tests.conftest import StorageFactory
from tests.filters.strategies import decides, filters, proxies
from tests.support.builders import make_proxy
from tests.support.invariants import check_invariants

JUDGE = """
--- @include "matches"
-- KEYS: none. ARGV: how many filters, their programs; then seven fields a proxy, and which of them
-- are there ("1" or "0"). Returns a text of "1" and "0" for each filter.
local count = tonumber(ARGV[1])
local answers = {}
for i = 1, count do
  local program, answer = cjson.decode(ARGV[1 + i]), ''
  for at = count + 2, #ARGV, 8 do
    local raw, there = {}, ARGV[at + 7]
    for field = 1, 7 do
      raw[field] = string.sub(there, field, field) == '1' and ARGV[at + field - 1] or false
    end
    answer = answer .. (matches(program, raw) and '1' or '0')
  end
  answers[i] = answer
end
return answers
"""


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The judging script with the real function in it."""
    root: Path = tmp_path_factory.mktemp("lua")
    (root / "includes").symlink_to(lua_root() / "includes")
    (root / "judge.lua").write_text(JUDGE, encoding="utf-8")
    return resolve(root, "judge")


def verdicts(
    client: redis.Redis, judge: str, some: list[ProxyFilters], who: list[Proxy]
) -> list[list[bool]]:
    args: list[str | int] = [len(some)]
    args += [compile_filters(each).program or '["&"]' for each in some]
    for proxy in who:
        columns = encode_proxy(proxy)[0][: len(INDEXED)]
        args += [*columns, "".join("1" if each else "0" for each in columns)]
    reply = client.eval(judge, 0, *args)
    return [[char == 49 for char in bytes(answer)] for answer in reply]  # type: ignore[union-attr]


def compare(client: redis.Redis, judge: str, some: list[ProxyFilters], who: list[Proxy]) -> None:
    for each, row in zip(some, verdicts(client, judge, some, who), strict=True):
        for proxy, verdict in zip(who, row, strict=True):
            if decides(each, proxy):
                assert verdict == each.matches(proxy), (each, proxy)


relaxed = settings(
    deadline=None,
    max_examples=20,  # test_lua_agrees_at_length is the slow run's
    suppress_health_check=list(HealthCheck),
)


@relaxed
@given(
    some=st.lists(filters(python=False), min_size=4, max_size=8),
    who=st.lists(proxies, min_size=4, max_size=10),
)
def test_lua_agrees(
    client: redis.Redis, judge: str, some: list[ProxyFilters], who: list[Proxy]
) -> None:
    compare(client, judge, some, who)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_lua_agrees_at_length(client: redis.Redis, judge: str) -> None:
    @settings(relaxed, max_examples=3000)
    @given(
        some=st.lists(filters(python=False), min_size=4, max_size=8),
        who=st.lists(proxies, min_size=4, max_size=10),
    )
    def run(some: list[ProxyFilters], who: list[Proxy]) -> None:
        compare(client, judge, some, who)

    run()


def located(number: int, latitude: float | None, longitude: float | None) -> Proxy:
    return Proxy.model_validate(
        {
            "id": f"{number:032x}",
            "pool_id": f"{1:032x}",
            "host": "192.0.2.1",
            "port": 80,
            "protocol": "http",
            "status": "active",
            "latitude": latitude,
            "longitude": longitude,
        }
    )


def test_edges_of_isclose(client: redis.Redis, judge: str) -> None:
    """Everything around the absolute and the relative tolerance, bit by bit."""
    some, who = [], []
    for base in (0.0, 1.0, 52.5, 90.0, 1000.0, 1e6, 1e300, -999.9999):
        some.append(ProxyFilters(latitude=base, longitude=base))
        for reach in (1e-6, abs(base) * 1e-9):
            for sign in (1, -1):
                edge = base + sign * reach
                low = edge
                for _ in range(3):
                    low = math.nextafter(low, -math.inf)
                for _ in range(7):
                    who.append(located(len(who), low, base))
                    who.append(located(len(who), base, low))
                    low = math.nextafter(low, math.inf)
    compare(client, judge, some, who)


def test_geo_extremes(client: redis.Redis, judge: str) -> None:
    places = [
        (0.0, 0.0),
        (-0.0, -0.0),
        (90.0, 0.0),
        (-90.0, 180.0),
        (52.5, 13.4),
        (-52.5, -166.6),
        (52.5, 373.4),
        (0.0, 180.0),
        (0.0, -180.0),
        (5e-324, 1e-300),
        (1e300, 3.0),
        (None, 1.0),
        (1.0, None),
        (None, None),
    ]
    who = [located(number, *place) for number, place in enumerate(places)]
    some = [
        ProxyFilters(latitude=place[0], longitude=place[1], radius_km=radius)
        for place in places
        if place[0] is not None and place[1] is not None
        for radius in (5e-324, 1e-9, 1.0, 10000.0, 20015.0, 20016.0, 1e308, math.inf, None)
    ]
    compare(client, judge, some, who)


ORDERED = [SelectorStrategy.FIRST_AVAILABLE, SelectorStrategy.ROUND_ROBIN]


@settings(relaxed, max_examples=25)
@given(
    given_filters=st.lists(filters(python=True), min_size=1, max_size=4),
    who=st.lists(proxies, min_size=1, max_size=8, unique_by=lambda proxy: proxy.id),
    limits=st.sampled_from([(64, 2.0), (1, 0.05), (0, 2.0)]),
)
def test_acquire_leases_the_first_match(
    client: redis.Redis,
    given_filters: list[ProxyFilters],
    who: list[Proxy],
    limits: tuple[int, float],
) -> None:
    """Walking, registering and filling views, and paging for predicates: always the first match."""
    view_limit, chunk_ms = limits
    storage = RedisStorage(
        client,
        Settings(key_prefix=f"f{secrets.token_hex(5)}", view_limit=view_limit, chunk_ms=chunk_ms),
    )
    pool = ProxyPool(id=who[0].pool_id, name="p")
    storage.save_pool(pool)
    storage.add_proxies_bulk(who)
    try:
        for selector in ORDERED:
            order = who if selector == ORDERED[0] else sorted(who, key=lambda proxy: proxy.id)
            for each in given_filters:
                if not all(decides(each, proxy) for proxy in who):
                    continue
                wanted = next((proxy.id for proxy in order if each.matches(proxy)), None)
                for _ in range(2):
                    if selector == ORDERED[1]:
                        found = storage.list_proxies(pool.id)
                        assert [proxy.id for proxy in found] == [proxy.id for proxy in who]
                    lease = storage.acquire_lease("p", "c", 300, each, selector)
                    assert (lease and lease.proxy_id) == wanted
                    if lease is None:
                        continue
                    assert each.matches(lease.proxy)
                    storage.release_lease(lease)
                    if selector == ORDERED[1]:
                        order = [*(p for p in order if p.id != wanted), lease.proxy]
                        wanted = next((p.id for p in order if each.matches(p)), None)
        check_invariants(storage)
    finally:
        keys = list(client.scan_iter(match=f"{storage.settings.key_prefix}:*", count=1000))
        client.unlink(*keys)


@pytest.mark.parametrize("view_limit", [64, 0])
@pytest.mark.parametrize("selector", list(SelectorStrategy))
def test_filters_find_their_way_through_pages(
    make_storage: StorageFactory, selector: SelectorStrategy, view_limit: int
) -> None:
    """Scripts look at a pool page by page, with pauses: no proxy at an edge is passed over."""
    storage = make_storage(view_limit=view_limit, chunk_ms=0.001)
    pool = storage.ensure_pool("p")
    who = sorted((make_proxy(pool, city=str(i)) for i in range(130)), key=lambda proxy: proxy.id)
    who = [proxy.model_copy(update={"city": str(place)}) for place, proxy in enumerate(who)]
    storage.add_proxies_bulk(who)
    for place in (0, 1, 48, 49, 50, 51, 52, 98, 99, 100, 101, 128, 129):
        found = storage.find_available_proxy("p", ProxyFilters(city=str(place)), selector)
        assert found == who[place]
    assert storage.find_available_proxy("p", ProxyFilters(city="130"), selector) is None
