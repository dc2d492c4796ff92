"""What can go wrong, as types, and the one place where a server's words become such a type.

Everything derives from pharox's ``PharoxError``, and from the closer pharox exception where one
fits, so that code written against pharox keeps catching what it caught. Scripts refuse with
``PHAROX_<REASON> <id>`` before their first write: after any error of this module that came from a
script, nothing was changed.
"""

from __future__ import annotations

import re
from uuid import UUID

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


class IdempotencyConflictError(InvalidLeaseError):
    """The key was used for another request; a new request needs a new key."""


class PredicateScanLimitError(PharoxRedisError):
    """A predicate refused more proxies than ``predicate_scan_limit`` allows to test."""


class CorruptRecordError(PharoxRedisError):
    """A record cannot be read; the message names the record and the field.

    ``pool_id`` is the pool of a proxy's or a pool's record, None for others.
    """

    def __init__(self, *args: object, pool_id: UUID | None = None) -> None:
        super().__init__(*args)
        self.pool_id = pool_id


class StorageUnavailableError(PharoxRedisError):
    """The server cannot be reached or does not take commands now; retrying later may succeed."""


class NotReplicatedError(StorageUnavailableError):
    """Fewer than ``min_replicas`` replicas confirmed a lease in time. A lease whose id this library
    made was taken back; one with an id of the caller's own stays: ask again with that id."""


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
    "PHAROX_LEASE_CONFLICT": (
        LeaseConflictError,
        "The lease ID that ends in {} is in use for another consumer or proxy.",
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


# What a script's own command is refused with: by Valkey and Redis 7.2, and by Redis 7.0.
_REFUSED_IN_SCRIPT = ("ACL failure in script", "The user executing the script can't")

# Servers quote the arguments of a command they do not know, redis-py those of a pipeline's, and
# whole proxies are among them. Greedy: what is quoted may look like the end of the quotation.
_QUOTATIONS = (
    re.compile(r"Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL),
    re.compile(r",? with args beginning with: .*", re.DOTALL),
)


def without_quotations(message: str) -> str:
    """A message of redis-py's or of a server without the arguments of the command it quotes."""
    for quotation in _QUOTATIONS:
        message = quotation.sub("", message)
    return message


def _without_arguments(error: Exception) -> str:
    """The error's message without arguments it quotes. Those go from the error, too: it becomes the
    cause of ours."""
    message = without_quotations(str(error))
    if message != str(error):
        error.args = (message,)
    return message


def translate(error: Exception) -> PharoxError:
    """The exception of this library for one of redis-py's; O(1), raises nothing."""
    if isinstance(error, redis_errors.RedisClusterException) and isinstance(
        error.__cause__, (redis_errors.RedisError, redis_errors.RedisClusterException)
    ):
        # No node could be asked for the Cluster's slots: what the last one said is why.
        error = error.__cause__
        if isinstance(error.__context__, redis_errors.NoPermissionError):
            error = error.__context__  # redis-py takes a refused CLUSTER SLOTS for no Cluster
    message = _without_arguments(error)
    reason, _, rest = message.partition(" ")
    if message.startswith("No master found for "):
        # Sentinel's two clients have an exception each, whose words go on for a page.
        return StorageUnavailableError(
            f"The server is not available: {message.partition(' : ')[0]}; no sentinel names one, "
            "or none of them can be reached."
        )
    if isinstance(error, redis_errors.TryAgainError) or reason == "TRYAGAIN":
        return StorageUnavailableError(
            f"The pool's slot is being moved to another node; try again: {message}"
        )
    if isinstance(error, redis_errors.MovedError):
        # A Cluster's client follows it.
        return StorageError(
            "The server is one node of a Cluster, and what was asked for is on another "
            f"({message}); its URL begins with redis+cluster://, not redis://."
        )
    if message == "Cluster mode is not enabled on this node":
        return StorageError(
            "The server is not part of a Cluster; its URL begins with redis://, not redis+cluster://."
        )
    if reason in _REFUSALS:
        kind, text = _REFUSALS[reason]
        return kind(text.format(rest.split(" ", 1)[0]))
    if isinstance(error, redis_errors.OutOfMemoryError) or reason == "OOM":
        return StorageFullError(
            "The server's memory is full (maxmemory reached); nothing was written. "
            "Release leases, delete proxies, or give the server more memory."
        )
    if (
        isinstance(error, (redis_errors.AuthenticationError, redis_errors.NoPermissionError))
        or reason in ("NOPERM", "NOAUTH", "WRONGPASS")
        or message.startswith(_REFUSED_IN_SCRIPT)
    ):
        return StorageAccessError(f"The server refused access: {message}")
    if (
        isinstance(
            error,
            (
                redis_errors.ConnectionError,
                redis_errors.TimeoutError,
                redis_errors.ReadOnlyError,
                # No node reached, a slot nobody has, redirections without end: a fail-over or a
                # move of slots is under way.
                redis_errors.ClusterError,
                redis_errors.RedisClusterException,
                redis_errors.AskError,
                redis_errors.TryAgainError,
            ),
        )
        or reason in _UNAVAILABLE
    ):
        return StorageUnavailableError(f"The server is not available: {message}")
    if reason == "WRONGTYPE" or "WRONGTYPE" in message:
        return CorruptRecordError(f"A key of the schema holds a value of another type: {message}")
    return StorageError(f"The server refused a command: {message}")
