"""Acquiring for a client that may go away before it has its lease.

Without an Idempotency-Key nobody but that connection will ever hear of the lease. So while the
storage is asked the connection is watched; if the client closes it, the task that acquires is
cancelled, and ``AsyncRedisStorage`` takes back what a cancelled caller may have been granted. A
lease that was granted already is released, up to the moment at which the reply is handed to the
connection: what the kernel has taken counts as delivered, and a client that dies with it holds its
lease until it ends by itself.

With an Idempotency-Key the lease stays: the client asks again and gets it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from fastapi import Request
from pharox.exceptions import PharoxError, PoolNotFoundError
from pharox.models import Lease
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from pharox_redis import AsyncRedisStorage
from pharox_redis.service.pool_names import PoolNames
from pharox_redis.service.problems import no_pool
from pharox_redis.service.wire.leases import LeaseIn

logger = logging.getLogger("pharox_redis.service")

GiveBack: TypeAlias = Callable[[Lease], Awaitable[None]]

_NAME_ATTEMPTS = 3


class ClientGone(Exception):
    """The client closed its connection; there is nobody to answer, and no lease is left."""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """What makes a repeated request known, and for how long."""

    key: bytes
    fingerprint: str
    keep_seconds: float


def idempotency_key(caller: str, header: str) -> bytes:
    """The key of a request: the caller's name and its header. (The pool is part of the lease's id.)
    Two API keys with different names never meet."""
    name = caller.encode()
    return hashlib.sha256(
        b"idempotency\0" + len(name).to_bytes(2, "big") + name + header.encode()
    ).digest()


class Desk:
    """Acquires for requests, from pools that are named by id."""

    def __init__(self, storage: AsyncRedisStorage, names: PoolNames) -> None:
        self._storage = storage
        self._names = names

    async def acquire(self, wanted: LeaseIn, once: Idempotency | None = None) -> Lease | None:
        """A lease from the pool of that id; None if nothing is free there.

        One trip when the pool's name is known, two for a miss. Raises ``Problem`` (404), and what
        the storage raises.
        """
        filters = wanted.filters.to_filters() if wanted.filters else None
        refresh = False
        for _ in range(_NAME_ATTEMPTS):
            name = await self._names.name_of(wanted.pool_id, refresh=refresh)
            refresh = True
            arguments = (name, wanted.consumer_id, wanted.ttl_seconds, filters, wanted.strategy)
            lease: Lease | None
            try:
                if once is None:
                    lease = await self._storage.acquire_lease(*arguments)
                else:
                    lease = await self._storage.acquire_once(
                        *arguments,
                        key=once.key,
                        fingerprint=once.fingerprint,
                        keep_seconds=once.keep_seconds,
                    )
            except PoolNotFoundError:
                continue  # renamed or deleted
            if lease is None:
                # Nothing free: in this pool, or in another that has its name by now?
                if await self._names.name_of(wanted.pool_id, refresh=True) == name:
                    return None
            elif lease.pool_id == wanted.pool_id:
                return lease
            else:
                await self._storage.release_lease(lease)  # of another pool, that has its name now
        raise no_pool(wanted.pool_id)

    async def give_back(self, lease: Lease) -> None:
        """Release a lease that nobody will hear of; what goes wrong is logged."""
        try:
            await self._storage.release_lease(lease)
        except PharoxError as error:
            logger.warning(
                "A lease whose client went away could not be released; it ends at its expiry. %s",
                error,
            )


class Watch:
    """Watches a connection whose request has been read whole, for as long as it is not closed."""

    def __init__(self, request: Request, give_back: GiveBack) -> None:
        self._gone = asyncio.create_task(_until_gone(request.receive))
        self._give_back = give_back

    @property
    def gone(self) -> bool:
        """Whether the client has gone away."""
        return self._gone.done()

    async def over(self, work: Coroutine[Any, Any, Lease | None]) -> Lease | None:
        """The lease that work comes to. Raises ``ClientGone`` if the client is faster."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait({task, self._gone}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the service stops, and has waited long enough
            await self._without(task)
            raise
        if self.gone:
            await self._without(task)
            raise ClientGone
        return task.result()

    async def _without(self, task: asyncio.Task[Lease | None]) -> None:
        task.cancel()
        await asyncio.wait({task})
        if task.cancelled() or task.exception() is not None:
            return  # the storage left nothing behind
        lease = task.result()
        if lease is not None:
            await self._give_back(lease)

    async def close(self) -> None:
        """Watch no longer."""
        self._gone.cancel()
        with suppress(asyncio.CancelledError):
            await self._gone


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class HandOver(JSONResponse):
    """The reply with a lease, which is given back if the client is found gone at the last moment.

    ``done`` is called if it is handed over, ``undo`` if not.
    """

    def __init__(
        self,
        content: Any,
        watch: Watch,
        undo: Callable[[], Awaitable[None]],
        done: Callable[[], None],
        **options: Any,
    ) -> None:
        super().__init__(content, **options)
        self._watch = watch
        self._undo = undo
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply, or undo what it would tell of (ASGI)."""
        try:
            # The loop may have read of the end already without the watch having had its turn.
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            await self._undo()
            raise
        if self._watch.gone:
            await self._undo()
        else:
            self._done()
            await self._watch.close()
        # To a connection that is closed this writes nothing.
        await super().__call__(scope, receive, send)
