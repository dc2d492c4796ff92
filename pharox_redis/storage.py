"""``RedisStorage``: pharox's ``IStorage`` on Redis. Each method is one flow, run by the driver."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import redis
from pharox.models import (
    Consumer,
    HealthCheckResult,
    Lease,
    PoolStatsSnapshot,
    Proxy,
    ProxyFilters,
    ProxyHealthRecord,
    ProxyPool,
    ProxyStatus,
    SelectorStrategy,
)
from pharox.storage import IStorage
from redis.cluster import RedisCluster

from pharox_redis.connecting import connect
from pharox_redis.drivers import SyncDriver
from pharox_redis.flows import (
    Context,
    batches,
    directory,
    health,
    leases,
    leasing,
    observing,
    once,
    pools,
)
from pharox_redis.flows import proxies as proxy_flows
from pharox_redis.models import LeasePage, PoolFigures, ProxyLease, ProxyPage
from pharox_redis.settings import Settings


class RedisStorage(IStorage):
    """Proxies, leases and health records in Redis 7.0 or later, or Valkey, shared by a fleet.

    Every method may also raise ``StorageUnavailableError``, ``StorageAccessError``,
    ``StorageFullError`` (from what writes), ``CorruptRecordError`` and, on first use,
    ``UnsupportedServerError``; all derive from pharox's ``PharoxError``. What methods return is the
    caller's own copy. Safe to share among threads.
    """

    def __init__(
        self,
        client: redis.Redis | RedisCluster,
        settings: Settings | None = None,
        *,
        proxy_model: type[Proxy] = Proxy,
    ) -> None:
        """Use a redis-py client of a server, of Sentinel's master or of a Cluster.

        ``proxy_model`` is the class of the proxies returned. Raises ``UnsupportedClientError``.
        """
        self._driver = SyncDriver(client)
        self._client = client
        self._context = Context(settings or Settings(), proxy_model)
        self._run = self._driver.run

    @classmethod
    def from_url(
        cls,
        url: str,
        settings: Settings | None = None,
        *,
        proxy_model: type[Proxy] = Proxy,
        **client_options: Any,
    ) -> Self:
        """A storage on the server, Cluster or Sentinel that a URL names; options go to redis-py.

        URLs are those of :func:`pharox_redis.connecting.connect`; connects when first used. Raises
        ``InvalidUrlError``.
        """
        return cls(connect(url, **client_options), settings, proxy_model=proxy_model)

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._context.settings

    @property
    def client(self) -> Any:
        """The redis-py client in use, as it was given."""
        return self._client

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- leases --------------------------------------------------------------------------------

    def acquire_lease(
        self,
        pool_name: str,
        consumer_name: str,
        duration_seconds: float,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
        *,
        lease_id: UUID | None = None,
    ) -> ProxyLease | None:
        """Select and lease the best free proxy in one script call; None if nothing free matches.

        ``duration_seconds`` is 1 ms to ten years. With a ``lease_id`` (see ``new_lease_id``) that
        is known, that lease is returned, ended or not. Raises ``InvalidLeaseError``,
        ``PoolNotFoundError``, ``PredicateScanLimitError``. One trip and O(log n) in the steady
        state; a filter's first answers may take more of both.
        """
        return self._run(
            leasing.acquire(
                self._context,
                pool_name,
                consumer_name,
                duration_seconds,
                filters,
                selector,
                lease_id,
            )
        ).lease

    def acquire_lease_from(
        self,
        pool_names: Sequence[str],
        consumer_name: str,
        duration_seconds: float,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
        *,
        shuffle: bool = True,
    ) -> ProxyLease | None:
        """Lease from the first of several pools that has a match; None if none of them has.

        The pools are asked in random order, or as they are given if not ``shuffle``: one trip for
        each that is asked. Passed over is one that does not exist (with a warning), whose server is
        away or full, or whose predicate scan gave up: those errors are raised only if no other pool
        had a lease, ``PoolNotFoundError`` only if no pool exists. Raises ``InvalidLeaseError``, and
        ``ValueError`` for no names at all.
        """
        return self._run(
            leasing.acquire_from(
                self._context,
                pool_names,
                consumer_name,
                duration_seconds,
                filters,
                selector,
                shuffle,
            )
        )

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
    ) -> list[ProxyLease]:
        """Lease up to ``count`` (1 to 10,000) free proxies in one script call per hundred.

        As many leases as there are matches free, each as :meth:`acquire_lease` grants it, best
        first. With ``distinct`` no proxy comes twice, also where it has room; without, they are
        what as many calls of :meth:`acquire_lease` would lease. A filter that Python must test (a
        predicate) takes a scan for each lease. Raises as :meth:`acquire_lease`, unless earlier
        calls of the batch brought leases: those are returned; and ``ValueError`` for the count.
        """
        return self._run(
            batches.acquire_many(
                self._context,
                pool_name,
                consumer_name,
                duration_seconds,
                count,
                filters,
                selector,
                distinct,
            )
        )

    def acquire_once(
        self,
        pool_name: str,
        consumer_name: str,
        duration_seconds: float,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
        *,
        key: bytes,
        fingerprint: str,
        keep_seconds: float,
    ) -> Lease | None:
        """Lease once for a key: who repeats the request gets the same lease, also after it ended.

        For requests that come with an idempotency key. ``key`` names the request, in this pool, to
        all clients; ``fingerprint`` (ASCII letters and digits, such as a hex digest) says what it
        asks for, and another one under the same key is refused. The key is known for
        ``keep_seconds``, and at least as long as the lease's record. While nothing is free the
        result is None, and the next try under the key may have a lease. Four trips, or two for a
        lease that was granted before; that is a ``ProxyLease`` only when it is granted.

        Raises ``IdempotencyConflictError``, ``ValueError``, and what :meth:`acquire_lease` raises.
        """
        return self._run(
            once.acquire_once(
                self._context,
                pool_name,
                consumer_name,
                duration_seconds,
                filters,
                selector,
                key,
                fingerprint,
                keep_seconds,
            )
        )

    def find_available_proxy(
        self,
        pool_name: str,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
    ) -> Proxy | None:
        """The best free proxy, held for the calling thread or task for ``claim_seconds``.

        None if nothing free matches or there is no such pool. The caller's next find lets go of
        it; ``create_lease`` makes it a lease. One trip, O(log n) in the steady state.
        """
        return self._run(leasing.find(self._context, pool_name, filters, selector))

    def create_lease(self, proxy: Proxy, consumer_name: str, duration_seconds: float) -> Lease:
        """Lease this proxy, whatever its status. One trip, O(log n).

        Raises ``InvalidLeaseError``, ``ProxyNotFoundError``, ``ProxyUnavailableError``.
        """
        return self._run(
            leasing.create_lease(self._context, proxy, consumer_name, duration_seconds)
        )

    def release_lease(self, lease: Lease) -> None:
        """End a lease; one that is over or unknown is left as it is. One trip, O(log n)."""
        self._run(leases.release(self._context, lease))

    def release_leases(self, held: Sequence[Lease]) -> int:
        """End leases; how many this call ended. One trip, a script call per hundred of a pool.

        Those that are over or unknown are left as they are, and those not counted that a command
        ended whose reply was lost. An error is raised after all that could be released were.
        """
        return self._run(batches.release_many(self._context, held))

    def cleanup_expired_leases(self) -> int:
        """End all leases that are over, in all pools; how many. O(log n) for each."""
        return self._run(leases.sweep_all(self._context))

    def get_lease(self, lease_id: UUID | str) -> Lease | None:
        """A lease, for ``lease_retention`` after its end too; None if unknown. One trip, O(1)."""
        return self._run(leases.get_lease(self._context, lease_id))

    def end_lease(self, lease_id: UUID | str) -> Lease | None:
        """Release a lease by its id alone; the lease as it is then, None if it is unknown.

        One that is over is left as it is. One trip. O(log n).
        """
        return self._run(leases.end_lease(self._context, lease_id))

    def list_leases(self, consumer_id: UUID | str | None = None) -> list[Lease]:
        """All active leases, or one consumer's with the ended ones that can still be read. O(n)."""
        return self._run(leases.list_leases(self._context, consumer_id))

    def page_leases(self, pool_id: UUID | str, *, after: str = "", limit: int = 200) -> LeasePage:
        """Some of a pool's active leases, soonest to expire first; ``after`` is the last page's
        ``next``. One trip, O(limit), at most 500; a page may have fewer though more follow.

        Raises ``PoolNotFoundError``, and ``ValueError`` for what cannot be used.
        """
        return self._run(observing.page_leases(self._context, pool_id, after, limit))

    # -- consumers -----------------------------------------------------------------------------

    def ensure_consumer(self, consumer_name: str) -> UUID:
        """A consumer's id, registered if it is new. One trip, or none when cached. O(1)."""
        return UUID(self._run(directory.consumer_id(self._context, consumer_name)))

    def add_consumer(self, consumer: Consumer) -> None:
        """Register a consumer. A known name keeps its id, which is written into ``consumer``."""
        self._run(directory.add_consumer(self._context, consumer))

    def find_consumer(self, consumer_name: str) -> UUID | None:
        """A consumer's id, None if nobody has that name. A trip at most. O(1)."""
        return self._run(directory.find_consumer(self._context, consumer_name))

    def consumer_names(self, ids: Collection[UUID]) -> dict[UUID, str]:
        """The names of consumers by their ids; ids that nobody has are left out.

        No trip for those this client knows, else up to one for every thousand consumers.
        """
        return self._run(observing.consumer_names(self._context, ids))

    # -- pools ---------------------------------------------------------------------------------

    def ensure_pool(self, name: str) -> ProxyPool:
        """The pool of that name, made if there is none. O(1)."""
        return self._run(pools.ensure_pool(self._context, name))

    def save_pool(self, pool: ProxyPool) -> None:
        """Create a pool, or change its description or name. O(1).

        Raises ``PoolNameTakenError`` if another pool has the name. A delete of this pool that was
        broken off is finished first.
        """
        self._run(pools.save_pool(self._context, pool))

    def add_pool(self, pool: ProxyPool) -> None:
        """The same as :meth:`save_pool`."""
        self.save_pool(pool)

    def get_pool(self, pool_id: UUID | str) -> ProxyPool:
        """A pool by id. Raises ``PoolNotFoundError``. O(1)."""
        return self._run(pools.get_pool(self._context, pool_id))

    def get_pool_by_name(self, name: str) -> ProxyPool | None:
        """A pool by name, None if there is none. O(1)."""
        return self._run(pools.get_pool_by_name(self._context, name))

    def list_pools(self) -> list[ProxyPool]:
        """All pools, by name. O(pools)."""
        return self._run(pools.list_pools(self._context))

    def delete_pool(
        self, pool_id: UUID | str, *, on_progress: Callable[[int], None] | None = None
    ) -> None:
        """Delete a pool, its proxies and its leases, in chunks. Raises ``PoolNotFoundError``.

        From the first step on it does not exist for anybody; if this call breaks off, another one
        carries on. ``on_progress`` is called now and then with the number of proxies gone by then.
        """
        self._run(pools.delete_pool(self._context, pool_id, on_progress))

    def get_pool_stats(self, pool_name: str) -> PoolStatsSnapshot | None:
        """A pool's figures, None if there is no such pool. One trip, O(log n).

        Raises ``CorruptRecordError`` where a figure comes out below 0.
        """
        return self._run(pools.get_pool_stats(self._context, pool_name))

    def list_pool_figures(self) -> list[PoolFigures]:
        """Every pool with its figures, by name. Two trips, O(log n) for each pool."""
        return self._run(observing.list_figures(self._context))

    def get_pool_figures(self, pool_id: UUID | str) -> PoolFigures:
        """A pool with its figures. One trip. Raises ``PoolNotFoundError``."""
        return self._run(observing.get_figures(self._context, pool_id))

    # -- proxies -------------------------------------------------------------------------------

    def save_proxy(self, proxy: Proxy) -> None:
        """Insert or overwrite a proxy; its live state (leases, latency) is never touched.

        Raises ``PoolNotFoundError``, ``ProxyPoolConflictError`` (it is in another pool),
        ``InvalidProxyError``. O(views * log n).
        """
        self._run(proxy_flows.save_proxies(self._context, [proxy]))

    def add_proxy(self, proxy: Proxy) -> None:
        """The same as :meth:`save_proxy`."""
        self.save_proxy(proxy)

    def add_proxies_bulk(self, proxies: Sequence[Proxy], *, keep_status: bool = False) -> int:
        """Insert or overwrite many proxies; how many were given. Errors as :meth:`save_proxy`,
        all of them before the first write.

        With ``keep_status`` known proxies keep the status that they have at that moment, and what
        the models say is for new ones, and for those that are inactive because they are retired.
        """
        return self._run(proxy_flows.save_proxies(self._context, proxies, keep_status))

    def get_proxy(self, proxy_id: UUID | str) -> Proxy:
        """A proxy by id. Raises ``ProxyNotFoundError``. O(1)."""
        return self._run(proxy_flows.get_proxy(self._context, proxy_id))

    def get_proxy_by_id(self, proxy_id: UUID | str) -> Proxy | None:
        """A proxy by id, None if unknown. O(1)."""
        return self._run(proxy_flows.find_proxy(self._context, proxy_id))

    def list_proxies(self, pool_id: UUID | str) -> list[Proxy]:
        """A pool's proxies in insertion order. Raises ``PoolNotFoundError``. O(n), in pages."""
        return self._run(proxy_flows.list_proxies(self._context, pool_id))

    def delete_proxy(self, proxy_id: UUID | str) -> None:
        """Delete a proxy; its leases end. Raises ``ProxyNotFoundError``. O(leases * log n)."""
        self._run(proxy_flows.delete_proxy(self._context, proxy_id))

    def page_proxies(self, pool_id: UUID | str, *, after: str = "", limit: int = 200) -> ProxyPage:
        """Some of a pool's proxies in insertion order; ``after`` is the last page's ``next``.

        One trip, O(limit), at most 500. Raises ``PoolNotFoundError``, and ``ValueError`` for what
        cannot be used.
        """
        return self._run(observing.page_proxies(self._context, pool_id, after, limit))

    def set_proxy_status(self, proxy_id: UUID | str, status: ProxyStatus) -> Proxy:
        """Give a proxy another status and leave all else as it is; its leases go on. Two trips.

        Raises ``ProxyNotFoundError``, and ``ValueError`` for what is no status.
        """
        return self._run(proxy_flows.set_status(self._context, proxy_id, status))

    def retire_proxy(self, proxy_id: UUID | str) -> bool:
        """Delete a proxy without ending a lease: now if nobody holds it (True), else when the last
        lease is over (False).

        Until then it is inactive, whatever health checks say, and no other lease is granted on it;
        the sweep that finds it free deletes it. Saved again, or made active, it is not retired any
        more. Four trips. Raises ``ProxyNotFoundError``.
        """
        return self._run(proxy_flows.retire(self._context, proxy_id))

    # -- health --------------------------------------------------------------------------------

    def apply_health_check_result(self, result: HealthCheckResult) -> Proxy | None:
        """Give a proxy the status a check found and keep the record; None if unknown."""
        return self._run(health.apply_result(self._context, result))

    def get_last_health_result(self, proxy_id: UUID) -> HealthCheckResult | None:
        """The result last kept for a proxy, None if there is none. O(1)."""
        return self._run(health.last_result(self._context, proxy_id))

    def save_health_record(self, record: ProxyHealthRecord) -> None:
        """Keep a record, once per record id. Raises ``ProxyNotFoundError``."""
        self._run(health.save_record(self._context, record))

    def list_health_records(self, proxy_id: UUID, limit: int = 100) -> list[ProxyHealthRecord]:
        """A proxy's last records (``health_history`` are kept), newest first. O(limit)."""
        return self._run(health.list_records(self._context, proxy_id, limit))
