"""What recorders have in common: what they are told, and what of it they count.

A manager calls back after each attempt to acquire and after each release; that is all a recorder
needs. A callback that raises would cost the caller its lease, so these do not raise. Durations come
from the payloads' moments, which have microseconds; their ``duration_ms`` has whole ms, more than
an acquire takes.

A manager tells nothing of an attempt that raised, and a storage's own methods tell nothing at all.
Who wants these counted wraps the call in ``acquiring``.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Self

from pharox.manager import ProxyManager
from pharox.models import AcquireEventPayload, ReleaseEventPayload, SelectorStrategy

from pharox_redis.aio_manager import AsyncRedisProxyManager
from pharox_redis.errors import (
    CorruptRecordError,
    PredicateScanLimitError,
    StorageAccessError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from pharox_redis.recorders.labels import PoolLabels

Outcome = Literal["granted", "none", "error"]
"""How an attempt to acquire ended: a lease, nothing free, or the storage's failure."""

ACQUIRE_BUCKETS: Final = (
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
)
"""Upper bounds, in seconds, for the time that an attempt to acquire takes."""

HELD_BUCKETS: Final = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Upper bounds, in seconds, for the time that a lease is held."""

FAILURES: Final = (
    CorruptRecordError,
    PredicateScanLimitError,
    StorageAccessError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
"""What counts as an error of an acquire. All else (no such pool, a time that makes no sense, a task
that was cancelled) is no fault of the storage's and is not counted."""

Manager = ProxyManager | AsyncRedisProxyManager


@dataclass(slots=True)
class Attempt:
    """An attempt to acquire that is under way; put into ``lease`` what came of it."""

    lease: object = None


class Recorder(ABC):
    """Counts what managers do. Any number of managers and threads may share one."""

    def __init__(self, labels: PoolLabels) -> None:
        self._labels = labels

    @abstractmethod
    def observe_acquire(
        self, pool_name: str | None, selector: SelectorStrategy, outcome: Outcome, seconds: float
    ) -> None:
        """Count an attempt to acquire that took so many seconds. O(1)."""

    @abstractmethod
    def observe_release(self, pool_name: str | None, held_seconds: float | None) -> None:
        """Count a release of a lease that was held for so many seconds, if that is known. O(1)."""

    @contextmanager
    def acquiring(
        self, pool_name: str, selector: SelectorStrategy = SelectorStrategy.FIRST_AVAILABLE
    ) -> Iterator[Attempt]:
        """Count an acquire that no manager makes, by what is in ``lease`` at the end.

        ``with``, also around an ``await``. An exception out of ``FAILURES`` counts as an error;
        others are not counted. All go on.
        """
        selector = SelectorStrategy(selector)  # a wrong one is refused before anything is leased
        attempt, began = Attempt(), time.perf_counter()
        try:
            yield attempt
        except FAILURES:
            self.observe_acquire(pool_name, selector, "error", time.perf_counter() - began)
            raise
        outcome: Outcome = "none" if attempt.lease is None else "granted"
        self.observe_acquire(pool_name, selector, outcome, time.perf_counter() - began)

    def handle_acquire(self, payload: AcquireEventPayload) -> None:
        """The callback for ``register_acquire_callback``.

        A pool that has no figures and leased nothing does not exist; it gets no label of its own.
        """
        exists = payload.lease is not None or payload.pool_stats is not None
        self.observe_acquire(
            payload.pool_name if exists else None,
            payload.selector,
            "none" if payload.lease is None else "granted",
            _seconds(payload.started_at, payload.completed_at, payload.duration_ms) or 0.0,
        )

    def handle_release(self, payload: ReleaseEventPayload) -> None:
        """The callback for ``register_release_callback``.

        The lease began by the server's clock and is released by this host's: what the two differ
        by is in the time it was held.
        """
        held = _seconds(payload.lease.acquired_at, payload.released_at, payload.lease_duration_ms)
        self.observe_release(payload.pool_name, held)

    def attach(self, manager: Manager) -> Self:
        """Be told what a manager does, once however often this is called. Returns itself.

        Raises ``TypeError`` for what is not a manager.
        """
        _check(manager)
        if self.handle_acquire not in manager._acquire_callbacks:
            manager.register_acquire_callback(self.handle_acquire)
        if self.handle_release not in manager._release_callbacks:
            manager.register_release_callback(self.handle_release)
        return self

    def detach(self, manager: Manager) -> None:
        """Be told no more; nothing happens if it was not attached. Raises as ``attach``.

        A call that is under way may still be told of.
        """
        _check(manager)
        # New lists: another thread may be going through the present ones.
        manager._acquire_callbacks = _without(self.handle_acquire, manager._acquire_callbacks)
        manager._release_callbacks = _without(self.handle_release, manager._release_callbacks)


def _check(manager: object) -> None:
    if not isinstance(manager, Manager):
        raise TypeError(
            "A recorder attaches to a RedisProxyManager, an AsyncRedisProxyManager or pharox's "
            f"ProxyManager, not to {type(manager).__qualname__}."
        )


def _without(callback: object, callbacks: list[Any]) -> list[Any]:
    return [each for each in callbacks if each != callback]


def _seconds(began: datetime, ended: datetime, otherwise_ms: int | None) -> float | None:
    """The seconds between two moments, not less than 0; clocks are set back at times."""
    try:
        return max(0.0, (ended - began).total_seconds())
    except TypeError:  # one has a time zone and the other none: not from our managers
        return None if otherwise_ms is None else otherwise_ms / 1000
