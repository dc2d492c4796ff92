"""``/healthz`` and ``/readyz``, for whoever starts, stops and balances processes. No key needed."""

from __future__ import annotations

import asyncio
from typing import Final, Literal
from uuid import UUID

from fastapi import APIRouter
from pharox.exceptions import PharoxError, PoolNotFoundError

from pharox_redis.errors import UnsupportedServerError
from pharox_redis.keys import SCHEMA_VERSION
from pharox_redis.service.problems import RETRY_AFTER_SECONDS, Problem, responses
from pharox_redis.service.state import TheService
from pharox_redis.service.wire.base import Outgoing

READY_SECONDS: Final = 1.0
_NOBODY: Final = UUID(int=0)

router = APIRouter(tags=["health"])


class Alive(Outgoing):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Ready(Outgoing):
    """Requests can be served. ``schema_version`` is that of the keys in Redis."""

    status: Literal["ready"] = "ready"
    schema_version: int = SCHEMA_VERSION


@router.get("/healthz")
async def healthz() -> Alive:
    """Whether the process is alive. It stays so while Redis is away: a restart would not help."""
    return Alive()


@router.get("/readyz", responses=responses(503))
async def readyz(service: TheService) -> Ready:
    """Whether requests can be served: Redis answers within a second, is new enough, and runs our
    scripts for these credentials."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            # A pool that nobody has: one script, and before the first one a look at the version.
            await service.storage.get_pool(_NOBODY)
    except PoolNotFoundError:
        pass
    except UnsupportedServerError:
        raise _not_ready("The Redis server is older than 7.0.") from None
    except (PharoxError, TimeoutError):
        raise _not_ready("The Redis server does not answer as it should.") from None
    return Ready()


def _not_ready(detail: str) -> Problem:
    return Problem(503, detail, name="not-ready", headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
