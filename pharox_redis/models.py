"""What this storage returns beyond pharox's own models, and how lease ids are made."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from pharox.exceptions import ProxyNotFoundError
from pharox.models import Lease, Proxy, ProxyPool
from pydantic import BaseModel, ConfigDict, PrivateAttr

from pharox_redis.keys import lease_prefix
from pharox_redis.privacy import forget_details

L = TypeVar("L", bound=Lease)
_set = object.__setattr__


class ProxyLease(Lease):
    """A lease that carries its proxy: what ``acquire_lease`` and our managers return.

    The proxy came in the same reply and is decoded when it is first asked for.
    """

    _proxy: Proxy | None = PrivateAttr(default=None)
    _decode: Callable[[], Proxy] | None = PrivateAttr(default=None)

    @property
    def proxy(self) -> Proxy:
        """The leased proxy as it was when it was leased. No I/O.

        Raises ``ProxyNotFoundError`` if the lease was known already and its proxy is deleted, and
        ``CorruptRecordError`` if the proxy's record cannot be read.
        """
        if self._proxy is None:
            if self._decode is None:
                raise ProxyNotFoundError(
                    f"Proxy with ID {self.proxy_id} was deleted after lease {self.id} began."
                )
            outer = sys.exception()
            try:
                self._proxy = self._decode()
            except Exception as error:
                forget_details(error, outer)
                raise
        return self._proxy


class PoolFigures(BaseModel):
    """A pool and its figures at one moment of the server's clock.

    ``saturated_proxies`` are active and have as many leases as they may; ``views`` are those of
    filters. ``acquired``, ``missed`` (an acquire or a find that found nothing free) and
    ``reclaimed`` (leases that ran out and were swept) count what all clients did since the pool was
    made: the difference of two readings by that of their ``at`` is a rate. What a predicate refused
    is not missed. Figures count a lease that ran out until it is swept.
    """

    model_config = ConfigDict(frozen=True)

    pool: ProxyPool
    at: datetime
    total_proxies: int
    active_proxies: int
    available_proxies: int
    saturated_proxies: int
    leased_proxies: int
    total_leases: int
    views: int
    acquired: int
    missed: int
    reclaimed: int


class ProxyState(NamedTuple):
    """A proxy and what is known of it beyond its model: the latest latency at which it was
    reachable, in ms, and whether it is retired (see ``retire_proxy``)."""

    proxy: Proxy
    latency_ms: int | None
    retired: bool


class ProxyPage(NamedTuple):
    """Some proxies of a pool, and the ``after`` of those that follow: "" at the end."""

    proxies: list[ProxyState]
    next: str


class LeasePage(NamedTuple):
    """Some leases of a pool, and the ``after`` of those that follow: "" at the end."""

    leases: list[Lease]
    next: str


def new_lease_id(pool_id: UUID, seed: bytes | None = None) -> UUID:
    """A lease id of a pool: a UUIDv8 whose leading 48 bits are a hash of the pool's id.

    The rest is random, or with ``seed`` derived from it (the same seed gives the same id, so that a
    request that is repeated gets the lease it got before).
    """
    tail = os.urandom(10) if seed is None else hashlib.sha256(pool_id.bytes + seed).digest()[:10]
    return UUID(f"{lease_prefix(pool_id)}-{_tail_of(tail)}")


def new_lease_tail() -> str:
    """What follows the pool's prefix in a new lease id (see ``keys.lease_tail``)."""
    return _tail_of(os.urandom(10))


def _tail_of(data: bytes) -> str:
    digits = data.hex()
    return f"8{digits[1:4]}-{'89ab'[int(digits[4], 16) & 3]}{digits[5:8]}-{digits[8:]}"


@lru_cache(maxsize=10_000)
def uuid_of(text: str) -> UUID:
    """The UUID of a canonical text, as our scripts write them. Raises ``ValueError``."""
    return UUID(text)


def construct_lease(kind: type[L], values: dict[str, Any]) -> L:
    """A lease of values that need no validation: what ``model_construct`` makes, in an eighth of
    the time. ``values`` has every field, in the model's order, and is the model's from now on."""
    lease = kind.__new__(kind)
    _set(lease, "__dict__", values)
    _set(lease, "__pydantic_fields_set__", set(values))
    _set(lease, "__pydantic_extra__", None)
    _set(lease, "__pydantic_private__", dict.fromkeys(kind.__private_attributes__) or None)
    return lease
