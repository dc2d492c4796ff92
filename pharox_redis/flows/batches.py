"""Many leases in one call: acquired together, released together.

A call of the script grants up to a hundred leases, each as acquire would. A larger batch, or one
that a chunk's time was too short for, goes on with another call. What a batch has is never thrown
away: when a later call fails, the leases of the earlier ones are what it brings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pharox.exceptions import PharoxError, PoolNotFoundError
from pharox.models import Lease, ProxyFilters, SelectorStrategy

from pharox_redis.codec import decode_granted
from pharox_redis.errors import CorruptRecordError, PoolMismatchError
from pharox_redis.filters import Compiled, compile_filters
from pharox_redis.flows import leases
from pharox_redis.flows.base import (
    Context,
    Flow,
    Interrupted,
    Pause,
    PoolRef,
    in_chunks,
    in_turns,
)
from pharox_redis.flows.choosing import no_pool
from pharox_redis.flows.confirming import confirm, take_all_back
from pharox_redis.flows.directory import consumer_id, pool_by_name
from pharox_redis.flows.leasing import acquire, duration_ms, letter_of
from pharox_redis.keys import lease_tail
from pharox_redis.models import ProxyLease, new_lease_tail
from pharox_redis.scripts import Call, load

ACQUIRE_MANY = load("acquire_many")
RELEASE_MANY = load("release_many")

_AT_ONCE = 100
_MOST = 10_000


def acquire_many(
    ctx: Context,
    pool_name: str,
    consumer_name: str,
    duration_seconds: float,
    count: int,
    filters: ProxyFilters | None,
    selector: SelectorStrategy | None,
    distinct: bool,
) -> Flow[list[ProxyLease]]:
    """Up to ``count`` leases, as many as there are. A trip per hundred in the steady state."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MOST:
        raise ValueError(f"count must be a whole number from 1 to {_MOST:,}, not {count!r}.")
    span = duration_ms(duration_seconds)
    letter, compiled = letter_of(selector), compile_filters(filters)
    if filters is not None and not compiled.exact:
        return (
            yield from _one_by_one(
                ctx, pool_name, consumer_name, duration_seconds, count, filters, selector, distinct
            )
        )
    pool = yield from pool_by_name(ctx, pool_name)
    if pool is None:
        raise PoolNotFoundError(no_pool(pool_name))
    consumer = yield from consumer_id(ctx, consumer_name)
    batch = _Batch(ctx, pool_name, consumer, span, compiled, letter, distinct)
    try:
        return (yield from batch.fetch(pool, count))
    except PoolMismatchError:
        pool = yield from pool_by_name(ctx, pool_name, refresh=True)
    try:
        if pool is not None:
            return (yield from batch.fetch(pool, count))
    except PoolMismatchError:
        ctx.pools.drop(pool_name)
    raise PoolNotFoundError(no_pool(pool_name))


class _Batch:
    """What is asked for, and what has been granted."""

    def __init__(
        self,
        ctx: Context,
        pool_name: str,
        consumer: str,
        span: int,
        compiled: Compiled,
        letter: str,
        distinct: bool,
    ) -> None:
        self._ctx, self._name, self._consumer, self._span = ctx, pool_name, consumer, span
        self._compiled, self._letter, self._distinct = compiled, letter, distinct
        self._granted: list[ProxyLease] = []

    def fetch(self, pool: PoolRef, count: int) -> Flow[list[ProxyLease]]:
        """The leases. Raises ``PoolMismatchError`` if the first call finds another pool."""
        ids: list[str] = []
        try:
            hints, origin = self._ctx.hints(pool, self._letter, self._compiled.digest), ""
            while True:
                left = count - len(self._granted)
                ids = [new_lease_tail() for _ in range(min(left, _AT_ONCE))]
                wait_us, origin, *rows = yield self._call(pool, ids, hints, origin)
                yield from self._take(pool, rows)
                if len(rows) == left or (wait_us < 0 and len(rows) < len(ids)):
                    break
                ids = []
                if wait_us > 0:
                    yield Pause(wait_us / 1_000_000)
        except Interrupted:
            given = [*(lease_tail(str(lease.id)) for lease in self._granted), *ids]
            if given:
                yield from take_all_back([(pool, tail) for tail in dict.fromkeys(given)])
            raise
        except PharoxError:
            if not self._granted:
                raise
        return self._granted

    def _call(self, pool: PoolRef, ids: list[str], hints: str, origin: str) -> Call:
        ctx = self._ctx
        taken = [str(lease.proxy_id) for lease in self._granted] if self._distinct else []
        return ACQUIRE_MANY(
            pool.key,
            *ids,
            pool_name=self._name,
            consumer=self._consumer,
            duration_ms=self._span,
            retention_ms=ctx.retention_ms,
            selector=self._letter,
            digest=self._compiled.digest,
            program=self._compiled.program,
            hints=hints,
            limits=ctx.limits,
            **{"from": origin},
            taken=" ".join(taken),
            distinct="1" if self._distinct else "",
            token=ctx.callers.open_claim(pool.id, ctx.settings.claim_seconds),
        )

    def _take(self, pool: PoolRef, rows: list[Any]) -> Flow[None]:
        """Add the leases of a reply to those granted."""
        ctx = self._ctx
        if ctx.settings.min_replicas:
            live = [(row[0], row[2]) for row in rows if row[3] == ""]
            if live:
                yield from confirm(ctx, pool, live)
        self._granted += yield from in_turns(
            rows,
            lambda row: decode_granted(
                ctx.proxy_model, pool.id, self._name, (pool.lease_id(row[0]), *row[1:])
            ),
        )


def _one_by_one(
    ctx: Context,
    pool_name: str,
    consumer_name: str,
    duration_seconds: float,
    count: int,
    filters: ProxyFilters,
    selector: SelectorStrategy | None,
    distinct: bool,
) -> Flow[list[ProxyLease]]:
    """Where Python must decide (a predicate), each lease is a scan of its own."""
    granted: list[ProxyLease] = []
    while len(granted) < count:
        without = {str(lease.proxy_id) for lease in granted} if distinct else set()
        try:
            lease, _ = yield from acquire(
                ctx,
                pool_name,
                consumer_name,
                duration_seconds,
                filters,
                selector,
                None,
                without=without,
            )
        except Interrupted:
            if granted:
                yield from take_all_back(
                    [
                        (ctx.pool_ref(_pool_of(known)), lease_tail(str(known.id)))
                        for known in granted
                    ]
                )
            raise
        except PharoxError:
            if not granted:
                raise
            break
        if lease is None:
            break
        granted.append(lease)
    return granted


def release_many(ctx: Context, held: Sequence[Lease]) -> Flow[int]:
    """End leases; how many this ended. A trip for all pools' hundreds together, and another for
    what a chunk's time was too short for.

    Where leases do not name their pool, or their ids are not that pool's, the directory is asked
    once, if the cache does not know. What fails is raised after all others were released.
    """
    by_pool: defaultdict[PoolRef, list[Lease]] = defaultdict(list)
    strays: list[Lease] = []
    for lease in held:
        ref = ctx.pool_ref(lease.pool_id) if lease.pool_id is not None else None
        if ref is not None and str(lease.id).startswith(ref.prefix):
            by_pool[ref].append(lease)
        else:
            strays.append(lease)
    if strays:
        for ref, lease in (yield from leases.pools_of_leases(ctx, strays)):
            by_pool[ref].append(lease)
    todo = [(ref, some) for ref, all_ in by_pool.items() for some in in_chunks(all_, _AT_ONCE)]
    ended, failed = 0, list[PharoxError]()
    while todo:
        calls = [
            RELEASE_MANY(
                ref.key,
                *(
                    text
                    for lease in some
                    for text in (lease_tail(str(lease.id)), str(lease.proxy_id))
                ),
                retention_ms=ctx.retention_ms,
                chunk_us=ctx.chunk_us,
            )
            for ref, some in todo
        ]
        replies = [(yield calls[0])] if len(calls) == 1 else (yield list(calls))
        left: list[tuple[PoolRef, list[Lease]]] = []
        for (ref, some), reply in zip(todo, replies, strict=True):
            if isinstance(reply, PharoxError):
                failed.append(reply)
                continue
            ended += reply.count(1)
            failed += [
                CorruptRecordError(f"Lease {lease.id} of pool {ref.id} cannot be read.")
                for lease, told in zip(some, reply, strict=False)
                if told < 0
            ]
            if len(reply) < len(some):
                left.append((ref, some[len(reply) :]))
        todo = left
    if failed:
        raise failed[0]
    return ended


def _names_of(lease: Lease) -> tuple[str, str]:
    """What ``release_many`` is told of a lease."""
    return lease_tail(str(lease.id)), str(lease.proxy_id)


def _pool_of(lease: Lease) -> UUID:
    assert lease.pool_id is not None, "our own leases name their pool"
    return lease.pool_id
