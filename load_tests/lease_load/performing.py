"""Performs readings and the closing on a blocking client: one pipeline a step."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from pharox_redis import CorruptRecordError, RedisStorage

from .closing import FIGURES, KEYS, SWEEP
from .rawkeys import PoolKeys, text


class Performer:
    """A storage's client, and what steps are done with."""

    def __init__(self, storage: RedisStorage, keys: PoolKeys, pool: str) -> None:
        self._storage, self._keys, self._pool = storage, keys, pool

    def perform(self, steps: Generator[Any, Any, Any]) -> Any:
        """Do all steps; what the generator returns."""
        reply: Any = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                return end.value
            reply = self._do(step)

    def _do(self, step: Any) -> Any:
        if isinstance(step, list):
            with self._storage.client.pipeline(transaction=False) as pipeline:
                for command in step:
                    pipeline.execute_command(*command)
                return pipeline.execute()
        if step == KEYS:
            found = self._storage.client.scan_iter(match=self._keys.pattern, count=1000)
            return sorted(set(map(text, found)))
        if step == SWEEP:
            return self._storage.cleanup_expired_leases()
        if step == FIGURES:
            try:
                return self._storage.get_pool_stats(self._pool)
            except CorruptRecordError as error:
                return error  # the judge's to blame, like figures that are only wrong
        time.sleep(step)
        return None
