"""Choosing a proxy: acquire and find.

Both ask a script for the best free match, and go on asking while it answers *again*: a view is
being filled, leases are due. A hit never needs a second trip. Where Python must decide (a
predicate), candidates come in pages in selector order, are tested here, and the first that passes
is asked for by id and revision; one that was taken meanwhile is passed over, and a scan that lost
one that way starts again before it says that nothing is free.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from pharox.exceptions import InvalidLeaseError, PoolNotFoundError, ProxyNotFoundError
from pharox.models import Lease, PoolStatsSnapshot, Proxy, ProxyFilters, SelectorStrategy

from pharox_redis.codec import REVISION, decode_granted, decode_lease, decode_proxy, decode_stats
from pharox_redis.errors import PoolMismatchError, PredicateScanLimitError
from pharox_redis.filters import Compiled, compile_filters
from pharox_redis.flows.base import Context, Flow, Pause, PoolRef
from pharox_redis.flows.directory import consumer_id, pool_by_name, pool_of_proxy
from pharox_redis.flows.pools import get_pool_stats
from pharox_redis.models import ProxyLease, new_lease_id
from pharox_redis.scripts import Call, load
from pharox_redis.settings import TEN_YEARS_SECONDS

ACQUIRE = load("acquire")
CANDIDATES = load("candidates")
CREATE_LEASE = load("create_lease")
FIND = load("find")

_LETTERS = {
    SelectorStrategy.FIRST_AVAILABLE: "f",
    SelectorStrategy.LEAST_USED: "u",
    SelectorStrategy.ROUND_ROBIN: "r",
    SelectorStrategy.LOWEST_LATENCY: "l",
}
_RESTARTS = 5
_NO_PROXY = "- 0"


class Acquired(NamedTuple):
    """What an acquire brought: a lease or none, and the pool's figures if they were wanted."""

    lease: ProxyLease | None
    stats: PoolStatsSnapshot | None


class Question(NamedTuple):
    """What is asked of a pool's scripts at one moment."""

    pool: PoolRef
    hints: str
    origin: str
    wanted: str


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
) -> Flow[Acquired]:
    """Lease the best free match. One trip in the steady state; errors as the storage's method."""
    span = duration_ms(duration_seconds)
    letter = _LETTERS[SelectorStrategy(selector or SelectorStrategy.FIRST_AVAILABLE)]
    compiled = compile_filters(filters)
    made: dict[UUID, str] = {}
    consumer: str | None = None

    def ask(question: Question) -> Call:
        pool = question.pool
        if pool.id not in made:
            made[pool.id] = str(lease_id or new_lease_id(pool.id))
        return ACQUIRE(
            pool.key,
            pool_name=pool_name,
            lease_id=made[pool.id],
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

    if (yield from pool_by_name(ctx, pool_name)) is None:
        raise PoolNotFoundError(_no_pool(pool_name))
    consumer = yield from consumer_id(ctx, consumer_name)
    pool, reply = yield from _offer(
        ctx, pool_name, filters, compiled, letter, ask, "", probe=lease_id is not None
    )
    if reply is None or reply[0] == "none":
        figures = reply[1] if reply else None
        if want_stats and not figures:
            return Acquired(None, (yield from get_pool_stats(ctx, pool_name)))
        return Acquired(None, decode_stats(pool_name, figures) if figures else None)
    lease = decode_granted(ctx.proxy_model, pool.id, pool_name, made[pool.id], reply)
    return Acquired(lease, decode_stats(pool_name, reply[9]) if reply[9] else None)


def find(
    ctx: Context,
    pool_name: str,
    filters: ProxyFilters | None,
    selector: SelectorStrategy | None,
) -> Flow[Proxy | None]:
    """The best free match, held for the caller for a moment. One trip in the steady state."""
    letter = _LETTERS[SelectorStrategy(selector or SelectorStrategy.FIRST_AVAILABLE)]
    compiled = compile_filters(filters)
    token = ctx.callers.token()

    def ask(question: Question) -> Call:
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
        ctx.warn_once(pool_name, _no_pool(pool_name))
        return None
    try:
        pool, reply = yield from _offer(ctx, pool_name, filters, compiled, letter, ask, token)
    except PoolNotFoundError:
        ctx.warn_once(pool_name, _no_pool(pool_name))
        return None
    if reply is None or reply[0] == "none":
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
    lease_id = str(new_lease_id(pool.id))
    for attempt in range(2):
        try:
            reply = yield CREATE_LEASE(
                pool.key,
                proxy_id=str(proxy.id),
                lease_id=lease_id,
                consumer=consumer,
                duration_ms=span,
                retention_ms=ctx.retention_ms,
                token=token,
            )
        except (PoolMismatchError, ProxyNotFoundError):
            known = yield from pool_of_proxy(ctx, proxy.id)
            if attempt or known is None or known.id == pool.id:
                break
            pool, lease_id = known, str(new_lease_id(known.id))
        else:
            ctx.callers.used(token, pool.id)
            acquired, expires, released, owner, proxy_id, name = reply
            lease: Lease = decode_lease(
                Lease, pool.id, name, lease_id, proxy_id, owner, acquired, expires, released
            )
            return lease
    raise ProxyNotFoundError(f"Proxy with ID {proxy.id} not found in storage.")


def _no_pool(name: str) -> str:
    return f"Pool {name!r} does not exist; create it with ensure_pool({name!r})."


def _offer(
    ctx: Context,
    pool_name: str,
    filters: ProxyFilters | None,
    compiled: Compiled,
    letter: str,
    ask: Callable[[Question], Call],
    token: str,
    probe: bool = False,
) -> Flow[tuple[PoolRef, Any]]:
    """The pool and the script's answer (None: no candidate passed). A stale cache is refreshed
    once; then ``PoolNotFoundError``."""
    refresh = False
    while True:
        pool = yield from pool_by_name(ctx, pool_name, refresh)
        if pool is None:
            raise PoolNotFoundError(_no_pool(pool_name))
        try:
            if compiled.exact or filters is None:
                return pool, (yield from _ask_until_told(ctx, pool, compiled, letter, ask))
            if probe:
                reply = yield ask(Question(pool, "", "", _NO_PROXY))
                if reply[0] == "lease":
                    return pool, reply
            return pool, (
                yield from _scan(ctx, pool, pool_name, filters, compiled, letter, ask, token)
            )
        except PoolMismatchError:
            ctx.pools.drop(pool_name)
            if refresh:
                raise PoolNotFoundError(_no_pool(pool_name)) from None
            refresh = True


def _ask_until_told(
    ctx: Context,
    pool: PoolRef,
    compiled: Compiled,
    letter: str,
    ask: Callable[[Question], Call],
) -> Flow[Any]:
    hints = ctx.hints(pool.id, letter, compiled.digest)
    origin = ""
    while True:
        reply = yield ask(Question(pool, hints, origin, ""))
        if reply[0] != "again":
            return reply
        _, wait_us, origin = reply
        if wait_us > 0:
            yield Pause(wait_us / 1_000_000)


def _scan(
    ctx: Context,
    pool: PoolRef,
    pool_name: str,
    filters: ProxyFilters,
    compiled: Compiled,
    letter: str,
    ask: Callable[[Question], Call],
    token: str,
) -> Flow[Any]:
    limit, tested = ctx.settings.predicate_scan_limit, 0
    for _ in range(_RESTARTS):
        origin, wanted, lost = "", 16, False
        while True:
            reply = yield CANDIDATES(
                pool.key,
                pool_name=pool_name,
                selector=letter,
                digest=compiled.digest,
                program=compiled.program,
                limits=ctx.limits,
                **{"from": origin},
                wanted=wanted,
                token=token or ctx.callers.open_claim(pool.id, ctx.settings.claim_seconds),
            )
            if reply[0] == "again":
                _, wait_us, origin = reply
                if wait_us > 0:
                    yield Pause(wait_us / 1_000_000)
                continue
            _, origin, *candidates = reply
            for proxy_id, document, fields, leases in candidates:
                if tested >= limit:
                    raise PredicateScanLimitError(
                        f"The predicate refused {tested} proxies of pool {pool_name!r}; "
                        "narrow the search with other filters or raise predicate_scan_limit."
                    )
                tested += 1
                proxy = decode_proxy(ctx.proxy_model, pool.id, proxy_id, document, fields, leases)
                if not filters.matches(proxy):
                    continue
                answer = yield ask(Question(pool, "", "", f"{proxy_id} {fields[REVISION]}"))
                if answer[0] != "taken":
                    return answer
                lost = True
            wanted = 200
            if origin == "":
                break
        if not lost:
            break
    return None
