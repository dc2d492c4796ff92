"""``AsyncRedisProxyManager``: ``RedisProxyManager`` for asyncio.

pharox has no manager for asyncio, only helpers that run its blocking one in a thread; this one has
the methods, defaults, payloads and errors of ``ProxyManager``, awaited. A callback may be a plain
function or a coroutine function; what it returns is awaited if it can be. Callbacks run one after
the other, in the task that acquires or releases.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from pharox.manager import ProxyManager
from pharox.models import (
    AcquireEventPayload,
    Lease,
    ProxyFilters,
    ReleaseEventPayload,
    RetryConfig,
    SelectorStrategy,
)

from pharox_redis.aio import AsyncRedisStorage
from pharox_redis.flows import leases, managing
from pharox_redis.flows.base import to_the_end
from pharox_redis.models import ProxyLease

AcquireCallback = Callable[[AcquireEventPayload], Awaitable[None] | None]
ReleaseCallback = Callable[[ReleaseEventPayload], Awaitable[None] | None]


class AsyncRedisProxyManager:
    """Acquires and releases leases for tasks; see pharox's ``ProxyManager``.

    A task that is cancelled anywhere in here leaves no lease behind; see ``AsyncRedisStorage``.
    """

    DEFAULT_CONSUMER_NAME: ClassVar[str] = ProxyManager.DEFAULT_CONSUMER_NAME

    def __init__(self, storage: AsyncRedisStorage) -> None:
        """Manage a storage's leases. Raises ``TypeError`` for another kind of storage."""
        if not isinstance(storage, AsyncRedisStorage):
            raise TypeError(
                "AsyncRedisProxyManager needs an AsyncRedisStorage, not "
                f"{type(storage).__qualname__}; RedisProxyManager takes a RedisStorage."
            )
        self._redis = storage
        self._acquire_callbacks: list[AcquireCallback] = []
        self._release_callbacks: list[ReleaseCallback] = []

    async def acquire_proxy(
        self,
        pool_name: str,
        consumer_name: str | None = None,
        duration_seconds: float = 300,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
    ) -> ProxyLease | None:
        """As :meth:`RedisProxyManager.acquire_proxy`."""
        lease, payload = await self._redis._run(
            managing.acquire(
                self._redis._context,
                pool_name,
                consumer_name or self.DEFAULT_CONSUMER_NAME,
                duration_seconds,
                filters,
                selector,
                bool(self._acquire_callbacks),
            )
        )
        if payload is not None:
            try:
                await _notify(self._acquire_callbacks, payload)
            except BaseException:
                # Also cancelled in a callback: the lease is nobody's then.
                if lease is not None:
                    await self._redis._driver.attend(leases.release(self._redis._context, lease))
                raise
        return lease

    async def acquire_proxy_with_retry(
        self,
        pool_name: str,
        consumer_name: str | None = None,
        duration_seconds: float = 300,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
        retry_config: RetryConfig | None = None,
        sleep_fn: Callable[[float], Awaitable[None] | None] | None = None,
        max_attempts: int = 3,
        backoff_seconds: float = 0.5,
        backoff_multiplier: float = 2.0,
        max_backoff_seconds: float | None = None,
    ) -> ProxyLease | None:
        """As :meth:`ProxyManager.acquire_proxy_with_retry`; ``sleep_fn`` (seconds) may be a
        coroutine function, ``asyncio.sleep`` by default."""
        config = retry_config or RetryConfig(
            max_attempts=max_attempts,
            backoff_seconds=backoff_seconds,
            backoff_multiplier=backoff_multiplier,
            max_backoff_seconds=max_backoff_seconds,
        )
        sleep, delay = sleep_fn or asyncio.sleep, config.backoff_seconds
        longest = config.max_backoff_seconds or float("inf")
        for attempts_left in reversed(range(config.max_attempts)):
            lease = await self.acquire_proxy(
                pool_name, consumer_name, duration_seconds, filters, selector
            )
            if lease is not None:
                return lease
            if attempts_left and (wait := min(delay, longest)) > 0:
                await _awaited(sleep(wait))
            delay = min(delay * config.backoff_multiplier, longest)
        return None

    async def release_proxy(self, lease: Lease) -> None:
        """As :meth:`RedisProxyManager.release_proxy`."""
        payload = await self._redis._run(
            to_the_end(managing.release(self._redis._context, lease, bool(self._release_callbacks)))
        )
        if payload is not None:
            await _notify(self._release_callbacks, payload)

    async def cleanup_expired_leases(self) -> int:
        """End all leases that are over, in all pools; how many."""
        return await self._redis.cleanup_expired_leases()

    @asynccontextmanager
    async def with_lease(
        self,
        pool_name: str,
        consumer_name: str | None = None,
        duration_seconds: float = 300,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
    ) -> AsyncIterator[ProxyLease | None]:
        """``async with``: a lease or None, released at the end."""
        lease = await self.acquire_proxy(
            pool_name, consumer_name, duration_seconds, filters, selector
        )
        try:
            yield lease
        finally:
            if lease is not None:
                await self.release_proxy(lease)

    @asynccontextmanager
    async def with_retrying_lease(
        self,
        pool_name: str,
        consumer_name: str | None = None,
        duration_seconds: float = 300,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
        retry_config: RetryConfig | None = None,
        sleep_fn: Callable[[float], Awaitable[None] | None] | None = None,
        max_attempts: int = 3,
        backoff_seconds: float = 0.5,
        backoff_multiplier: float = 2.0,
        max_backoff_seconds: float | None = None,
    ) -> AsyncIterator[ProxyLease | None]:
        """``async with``: :meth:`acquire_proxy_with_retry`, released at the end."""
        lease = await self.acquire_proxy_with_retry(
            pool_name,
            consumer_name,
            duration_seconds,
            filters,
            selector,
            retry_config,
            sleep_fn,
            max_attempts,
            backoff_seconds,
            backoff_multiplier,
            max_backoff_seconds,
        )
        try:
            yield lease
        finally:
            if lease is not None:
                await self.release_proxy(lease)

    def register_acquire_callback(self, callback: AcquireCallback) -> None:
        """Have a function, plain or coroutine, called after each attempt to acquire."""
        self._acquire_callbacks.append(callback)

    def register_release_callback(self, callback: ReleaseCallback) -> None:
        """Have a function, plain or coroutine, called after each release."""
        self._release_callbacks.append(callback)


async def _notify(callbacks: list[Any], payload: object) -> None:
    for callback in callbacks:
        await _awaited(callback(payload))


async def _awaited(result: Awaitable[None] | None) -> None:
    if inspect.isawaitable(result):
        await result
