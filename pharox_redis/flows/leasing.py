"""Granting: acquire, find and create.

A lease's id is made here, before the call, so that a call that is sent twice leases once, and so
that what a cancelled caller may have been granted can be taken back.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from pharox.exceptions import (
    InvalidLeaseError,
    PharoxError,
    PoolNotFoundError,
    ProxyNotFoundError,
)
from pharox.models import Lease, PoolStatsSnapshot, Proxy, ProxyFilters, SelectorStrategy

from pharox_redis.codec import decode_granted, decode_lease, decode_proxy, decode_stats
from pharox_redis.errors import (
    LeaseConflictError,
    LeaseIdError,
    PoolMismatchError,
    PredicateScanLimitError,
    StorageFullError,
    StorageUnavailableError,
)
from pharox_redis.filters import compile_filters
from pharox_redis.flows.base import Context, Flow, Interrupted, PoolRef
from pharox_redis.flows.choosing import Question, no_pool, offer
from pharox_redis.flows.confirming import confirm, take_back
from pharox_redis.flows.directory import consumer_id, pool_by_name, pool_of_proxy
from pharox_redis.flows.pools import get_pool_stats
from pharox_redis.keys import lease_tail
from pharox_redis.models import ProxyLease, new_lease_tail
from pharox_redis.scripts import Call, load
from pharox_redis.settings import TEN_YEARS_SECONDS

ACQUIRE = load("acquire")
CREATE_LEASE = load("create_lease")
FIND = load("find")

_LETTERS: dict[SelectorStrategy | None, str] = {
    None: "f",
    SelectorStrategy.FIRST_AVAILABLE: "f",
    SelectorStrategy.LEAST_USED: "u",
    SelectorStrategy.ROUND_ROBIN: "r",
    SelectorStrategy.LOWEST_LATENCY: "l",
}


class Acquired(NamedTuple):
    """What an acquire brought: a lease or none, and the pool's figures if they were wanted."""

    lease: ProxyLease | None
    stats: PoolStatsSnapshot | None


def letter_of(selector: SelectorStrategy | None) -> str:
    """A selector as scripts name it. Raises ``ValueError`` for what is none."""
    return _LETTERS.get(selector) or _LETTERS[SelectorStrategy(selector)]  # its value will do, too


def _own_tail(pool: PoolRef, lease_id: UUID) -> str:
    """The tail of an id that the caller made. Raises ``LeaseIdError`` if it is not of the pool."""
    text = str(lease_id)
    if not text.startswith(pool.prefix):
        raise LeaseIdError(
            f"Lease ID {text} does not belong to this pool; make it with new_lease_id(pool_id)."
        )
    return lease_tail(text)


def duration_ms(seconds: float) -> int:
    """A lease's duration in ms. Raises ``InvalidLeaseError`` unless it is 1 ms to ten years."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidLeaseError(f"duration_seconds must be a number, not {seconds!r}.")
    if not 0.001 <= seconds <= TEN_YEARS_SECONDS:
        raise InvalidLeaseError(
            f"duration_seconds must be positive: 0.001 to {TEN_YEARS_SECONDS:.0f} s (ten years), "
            f"not {seconds!r}."
        )
    return round(seconds * 1000)


def acquire(
    ctx: Context,
    pool_name: str,
    consumer_name: str,
    duration_seconds: float,
    filters: ProxyFilters | None,
    selector: SelectorStrategy | None,
    lease_id: UUID | None,
    want_stats: bool = False,
    without: Collection[str] = (),
) -> Flow[Acquired]:
    """Lease the best free match. One trip in the steady state; errors as the storage's method.

    ``without`` are ids of proxies to pass over, which only a filter that Python must decide can.
    """
    span = duration_ms(duration_seconds)
    letter = letter_of(selector)
    compiled = compile_filters(filters)
    made: dict[str, tuple[PoolRef, str]] = {}
    consumer: str | None = None

    def ask(question: Question) -> Call:
        pool = question.pool
        if pool.key not in made:
            made[pool.key] = pool, _own_tail(pool, lease_id) if lease_id else new_lease_tail()
        return ACQUIRE(
            pool.key,
            pool_name=pool_name,
            lease_id=made[pool.key][1],
            consumer=consumer or "",
            duration_ms=span,
            retention_ms=ctx.retention_ms,
            selector=letter,
            digest=compiled.digest,
            program=compiled.program,
            hints=question.hints,
            limits=ctx.limits,
            **{"from": question.origin},
            wanted=question.wanted,
            want_stats="1" if want_stats else "",
            token=ctx.callers.open_claim(pool.id, ctx.settings.claim_seconds),
        )

    known = yield from pool_by_name(ctx, pool_name)
    if known is not None and lease_id and not str(lease_id).startswith(known.prefix):
        known = yield from pool_by_name(ctx, pool_name, refresh=True)
    if known is None:
        raise PoolNotFoundError(no_pool(pool_name))
    consumer = yield from consumer_id(ctx, consumer_name)
    try:
        pool, reply = yield from offer(
            ctx,
            pool_name,
            filters,
            compiled,
            letter,
            ask,
            "",
            probe=lease_id is not None,
            without=without,
        )
        if ctx.settings.min_replicas and reply is not None and reply[0] == "lease":
            _, _, expires, released, *_ = reply
            if released == "":
                granted_id = made[pool.key][1]
                yield from confirm(ctx, pool, [(granted_id, expires)], own=lease_id is not None)
    except Interrupted:
        # A lease with an id of the caller's own may be somebody's already; it is for the caller to
        # ask again with that id.
        if lease_id is None:
            for asked, granted in made.values():
                yield take_back(asked, granted)
        raise
    except LeaseConflictError:
        raise LeaseConflictError(
            f"Lease ID {lease_id} is in use for another consumer or proxy."
        ) from None
    if reply is None or reply[0] == "none":
        figures = reply[1] if reply else None
        if want_stats and not figures:
            return Acquired(None, (yield from get_pool_stats(ctx, pool_name)))
        return Acquired(None, decode_stats(pool_name, figures) if figures else None)
    lease = decode_granted(
        ctx.proxy_model, pool.id, pool_name, (pool.lease_id(made[pool.key][1]), *reply[1:9])
    )
    return Acquired(lease, decode_stats(pool_name, reply[9]) if reply[9] else None)


def acquire_from(
    ctx: Context,
    pool_names: Sequence[str],
    consumer_name: str,
    duration_seconds: float,
    filters: ProxyFilters | None,
    selector: SelectorStrategy | None,
    shuffle: bool,
) -> Flow[ProxyLease | None]:
    """A lease from the first pool that has one. A trip for each pool that is asked."""
    if isinstance(pool_names, str) or not pool_names:
        raise ValueError(f"pool_names must be a sequence of one or more names, not {pool_names!r}.")
    names = list(pool_names)
    if shuffle:
        random.shuffle(names)
    missing: list[PoolNotFoundError] = []
    ailing: PharoxError | None = None
    for name in names:
        try:
            lease, _ = yield from acquire(
                ctx, name, consumer_name, duration_seconds, filters, selector, None
            )
        except PoolNotFoundError as error:
            ctx.warn_once(name, str(error))
            missing.append(error)
        except (StorageUnavailableError, StorageFullError, PredicateScanLimitError) as error:
            # What ails this pool, or its master, need not ail the others.
            ailing = error
        else:
            if lease is not None:
                return lease
    if ailing is not None:
        raise ailing
    if len(missing) == len(names):
        raise missing[0]
    return None


def find(
    ctx: Context,
    pool_name: str,
    filters: ProxyFilters | None,
    selector: SelectorStrategy | None,
) -> Flow[Proxy | None]:
    """The best free match, held for the caller for a moment. One trip in the steady state."""
    letter = letter_of(selector)
    compiled = compile_filters(filters)
    token = ctx.callers.token()

    def ask(question: Question) -> Call:
        # Before the answer: it may get lost, and the claim would stand in the caller's own way.
        ctx.callers.asking(token, question.pool.id)
        return FIND(
            question.pool.key,
            pool_name=pool_name,
            token=token,
            claim_ms=ctx.claim_ms,
            selector=letter,
            digest=compiled.digest,
            program=compiled.program,
            hints=question.hints,
            limits=ctx.limits,
            **{"from": question.origin},
            wanted=question.wanted,
        )

    if (yield from pool_by_name(ctx, pool_name)) is None:
        ctx.warn_once(pool_name, no_pool(pool_name))
        return None
    try:
        pool, reply = yield from offer(ctx, pool_name, filters, compiled, letter, ask, token)
    except PoolNotFoundError:
        ctx.warn_once(pool_name, no_pool(pool_name))
        return None
    if reply is None or reply[0] == "none":
        ctx.callers.has_none(token, pool.id)
        return None
    _, proxy_id, document, fields, leases = reply
    proxy = decode_proxy(ctx.proxy_model, pool.id, proxy_id, document, fields, leases)
    ctx.callers.claimed(token, pool.id, proxy)
    return proxy


def create_lease(
    ctx: Context, proxy: Proxy, consumer_name: str, duration_seconds: float
) -> Flow[Lease]:
    """Lease a named proxy. One trip when the model names its pool rightly, else two more."""
    span = duration_ms(duration_seconds)
    consumer = yield from consumer_id(ctx, consumer_name)
    token = ctx.callers.claim_for(proxy)
    pool = ctx.pool_ref(proxy.pool_id)
    tail = new_lease_tail()
    for attempt in range(2):
        try:
            reply = yield CREATE_LEASE(
                pool.key,
                proxy_id=str(proxy.id),
                lease_id=tail,
                consumer=consumer,
                duration_ms=span,
                retention_ms=ctx.retention_ms,
                token=token,
            )
            if ctx.settings.min_replicas:
                yield from confirm(ctx, pool, [(tail, reply[1])])
        except Interrupted:
            yield take_back(pool, tail)
            raise
        except (PoolMismatchError, ProxyNotFoundError):
            known = yield from pool_of_proxy(ctx, proxy.id)
            if attempt or known is None or known.id == pool.id:
                break
            pool, tail = known, new_lease_tail()
        else:
            ctx.callers.used(token, pool.id, proxy.id)
            acquired, expires, released, owner, proxy_id, name = reply
            text = pool.lease_id(tail)
            lease: Lease = decode_lease(
                Lease, pool.id, name, text, proxy_id, owner, acquired, expires, released
            )
            return lease
    raise ProxyNotFoundError(f"Proxy with ID {proxy.id} not found in storage.")
