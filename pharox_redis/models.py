"""What this storage returns beyond pharox's own models, and how lease ids are made."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from uuid import UUID

from pharox.exceptions import ProxyNotFoundError
from pharox.models import Lease, Proxy
from pydantic import PrivateAttr

from pharox_redis.keys import lease_prefix
from pharox_redis.privacy import forget_details


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


def new_lease_id(pool_id: UUID, seed: bytes | None = None) -> UUID:
    """A lease id of a pool: a UUIDv8 whose leading 48 bits are a hash of the pool's id.

    The rest is random, or with ``seed`` derived from it (the same seed gives the same id, so that a
    request that is repeated gets the lease it got before).
    """
    tail = os.urandom(10) if seed is None else hashlib.sha256(pool_id.bytes + seed).digest()[:10]
    low = int.from_bytes(tail, "big")
    low = (low & ~(0xF << 76)) | (0x8 << 76)
    low = (low & ~(0x3 << 62)) | (0x2 << 62)
    return UUID(int=(int(lease_prefix(pool_id).replace("-", ""), 16) << 80) | low)
