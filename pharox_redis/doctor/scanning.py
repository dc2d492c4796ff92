"""Going through keys in bounded steps: all keys of a prefix on every master, and the members of big
keys. What is there from the first step to the last is met, some of it twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pharox_redis.doctor.nodes import masters
from pharox_redis.drivers import text
from pharox_redis.keys import Keys, pool_of_tag, pool_tag

_COUNT = 1000
_POOL_KEY = re.compile(r"\{([A-Za-z0-9_-]{22})\}(?::(.+))?", re.DOTALL)

# What a pool's keys are called that there are many of, by the name before the second colon.
MANY = ("proxy", "doc", "held", "health", "view", "lease", "leases", "fence", "once")
SINGLE = (
    *("", "proxies", "views", "used", "expiry", "claims", "extra", "idle", "reserved"),
    *("retired", "gone"),
)


class PoolKey(NamedTuple):
    """A key of a pool: the pool's tag, what kind of key it is, and whose."""

    tag: str
    name: str
    item: str

    @property
    def suffix(self) -> str:
        """What the key is called behind the pool's own."""
        return f"{self.name}:{self.item}" if self.item else self.name


def parse_key(key: str, keys: Keys) -> PoolKey | str | None:
    """A pool's key, or a directory's name (``pools``, ``consumers``, ``proxies:3ff``), or None if
    the schema has no such key."""
    rest = key[len(keys.root) + 1 :]
    if rest in ("pools", "consumers") or re.fullmatch(r"proxies:[0-3][0-9a-f]{2}", rest):
        return rest
    match = _POOL_KEY.fullmatch(rest)
    if match is None or pool_tag(pool_of_tag(match[1])) != match[1]:
        return None
    name, _, item = (match[2] or "").partition(":")
    if name in MANY and item:
        return PoolKey(match[1], name, item)
    return PoolKey(match[1], name, "") if name in SINGLE and not item else None


def scan_keys(client: Any, pattern: str) -> Iterator[list[str]]:
    """The keys of every master that fit a pattern, a page at a time."""
    for _, node in masters(client):
        cursor = 0
        while True:
            cursor, page = node.scan(cursor, match=pattern, count=_COUNT)
            yield text(page)
            if cursor == 0:
                break


def scan_members(client: Any, kind: str, key: str) -> Iterator[list[Any]]:
    """The members of a set or sorted set (``SSCAN``, ``ZSCAN``), or the pairs of a hash
    (``HSCAN``), a page at a time."""
    cursor = 0
    while True:
        if kind == "HSCAN":
            cursor, pairs = client.hscan(key, cursor, count=_COUNT)
            yield list(text(pairs).items())
        elif kind == "SSCAN":
            cursor, members = client.sscan(key, cursor, count=_COUNT)
            yield text(list(members))
        else:
            cursor, scored = client.zscan(key, cursor, count=_COUNT)
            yield [text(member) for member, _ in scored]
        if cursor == 0:
            return


def glob_escaped(literal: str) -> str:
    """A text as a pattern that only it fits."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", literal)
