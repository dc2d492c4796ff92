"""What can go wrong, as types, and the one place where a server's words become such a type.

Everything derives from pharox's ``PharoxError``, and from the closer pharox exception where one
fits, so that code written against pharox keeps catching what it caught. Scripts refuse with
``PHAROX_<REASON> <id>`` before their first write: after any error of this module that came from a
script, nothing was changed.
"""

from __future__ import annotations

from pharox.exceptions import (
    InvalidLeaseError,
    PharoxError,
    PoolNotFoundError,
    ProxyNotFoundError,
    ProxyUnavailableError,
)
from redis import exceptions as redis_errors


class PharoxRedisError(PharoxError):
    """Base of the errors that only this storage has."""


class UnsupportedServerError(PharoxRedisError):
    """The server is older than Redis 7.0."""


class UnsupportedClientError(PharoxRedisError, TypeError):
    """The client given is not one of redis-py's."""


class InvalidUrlError(PharoxRedisError, ValueError):
    """The server's URL cannot be used."""


class InvalidProxyError(PharoxRedisError, ValueError):
    """A proxy has a value that cannot be stored; nothing was written."""


class PoolNameTakenError(PharoxRedisError):
    """Another pool has this name; ``ensure_pool(name)`` returns that one."""


class ProxyPoolConflictError(PharoxRedisError):
    """The proxy is in another pool; delete it there first."""


class LeaseConflictError(InvalidLeaseError):
    """The lease id is known for another consumer or proxy."""


class LeaseIdError(InvalidLeaseError):
    """The lease id is not one of this pool; make it with ``new_lease_id``."""


class PredicateScanLimitError(PharoxRedisError):
    """A predicate refused more proxies than ``predicate_scan_limit`` allows to test."""


class CorruptRecordError(PharoxRedisError):
    """A record cannot be read; the message names the record and the field."""


class StorageUnavailableError(PharoxRedisError):
    """The server cannot be reached or does not take commands now; retrying later may succeed."""


class StorageFullError(PharoxRedisError):
    """The server's memory is full (``maxmemory``); nothing was written. Releases still work."""


class StorageAccessError(PharoxRedisError):
    """The server refused the credentials, or they lack a right that this command needs."""


class StorageError(PharoxRedisError):
    """The server refused a command for a reason that this library does not know."""


class PoolMismatchError(PoolNotFoundError):
    """A pool's own key does not confirm the name or id it was reached by (a stale cache)."""


_REFUSALS: dict[str, tuple[type[PharoxError], str]] = {
    "PHAROX_POOL": (PoolMismatchError, "Pool at {} does not exist under this name."),
    "PHAROX_PROXY": (ProxyNotFoundError, "Proxy with ID {} not found."),
    "PHAROX_UNAVAILABLE": (
        ProxyUnavailableError,
        "Proxy {} has as many leases as its max_concurrency allows.",
    ),
    "PHAROX_LEASE_ID": (
        LeaseIdError,
        "Lease ID {} does not belong to this pool; make it with new_lease_id(pool_id).",
    ),
    "PHAROX_LEASE_CONFLICT": (
        LeaseConflictError,
        "Lease ID {} is in use for another consumer or proxy.",
    ),
    "PHAROX_CORRUPT": (CorruptRecordError, "Record {} cannot be read."),
    "PHAROX_ARGUMENT": (StorageError, "A script refused its arguments ({})."),
}
_UNAVAILABLE = (
    "LOADING",
    "READONLY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "NOREPLICAS",
    "BUSY",
    "MISCONF",
)


def translate(error: redis_errors.RedisError) -> PharoxError:
    """The exception of this library for one of redis-py's; O(1), raises nothing."""
    message = str(error)
    reason, _, rest = message.partition(" ")
    if reason in _REFUSALS:
        kind, text = _REFUSALS[reason]
        return kind(text.format(rest.split(" ", 1)[0]))
    if isinstance(error, redis_errors.OutOfMemoryError) or reason == "OOM":
        return StorageFullError(
            "The server's memory is full (maxmemory reached); nothing was written. "
            "Release leases, delete proxies, or give the server more memory."
        )
    if isinstance(
        error, (redis_errors.AuthenticationError, redis_errors.NoPermissionError)
    ) or reason in ("NOPERM", "NOAUTH", "WRONGPASS"):
        return StorageAccessError(f"The server refused access: {message}")
    if (
        isinstance(
            error,
            (redis_errors.ConnectionError, redis_errors.TimeoutError, redis_errors.ReadOnlyError),
        )
        or reason in _UNAVAILABLE
    ):
        return StorageUnavailableError(f"The server is not available: {message}")
    if reason == "WRONGTYPE" or "WRONGTYPE" in message:
        return CorruptRecordError(f"A key of the schema holds a value of another type: {message}")
    return StorageError(f"The server refused a command: {message}")
