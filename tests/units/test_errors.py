"""What a server's words become."""

from __future__ import annotations

import inspect

import pytest
from pharox.exceptions import (
    InvalidLeaseError,
    PharoxError,
    PoolNotFoundError,
    ProxyNotFoundError,
    ProxyUnavailableError,
)
from redis import exceptions as redis_errors

import pharox_redis
from pharox_redis import errors
from pharox_redis.drivers import CLIENT_ERRORS
from pharox_redis.errors import translate

TYPES = {
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__
}


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("PHAROX_POOL p:1:{x}", PoolNotFoundError),
        ("PHAROX_PROXY 5", ProxyNotFoundError),
        ("PHAROX_UNAVAILABLE 5", ProxyUnavailableError),
        ("PHAROX_LEASE_CONFLICT 5", errors.LeaseConflictError),
        ("PHAROX_CORRUPT lease:5", errors.CorruptRecordError),
        ("PHAROX_ARGUMENT limit", errors.StorageError),
    ],
)
def test_refusals(message: str, kind: type[PharoxError]) -> None:
    error = translate(redis_errors.ResponseError(message))
    assert isinstance(error, kind)
    assert message.split(" ")[1] in str(error)
    assert "PHAROX" not in str(error)


def test_every_refusal_has_words_for_its_id() -> None:
    for reason, (kind, text) in errors._REFUSALS.items():
        assert issubclass(kind, PharoxError) and text.count("{}") == 1, reason


@pytest.mark.parametrize(
    "message", ["PHAROX_POOL", "PHAROX_POOL ", "PHAROX_POOL {} {x} %s", "PHAROX_POOL a b c"]
)
def test_odd_refusals(message: str) -> None:
    assert isinstance(translate(redis_errors.ResponseError(message)), PoolNotFoundError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (redis_errors.OutOfMemoryError("command not allowed when"), errors.StorageFullError),
        (redis_errors.ResponseError("OOM command not allowed"), errors.StorageFullError),
        (redis_errors.ConnectionError("refused"), errors.StorageUnavailableError),
        (redis_errors.BusyLoadingError("loading"), errors.StorageUnavailableError),
        (redis_errors.TimeoutError("slow"), errors.StorageUnavailableError),
        (redis_errors.ReadOnlyError("replica"), errors.StorageUnavailableError),
        (redis_errors.ClusterDownError("CLUSTERDOWN"), errors.StorageUnavailableError),
        (redis_errors.ResponseError("READONLY You can't"), errors.StorageUnavailableError),
        (redis_errors.ResponseError("BUSY Redis is busy"), errors.StorageUnavailableError),
        (redis_errors.ResponseError("MISCONF no disk"), errors.StorageUnavailableError),
        (redis_errors.AuthenticationError("no"), errors.StorageAccessError),
        (redis_errors.NoPermissionError("no"), errors.StorageAccessError),
        (redis_errors.ResponseError("NOAUTH Authentication"), errors.StorageAccessError),
        (redis_errors.ResponseError("WRONGPASS invalid"), errors.StorageAccessError),
        (redis_errors.ResponseError("WRONGTYPE Operation"), errors.CorruptRecordError),
        (redis_errors.ResponseError("x WRONGTYPE y script"), errors.CorruptRecordError),
        (redis_errors.ResponseError("something else"), errors.StorageError),
        (redis_errors.MovedError("5 192.0.2.1:7000"), errors.StorageError),
        (redis_errors.ResponseError(""), errors.StorageError),
    ],
)
def test_servers_words(error: redis_errors.RedisError, kind: type[PharoxError]) -> None:
    found = translate(error)
    assert type(found) is kind and str(found)


@pytest.mark.parametrize(
    "error",
    [
        redis_errors.RedisClusterException("Redis Cluster cannot be connected."),
        redis_errors.ClusterError("TTL exhausted."),
        redis_errors.ClusterDownError("The cluster is down"),
        redis_errors.MasterDownError("Link with MASTER is down"),
        redis_errors.SlotNotCoveredError('Slot "5" not covered by the cluster.'),
        redis_errors.AskError("5 192.0.2.1:7000"),
        # redis-py cuts the code off where it has a class for it.
        redis_errors.TryAgainError("Multiple keys request during rehashing of slot"),
        # As it comes from a script, or from a client that does not know of Clusters.
        redis_errors.ResponseError("TRYAGAIN p:1:{x}"),
        redis_errors.ResponseError("CLUSTERDOWN Hash slot not served"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_passes_while_a_cluster_changes(error: Exception) -> None:
    assert isinstance(error, CLIENT_ERRORS), "the drivers would not catch it"
    found = translate(error)
    assert type(found) is errors.StorageUnavailableError
    assert str(error) in str(found)


def test_a_lease_without_replicas_is_worth_another_try() -> None:
    assert issubclass(errors.NotReplicatedError, errors.StorageUnavailableError)


def test_all_derive_from_pharox() -> None:
    assert all(issubclass(kind, PharoxError) for kind in TYPES)
    assert issubclass(errors.LeaseIdError, InvalidLeaseError)
    assert issubclass(errors.LeaseConflictError, InvalidLeaseError)
    assert issubclass(errors.PoolMismatchError, PoolNotFoundError)
    assert issubclass(errors.UnsupportedClientError, TypeError)
    assert issubclass(errors.InvalidUrlError, ValueError)
    assert issubclass(errors.InvalidProxyError, ValueError)


def test_all_that_users_meet_are_public() -> None:
    internal = {errors.PoolMismatchError}
    assert {kind.__name__ for kind in TYPES - internal} <= set(pharox_redis.__all__)
    assert all(kind.__doc__ for kind in TYPES)
