"""The pool a run fills, and the filters its users ask for.

Proxies are in four countries and differ in their limit, so that some filters are scarce: a run
without misses would not show what a miss costs.
"""

from __future__ import annotations

import random
from uuid import UUID

from pharox.models import Proxy, ProxyFilters, ProxyProtocol, ProxyStatus, SelectorStrategy

from .options import LoadOptions

COUNTRIES = ("AR", "BR", "CL", "UY")
FILTERS: tuple[ProxyFilters | None, ...] = (
    None,
    *(ProxyFilters(country=country) for country in COUNTRIES),
)
SELECTORS = (
    SelectorStrategy.FIRST_AVAILABLE,
    SelectorStrategy.LEAST_USED,
    SelectorStrategy.ROUND_ROBIN,
)


def proxy(pool_id: UUID, number: int, limit: int) -> Proxy:
    """The pool's proxy of that number. Addresses are of a range for documentation."""
    return Proxy(
        pool_id=pool_id,
        host=f"198.51.100.{number % 250 + 1}",
        port=1024 + number % 60_000,
        protocol=ProxyProtocol.HTTP,
        status=ProxyStatus.ACTIVE,
        country=COUNTRIES[number % len(COUNTRIES)],
        max_concurrency=limit,
    )


def proxies(pool_id: UUID, options: LoadOptions) -> list[Proxy]:
    """All that the pool begins with."""
    return [
        proxy(pool_id, number, 1 + number // len(COUNTRIES) % options.limit)
        for number in range(options.proxies)
    ]


def any_filter() -> ProxyFilters | None:
    """One of the filters that are in use."""
    return random.choice(FILTERS)


def any_selector() -> SelectorStrategy:
    """One of the selectors that are in use."""
    return random.choice(SELECTORS)
