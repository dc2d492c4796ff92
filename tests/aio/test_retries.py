"""Retries of ``AsyncRedisProxyManager`` against those of pharox's ``ProxyManager``: as many
attempts, with the same arguments, and the same pauses between them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
from hypothesis import example, given, settings
from pharox.manager import ProxyManager
from pharox.models import Lease, ProxyFilters, RetryConfig
from pharox.storage import InMemoryStorage

from pharox_redis import RedisStorage
from pharox_redis.aio import AsyncRedisStorage
from pharox_redis.aio_manager import AsyncRedisProxyManager
from tests.support.builders import make_proxies
from tests.support.running import run_beside

NOBODY = ProxyFilters(country="XX")

FIELDS = [field.name for field in fields(RetryConfig)]
spans = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1e6), st.floats(0, 1e300))
configs = st.builds(
    RetryConfig,
    max_attempts=st.integers(1, 8),
    backoff_seconds=spans,
    backoff_multiplier=st.one_of(st.sampled_from([1.0, 2.0]), st.floats(1, 1e300)),
    max_backoff_seconds=st.one_of(st.none(), spans.filter(bool)),
)


class Scripted:
    """Attempts that miss until one hits, without any storage."""

    hit_at: int
    asked: list[Any]

    def attempt(self, *args: Any, **kwargs: Any) -> Lease | None:
        bound = inspect.signature(ProxyManager.acquire_proxy).bind(None, *args, **kwargs)
        bound.apply_defaults()
        self.asked.append({k: v for k, v in bound.arguments.items() if k != "self"})
        return THE_LEASE if len(self.asked) == self.hit_at else None


ANY_ID = UUID(int=1)
THE_LEASE = Lease(proxy_id=ANY_ID, consumer_id=ANY_ID, expires_at=datetime(2030, 1, 1))


class TheirScripted(Scripted, ProxyManager):
    def __init__(self, hit_at: int) -> None:
        super().__init__(InMemoryStorage())
        self.hit_at, self.asked = hit_at, []

    acquire_proxy = Scripted.attempt  # type: ignore[assignment]


class OurScripted(Scripted, AsyncRedisProxyManager):
    def __init__(self, hit_at: int) -> None:
        self.hit_at, self.asked = hit_at, []

    async def acquire_proxy(self, *args: Any, **kwargs: Any) -> Any:
        return self.attempt(*args, **kwargs)


async def pauses_of(manager: Any, arguments: dict[str, Any], coroutine: bool) -> tuple[Any, ...]:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        await asyncio.sleep(0)
        pauses.append(seconds)

    lease = await manager.acquire_proxy_with_retry(
        "pool", "me", 7, NOBODY, sleep_fn=pause if coroutine else pauses.append, **arguments
    )
    return lease, pauses, manager.asked


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(config=configs, hit_at=st.integers(1, 9), given_as=st.sampled_from(["config", "loose"]))
@example(RetryConfig(max_attempts=4, backoff_seconds=1e308, backoff_multiplier=10), 9, "config")
def test_retries_pause_as_pharoxs(config: RetryConfig, hit_at: int, given_as: str) -> None:
    arguments: dict[str, Any] = (
        {"retry_config": config, "max_attempts": 2} if given_as == "config" else asdict(config)
    )
    theirs = TheirScripted(hit_at)
    pauses: list[float] = []
    wanted = theirs.acquire_proxy_with_retry(
        "pool", "me", 7, NOBODY, sleep_fn=pauses.append, **arguments
    )
    for coroutine in (False, True):
        ours = asyncio.run(pauses_of(OurScripted(hit_at), arguments, coroutine))
        assert ours == (wanted, pauses, theirs.asked)


@settings(max_examples=50, deadline=None, database=None, derandomize=True)
@given(
    values=st.dictionaries(
        st.sampled_from([field.name for field in fields(RetryConfig)]), st.integers(-2, 1)
    )
)
def test_configs_that_make_no_sense_are_refused_as_pharoxs(values: dict[str, Any]) -> None:
    def error(call: Callable[[], object]) -> Any:
        try:
            call()
        except Exception as raised:
            return type(raised), str(raised)
        return None

    quiet = {"sleep_fn": lambda seconds: None}
    assert error(
        lambda: asyncio.run(OurScripted(9).acquire_proxy_with_retry("pool", **values, **quiet))  # type: ignore[arg-type]
    ) == error(lambda: TheirScripted(9).acquire_proxy_with_retry("pool", **values, **quiet))  # type: ignore[arg-type]


def test_a_retry_that_comes_through(storage: RedisStorage) -> None:
    """Without ``sleep_fn`` the loop goes on meanwhile."""
    storage.add_proxies_bulk(make_proxies(storage.ensure_pool("pool"), 2))

    async def work(aio: AsyncRedisStorage) -> None:
        manager = AsyncRedisProxyManager(aio)
        held = [await manager.acquire_proxy("pool") for _ in range(2)]
        pauses: list[float] = []

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 2:
                await manager.release_proxy(held[0])  # type: ignore[arg-type]

        again = await manager.acquire_proxy_with_retry("pool", max_attempts=5, sleep_fn=pause)
        assert again is not None and pauses == [0.5, 1.0]
        waiting = asyncio.create_task(
            manager.acquire_proxy_with_retry("pool", max_attempts=9, backoff_seconds=0.001)
        )
        await asyncio.sleep(0)
        await manager.release_proxy(again)
        assert await waiting is not None

    run_beside(storage, work)
