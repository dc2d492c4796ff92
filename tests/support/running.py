"""Asyncio storages for tests that are coroutines themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import redis

from pharox_redis import Settings
from pharox_redis.aio import AsyncRedisStorage
from tests.support.blocking import AnyStorage
from tests.support.flavours import twin

T = TypeVar("T")


@asynccontextmanager
async def beside(
    storage: AnyStorage, client: redis.Redis | None = None, **options: Any
) -> AsyncIterator[AsyncRedisStorage]:
    """An asyncio storage of the same server, settings and prefix, with a client of its own.

    It is checked on leaving that it started nothing that is still under way.
    """
    model = {"proxy_model": options.pop("proxy_model")} if "proxy_model" in options else {}
    settings = Settings(**{**storage.settings.model_dump(), **options})
    others = asyncio.all_tasks()
    async with AsyncRedisStorage(twin(client or storage.client), settings, **model) as made:
        yield made
    left = asyncio.all_tasks() - others
    assert not left, f"still under way: {left}"


def run_beside(
    storage: AnyStorage, work: Callable[[AsyncRedisStorage], Awaitable[T]], **options: Any
) -> T:
    """What a coroutine function of an asyncio storage returns, see :func:`beside`."""

    async def main() -> T:
        async with beside(storage, **options) as made:
            return await work(made)

    return asyncio.run(main())
