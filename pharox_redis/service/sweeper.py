"""Ends what ran out, in the background.

Leases end by themselves; a sweep only notices, so that figures are right and proxies come free for
others at once. It is one script a pool, made to run from anywhere at any time, so every worker of
every service may have a sweeper: the pauses differ by chance, so that they do not go in step.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from contextlib import suppress

from pharox.exceptions import PharoxError

from pharox_redis import AsyncRedisStorage
from pharox_redis.service.outcomes import Observer, SweepOutcome, tell

logger = logging.getLogger("pharox_redis.service")

_JITTER = 0.25


class Sweeper:
    """Sweeps every ``seconds``, more or less, between ``start`` and ``stop``."""

    def __init__(
        self, storage: AsyncRedisStorage, seconds: float, observers: Sequence[Observer]
    ) -> None:
        self._storage = storage
        self._seconds = seconds
        self._observers = observers
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def start(self) -> None:
        """Begin, unless the pause is 0."""
        if self._seconds > 0:
            self._task = asyncio.create_task(self._sweep_on(), name="pharox-redis-sweeper")

    async def stop(self) -> None:
        """Stop, now."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(self._seconds * random.uniform(1 - _JITTER, 1 + _JITTER))
            await self.sweep()

    async def sweep(self) -> None:
        """Sweep once; a failure is logged when it begins, and when it is over."""
        started = time.monotonic()
        leases, failed = 0, False
        try:
            leases = await self._storage.cleanup_expired_leases()
        except PharoxError as error:
            failed = True
            if not self._failing:
                logger.warning("Sweeping failed, and is tried again: %s", error)
        except Exception:
            failed = True
            if not self._failing:
                logger.exception("Sweeping failed, and is tried again")
        if self._failing and not failed:
            logger.warning("Sweeping works again")
        self._failing = failed
        tell(self._observers, SweepOutcome(leases, time.monotonic() - started, failed))
