"""No script touches a Lua global of its own: the compiled code names none, on any path, and real
servers, which refuse reads of unknown globals and all writes, run a whole life of a pool."""

from __future__ import annotations

import pytest
from pharox.models import HealthCheckResult, ProxyFilters, ProxyStatus, SelectorStrategy
from redis.exceptions import ResponseError

from pharox_redis import RedisStorage
from pharox_redis.scripts import lua_root, resolve
from tests.scripts.luacode import globals_of
from tests.support.builders import make_proxies

ROOT = lua_root()
SCRIPTS = sorted(path.stem for path in ROOT.glob("*.lua"))
INCLUDES = sorted(path.stem for path in ROOT.glob("includes/*.lua"))
LIBRARY = {
    *("redis", "cjson", "string", "table", "math"),
    *("ipairs", "pairs", "tonumber", "tostring", "type", "unpack", "pcall"),
    "os",  # only in includes that find out whether it is there (see test_headers)
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_touch_no_global(name: str) -> None:
    found = globals_of(resolve(ROOT, name))
    assert found.written == set()
    assert found.read <= {*LIBRARY, "KEYS", "ARGV"}


@pytest.mark.parametrize("name", INCLUDES)
def test_an_include_alone_defines_all_it_calls(name: str) -> None:
    # As `resolve` would take it for a script that includes nothing else.
    found = globals_of(resolve(ROOT / "includes" / "..", f"includes/{name}"))
    assert found.written == set()
    assert found.read <= LIBRARY


@pytest.mark.parametrize(
    ("planted", "read", "written"),
    [
        ("x = 1", set(), {"x"}),
        ("local function f() x = 1 end", set(), {"x"}),
        ("local a = function() return function() return y end end", {"y"}, set()),
        ("if false then return helper(1) end", {"helper"}, set()),
        ("function f() end", set(), {"f"}),
        ("local x = 1; x = 2; return x", set(), set()),
        ("for i = 1, 2 do local y = i end return _G.y", {"_G"}, set()),
    ],
)
def test_a_planted_global_is_found(planted: str, read: set[str], written: set[str]) -> None:
    found = globals_of(planted)
    assert (found.read, found.written) == (read, written)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_global_planted_in_a_script_is_found(name: str) -> None:
    text = resolve(ROOT, name)
    bound = text.index("local ", text.index("KEYS[1]") - 40)
    spoilt = text[:bound] + text[bound:].replace("local ", "", 1)
    assert globals_of(spoilt).written


def test_real_servers_refuse_globals(real_storage: RedisStorage) -> None:
    for code in ("planted = 1", "return planted", "local function f() planted = 1 end f()"):
        with pytest.raises(ResponseError, match=r"global|readonly"):
            real_storage.client.eval(code, 0)


def test_a_life_of_a_pool(storage: RedisStorage) -> None:
    """Every script runs, on servers that would refuse a global; none is there afterwards."""
    pool = storage.ensure_pool("pool")
    proxies = make_proxies(pool, 60, country="DE", latitude=1, longitude=2, max_concurrency=2)
    storage.add_proxies_bulk(proxies)
    storage.save_proxy(proxies[0].model_copy(update={"country": "FR"}))
    filters = ProxyFilters(
        latitude=1, longitude=2, radius_km=9, none_of=[ProxyFilters(asn=1, country="FR")]
    )
    picky = ProxyFilters(country="DE", predicate=lambda proxy: proxy.id == proxies[7].id)
    leases = []
    for selector in SelectorStrategy:
        for each in (None, filters, filters, picky):
            lease = storage.acquire_lease("pool", "consumer", 60, each, selector)
            found = storage.find_available_proxy("pool", each, selector)
            leases += [lease] if lease else []
            if found:
                leases.append(storage.create_lease(found, "consumer", 60))
        leases += storage.acquire_leases("pool", "consumer", 60, 3, filters, selector)
    assert len(leases) > 20
    assert storage.release_leases(leases[-2:]) == 2
    del leases[-2:]
    storage.apply_health_check_result(
        HealthCheckResult(
            proxy_id=proxies[3].id,
            status=ProxyStatus.SLOW,
            latency_ms=3,
            protocol=proxies[3].protocol,
        )
    )
    assert storage.get_lease(leases[0].id)
    storage.release_lease(leases[0])
    storage.cleanup_expired_leases()
    assert len(storage.list_leases()) == len(leases) - 1
    assert len(storage.list_proxies(pool.id)) == 60
    storage.delete_proxy(proxies[1].id)
    assert storage.get_pool_stats("pool")
    storage.delete_pool(pool.id)
    names = storage.client.eval(
        "local n = {} for k in pairs(_G) do n[#n + 1] = tostring(k) end return n", 0
    )
    functions = {name.encode() for name in (*INCLUDES, "pool", "lease", "proxy", "ms", "us")}
    assert not functions & set(names)
