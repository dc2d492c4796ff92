"""Pools are asked for by id here and by name in the storage: the names that this process knows.

A name may change hands. So it is only a hint: whoever used one looks at what came of it, and has it
read again (``refresh``) if that does not fit.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from pharox.exceptions import PoolNotFoundError

from pharox_redis import AsyncRedisStorage
from pharox_redis.service.problems import no_pool

_MOST: Final = 10_000


class PoolNames:
    """Names by id, of the pools that were asked for last."""

    def __init__(self, storage: AsyncRedisStorage) -> None:
        self._storage = storage
        self._names: dict[UUID, str] = {}

    async def name_of(self, pool_id: UUID, *, refresh: bool = False) -> str:
        """The pool's name. No trip if known, else one. Raises ``Problem`` (404)."""
        known = None if refresh else self._names.get(pool_id)
        if known is not None:
            return known
        self._names.pop(pool_id, None)
        try:
            name = (await self._storage.get_pool(pool_id)).name
        except PoolNotFoundError:
            raise no_pool(pool_id) from None
        while len(self._names) >= _MOST:
            del self._names[next(iter(self._names))]
        self._names[pool_id] = name
        return name

    def known(self, pool_id: UUID | None) -> str:
        """The pool's name as far as it is known, else ``""``. No trip."""
        return self._names.get(pool_id, "") if pool_id else ""
