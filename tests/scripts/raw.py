"""A bench for single scripts: a seeded pool, raw calls, and the raw keys before and after.

A call goes to the server as the driver sends it (EVALSHA, one EVAL on NOSCRIPT) and comes back
decoded but otherwise raw; a refusal stays redis-py's ``ResponseError`` with the script's own words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
import redis
from pharox.models import Proxy, ProxyFilters, ProxyPool
from redis.exceptions import NoScriptError, ResponseError

from pharox_redis import RedisStorage, new_lease_id
from pharox_redis.drivers import command_of, fallback_of, text
from pharox_redis.filters import Compiled, compile_filters
from pharox_redis.keys import Keys, lease_tail
from pharox_redis.scripts import load
from tests.support.builders import make_proxy
from tests.support.invariants import read_key, read_keys

LIMITS = "100000 64 600000"
NOWHERE = "00000000-0000-4000-8000-00000000dead"
GERMAN = ProxyFilters(country="DE")
# Programs that no filter compiles to: not JSON, or not a table.
UNREADABLE = ["", "x", "[", "null", "1", '"="', "true", '["=",', "[" * 2000, '["=",1,"DE"']

Snapshot = dict[str, tuple[str, Any, int]]


COUNTERS = ("got", "miss", "swept")


def snapshot(client: redis.Redis, prefix: str) -> Snapshot:
    """Every key of a prefix: its type, its value, and when it expires (-1: never). Without a pool's
    counters, which tell of calls and nothing else: test_pool_figures.py has them."""
    found: Snapshot = {}
    times = read_keys(client, f"{prefix}:*", lambda asked, key: asked.pexpiretime(key))
    for key, kind, ends, value in times:
        found[key] = (kind, without_counters(key, value), ends)
    return found


def without_counters(key: str, value: Any) -> Any:
    """What a key has, but for the counters if it is the pool's own."""
    if not (key.endswith("}") and isinstance(value, dict)):
        return value
    return {name: known for name, known in value.items() if name not in COUNTERS}


class Bench:
    """One pool with three proxies (1: DE, 2: FR, 3: DE, not active) and ways to look at it."""

    def __init__(self, storage: RedisStorage) -> None:
        self.storage = storage
        self.client = storage.client
        self.keys = Keys(storage.settings.key_prefix)
        self.consumer = str(uuid4())
        self.seed()

    def seed(self) -> None:
        self.pool = ProxyPool(name="pool")
        self.storage.save_pool(self.pool)
        self.proxies = [
            make_proxy(self.pool, country="DE", city="Ulm"),
            make_proxy(self.pool, country="FR", max_concurrency=2),
            make_proxy(self.pool, country="DE", status="inactive"),
        ]
        self.storage.add_proxies_bulk(self.proxies)

    @property
    def key(self) -> str:
        return self.keys.pool(self.pool.id)

    def id(self, number: int = 0) -> str:
        return str(self.proxies[number].id)

    def lease_id(self) -> str:
        return lease_tail(str(new_lease_id(self.pool.id)))

    # -- calls -----------------------------------------------------------------------------------

    def call(self, name: str, /, *rest: Any, key: str | None = None, **args: Any) -> Any:
        """The reply of a script on the pool's key."""
        step = load(name)(self.key if key is None else key, *rest, **args)
        try:
            return text(self.client.execute_command(*command_of(step)))
        except NoScriptError:
            return text(self.client.execute_command(*fallback_of(step)))

    def acquire(self, **changes: Any) -> Any:
        return self.call("acquire", **self.acquire_args(**changes))

    def acquire_args(self, **changes: Any) -> dict[str, Any]:
        args: dict[str, Any] = {
            "pool_name": self.pool.name,
            "lease_id": self.lease_id(),
            "consumer": self.consumer,
            "duration_ms": 60_000,
            "retention_ms": 30_000,
            "want_stats": "",
            "token": "",
        }
        return {**args, **question(), **changes}

    def find(self, **changes: Any) -> Any:
        return self.call("find", **self.find_args(**changes))

    def find_args(self, **changes: Any) -> dict[str, Any]:
        args: dict[str, Any] = {
            "pool_name": self.pool.name,
            "token": "caller-1",
            "claim_ms": 60_000,
        }
        return {**args, **question(), **changes}

    def lease(self, number: int = 0, **changes: Any) -> str:
        """A lease on one proxy; its id."""
        args: dict[str, Any] = {
            "proxy_id": self.id(number),
            "lease_id": self.lease_id(),
            "consumer": self.consumer,
            "duration_ms": 60_000,
            "retention_ms": 30_000,
            "token": "nobody",
        }
        args.update(changes)
        self.call("create_lease", **args)
        return str(args["lease_id"])

    def release(self, lease_id: str, number: int = 0, **changes: Any) -> Any:
        """The reply of a release; ``void="1"`` also voids an id that is not known."""
        args: dict[str, Any] = {
            "lease_id": lease_id,
            "proxy_id": self.id(number),
            "retention_ms": 30_000,
            "want_stats": "",
            "void": "",
        }
        return self.call("release", **{**args, **changes})

    def end(self, lease_id: str, number: int = 0, ago_ms: int = 1000) -> None:
        """Let a lease or a claim (``!token``) have been over for a while, unswept."""
        ended = self.now() - ago_ms
        pool, proxy = self.pool.id, self.id(number)
        assert self.client.zadd(
            self.keys.expiry(pool), {f"{lease_id}:{proxy}": ended}, xx=True, ch=True
        )
        self.client.zadd(self.keys.held(pool, proxy), {lease_id: ended}, xx=True)
        key = self.keys.lease(pool, lease_id)
        record = text(self.client.get(key))
        if record:
            proxy, consumer, _, _ = record.split(" ")
            self.client.set(key, f"{proxy} {consumer} {ended - 1} {ended}", keepttl=True)

    def now(self) -> int:
        seconds, micros = self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    # -- looks -----------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        return snapshot(self.client, self.storage.settings.key_prefix)

    def changes(self, before: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """What is different now: (value before, value now) by key, the pool's prefix cut off and
        its own hash as "". None stands for an absent key."""
        after = self.snapshot()
        found: dict[str, tuple[Any, Any]] = {}
        for key in sorted(before.keys() | after.keys()):
            old, new = before.get(key), after.get(key)
            if old != new:
                short = key.removeprefix(self.key).removeprefix(":") if self.key in key else key
                found[short] = (old and old[1], new and new[1])
        return found

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """What happens inside writes nothing: no key, no member, no TTL."""
        before = self.snapshot()
        yield
        assert self.changes(before) == {}

    def refused(self, error: str, name: str, /, *rest: Any, **args: Any) -> str:
        """A call that must be refused with this code before its first write; the message."""
        with self.unchanged(), pytest.raises(ResponseError) as raised:
            self.call(name, *rest, **args)
        message = str(raised.value)
        assert message.split(" ", 1)[0] == error, message
        return message

    def get(self, *suffix: str) -> Any:
        """The value of a key of the pool as in a snapshot; None if it is absent."""
        key = ":".join((self.key, *suffix))
        kind = text(self.client.type(key))
        if kind == "none":
            return None
        return without_counters(key, read_key(self.client, key, kind))

    def ttl(self, *suffix: str) -> int:
        return int(self.client.pttl(":".join((self.key, *suffix))))


def question(filters: ProxyFilters | None = None, **changes: Any) -> dict[str, Any]:
    """The arguments with which acquire and find are asked for a match."""
    compiled: Compiled = compile_filters(filters)
    args: dict[str, Any] = {
        "selector": "f",
        "digest": compiled.digest,
        "program": compiled.program,
        "hints": "",
        "limits": LIMITS,
        "from": "",
        "wanted": "",
    }
    return {**args, **changes}


def raw_fields(**known: str) -> list[str | None]:
    """What read_proxy sends of a hash, in its order."""
    order = [
        "so",
        "co",
        "ci",
        "is",
        "as",
        "la",
        "lo",
        "st",
        "max",
        "chk",
        "rev",
        "seq",
        "rr",
        "ms",
        "views",
        "claim",
        "gone",
    ]
    assert known.keys() <= set(order)
    return [known.get(name) for name in order]


def item(proxy: Proxy, revision: str = "", **changes: str) -> list[str]:
    """The thirteen arguments of a proxy in save_proxies."""
    values = {
        "id": str(proxy.id),
        "revision": revision,
        "source": "",
        "country": proxy.country or "",
        "city": "",
        "isp": "",
        "asn": "",
        "latitude": "",
        "longitude": "",
        "status": proxy.status.value,
        "max": "1",
        "checked": "1000",
        "document": json.dumps({"host": str(proxy.host), "port": proxy.port, "protocol": "http"}),
    }
    assert changes.keys() <= values.keys()
    return list({**values, **changes}.values())
