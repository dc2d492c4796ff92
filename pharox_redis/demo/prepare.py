"""Filling the demo's pool: the list is imported, and each proxy is checked before it is leased."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pharox import HealthCheckOptions, HealthCheckOrchestrator, HealthCheckResult, ProxyStatus
from pydantic import AnyHttpUrl

from pharox_redis import RedisStorage
from pharox_redis.importing import Terms, import_list, open_list

POOL = "demo"


def import_proxies(storage: RedisStorage, path: Path) -> str:
    """Import a list file, as ``pharox-redis import`` does, and say what came of it."""
    with path.open("rb") as file:
        entries = open_list(file, name=path.name).entries
        summary = import_list(storage, POOL, entries, Terms())
    if summary.issues:
        raise ValueError(f"the demo's own list cannot be read: {summary.issues[0]}")
    return f"imported {path.name}: {summary.written} proxies into the pool {POOL!r}"


def check_health(storage: RedisStorage, url: str) -> str:
    """Fetch a page through each proxy with pharox's health checks, and say how it went.

    The results are stored: only active proxies are leased, and one selector goes by latency.
    """
    options = HealthCheckOptions(target_url=AnyHttpUrl(url), timeout=10)
    results = asyncio.run(_check(storage, options))
    active = [result for result in results if result.status is ProxyStatus.ACTIVE]
    latencies = [result.latency_ms for result in active] or [0]
    return (
        f"health check: {len(active)} of {len(results)} proxies are active, "
        f"{min(latencies)} to {max(latencies)} ms"
    )


async def _check(storage: RedisStorage, options: HealthCheckOptions) -> list[HealthCheckResult]:
    proxies = storage.list_proxies(str(storage.ensure_pool(POOL).id))
    orchestrator = HealthCheckOrchestrator(storage)
    return [await orchestrator.check_proxy(proxy, options) for proxy in proxies]


def lose_limits(storage: RedisStorage) -> None:
    """Break the stored limits on purpose, for the tests of the demo's checks."""
    for proxy in storage.list_proxies(str(storage.ensure_pool(POOL).id)):
        storage.save_proxy(proxy.model_copy(update={"max_concurrency": None}))
