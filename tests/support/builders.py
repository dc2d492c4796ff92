"""Short ways to make what tests need. Addresses are from the documentation ranges."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from pharox.models import Proxy, ProxyPool, ProxyProtocol, ProxyStatus

_numbers: Iterator[int] = itertools.count(1)


def make_proxy(pool: ProxyPool, **fields: Any) -> Proxy:
    """An active proxy of a pool that one consumer at a time may use."""
    number = next(_numbers)
    values: dict[str, Any] = {
        "pool_id": pool.id,
        "host": f"192.0.2.{number % 250 + 1}",
        "port": 1024 + number % 60000,
        "protocol": ProxyProtocol.HTTP,
        "status": ProxyStatus.ACTIVE,
        "max_concurrency": 1,
    }
    return Proxy(**{**values, **fields})


def make_proxies(pool: ProxyPool, count: int, **fields: Any) -> list[Proxy]:
    """``count`` of them."""
    return [make_proxy(pool, **fields) for _ in range(count)]
