"""Reads the raw keys of a storage and recomputes everything that must agree.

Nothing here uses the library's scripts to judge the library: scores, figures and filter programs
are computed again in Python from the proxies' hashes, leases and claims.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pharox_redis import RedisStorage
from pharox_redis.codec import index_text
from pharox_redis.drivers import text
from pharox_redis.keys import Keys, pool_of_tag, pool_tag

INF = math.inf
FIELDS = ("so", "co", "ci", "is", "as", "la", "lo")
PERSISTENT = -1
VOID = "void"
# What follows the pool's prefix in a lease's id, a UUIDv8.
TAIL = re.compile(r"8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

PER_POOL = {
    "": "hash",
    "proxies": "zset",
    "views": "hash",
    "used": "zset",
    "expiry": "zset",
    "claims": "zset",
    "extra": "set",
    "idle": "set",
    "reserved": "set",
    "retired": "set",
    "once": "string",
    "gone": "set",
    "fence": "string",
    "proxy": "hash",
    "doc": "string",
    "held": "zset",
    "health": "list",
    "view": "zset",
    "lease": "string",
    "leases": "zset",
}


@dataclass
class PoolDump:
    """All raw keys of one pool, decoded."""

    tag: str
    single: dict[str, Any] = field(default_factory=dict)
    many: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))


READ: dict[str, Callable[[Any, str], Any]] = {
    "none": lambda asked, key: asked.exists(key),
    "hash": lambda asked, key: asked.hgetall(key),
    "zset": lambda asked, key: asked.zrange(key, 0, -1, withscores=True),
    "set": lambda asked, key: asked.smembers(key),
    "list": lambda asked, key: asked.lrange(key, 0, -1),
    "string": lambda asked, key: asked.get(key),
}


def shown(kind: str, value: Any) -> Any:
    """What was read, decoded."""
    if kind == "zset":
        return {text(member): score for member, score in value}
    return {text(member) for member in value} if kind == "set" else text(value)


def at_once(client: Any, ask: Callable[[Any, str], Any], keys: list[str]) -> list[Any]:
    """The answers for all keys, in few trips."""
    answers: list[Any] = []
    for start in range(0, len(keys), 1000):
        with client.pipeline(transaction=False) as pipeline:
            for key in keys[start : start + 1000]:
                ask(pipeline, key)
            answers += pipeline.execute()
    return answers


def read_key(client: Any, key: str, kind: str) -> Any:
    """One key's value, decoded."""
    return shown(kind, READ[kind](client, key))


def remaining(asked: Any, key: str) -> Any:
    """A key's TTL in ms."""
    return asked.pttl(key)


def read_keys(
    client: Any, pattern: str, time: Callable[[Any, str], Any] = remaining
) -> list[tuple[str, str, int, Any]]:
    """(key, type, TTL or another time, value) of every key under a pattern."""
    keys = sorted({text(raw) for raw in client.scan_iter(match=pattern, count=1000)})
    kinds = [text(kind) for kind in at_once(client, lambda asked, key: asked.type(key), keys)]
    ttls = at_once(client, time, keys)
    values: dict[str, Any] = {}
    for kind in set(kinds):
        assert kind in READ, f"nobody reads a {kind}"
        own = [key for key, its in zip(keys, kinds, strict=True) if its == kind]
        for key, value in zip(own, at_once(client, READ[kind], own), strict=True):
            values[key] = shown(kind, value)
    return [(key, kind, ttl, values[key]) for key, kind, ttl in zip(keys, kinds, ttls, strict=True)]


def dump(storage: RedisStorage) -> tuple[dict[str, Any], dict[str, PoolDump]]:
    """(directories, pools by tag) of the storage's prefix. Fails on keys that no schema names."""
    client, root = storage.client, Keys(storage.settings.key_prefix).root
    directories: dict[str, Any] = {"pools": {}, "consumers": {}, "proxies": {}}
    pools: dict[str, PoolDump] = {}
    for key, kind, ttl, value in read_keys(client, f"{root}:*"):
        rest = key[len(root) + 1 :]
        if kind == "none":
            continue
        if rest in ("pools", "consumers"):
            assert kind == "hash" and ttl == PERSISTENT, key
            directories[rest] = value
            continue
        if bucket := re.fullmatch(r"proxies:(...)", rest):
            assert kind == "hash" and ttl == PERSISTENT, key
            assert all(int(proxy[-3:], 16) % 1024 == int(bucket[1], 16) for proxy in value), key
            directories["proxies"].update(value)
            continue
        parts = re.fullmatch(r"\{([A-Za-z0-9_-]{22})\}(?::([a-z]+)(?::(.+))?)?", rest)
        assert parts, f"{key} is in no schema"
        tag, name, item = parts[1], parts[2] or "", parts[3]
        assert PER_POOL.get(name) == kind, f"{key} is a {kind}"
        if name in ("lease", "leases", "fence", "once"):
            assert ttl >= 0 or ttl == -2, f"{key} has no TTL"
        else:
            assert ttl == PERSISTENT, f"{key} has a TTL of {ttl} ms"
        pool = pools.setdefault(tag, PoolDump(tag))
        if value is None or value == {}:
            continue  # it expired between the two looks
        if item is None:
            pool.single[name] = value
        else:
            pool.many[name][item] = value
    return directories, pools


def accepts(node: list[Any], fields: dict[str, str]) -> bool:
    """A compiled filter on a proxy's raw fields, by another hand than the Lua one."""
    op, *args = node
    if op == "&":
        return all(accepts(part, fields) for part in args)
    if op == "|":
        return any(accepts(part, fields) for part in args)
    if op == "!":
        return not accepts(args[0], fields)
    if op == "=":
        return fields.get(FIELDS[args[0] - 1]) == args[1]
    if "la" not in fields or "lo" not in fields:
        return False
    lat, lon = float(fields["la"]), float(fields["lo"])
    if op == "~":
        return math.isclose(lat, args[0], abs_tol=1e-6) and math.isclose(lon, args[1], abs_tol=1e-6)
    assert op == "@", op
    lat1, lon1, lat2, lon2 = map(math.radians, (args[0], args[1], lat, lon))
    a = (
        math.sin((lat2 - lat1) / 2) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 6371.0 * 2 * math.asin(math.sqrt(a)) <= float(args[2])


def score_of(selector: str, proxy: dict[str, str], load: int) -> float:
    """The rank a proxy must have."""
    if proxy["st"] != "active" or ("max" in proxy and load >= int(proxy["max"])):
        return INF
    if selector == "f":
        return float(proxy["seq"])
    if selector == "u":
        checked = min(max(int(proxy["chk"]) // 1000, 0), 2**42 - 1)
        return float(min(load, 2047) * 2**42 + checked)
    if selector == "r":
        return float(proxy.get("rr", 0))
    assert selector == "l", selector
    if "ms" not in proxy:
        return float(2**53)
    return float(max(-(2**53) + 1, min(int(proxy["ms"]), 2**53 - 1)))


def check_invariants(storage: RedisStorage, *, limits: bool = True) -> None:
    """Everything the raw keys must agree on, whatever happened before.

    ``limits=False`` where a test lowered a proxy's limit below its load.
    """
    directories, pools = dump(storage)
    for tag, pool in pools.items():
        if "" not in pool.single:
            # A deleted pool: nothing of it may stay but records in their retention.
            left = set(pool.single) | set(pool.many)
            assert left <= {"lease", "leases", "fence", "once"}, f"deleted pool {tag} left {left}"
            continue
        if "deleting" in pool.single[""]:
            continue
        check_pool(storage, directories, pool, limits)


def check_pool(
    storage: RedisStorage, directories: dict[str, Any], pool: PoolDump, limits: bool
) -> None:
    head, single, many = pool.single[""], pool.single, pool.many
    assert pool_tag(pool_of_tag(pool.tag)) == pool.tag
    owner = directories["pools"].get(head["name"], "").partition(".")[0]
    assert owner == pool.tag, "its name leads elsewhere"

    listed, gone = single.get("proxies", {}), single.get("gone", set())
    hashes = many["proxy"]
    assert set(hashes) == set(listed) | gone, "proxy hashes and list differ"
    assert not set(listed) & gone
    fences = {id for id in gone if set(hashes[id]) == {"gone"}}
    assert set(many["doc"]) == set(hashes) - fences, "documents and hashes differ"
    assert set(many["health"]) <= set(hashes)
    for entries in many["health"].values():
        assert len(entries) <= storage.settings.health_history
        ids = [entry.split(" ", 1)[0] for entry in entries]
        assert len(ids) == len(set(ids)), "a health record is there twice"
    live = {id: proxy for id, proxy in hashes.items() if id in listed}
    for id, proxy in live.items():
        assert "gone" not in proxy
        assert float(proxy["seq"]) == listed[id] <= int(head["seq"])
        assert isinstance(json.loads(many["doc"][id]), dict)
        entry = directories["proxies"].get(id, "").partition(".")[0]
        assert entry == pool.tag, f"{id} cannot be found by id"
        assert all(
            index_text(proxy[name]) == proxy[name] or proxy[name].startswith("#")
            for name in FIELDS
            if name in proxy
        )
    assert all("gone" in hashes[id] for id in gone)
    assert len(set(listed.values())) == len(listed), "an insertion number is there twice"

    claims = check_holds(pool, live, gone)
    loads = {id: len(many["held"].get(id, {})) for id in live}
    leases = {id: loads[id] - len(claims[id]) for id in live}
    if limits:
        for id, proxy in live.items():
            if "max" in proxy:
                assert loads[id] <= int(proxy["max"]), f"{id} is over its limit"

    active = {id for id in live if live[id]["st"] == "active"}
    free = {id for id in live if score_of("f", live[id], loads[id]) < INF}
    free_of_leases = {id for id in live if score_of("f", live[id], leases[id]) < INF}
    assert single.get("extra", set()) == {
        f"{id}:{n}"
        for id, holders in many["held"].items()
        for n in range(2, 1 + sum(holder[0] != "!" for holder in holders))
    }
    assert single.get("idle", set()) == set(live) - active
    assert single.get("reserved", set()) == free_of_leases - free
    retired = single.get("retired", set())
    assert retired <= set(live) - active, "a retired proxy is active, or is none"
    check_views(pool, live, loads)

    stats = storage.get_pool_stats(head["name"])
    assert stats is not None
    view_lost = "f0" not in many["view"]
    if not view_lost:
        assert (
            stats.total_proxies,
            stats.active_proxies,
            stats.available_proxies,
            stats.leased_proxies,
            stats.total_leases,
        ) == (
            len(live),
            len(active),
            len(free_of_leases),
            sum(1 for id in live if leases[id])
            + sum(1 for id in gone if any(h[0] != "!" for h in many["held"].get(id, ()))),
            sum(leases.values())
            + sum(1 for id in gone for holder in many["held"].get(id, ()) if holder[0] != "!"),
        )


def check_holds(
    pool: PoolDump, live: dict[str, dict[str, str]], gone: set[str]
) -> dict[str, set[str]]:
    """Leases and claims: held, expiry, claims, records and indexes. Claims by proxy."""
    many, expiry = pool.many, dict(pool.single.get("expiry", {}))
    void = {id for id, record in many["lease"].items() if record == VOID}
    assert all(TAIL.fullmatch(id) for id in many["lease"]), "a record under what is no lease's id"
    for index in many["leases"].values():
        assert not void & set(index), "a consumer has a lease that is void"
    claims: dict[str, set[str]] = defaultdict(set)
    entries = set(pool.single.get("claims", {}))
    for id, holders in many["held"].items():
        assert id in live or id in gone, f"held by nobody: {id}"
        for holder, expires in holders.items():
            assert expiry.pop(f"{holder}:{id}", None) == expires, f"{holder} is not in expiry"
            if holder.startswith("!"):
                claims[id].add(holder[1:])
                assert f"p{id}:{holder[1:]}" in entries and f"t{holder[1:]}:{id}" in entries
                entries -= {f"p{id}:{holder[1:]}", f"t{holder[1:]}:{id}"}
                assert id in gone or live[id].get("claim") == "1", f"{id} does not show its claim"
                continue
            assert holder not in void, f"{holder} is void, and held"
            record = many["lease"].get(holder)
            if record is not None:
                proxy, consumer, acquired, ends = record.split(" ")
                assert (proxy, float(ends)) == (id, expires) and int(acquired) < int(ends)
                index = many["leases"].get(consumer)
                assert index is not None and index[holder] >= expires, "not in its index"
    assert not expiry, f"expiry has entries that are not held: {expiry}"
    assert not entries, f"claims has entries that are not held: {entries}"
    return claims


def check_views(pool: PoolDump, live: dict[str, dict[str, str]], loads: dict[str, int]) -> None:
    head, many = pool.single[""], pool.many
    registry = pool.single.get("views", {})
    states = {
        value.split(" ")[0]: (name.split(":", 2)[2], value.split(" ")[1])
        for name, value in head.items()
        if name.startswith("v:")
    }
    assert set(states) == set(registry), "registry and filling states differ"
    assert set(many["view"]) <= set(registry), "a view is in no registry"
    assert set(pool.single.get("used", {})) == {name for name in registry if name[1:] != "0"}
    assert "f0" in registry
    for name, entry in registry.items():
        digest, program = entry.split(" ", 1)
        known_digest, cursor = states[name]
        assert digest == known_digest
        if name not in many["view"]:
            continue  # evicted: the next call fills it again
        view = dict(many["view"][name])
        assert view.pop("~", None) == INF, f"view {name} has no sentinel"
        node = json.loads(program) if program else ["&"]
        wanted = {id for id in live if accepts(node, live[id])}
        if cursor == "*":
            assert set(view) == wanted, f"view {name} has the wrong members"
        else:
            filled = {id for id in wanted if int(live[id]["seq"]) <= float(cursor)}
            assert filled <= set(view) <= wanted, f"view {name} is filled wrongly"
        for id, score in view.items():
            assert score == score_of(name[0], live[id], loads[id]), f"{id} is misplaced in {name}"
            assert name in live[id].get("views", "").split(), f"{id} does not know it is in {name}"
