"""What tests of contention share: a pool to fight for, what a worker saw, what must hold of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pharox.models import ProxyFilters, ProxyPool

from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies

FILTERS = {"all": None, "filtered": ProxyFilters(country="DE", none_of=[ProxyFilters(asn=7)])}


@dataclass
class Seen:
    """What one worker saw."""

    leases: list[str] = field(default_factory=list)
    peaks: dict[str, int] = field(default_factory=dict)
    misses: int = 0
    errors: list[str] = field(default_factory=list)

    def held(self, lease_id: object, proxy_id: object, load: int) -> None:
        """A lease was granted, and so many were counted on its proxy right after."""
        self.leases.append(str(lease_id))
        self.peaks[str(proxy_id)] = max(load, self.peaks.get(str(proxy_id), 0))


def url_of(storage: AnyStorage) -> str:
    """Where a storage's server is."""
    options = storage.client.connection_pool.connection_kwargs
    return f"redis://{options['host']}:{options['port']}/{options.get('db', 0)}"


def fill(storage: AnyStorage, count: int, limit: int | None, name: str = "fleet") -> set[str]:
    """``count`` proxies that match the filter and some that do not; the ids of the former."""
    pool = ProxyPool(name=name)
    storage.save_pool(pool)
    matching = make_proxies(pool, count, country="DE", max_concurrency=limit)
    storage.add_proxies_bulk(
        [
            *make_proxies(pool, 3, country="DE", asn=7, max_concurrency=limit),
            *matching,
            *make_proxies(pool, 3, country="FR", max_concurrency=limit),
        ]
    )
    return {str(proxy.id) for proxy in matching}


def judge(
    storage: AnyStorage,
    seen: list[Seen],
    limit: int | None,
    allowed: set[str] | None,
    name: str = "fleet",
) -> int:
    """What must hold of every run; returns the misses."""
    errors = sorted({error for worker in seen for error in worker.errors})
    assert not errors, errors
    ids = [lease for worker in seen for lease in worker.leases]
    assert len(ids) == len(set(ids)) > 0
    for worker in seen:
        for proxy, peak in worker.peaks.items():
            assert limit is None or peak <= limit, f"{proxy} had {peak} leases"
            assert allowed is None or proxy in allowed, f"{proxy} does not match"
    # Claims of the stock manager that nobody used (there are none) would still be held here.
    stats = storage.get_pool_stats(name)
    assert stats is not None
    assert (stats.total_leases, stats.leased_proxies) == (0, 0)
    assert stats.available_proxies == stats.total_proxies
    assert storage.list_leases() == []
    return sum(worker.misses for worker in seen)
