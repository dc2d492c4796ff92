"""The pool's keys, read without the library's scripts, models or figures.

What docs/data-model.md says of the keys is all this knows. A *look* is one script call, atomic, at
some proxies while a run goes on. A *dump* is the whole pool by SCAN, which is not atomic: it is for
a time when nobody is at work. The functions that read are generators which yield commands and are
sent replies, so that a blocking client and one for asyncio can both perform them.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pharox_redis.keys import Keys

Command = tuple[str | int, ...]
Reading = Generator[list[Command], list[Any], Any]

LOOK = """
local found = {}
for _, id in ipairs(redis.call('ZRANDMEMBER', KEYS[1] .. ':proxies', ARGV[1])) do
  local held = redis.call('ZRANGE', KEYS[1] .. ':held:' .. id, 0, -1, 'WITHSCORES')
  local loose = ''
  for i = 1, #held, 2 do
    local score = redis.call('ZSCORE', KEYS[1] .. ':expiry', held[i] .. ':' .. id)
    if score ~= held[i + 1] then
      loose = held[i]
    end
  end
  if held[1] then
    found[#found + 1] = {id, #held / 2, loose}
  end
end
local time = redis.call('TIME')
return {time[1] * 1000 + math.floor(time[2] / 1000), found}
"""


def text(value: Any) -> Any:
    """A reply with its bytes decoded."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list | tuple | set):
        return [text(item) for item in value]
    if isinstance(value, dict):
        return {text(key): text(item) for key, item in value.items()}
    return value


def milliseconds(reply: Any) -> int:
    """The ms since 1970 that a ``TIME`` says."""
    seconds, micros = reply
    return int(seconds) * 1000 + int(micros) // 1000


def scores(reply: Any) -> dict[str, float]:
    """A ``ZRANGE ... WITHSCORES``, as either protocol gives it."""
    found = text(reply)
    if found and not isinstance(found[0], list):
        found = list(zip(found[::2], found[1::2], strict=True))
    return {member: float(score) for member, score in found}


@dataclass(frozen=True)
class Held:
    """One proxy's holds, as a look found them."""

    proxy: str
    leases: int
    loose: str
    """A hold that no sweep would ever find: it is not in ``expiry``. Empty if there is none."""


@dataclass
class Dump:
    """A pool's raw keys."""

    proxies: dict[str, dict[str, str]] = field(default_factory=dict)
    """Listed proxies: the fields of their hashes."""
    held: dict[str, dict[str, float]] = field(default_factory=dict)
    expiry: dict[str, float] = field(default_factory=dict)
    views: dict[str, dict[str, float]] = field(default_factory=dict)
    sets: dict[str, set[str]] = field(default_factory=dict)
    """``extra``, ``idle``, ``reserved``, ``gone``, and ``claims``, which is a sorted set."""

    @property
    def holders(self) -> dict[str, str]:
        """Lease ids (and claims) -> proxy, by ``held``."""
        return {holder: proxy for proxy, holders in self.held.items() for holder in holders}

    def problems(self) -> Iterator[str]:
        """What the keys disagree about among themselves; nothing in a sound pool at rest."""
        members = {f"{h}:{p}": s for p, holders in self.held.items() for h, s in holders.items()}
        for member in members.keys() - self.expiry.keys():
            yield f"{member} is held, but not in expiry: no sweep will ever end it"
        for member in self.expiry.keys() - members.keys():
            yield f"{member} is in expiry, but not held"
        for proxy in self.held.keys() - self.proxies.keys() - self.sets["gone"]:
            yield f"{proxy} has holds, but is not listed"
        idle = {proxy for proxy, fields in self.proxies.items() if fields.get("st") != "active"}
        if self.sets["idle"] != idle:
            yield f"idle is wrong about {len(self.sets['idle'] ^ idle)} proxies"
        leases = {
            proxy: sum(not holder.startswith("!") for holder in holders)
            for proxy, holders in self.held.items()
        }
        extra = {f"{proxy}:{n}" for proxy, many in leases.items() for n in range(2, many + 1)}
        if self.sets["extra"] != extra:
            yield "extra does not say which leases are not their proxy's first"
        for name, view in self.views.items():
            for proxy, score in view.items():
                fields = self.proxies.get(proxy)
                if proxy == "~":
                    continue
                if fields is None:
                    yield f"{proxy} is in view {name}, but not listed"
                    continue
                full = "max" in fields and len(self.held.get(proxy, ())) >= int(fields["max"])
                if (score == math.inf) != (full or proxy in idle):
                    state = "parked" if score == math.inf else "free"
                    yield f"{proxy} is {state} in view {name}, and should not be"


class PoolKeys:
    """One pool's keys by name, and what can be asked of them."""

    def __init__(self, prefix: str, pool_id: UUID) -> None:
        self.root = Keys(prefix).pool(pool_id)

    def record(self, lease_id: str) -> str:
        """The key of a lease's record."""
        return f"{self.root}:lease:{lease_id}"

    def look(self, count: int) -> Reading:
        """(server's ms, ``Held`` of those of ``count`` random proxies that have holds)."""
        ((now, found),) = yield [("EVAL_RO", LOOK, 1, self.root, count)]
        return int(now), [Held(text(p), int(n), text(loose)) for p, n, loose in found]

    def dump(self, keys: list[str]) -> Reading:
        """The pool's keys, whose names a SCAN for :attr:`pattern` found."""
        names = {key[len(self.root) + 1 :]: key for key in keys}
        held = [name for name in names if name.startswith("held:")]
        views = [name for name in names if name.startswith("view:")]
        single = ["extra", "idle", "reserved", "gone"]
        ranges = ["proxies", "expiry", "claims", *held, *views]
        replies = yield [
            *(("ZRANGE", f"{self.root}:{name}", 0, -1, "WITHSCORES") for name in ranges),
            *(("SMEMBERS", f"{self.root}:{name}") for name in single),
        ]
        zsets = dict(zip(ranges, map(scores, replies), strict=False))
        sets = zip(single, (set(text(list(r))) for r in replies[len(ranges) :]), strict=True)
        listed = list(zsets["proxies"])
        rows = yield [("HGETALL", f"{self.root}:proxy:{proxy}") for proxy in listed]
        return Dump(
            proxies={proxy: fields_of(row) for proxy, row in zip(listed, rows, strict=True)},
            held={name.partition(":")[2]: zsets[name] for name in held if zsets[name]},
            expiry=zsets["expiry"],
            views={name.partition(":")[2]: zsets[name] for name in views},
            sets={**dict(sets), "claims": set(zsets["claims"])},
        )

    @property
    def pattern(self) -> str:
        """For SCAN: every key of the pool but its own hash."""
        return f"{self.root}:*"


def fields_of(reply: Any) -> dict[str, str]:
    """A ``HGETALL``, as either protocol gives it."""
    found = text(reply)
    return found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))
