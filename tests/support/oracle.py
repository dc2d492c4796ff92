"""The model: pharox's own in-memory storage, with what we do differently on purpose.

pharox's references disagree with each other in places. The table of those differences says, row by
row, what this library does; every override below is one row, quoted in its docstring, and there is
nothing else here. Whatever the table does not name is pharox's code as it is installed.

The model has no claims: to a single caller a find is a pure question, and that is what it answers.
Time is moved with :meth:`Oracle.expire`, next to ``timetravel.expire_leases`` on the real storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pharox.exceptions import PoolNotFoundError, ProxyNotFoundError
from pharox.models import (
    Lease,
    LeaseStatus,
    Proxy,
    ProxyFilters,
    ProxyHealthRecord,
    ProxyPool,
    SelectorStrategy,
)
from pharox.storage.in_memory import InMemoryStorage

from pharox_redis.errors import PoolNameTakenError, ProxyPoolConflictError


class Oracle(InMemoryStorage):
    """What one caller must see of a storage. ``retains``: ended leases can still be read."""

    def __init__(self, *, retains: bool = True) -> None:
        super().__init__()
        self._retains = retains
        self._rounds: dict[UUID, int] = {}
        self._round = 0
        self._forgotten: set[UUID] = set()
        self._passed_over: set[UUID] = set()

    # -- time ----------------------------------------------------------------------------------

    def expire(
        self, lease_ids: Iterable[UUID], *, ago_ms: int = 1000, forget: bool = False
    ) -> None:
        """End these leases ``ago_ms`` ago, unswept. ``forget``: their retention is over too."""
        for lease_id in lease_ids:
            lease = self._leases[lease_id]
            assert lease.status == LeaseStatus.ACTIVE
            lease.expires_at = datetime.now(UTC) - timedelta(milliseconds=ago_ms)
            if forget:
                self._forgotten.add(lease_id)

    def due(self, pool_id: UUID | None = None, proxy_id: UUID | None = None) -> list[Lease]:
        """The leases that are over and not swept yet: of a pool, of a proxy, or all."""
        now = datetime.now(UTC)
        return [
            lease
            for lease in self._leases.values()
            if lease.status == LeaseStatus.ACTIVE
            and lease.expires_at <= now
            and pool_id in (None, lease.pool_id)
            and proxy_id in (None, lease.proxy_id)
        ]

    def _end(self, leases: Iterable[Lease]) -> None:
        for lease in leases:
            self.release_lease(lease)
            lease.released_at = min(lease.expires_at, datetime.now(UTC))

    # -- the rows --------------------------------------------------------------------------------

    def find_available_proxy(
        self,
        pool_name: str,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
    ) -> Proxy | None:
        """Expiry boundary: over at ``expires_at``; who asks for a proxy sweeps its pool first."""
        if pool_id := self._pool_name_to_id.get(pool_name):
            self._end(self.due(pool_id))
        return super().find_available_proxy(pool_name, filters, selector)

    def cleanup_expired_leases(self) -> int:
        """Expiry boundary: over at ``expires_at``."""
        due = self.due()
        self._end(due)
        return len(due)

    def create_lease(self, proxy: Proxy, consumer_name: str, duration_seconds: float) -> Lease:
        """Lease for a consumer never registered: created. Expiry boundary: over at ``expires_at``,
        so that leases of the proxy that are over make room for this one, as many as it needs."""
        if duration_seconds > 0:
            self.ensure_consumer(consumer_name)
            known = self.get_proxy_by_id(proxy.id)
            if known is not None and known.max_concurrency is not None:
                excess = known.current_leases + 1 - known.max_concurrency
                due = sorted(self.due(proxy_id=proxy.id), key=lambda lease: lease.expires_at)
                if 0 < excess <= len(due):
                    self._end(due[:excess])
        return super().create_lease(proxy, consumer_name, duration_seconds)  # type: ignore[arg-type]

    def acquire_leases(
        self,
        pool_name: str,
        consumer_name: str,
        duration_seconds: float,
        count: int,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
        *,
        distinct: bool = True,
    ) -> list[tuple[Lease, dict[str, Any]]]:
        """Our own: that many finds and creates in order, without those already taken if they are
        to be ``distinct``; until there is none. Each with its proxy as it was leased."""
        if pool_name not in self._pool_name_to_id:
            raise PoolNotFoundError(pool_name)
        made: list[tuple[Lease, dict[str, Any]]] = []
        self._passed_over = set()
        try:
            while len(made) < count:
                proxy = self.find_available_proxy(pool_name, filters, selector)
                if proxy is None:
                    break
                lease = self.create_lease(proxy, consumer_name, duration_seconds)
                leased = {**proxy.model_dump(), "current_leases": proxy.current_leases + 1}
                made.append((lease, leased))
                if distinct:
                    self._passed_over.add(proxy.id)
        finally:
            self._passed_over = set()
        return made

    def _apply_selector(
        self, pool_id: UUID, available: list[Proxy], strategy: SelectorStrategy
    ) -> Proxy | None:
        """``least_used`` ties: milliseconds, then id."""
        available = [proxy for proxy in available if proxy.id not in self._passed_over]
        if not available:
            return None
        if strategy == SelectorStrategy.LEAST_USED:
            return min(
                available,
                key=lambda proxy: (
                    proxy.current_leases,
                    proxy.checked_at.replace(
                        microsecond=proxy.checked_at.microsecond // 1000 * 1000
                    ),
                    proxy.id,
                ),
            )
        return super()._apply_selector(pool_id, available, strategy)

    def _select_round_robin(self, pool_id: UUID, available: list[Proxy]) -> Proxy:
        """``round_robin`` order: least recently selected first, new proxies first of all; a find is
        a selection, ``create_lease`` is not."""
        chosen = min(available, key=lambda proxy: (self._rounds.get(proxy.id, 0), proxy.id))
        self._round += 1
        self._rounds[chosen.id] = self._round
        return chosen

    def save_health_record(self, record: ProxyHealthRecord) -> None:
        """Health record of an unknown proxy: ``ProxyNotFoundError``."""
        if self.get_proxy_by_id(record.proxy_id) is None:
            raise ProxyNotFoundError(f"Proxy with ID {record.proxy_id} not found.")
        super().save_health_record(record)

    def save_proxy(self, proxy: Proxy) -> None:
        """``save_proxy`` of a known proxy: never touches live state. A proxy saved into another
        pool: a clear error."""
        known = self.get_proxy_by_id(proxy.id)
        if known is not None and known.pool_id != proxy.pool_id and proxy.pool_id in self._pools:
            raise ProxyPoolConflictError(f"Proxy {proxy.id} is in pool {known.pool_id}.")
        leases = known.current_leases if known else 0
        super().save_proxy(proxy.model_copy(update={"current_leases": leases}))

    def add_proxy(self, proxy: Proxy) -> None:
        """As :meth:`save_proxy`: the same row."""
        self.save_proxy(proxy)

    def add_proxies_bulk(self, proxies: Sequence[Proxy]) -> int:
        """As :meth:`save_proxy`: the same row."""
        for proxy in proxies:
            self.save_proxy(proxy)
        return len(proxies)

    def get_lease(self, lease_id: str) -> Lease | None:
        """Released leases: kept for the retention. Expiry boundary: over at ``expires_at``."""
        lease = super().get_lease(lease_id)
        if lease is None or lease.id in self._forgotten:
            return None
        if lease.status == LeaseStatus.ACTIVE and lease.expires_at <= datetime.now(UTC):
            lease.status, lease.released_at = LeaseStatus.RELEASED, lease.expires_at
        return lease if self._retains or lease.status == LeaseStatus.ACTIVE else None

    def list_leases(self, consumer_id: str | None = None) -> list[Lease]:
        """``list_leases()`` without a consumer: the active ones; ended ones in retention are listed
        per consumer."""
        seen = [self.get_lease(str(lease.id)) for lease in super().list_leases(consumer_id)]
        return [
            lease
            for lease in seen
            if lease is not None and (consumer_id or lease.status == LeaseStatus.ACTIVE)
        ]

    def save_pool(self, pool: ProxyPool) -> None:
        """Same pool name, other id: a clear error. A rename frees the old name."""
        if self._pool_name_to_id.get(pool.name, pool.id) != pool.id:
            raise PoolNameTakenError(f"Pool name {pool.name!r} belongs to another pool.")
        if before := self._pool_objects.get(pool.id):
            del self._pool_name_to_id[before.name]
        super().save_pool(pool)

    def delete_proxy(self, proxy_id: str) -> None:
        """Delete a proxy with live leases: its leases end, it is removed; a later release of one
        never brings it back."""
        known = self.get_proxy(proxy_id).id
        self._end(
            lease
            for lease in self._leases.values()
            if lease.proxy_id == known and lease.status == LeaseStatus.ACTIVE
        )
        self._rounds.pop(known, None)
        self._health_records.pop(known, None)
        super().delete_proxy(proxy_id)

    def delete_pool(self, pool_id: str) -> None:
        """Delete a pool: all of it goes."""
        for proxy in self.list_proxies(pool_id):
            self.delete_proxy(str(proxy.id))
        known = UUID(pool_id)
        for lease in list(self._leases.values()):
            if lease.pool_id == known:
                del self._leases[lease.id]
        super().delete_pool(pool_id)
