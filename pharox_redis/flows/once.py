"""Acquiring once: a request that is repeated under the same key gets the lease it got before.

The lease's id derives from the key, so whoever repeats the request while the lease's record lives
meets that record. Beside it stands, for as long as the caller wants the key to be known, a note:
the request's fingerprint, and once a lease was granted what it was. So another request under the
key is refused, and one that is repeated after the record is gone is told of the lease that has
ended instead of being granted a second one.

A caller that dies between the grant and the note of it leaves the fingerprint alone: the repeated
request finds the lease by its id, and after the end of its retention, when nobody can have heard of
it, is granted one anew.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pharox.exceptions import PoolNotFoundError
from pharox.models import Lease, ProxyFilters, SelectorStrategy

from pharox_redis.codec import EPOCH, decode_lease
from pharox_redis.errors import CorruptRecordError, IdempotencyConflictError
from pharox_redis.flows.base import Command, Context, Flow, PoolRef, checked
from pharox_redis.flows.choosing import no_pool
from pharox_redis.flows.directory import GET_POOL, pool_by_name
from pharox_redis.flows.leases import GET_LEASE
from pharox_redis.flows.leasing import acquire, duration_ms
from pharox_redis.keys import lease_tail
from pharox_redis.models import new_lease_id
from pharox_redis.settings import TEN_YEARS_SECONDS


def acquire_once(
    ctx: Context,
    pool_name: str,
    consumer_name: str,
    duration_seconds: float,
    filters: ProxyFilters | None,
    selector: SelectorStrategy | None,
    key: bytes,
    fingerprint: str,
    keep_seconds: float,
) -> Flow[Lease | None]:
    """The lease that this key was or is now granted. Four trips, or two for one granted before.

    Raises ``IdempotencyConflictError`` if the key was used with another fingerprint, and what
    ``acquire`` raises; ``ValueError`` for a fingerprint or a time that cannot be used.
    """
    if not fingerprint or not fingerprint.isascii() or not fingerprint.isalnum():
        raise ValueError(f"fingerprint must be ASCII letters and digits, not {fingerprint!r}.")
    if not 0.001 <= keep_seconds <= TEN_YEARS_SECONDS:
        raise ValueError(f"keep_seconds must be 0.001 to ten years, not {keep_seconds!r}.")
    # Not shorter than the lease's record: while that lives the request is known in any case.
    keep = max(round(keep_seconds * 1000), duration_ms(duration_seconds) + ctx.retention_ms)
    pool = yield from _confirmed(ctx, pool_name)
    lease_id = new_lease_id(pool.id, key)
    note = ctx.keys.once(pool.id, lease_tail(str(lease_id)))
    replies = yield [
        Command(("SET", note, fingerprint, "NX", "PX", keep)),
        Command(("GET", note)),
    ]
    # What is known is told also where the server has no memory for another note.
    known, *granted = (replies[1] if isinstance(replies[1], str) else "").split(" ")
    if not known:
        checked(replies)
        known = fingerprint
    if known != fingerprint:
        raise IdempotencyConflictError(
            "This key was used for another request; a new request needs a new key."
        )
    if granted:
        return (yield from _granted_before(pool, pool_name, str(lease_id), granted))
    lease, _ = yield from acquire(
        ctx, pool_name, consumer_name, duration_seconds, filters, selector, lease_id
    )
    if lease is not None:
        words = (
            fingerprint,
            str(lease.proxy_id),
            str(lease.consumer_id),
            str(_millis(lease.acquired_at)),
            str(_millis(lease.expires_at)),
        )
        yield Command(("SET", note, " ".join(words), "PX", keep))
    return lease


def _confirmed(ctx: Context, name: str) -> Flow[PoolRef]:
    """The pool of a name, as its own key says: a note in another one's would go unseen later."""
    for refresh in (False, True):
        pool = yield from pool_by_name(ctx, name, refresh)
        if pool is not None and (yield GET_POOL(pool.key))[:2] == ["pool", name]:
            return pool
    raise PoolNotFoundError(no_pool(name))


def _granted_before(
    pool: PoolRef, pool_name: str, lease_id: str, granted: list[str]
) -> Flow[Lease]:
    reply = yield GET_LEASE(pool.key, lease_id=lease_tail(lease_id))
    lease: Lease
    if reply:
        _, *row, name = reply
        lease = decode_lease(Lease, pool.id, name, lease_id, *row)
        return lease
    try:
        proxy_id, consumer, acquired, expires = granted
        times = int(acquired), int(expires)
    except ValueError:
        raise CorruptRecordError(f"The note of lease {lease_id} cannot be read.") from None
    # Its record is gone, so it ended; when is not known any more but that it was by then.
    ended = min(times[1], _millis(datetime.now(UTC)))
    lease = decode_lease(
        Lease, pool.id, pool_name, lease_id, proxy_id, consumer, *times, max(times[0], ended)
    )
    return lease


def _millis(moment: datetime) -> int:
    return round((moment - EPOCH).total_seconds() * 1000)
