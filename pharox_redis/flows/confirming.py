"""A lease that must not be given, or not be left: confirmed by replicas first, or taken back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pharox_redis.errors import NotReplicatedError, StorageAccessError, StorageUnavailableError
from pharox_redis.flows.base import Command, Context, Flow, OnMaster, PoolRef
from pharox_redis.scripts import Call, load

RELEASE = load("release")

# How long an id stays void, ms: longer than a command can be on its way.
_VOID_MS = 60_000


def confirm(
    ctx: Context, pool: PoolRef, leases: Sequence[tuple[str, int]], own: bool = False
) -> Flow[None]:
    """Wait until ``min_replicas`` replicas have these leases, told by the tails of their ids, with
    when they expire in ms.

    One trip. Raises ``NotReplicatedError``; unless the ids are the caller's ``own`` the leases are
    taken back then.

    ``WAIT`` waits for what its own connection wrote, and on Valkey only for what a command really
    changed. So the same connection writes after the lease was written: ``GETEX`` sets the record's
    expiry to what it is. It also shows that the record is there: after a fail-over the server asked
    may be another than the one that granted the lease, and know nothing of it.
    """
    wanted, seconds = ctx.settings.min_replicas, ctx.settings.replica_timeout
    touches = [
        Command(("GETEX", ctx.keys.lease(pool.id, tail), "PXAT", expires + ctx.retention_ms))
        for tail, expires in leases
    ]
    wait = Command(("WAIT", wanted, round(seconds * 1000)))
    try:
        replies: list[Any] = yield OnMaster(pool.key, (*touches, wait))
    except StorageUnavailableError as error:
        replies = [error]
    *there, acknowledged = replies
    known = bool(there) and all(isinstance(record, str) for record in there)
    if known and isinstance(acknowledged, int) and acknowledged >= wanted:
        return None
    if not own:
        yield from take_all_back([(pool, tail) for tail, _ in leases])
    for reply in replies:
        if isinstance(reply, StorageAccessError):
            raise reply
    told = acknowledged if known and isinstance(acknowledged, int) else "no"
    which = f"{pool.lease_id(leases[0][0])} was"
    if len(leases) > 1:
        which = f"{pool.lease_id(leases[0][0])} and {len(leases) - 1} more were"
    raise NotReplicatedError(
        f"Lease {which} confirmed by {told} of {wanted} replicas "
        f"(min_replicas) within {seconds} s; try again."
    )


def take_all_back(leases: Sequence[tuple[PoolRef, str]]) -> Flow[None]:
    """Take back leases of any pools, in one trip; what could not be, because its node was away, is
    tried once more by itself: whoever drives the flow may insist on that."""
    if len(leases) == 1:
        yield take_back(*leases[0])
        return
    replies = yield [take_back(pool, tail) for pool, tail in leases]
    for (pool, tail), reply in zip(leases, replies, strict=True):
        if isinstance(reply, StorageUnavailableError):
            yield take_back(pool, tail)


def take_back(pool: PoolRef, tail: str) -> Call:
    """End a lease that nobody will hear of, and make sure that it is not granted later: the call
    that asked for it may still be on its way."""
    return RELEASE(
        pool.key,
        lease_id=tail,
        proxy_id="",
        retention_ms=_VOID_MS,
        want_stats="",
        void="1",
    )
