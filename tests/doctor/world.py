"""A busy pool to damage, and the doctor to call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pharox.models import (
    HealthCheckResult,
    Lease,
    Proxy,
    ProxyFilters,
    ProxyPool,
    ProxyStatus,
    SelectorStrategy,
)

from pharox_redis import RedisStorage
from pharox_redis.doctor import DataChecks, Diagnosis, Level
from pharox_redis.drivers import text
from pharox_redis.keys import Keys, lease_tail, pool_tag
from tests.support.builders import make_proxy

GERMAN = ProxyFilters(country="DE")
AMERICAN = ProxyFilters(country="US")


def examine(storage: RedisStorage, *, repair: bool = False, pool: ProxyPool | None = None) -> Any:
    """The diagnosis of the data."""
    diagnosis = Diagnosis()
    checks = DataChecks(
        storage.client, storage.settings, diagnosis, repair=repair, second_look=0.01
    )
    if pool is None:
        checks.check_all()
    else:
        checks.check_pool(pool.id)
    return diagnosis


def kinds(diagnosis: Diagnosis) -> set[str]:
    """What is wrong, without what is only told."""
    return {found.kind for found in diagnosis.findings if found.level is not Level.INFO}


def told(diagnosis: Diagnosis) -> list[str]:
    """All of it, for a failed assertion's message."""
    return [
        f"{found.kind} {found.count}/{found.mended} {found.examples}"
        for found in diagnosis.findings
    ]


@dataclass
class World:
    """One pool with something of everything, and short ways to its raw keys."""

    storage: RedisStorage
    pool: ProxyPool = field(init=False)
    free: Proxy = field(init=False)
    leased: Proxy = field(init=False)
    wide: Proxy = field(init=False)
    claimed: Proxy = field(init=False)
    banned: Proxy = field(init=False)
    leases: list[Lease] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = self.storage.client
        self.keys = Keys(self.storage.settings.key_prefix)
        self.pool = self.storage.ensure_pool("pool")
        self.claimed = make_proxy(self.pool, country="FR")
        self.free = make_proxy(self.pool, country="DE", latitude=1, longitude=2)
        self.leased = make_proxy(self.pool, country="DE", max_concurrency=3)
        self.wide = make_proxy(self.pool, country="DE", max_concurrency=None)
        self.banned = make_proxy(self.pool, country="DE", status=ProxyStatus.BANNED)
        others = [make_proxy(self.pool, country="US") for _ in range(3)]
        self.storage.add_proxies_bulk(
            [self.claimed, self.free, self.leased, self.wide, self.banned, *others]
        )
        for proxy, count in ((self.leased, 2), (self.wide, 4), (others[0], 1)):
            for _ in range(count):
                self.leases.append(self.storage.create_lease(proxy, "consumer", 600))
        released = self.storage.create_lease(self.wide, "consumer", 600)
        self.storage.release_lease(released)
        for selector in SelectorStrategy:
            for _ in range(4):  # a view for the filter, and a complete one for the selector
                for filters in (GERMAN, None):
                    lease = self.storage.acquire_lease("pool", "other", 600, filters, selector)
                    assert lease is not None
                    self.storage.release_lease(lease)
        self.storage.apply_health_check_result(
            HealthCheckResult(
                proxy_id=self.free.id,
                status=ProxyStatus.ACTIVE,
                latency_ms=5,
                protocol=self.free.protocol,
            )
        )
        self.storage.acquire_once(
            "pool", "consumer", 600, AMERICAN, key=b"key", fingerprint="f", keep_seconds=600
        )
        # Any later acquire of this thread would drop it.
        found = self.storage.find_available_proxy("pool")
        assert found is not None and found.id == self.claimed.id

    # -- raw keys --------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        return self.keys.pool(self.pool.id)

    @property
    def tag(self) -> str:
        return pool_tag(self.pool.id)

    def at(self, *suffix: str) -> str:
        return ":".join((self.key, *suffix))

    def proxy(self, proxy: Proxy) -> str:
        return self.at("proxy", str(proxy.id))

    def held(self, proxy: Proxy) -> str:
        return self.at("held", str(proxy.id))

    def tail(self, number: int = 0) -> str:
        return lease_tail(str(self.leases[number].id))

    def record(self, number: int = 0) -> str:
        return self.at("lease", self.tail(number))

    def member(self, number: int = 0) -> str:
        return f"{self.tail(number)}:{self.leases[number].proxy_id}"

    def index(self, number: int = 0) -> str:
        return self.at("leases", str(self.leases[number].consumer_id))

    def view(self, selector: str = "f", filtered: bool = True) -> str:
        """The name of a view."""
        views = text(self.client.hgetall(self.at("views")))
        (name,) = (name for name in views if name[0] == selector and (name[1:] != "0") == filtered)
        return str(name)

    def state(self, name: str) -> str:
        """The field that has a view's filling state."""
        (found,) = (
            field
            for field, value in text(self.client.hgetall(self.key)).items()
            if field.startswith("v:") and value.split(" ")[0] == name
        )
        return str(found)

    def claim(self) -> str:
        """The claim's holder."""
        (holder,) = text(self.client.zrange(self.held(self.claimed), 0, -1))
        return str(holder)

    def set_record(self, number: int, **changes: str) -> None:
        """Write a lease's record with some of its words changed."""
        names = ("proxy", "consumer", "acquired", "expires", "released")
        words = dict(
            zip(names, text(self.client.get(self.record(number))).split(" "), strict=False)
        )
        words.update(changes)
        value = " ".join(words[name] for name in names if name in words)
        self.client.set(self.record(number), value, keepttl=True)
