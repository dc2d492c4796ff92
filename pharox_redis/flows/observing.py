"""Looking on: pools with their figures, pages of proxies and of leases, names of consumers.

For whoever shows a fleet to people: bounded steps, so that a pool of a million proxies can be read
while it is in use. What is read page by page is no snapshot: what came or went meanwhile may be
missing, and nothing that stayed is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from pharox.exceptions import PoolNotFoundError

from pharox_redis.codec import decode_figures
from pharox_redis.errors import PoolMismatchError
from pharox_redis.flows.base import Command, Context, Flow, PoolRef, checked, in_turns
from pharox_redis.flows.directory import all_pools
from pharox_redis.flows.leases import LIST_LEASES, decode_row
from pharox_redis.flows.pools import parse_uuid
from pharox_redis.flows.proxies import LIST_PROXIES, decode_listed
from pharox_redis.models import LeasePage, PoolFigures, ProxyPage, ProxyState
from pharox_redis.scripts import load

POOL_FIGURES = load("pool_figures")

LARGEST_PAGE = 500
_NAMES_AT_ONCE = 1000


def list_figures(ctx: Context) -> Flow[list[PoolFigures]]:
    """Every pool with its figures, by name. Two trips."""
    entries = yield from all_pools(ctx)
    if not entries:
        return []
    replies = checked((yield [POOL_FIGURES(ref.key) for _, ref in entries]))
    found = yield from in_turns(
        (
            (ref, reply)
            for (name, ref), reply in zip(entries, replies, strict=True)
            if reply and reply[0] == name
        ),
        lambda each: decode_figures(each[0].id, each[1]),
    )
    return sorted(found, key=lambda figures: figures.pool.name)


def get_figures(ctx: Context, pool_id: UUID | str) -> Flow[PoolFigures]:
    """A pool with its figures. One trip. Raises ``PoolNotFoundError``."""
    ref = _known(ctx, pool_id)
    reply = yield POOL_FIGURES(ref.key)
    if not reply:
        raise _no_pool(pool_id)
    return decode_figures(ref.id, reply)


def page_proxies(ctx: Context, pool_id: UUID | str, after: str, limit: int) -> Flow[ProxyPage]:
    """Some of a pool's proxies, in insertion order. One trip. Raises ``PoolNotFoundError``."""
    ref = _known(ctx, pool_id)
    _check_limit(limit)
    if after and not (after.isascii() and after.isdigit()):
        raise ValueError(f"after is what the page before named as next, not {after!r}.")
    try:
        following, *rows = yield LIST_PROXIES(ref.key, after=after or "0", limit=limit)
    except PoolMismatchError:
        raise _no_pool(pool_id) from None

    def state(row: Sequence[Any]) -> ProxyState:
        *_, latency, retired = row
        proxy = decode_listed(ctx, ref, row)
        return ProxyState(proxy, int(latency) if latency != "" else None, retired == 1)

    return ProxyPage((yield from in_turns(rows, state)), following)


def page_leases(ctx: Context, pool_id: UUID | str, after: str, limit: int) -> Flow[LeasePage]:
    """Some of a pool's active leases, soonest to expire first. One trip.

    Raises ``PoolNotFoundError``. A page may have fewer than ``limit`` though more follow.
    """
    ref = _known(ctx, pool_id)
    _check_limit(limit)
    score, between, member = after.partition(" ")
    if after and not (
        score.isascii() and score.isdigit() and between and member.split() == [member]
    ):
        raise ValueError(f"after is what the page before named as next, not {after!r}.")
    following, name, *rows = yield LIST_LEASES(ref.key, **{"from": after}, consumer="", limit=limit)
    if not name:
        raise _no_pool(pool_id)
    found = yield from in_turns(rows, lambda row: decode_row(ref, name, row))
    return LeasePage(found, following)


def consumer_names(ctx: Context, ids: Collection[UUID]) -> Flow[dict[UUID, str]]:
    """The names of consumers; ids that nobody has are left out.

    No trip for those this client knows, else one for a thousand of all consumers, until all are
    found: the directory leads from names to ids.
    """
    names = {consumer: name for name, consumer in ctx.consumers.items()}
    names.update(ctx.holders.items())
    wanted = {str(each) for each in ids}
    missing, cursor = wanted - names.keys(), ""
    while missing and cursor != "0":
        reply = yield Command(
            ("HSCAN", ctx.keys.consumers(), cursor or "0", "COUNT", _NAMES_AT_ONCE)
        )
        cursor, entries = str(reply[0]), reply[1]
        pairs = (
            entries.items()
            if isinstance(entries, dict)
            else zip(entries[::2], entries[1::2], strict=True)
        )
        for name, consumer in pairs:
            if consumer in missing:
                missing.discard(consumer)
                names[consumer] = name
                ctx.holders.put(consumer, name)
    return {UUID(each): names[each] for each in wanted if each in names}


def _known(ctx: Context, pool_id: UUID | str) -> PoolRef:
    known = parse_uuid(pool_id)
    if known is None:
        raise _no_pool(pool_id)
    return ctx.pool_ref(known)


def _no_pool(pool_id: UUID | str) -> PoolNotFoundError:
    return PoolNotFoundError(f"Pool with ID {pool_id} does not exist.")


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= LARGEST_PAGE:
        raise ValueError(f"limit must be 1 to {LARGEST_PAGE}, not {limit!r}.")
