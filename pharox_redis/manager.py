"""``RedisProxyManager``: pharox's manager over ``acquire_lease``, one trip each way.

pharox's own manager takes six trips for an acquire and a release (sweep, find, create, figures,
release, figures); it works on ``RedisStorage`` too. This one has the same methods, callbacks and
payloads. The pool's figures come in the same reply, and only when a callback wants them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pharox.manager import ProxyManager
from pharox.models import Lease, ProxyFilters, RetryConfig, SelectorStrategy

from pharox_redis.flows import managing
from pharox_redis.models import ProxyLease
from pharox_redis.storage import RedisStorage


class RedisProxyManager(ProxyManager):
    """Acquires and releases leases; see pharox's ``ProxyManager``. Leases carry their proxy."""

    if TYPE_CHECKING:
        # pharox's own methods, which call acquire_proxy: only what they return is narrower.
        def acquire_proxy_with_retry(
            self,
            pool_name: str,
            consumer_name: str | None = None,
            duration_seconds: float = 300,
            filters: ProxyFilters | None = None,
            selector: SelectorStrategy | None = None,
            retry_config: RetryConfig | None = None,
            sleep_fn: Callable[[float], None] | None = None,
            max_attempts: int = 3,
            backoff_seconds: float = 0.5,
            backoff_multiplier: float = 2.0,
            max_backoff_seconds: float | None = None,
        ) -> ProxyLease | None:
            """As pharox's."""

        @contextmanager
        def with_lease(
            self,
            pool_name: str,
            consumer_name: str | None = None,
            duration_seconds: float = 300,
            filters: ProxyFilters | None = None,
            selector: SelectorStrategy | None = None,
        ) -> Iterator[ProxyLease | None]:
            """As pharox's."""
            yield None

        @contextmanager
        def with_retrying_lease(
            self,
            pool_name: str,
            consumer_name: str | None = None,
            duration_seconds: float = 300,
            filters: ProxyFilters | None = None,
            selector: SelectorStrategy | None = None,
            retry_config: RetryConfig | None = None,
            sleep_fn: Callable[[float], None] | None = None,
            max_attempts: int = 3,
            backoff_seconds: float = 0.5,
            backoff_multiplier: float = 2.0,
            max_backoff_seconds: float | None = None,
        ) -> Iterator[ProxyLease | None]:
            """As pharox's."""
            yield None

    def __init__(self, storage: RedisStorage) -> None:
        """Manage a storage's leases. Raises ``TypeError`` for another kind of storage."""
        if not isinstance(storage, RedisStorage):
            raise TypeError(
                f"RedisProxyManager needs a RedisStorage, not {type(storage).__qualname__}; "
                "AsyncRedisProxyManager takes an AsyncRedisStorage, pharox's ProxyManager any "
                "other."
            )
        super().__init__(storage)
        self._redis = storage

    def acquire_proxy(
        self,
        pool_name: str,
        consumer_name: str | None = None,
        duration_seconds: float = 300,
        filters: ProxyFilters | None = None,
        selector: SelectorStrategy | None = None,
    ) -> ProxyLease | None:
        """Lease the best free proxy; None if nothing free matches or there is no such pool.

        Raises ``InvalidLeaseError``, ``PredicateScanLimitError``, and what a callback raises: the
        lease is released first. One trip in the steady state.
        """
        lease, payload = self._redis._run(
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
                self._notify_acquire(payload)
            except BaseException:
                if lease is not None:
                    self._redis.release_lease(lease)
                raise
        return lease

    def release_proxy(self, lease: Lease) -> None:
        """End a lease, and note when in ``lease.released_at``. One trip."""
        payload = self._redis._run(
            managing.release(self._redis._context, lease, bool(self._release_callbacks))
        )
        if payload is not None:
            self._notify_release(payload)
