"""``AsyncRedisStorage``: pharox's ``IAsyncStorage`` on Redis, by the flows of ``RedisStorage``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import redis.asyncio
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
from pharox.storage import IAsyncStorage
from redis.asyncio.cluster import RedisCluster

from pharox_redis.connecting import connect_async
from pharox_redis.drivers import AsyncDriver
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
from pharox_redis.flows.base import to_the_end
from pharox_redis.models import LeasePage, PoolFigures, ProxyLease, ProxyPage
from pharox_redis.settings import Settings


class AsyncRedisStorage(IAsyncStorage):
    """``RedisStorage`` for asyncio: the same methods, settings, errors and trips.

    Nothing blocks the event loop: there are no threads, and long lists are decoded some fifty
    models at a time. A caller is the task that calls: claims of :meth:`find_available_proxy` are
    its. Safe to share among the tasks of one event loop.

    **Cancelled** while it acquires or creates a lease, a task leaves none behind, also if the
    server had granted one already: it is taken back before the ``CancelledError`` goes on. (One
    with a ``lease_id`` of the caller's own is not: whoever has the id asks again with it.) A
    release is sent all the same. Should the server not answer within a second, this goes on in
    the background for a minute, and :meth:`aclose` waits for it, 10 s at most; should the server
    not come back, the lease ends at its expiry. Other methods stop where they are, as if the
    process had been killed.

    Tasks beyond the client's ``max_connections`` (100) wait their turn, as long as a server that is
    silent is waited for; then it is a ``StorageUnavailableError``.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis | RedisCluster,
        settings: Settings | None = None,
        *,
        proxy_model: type[Proxy] = Proxy,
    ) -> None:
        """Use a client of ``redis.asyncio``; connects when first used.

        ``proxy_model`` is the class of the proxies returned. Raises ``UnsupportedClientError``.
        """
        self._driver = AsyncDriver(client)
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

        URLs are those of :func:`pharox_redis.connecting.connect_async`; connects when first used.
        Raises ``InvalidUrlError``.
        """
        return cls(connect_async(url, **client_options), settings, proxy_model=proxy_model)

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._context.settings

    @property
    def client(self) -> Any:
        """The redis-py client in use, as it was given."""
        return self._client

    async def aclose(self) -> None:
        """Wait for what cancelled callers left to be done, then close the client's connections."""
        try:
            await self._driver.settle()
        finally:
            await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # -- leases --------------------------------------------------------------------------------

    async def acquire_lease(
        self,
        pool_name: str,
        consumer_name: str,
        duration_seconds: float,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
        *,
        lease_id: UUID | None = None,
    ) -> ProxyLease | None:
        """As :meth:`RedisStorage.acquire_lease`."""
        return (
            await self._run(
                leasing.acquire(
                    self._context,
                    pool_name,
                    consumer_name,
                    duration_seconds,
                    filters,
                    selector,
                    lease_id,
                )
            )
        ).lease

    async def acquire_lease_from(
        self,
        pool_names: Sequence[str],
        consumer_name: str,
        duration_seconds: float,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
        *,
        shuffle: bool = True,
    ) -> ProxyLease | None:
        """As :meth:`RedisStorage.acquire_lease_from`."""
        return await self._run(
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

    async def acquire_leases(
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
        """As :meth:`RedisStorage.acquire_leases`; a caller that is cancelled has none of them."""
        return await self._run(
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

    async def acquire_once(
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
        """As :meth:`RedisStorage.acquire_once`."""
        return await self._run(
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

    async def find_available_proxy(
        self,
        pool_name: str,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
    ) -> Proxy | None:
        """As :meth:`RedisStorage.find_available_proxy`."""
        return await self._run(leasing.find(self._context, pool_name, filters, selector))

    async def create_lease(
        self, proxy: Proxy, consumer_name: str, duration_seconds: float
    ) -> Lease:
        """As :meth:`RedisStorage.create_lease`."""
        return await self._run(
            leasing.create_lease(self._context, proxy, consumer_name, duration_seconds)
        )

    async def release_lease(self, lease: Lease) -> None:
        """As :meth:`RedisStorage.release_lease`."""
        await self._run(to_the_end(leases.release(self._context, lease)))

    async def release_leases(self, held: Sequence[Lease]) -> int:
        """As :meth:`RedisStorage.release_leases`."""
        return await self._run(to_the_end(batches.release_many(self._context, held)))

    async def cleanup_expired_leases(self) -> int:
        """As :meth:`RedisStorage.cleanup_expired_leases`."""
        return await self._run(leases.sweep_all(self._context))

    async def get_lease(self, lease_id: UUID | str) -> Lease | None:
        """As :meth:`RedisStorage.get_lease`."""
        return await self._run(leases.get_lease(self._context, lease_id))

    async def end_lease(self, lease_id: UUID | str) -> Lease | None:
        """As :meth:`RedisStorage.end_lease`."""
        return await self._run(leases.end_lease(self._context, lease_id))

    async def list_leases(self, consumer_id: UUID | str | None = None) -> list[Lease]:
        """As :meth:`RedisStorage.list_leases`."""
        return await self._run(leases.list_leases(self._context, consumer_id))

    async def page_leases(
        self, pool_id: UUID | str, *, after: str = "", limit: int = 200
    ) -> LeasePage:
        """As :meth:`RedisStorage.page_leases`."""
        return await self._run(observing.page_leases(self._context, pool_id, after, limit))

    # -- consumers -----------------------------------------------------------------------------

    async def ensure_consumer(self, consumer_name: str) -> UUID:
        """As :meth:`RedisStorage.ensure_consumer`."""
        return UUID(await self._run(directory.consumer_id(self._context, consumer_name)))

    async def add_consumer(self, consumer: Consumer) -> None:
        """As :meth:`RedisStorage.add_consumer`."""
        await self._run(directory.add_consumer(self._context, consumer))

    async def find_consumer(self, consumer_name: str) -> UUID | None:
        """As :meth:`RedisStorage.find_consumer`."""
        return await self._run(directory.find_consumer(self._context, consumer_name))

    async def consumer_names(self, ids: Collection[UUID]) -> dict[UUID, str]:
        """As :meth:`RedisStorage.consumer_names`."""
        return await self._run(observing.consumer_names(self._context, ids))

    # -- pools ---------------------------------------------------------------------------------

    async def ensure_pool(self, name: str) -> ProxyPool:
        """As :meth:`RedisStorage.ensure_pool`."""
        return await self._run(pools.ensure_pool(self._context, name))

    async def save_pool(self, pool: ProxyPool) -> None:
        """As :meth:`RedisStorage.save_pool`."""
        await self._run(pools.save_pool(self._context, pool))

    async def add_pool(self, pool: ProxyPool) -> None:
        """As :meth:`RedisStorage.add_pool`."""
        await self.save_pool(pool)

    async def get_pool(self, pool_id: UUID | str) -> ProxyPool:
        """As :meth:`RedisStorage.get_pool`."""
        return await self._run(pools.get_pool(self._context, pool_id))

    async def get_pool_by_name(self, name: str) -> ProxyPool | None:
        """As :meth:`RedisStorage.get_pool_by_name`."""
        return await self._run(pools.get_pool_by_name(self._context, name))

    async def list_pools(self) -> list[ProxyPool]:
        """As :meth:`RedisStorage.list_pools`."""
        return await self._run(pools.list_pools(self._context))

    async def delete_pool(
        self, pool_id: UUID | str, *, on_progress: Callable[[int], None] | None = None
    ) -> None:
        """As :meth:`RedisStorage.delete_pool`."""
        await self._run(pools.delete_pool(self._context, pool_id, on_progress))

    async def get_pool_stats(self, pool_name: str) -> PoolStatsSnapshot | None:
        """As :meth:`RedisStorage.get_pool_stats`."""
        return await self._run(pools.get_pool_stats(self._context, pool_name))

    async def list_pool_figures(self) -> list[PoolFigures]:
        """As :meth:`RedisStorage.list_pool_figures`."""
        return await self._run(observing.list_figures(self._context))

    async def get_pool_figures(self, pool_id: UUID | str) -> PoolFigures:
        """As :meth:`RedisStorage.get_pool_figures`."""
        return await self._run(observing.get_figures(self._context, pool_id))

    # -- proxies -------------------------------------------------------------------------------

    async def save_proxy(self, proxy: Proxy) -> None:
        """As :meth:`RedisStorage.save_proxy`."""
        await self._run(proxy_flows.save_proxies(self._context, [proxy]))

    async def add_proxy(self, proxy: Proxy) -> None:
        """As :meth:`RedisStorage.add_proxy`."""
        await self.save_proxy(proxy)

    async def add_proxies_bulk(self, proxies: Sequence[Proxy], *, keep_status: bool = False) -> int:
        """As :meth:`RedisStorage.add_proxies_bulk`."""
        return await self._run(proxy_flows.save_proxies(self._context, proxies, keep_status))

    async def get_proxy(self, proxy_id: UUID | str) -> Proxy:
        """As :meth:`RedisStorage.get_proxy`."""
        return await self._run(proxy_flows.get_proxy(self._context, proxy_id))

    async def get_proxy_by_id(self, proxy_id: UUID | str) -> Proxy | None:
        """As :meth:`RedisStorage.get_proxy_by_id`."""
        return await self._run(proxy_flows.find_proxy(self._context, proxy_id))

    async def list_proxies(self, pool_id: UUID | str) -> list[Proxy]:
        """As :meth:`RedisStorage.list_proxies`."""
        return await self._run(proxy_flows.list_proxies(self._context, pool_id))

    async def delete_proxy(self, proxy_id: UUID | str) -> None:
        """As :meth:`RedisStorage.delete_proxy`."""
        await self._run(proxy_flows.delete_proxy(self._context, proxy_id))

    async def page_proxies(
        self, pool_id: UUID | str, *, after: str = "", limit: int = 200
    ) -> ProxyPage:
        """As :meth:`RedisStorage.page_proxies`."""
        return await self._run(observing.page_proxies(self._context, pool_id, after, limit))

    async def set_proxy_status(self, proxy_id: UUID | str, status: ProxyStatus) -> Proxy:
        """As :meth:`RedisStorage.set_proxy_status`."""
        return await self._run(proxy_flows.set_status(self._context, proxy_id, status))

    async def retire_proxy(self, proxy_id: UUID | str) -> bool:
        """As :meth:`RedisStorage.retire_proxy`."""
        return await self._run(proxy_flows.retire(self._context, proxy_id))

    # -- health --------------------------------------------------------------------------------

    async def apply_health_check_result(self, result: HealthCheckResult) -> Proxy | None:
        """As :meth:`RedisStorage.apply_health_check_result`."""
        return await self._run(health.apply_result(self._context, result))

    async def get_last_health_result(self, proxy_id: UUID) -> HealthCheckResult | None:
        """As :meth:`RedisStorage.get_last_health_result`."""
        return await self._run(health.last_result(self._context, proxy_id))

    async def save_health_record(self, record: ProxyHealthRecord) -> None:
        """As :meth:`RedisStorage.save_health_record`."""
        await self._run(health.save_record(self._context, record))

    async def list_health_records(
        self, proxy_id: UUID, limit: int = 100
    ) -> list[ProxyHealthRecord]:
        """As :meth:`RedisStorage.list_health_records`."""
        return await self._run(health.list_records(self._context, proxy_id, limit))
