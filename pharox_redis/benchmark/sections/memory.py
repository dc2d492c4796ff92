"""Bytes of a proxy and of an active lease."""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import redis
from pharox.models import Proxy, ProxyCredentials, ProxyFilters, ProxyPool, ProxyStatus

from pharox_redis import RedisStorage, Settings
from pharox_redis.benchmark.bench import COUNTRIES, Bench
from pharox_redis.benchmark.redis_process import redis_binary, redis_process
from pharox_redis.benchmark.rows import Budget, Limit, Row
from pharox_redis.benchmark.serverside import complete_view
from pharox_redis.benchmark.together import exhausted, unlink_below
from pharox_redis.keys import Keys

SECTION = "memory"
_A_VIEW = ProxyFilters(source="bench")
"""A filter that every proxy meets, so that each is in its view."""

_LEASES_OF_ONE = 20  # active leases of one consumer
_PLACES = (("Lima", -12.05, -77.04), ("Berlin", 52.52, 13.4), ("Osaka", 34.69, 135.5))
_ISPS = ("Telefonica", "Deutsche Telekom", "NTT Communications", "Charter")


def memory(bench: Bench) -> Iterator[Row]:
    """What ``used_memory`` grows by, a proxy and a lease, over many; on Redis 7 if there is one.

    The proxies have every field set. A proxy's figure has the pool's sorted sets, its entry in the
    directory and the unfiltered view, which is always there; a lease's the index of a consumer
    with twenty leases. ``MEMORY USAGE`` of the keys is in the details, by kind; what it lacks is
    the server's own table of keys.
    """
    binary = redis_binary(7)
    if binary is None:
        yield from _rows(bench, "on the benchmark's server: no Redis 7 is installed; ")
        return
    with redis_process(binary) as url, redis.Redis.from_url(url) as client:
        # The prefix that most have: it is part of every key.
        prefix = Settings().key_prefix
        own = Bench(client, url, bench.profile, bench.reporter, prefix=prefix)
        info: dict[str, object] = client.info("server")
        yield from _rows(own, f"Redis {info['redis_version']}; ")


def _rows(bench: Bench, where: str) -> Iterator[Row]:
    size, storage = bench.profile.usual, bench.storage(lease_retention=0)
    with _pool(bench, storage, "memory-warm") as pool:  # scripts, tables that grow once
        _fill(bench, pool, 10)
        with exhausted(storage, pool, None):
            pass
    empty = _used(bench)
    with _pool(bench, storage, "memory") as pool:
        bench.reporter.status(f"memory of {size:,} proxies")
        _fill(bench, pool, size)
        bare = _used(bench)
        complete_view(bench, pool, _A_VIEW)
        full = _used(bench)
        keys = _usage(bench, pool, size)
        proxy = (bare - empty) / size
        yield Row(
            SECTION,
            "one proxy, every field set, and one view (the unfiltered)",
            proxy,
            "B",
            Budget(Limit.AT_MOST, 1.1 * 1024),
            f"{where}each further view that it is in: {(full - bare) / size:.0f} B",
            {"B": proxy, "B with a filtered view": (full - empty) / size, **keys},
        )
        bench.reporter.status("memory of active leases")
        consumers = max(1, size // _LEASES_OF_ONE)
        with exhausted(storage, pool, None, consumers):
            used = _used(bench)
            leased = _usage(bench, pool, size)
        lease = (used - full) / size
        grown = {key: value - keys.get(key, 0.0) for key, value in leased.items()}
        yield Row(
            SECTION,
            "one active lease",
            lease,
            "B",
            Budget(Limit.AT_MOST, 700),
            f"{where}{size:,} leases of {consumers:,} consumers",
            {"B": lease, **{key: value for key, value in grown.items() if value > 0.5}},
        )


@contextmanager
def _pool(bench: Bench, storage: RedisStorage, name: str) -> Iterator[ProxyPool]:
    pool = storage.ensure_pool(f"bench-{name}")
    try:
        yield pool
    finally:
        storage.delete_pool(pool.id)
        unlink_below(bench.client, Keys(bench.prefix).pool(pool.id))


def _fill(bench: Bench, pool: ProxyPool, size: int) -> None:
    # A connection of its own, gone afterwards: its buffers have grown and would be counted.
    with redis.Redis.from_url(bench.url) as client:
        storage = RedisStorage(client, bench.storage().settings)
        made = realistic(pool, size)
        while batch := list(islice(made, 2_000)):
            storage.add_proxies_bulk(batch)


def realistic(pool: ProxyPool, size: int) -> Iterator[Proxy]:
    """Proxies as a provider sells them: every field set, credentials of their own."""
    dice = random.Random(size)
    for i in range(size):
        city, latitude, longitude = _PLACES[i % len(_PLACES)]
        yield Proxy(
            host=f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}",
            port=dice.randrange(1024, 65536),
            protocol="http",
            pool_id=pool.id,
            status=ProxyStatus.ACTIVE,
            max_concurrency=1,
            country=COUNTRIES[i % len(COUNTRIES)],
            city=city,
            isp=_ISPS[i % len(_ISPS)],
            asn=dice.randrange(1000, 400_000),
            latitude=round(latitude + dice.uniform(-1, 1), 4),
            longitude=round(longitude + dice.uniform(-1, 1), 4),
            source="bench",
            credentials=ProxyCredentials(
                user=f"user-{dice.randrange(10**6)}", password=dice.randbytes(8).hex()
            ),
        )


def _used(bench: Bench) -> float:
    """``used_memory`` once it stands still: the server frees and rehashes in the background."""
    # Buffers of connections that are idle shrink in seconds; closed ones are gone at once.
    bench.client.connection_pool.disconnect()
    before, deadline = -1, time.monotonic() + 5
    while True:
        info: dict[str, int] = bench.client.info("memory")
        if info["used_memory"] == before or time.monotonic() > deadline:
            return float(info["used_memory"])
        before = info["used_memory"]
        time.sleep(0.1)


def _usage(bench: Bench, pool: ProxyPool, size: int) -> dict[str, float]:
    """``MEMORY USAGE`` by kind of key, a proxy: of all shared keys, of a sample of the others."""
    root, pool_key = Keys(bench.prefix).root, Keys(bench.prefix).pool(pool.id)
    kinds: dict[str, list[str]] = {}
    for raw in bench.client.scan_iter(match=f"{root}:*", count=1000):
        key = raw.decode()
        name = key.removeprefix(pool_key) if key.startswith(pool_key) else key.removeprefix(root)
        kind = name.strip(":").split(":")[0] or "pool"
        kinds.setdefault("directory" if key.startswith(f"{root}:proxies:") else kind, []).append(
            key
        )
    found: Counter[str] = Counter()
    for kind, names in kinds.items():
        # Samples: 0 looks at every member, which one set with a million does not deserve.
        sample = names[:: max(1, len(names) // 200)]
        each = statistics.mean(
            float(bench.client.memory_usage(name, samples=200) or 0) for name in sample
        )
        found[f"MEMORY USAGE {kind}"] = round(each * len(names) / size)
    return dict(found)
