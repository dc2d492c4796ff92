"""What ``--json`` gives of pools, proxies and leases: the shapes of the HTTP service.

Times are ISO 8601. Passwords are only in it if secrets were asked for: then a proxy has
``password`` and ``url`` besides, otherwise neither.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pharox_redis.urls import proxy_url

if TYPE_CHECKING:
    from pharox.models import Lease, Proxy, ProxyPool

    from pharox_redis.models import PoolFigures


def pool_json(pool: ProxyPool) -> dict[str, Any]:
    """A pool."""
    return {"id": str(pool.id), "name": pool.name, "description": pool.description or ""}


def figures_json(figures: PoolFigures) -> dict[str, Any]:
    """A pool and its figures."""
    return {
        "pool": pool_json(figures.pool),
        "at": _time(figures.at),
        **figures.model_dump(exclude={"pool", "at"}),
    }


def proxy_json(proxy: Proxy, secrets: bool, **more: Any) -> dict[str, Any]:
    """A proxy, and what else is known of it."""
    known = proxy.credentials
    shown: dict[str, Any] = {
        "id": str(proxy.id),
        "pool_id": str(proxy.pool_id),
        "host": str(proxy.host),
        "port": proxy.port,
        "protocol": str(proxy.protocol.value),
        "status": str(proxy.status.value),
        "username": None if known is None else known.user,
        "country": proxy.country,
        "city": proxy.city,
        "latitude": proxy.latitude,
        "longitude": proxy.longitude,
        "isp": proxy.isp,
        "asn": proxy.asn,
        "source": proxy.source,
        "max_concurrency": proxy.max_concurrency,
        "current_leases": proxy.current_leases,
        "checked_at": _time(proxy.checked_at),
        **more,
    }
    if secrets:
        shown["password"] = None if known is None else known.password
        shown["url"] = proxy_url(proxy)
    return shown


def lease_json(lease: Lease, consumer: str | None, now: datetime) -> dict[str, Any]:
    """A lease; ``now`` is the server's time."""
    left = (lease.expires_at - now).total_seconds() if lease.status == "active" else 0.0
    return {
        "id": str(lease.id),
        "proxy_id": str(lease.proxy_id),
        "consumer_id": str(lease.consumer_id),
        "consumer_name": consumer,
        "pool_id": None if lease.pool_id is None else str(lease.pool_id),
        "pool_name": lease.pool_name,
        "status": str(lease.status.value),
        "acquired_at": _time(lease.acquired_at),
        "expires_at": _time(lease.expires_at),
        "released_at": None if lease.released_at is None else _time(lease.released_at),
        "seconds_left": round(max(left, 0.0), 3),
    }


def _time(moment: datetime) -> str:
    return moment.isoformat()
