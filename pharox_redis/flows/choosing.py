"""Putting a question to a pool's scripts until there is an answer.

The scripts of acquire and find pick the best free match; while they answer *again* (a view is being
filled, leases are due) the question is put once more. A hit never needs a second trip. Where Python
must decide (a predicate), candidates come in pages in selector order, are tested here, and the
first that passes is asked for by id and revision; one that was taken meanwhile is passed over, and
a scan that lost one that way starts again before it says that nothing is free.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from pharox.exceptions import PoolNotFoundError
from pharox.models import ProxyFilters

from pharox_redis.codec import REVISION, decode_proxy
from pharox_redis.errors import PoolMismatchError, PredicateScanLimitError
from pharox_redis.filters import Compiled
from pharox_redis.flows.base import AT_ONCE, BREATH, Context, Flow, Pause, PoolRef
from pharox_redis.flows.directory import pool_by_name
from pharox_redis.scripts import Call, load

CANDIDATES = load("candidates")

_RESTARTS = 5
_NO_PROXY = "- 0"


class Question(NamedTuple):
    """What is asked of a pool's scripts at one moment."""

    pool: PoolRef
    hints: str
    origin: str
    wanted: str


def no_pool(name: str) -> str:
    """What is wrong, and what to do."""
    return f"Pool {name!r} does not exist; create it with ensure_pool({name!r})."


def offer(
    ctx: Context,
    pool_name: str,
    filters: ProxyFilters | None,
    compiled: Compiled,
    letter: str,
    ask: Callable[[Question], Call],
    token: str,
    probe: bool = False,
    without: Collection[str] = (),
) -> Flow[tuple[PoolRef, Any]]:
    """The pool and the script's answer (None: no candidate passed). A stale cache is refreshed
    once; then ``PoolNotFoundError``."""
    refresh = False
    while True:
        pool = yield from pool_by_name(ctx, pool_name, refresh)
        if pool is None:
            raise PoolNotFoundError(no_pool(pool_name))
        try:
            if compiled.exact or filters is None:
                return pool, (yield from _ask_until_told(ctx, pool, compiled, letter, ask))
            if probe:
                reply = yield ask(Question(pool, "", "", _NO_PROXY))
                if reply[0] == "lease":
                    return pool, reply
            return pool, (
                yield from _scan(
                    ctx, pool, pool_name, filters, compiled, letter, ask, token, without
                )
            )
        except PoolMismatchError:
            ctx.pools.drop(pool_name)
            if refresh:
                raise PoolNotFoundError(no_pool(pool_name)) from None
            refresh = True


def _ask_until_told(
    ctx: Context,
    pool: PoolRef,
    compiled: Compiled,
    letter: str,
    ask: Callable[[Question], Call],
) -> Flow[Any]:
    hints = ctx.hints(pool, letter, compiled.digest)
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
    without: Collection[str],
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
                if proxy_id in without:
                    continue
                if tested >= limit:
                    raise PredicateScanLimitError(
                        f"The predicate refused {tested} proxies of pool {pool_name!r}; "
                        "narrow the search with other filters or raise predicate_scan_limit."
                    )
                tested += 1
                if tested % AT_ONCE == 0:
                    yield BREATH
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
