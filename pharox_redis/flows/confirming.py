"""A lease that must not be given, or not be left: confirmed by replicas first, or taken back."""

from __future__ import annotations

from pharox_redis.errors import NotReplicatedError, StorageAccessError, StorageUnavailableError
from pharox_redis.flows.base import Command, Context, Flow, OnMaster, PoolRef
from pharox_redis.scripts import Call, load

RELEASE = load("release")

# How long an id stays void, ms: longer than a command can be on its way.
_VOID_MS = 60_000


def confirm(
    ctx: Context, pool: PoolRef, lease_id: str, expires_ms: int, own: bool = False
) -> Flow[None]:
    """Wait until ``min_replicas`` replicas have a lease. One trip. Raises ``NotReplicatedError``.

    ``WAIT`` waits for what its own connection wrote, and on Valkey only for what a command really
    changed. So the same connection writes after the lease was written: ``GETEX`` sets the record's
    expiry to what it is. It also shows that the record is there: after a fail-over the server asked
    may be another than the one that granted the lease, and know nothing of it.
    """
    wanted, seconds = ctx.settings.min_replicas, ctx.settings.replica_timeout
    record = ctx.keys.lease(pool.id, lease_id)
    try:
        there, acknowledged = yield OnMaster(
            pool.key,
            (
                Command(("GETEX", record, "PXAT", expires_ms + ctx.retention_ms)),
                Command(("WAIT", wanted, round(seconds * 1000))),
            ),
        )
    except StorageUnavailableError as error:
        there = acknowledged = error
    known = isinstance(there, str) and isinstance(acknowledged, int)
    if known and acknowledged >= wanted:
        return None
    if not own:
        yield take_back(pool, lease_id)
    for reply in (there, acknowledged):
        if isinstance(reply, StorageAccessError):
            raise reply
    raise NotReplicatedError(
        f"Lease {lease_id} was confirmed by "
        f"{acknowledged if known else 'no'} of {wanted} replicas "
        f"(min_replicas) within {seconds} s; try again."
    )


def take_back(pool: PoolRef, lease_id: str) -> Call:
    """End a lease that nobody will hear of, and make sure that it is not granted later: the call
    that asked for it may still be on its way."""
    return RELEASE(
        pool.key,
        lease_id=lease_id,
        proxy_id="",
        retention_ms=_VOID_MS,
        want_stats="",
        void="1",
    )
