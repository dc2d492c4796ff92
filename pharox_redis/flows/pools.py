"""Pools: their models, names and figures.

Create: claim the name, then make the pool, then look whether the name is still ours. Rename: claim
the new name, change the pool, release the old name. Delete: hide the pool, empty it in chunks, and
release the name last. Each step can be repeated, so that whatever breaks off between two of them
is carried on, or made void, by whoever comes next. Names are released by compare-and-delete only.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pharox.exceptions import PoolNotFoundError
from pharox.models import PoolStatsSnapshot, ProxyPool

from pharox_redis.codec import decode_pool, decode_stats, encode_pool
from pharox_redis.errors import PoolMismatchError, PoolNameTakenError
from pharox_redis.flows.base import Command, Context, Flow, PoolRef, checked
from pharox_redis.flows.directory import GET_POOL, all_pools, parse_tag, pool_by_name
from pharox_redis.scripts import load

HIDE_POOL = load("hide_pool")
PURGE_POOL = load("purge_pool")
SAVE_POOL = load("save_pool")
STATS = load("stats")
SWAP_ENTRY = load("swap_entry")

_ATTEMPTS = 10


def parse_uuid(value: UUID | str) -> UUID | None:
    """A UUID from what callers pass, None if it is none."""
    try:
        return value if isinstance(value, UUID) else UUID(str(value))
    except ValueError:
        return None


def swap(ctx: Context, key: str, field: str, expected: str, wanted: str) -> Any:
    """The call that changes a directory entry if it still says ``expected``."""
    return SWAP_ENTRY(key, field=field, expected=expected, wanted=wanted)


def get_pool(ctx: Context, pool_id: UUID | str) -> Flow[ProxyPool]:
    """A pool by id. One trip. Raises ``PoolNotFoundError``."""
    known = parse_uuid(pool_id)
    reply = (yield GET_POOL(ctx.keys.pool(known))) if known else []
    if known is None or not reply or reply[0] == "":
        raise PoolNotFoundError(f"Pool with ID {pool_id} does not exist.")
    return decode_pool(known, reply[0], reply[1])


def get_pool_by_name(ctx: Context, name: str) -> Flow[ProxyPool | None]:
    """A pool by name, None if there is none. Two trips."""
    ref = yield from pool_by_name(ctx, name, refresh=True)
    if ref is None:
        return None
    reply = yield GET_POOL(ref.key)
    if not reply or reply[0] != name:
        ctx.pools.drop(name)
        return None
    return decode_pool(ref.id, name, reply[1])


def list_pools(ctx: Context) -> Flow[list[ProxyPool]]:
    """Every pool, by name. Two trips."""
    entries = yield from all_pools(ctx)
    if not entries:
        return []
    replies = yield [GET_POOL(ref.key) for _, ref in entries]
    found = [
        decode_pool(ref.id, name, reply[1])
        for (name, ref), reply in zip(entries, checked(replies), strict=True)
        if reply and reply[0] == name
    ]
    return sorted(found, key=lambda pool: pool.name)


def get_pool_stats(ctx: Context, name: str) -> Flow[PoolStatsSnapshot | None]:
    """A pool's figures, None (and a warning, once) if there is no such pool. One trip."""
    for refresh in (False, True):
        ref = yield from pool_by_name(ctx, name, refresh)
        if ref is None:
            break
        try:
            return decode_stats(name, (yield STATS(ref.key, pool_name=name)))
        except PoolMismatchError:
            ctx.pools.drop(name)
    ctx.warn_once(name, f"Pool {name!r} does not exist.")
    return None


def save_pool(ctx: Context, pool: ProxyPool) -> Flow[None]:
    """Create a pool, or change its description or name. Three trips.

    Raises ``PoolNameTakenError``, ``PoolDeletingError``.
    """
    ref, names = ctx.pool_ref(pool.id), ctx.keys.pools()
    tag = ctx.tag(pool.id)
    # The name must be encodable before anything is claimed.
    document = encode_pool(pool)
    yield from _claim_name(ctx, pool.name, ref)
    try:
        before = yield SAVE_POOL(ref.key, name=pool.name, document=document, prefix=ref.prefix)
    except Exception:
        current = yield GET_POOL(ref.key)
        if not current or current[0] != pool.name:
            yield swap(ctx, names, pool.name, tag, "")
        raise
    if (yield Command(("HGET", names, pool.name))) != tag:
        # Another client found the claim void (no pool confirmed it yet) and took it over.
        if before == "":
            yield from _remove(ctx, ref)
        elif before != pool.name:
            yield SAVE_POOL(ref.key, name=before, document=document, prefix=ref.prefix)
        raise PoolNameTakenError(f"Pool name {pool.name!r} was taken meanwhile; try again.")
    if before not in ("", pool.name):
        yield swap(ctx, names, before, tag, "")
        ctx.pools.drop(before)
    ctx.pools.put(pool.name, ref)
    return None


def ensure_pool(ctx: Context, name: str) -> Flow[ProxyPool]:
    """The pool of that name, made if there is none. Two trips, or five."""
    for _ in range(_ATTEMPTS):
        known = yield from get_pool_by_name(ctx, name)
        if known is not None:
            return known
        made = ProxyPool(name=name)
        try:
            yield from save_pool(ctx, made)
        except PoolNameTakenError:
            continue
        return made
    raise PoolNameTakenError(f"Pool name {name!r} changes hands too fast; try again.")


def delete_pool(ctx: Context, pool_id: UUID | str) -> Flow[None]:
    """Delete a pool with all that is in it. Trips grow with its proxies.

    Raises ``PoolNotFoundError``. A delete that was broken off is carried on.
    """
    known = parse_uuid(pool_id)
    ref = ctx.pool_ref(known) if known else None
    if ref is None or not (yield from _remove(ctx, ref)):
        if ref is not None:
            yield from _release_void_names(ctx, ref)
        raise PoolNotFoundError(f"Pool with ID {pool_id} does not exist.")
    return None


def _claim_name(ctx: Context, name: str, ref: PoolRef) -> Flow[None]:
    key, tag = ctx.keys.pools(), ctx.tag(ref.id)
    for _ in range(_ATTEMPTS):
        replies = yield [Command(("HSETNX", key, name, tag)), Command(("HGET", key, name))]
        owner = checked(replies)[1]
        if owner == tag:
            return None
        if owner is None:
            continue
        other = ctx.pool_ref(parse_tag(owner, f"of pool name {name!r}"))
        reply = yield GET_POOL(other.key)
        if reply and reply[0] == name:
            break
        if reply and reply[0] == "":
            yield from _remove(ctx, other)
            continue
        if (yield swap(ctx, key, name, owner, tag)) != tag:
            continue
        # The other may have been made between our look and our swap: then the name is its.
        reply = yield GET_POOL(other.key)
        if not reply or reply[0] != name:
            return None
        yield swap(ctx, key, name, tag, owner)
        break
    raise PoolNameTakenError(
        f"Pool name {name!r} belongs to another pool; ensure_pool({name!r}) returns it."
    )


def _remove(ctx: Context, ref: PoolRef) -> Flow[bool]:
    """Hide, empty, release the name; False if the pool is unknown."""
    hidden = yield HIDE_POOL(ref.key)
    if not hidden:
        return False
    name, tag = hidden[0], ctx.tag(ref.id)
    ctx.pools.drop(name)
    done = False
    while not done:
        listed, gone = checked(
            (
                yield [
                    Command(("ZRANGE", ref.key + ":proxies", 0, 199)),
                    Command(("SRANDMEMBER", ref.key + ":gone", 100)),
                ]
            )
        )
        ids = [*listed, *gone]
        if ids:
            checked((yield [swap(ctx, ctx.keys.directory(i), i, tag, "") for i in ids]))
        done = bool((yield PURGE_POOL(ref.key, *ids, chunk_us=ctx.chunk_us)))
    yield swap(ctx, ctx.keys.pools(), name, tag, "")
    return True


def _release_void_names(ctx: Context, ref: PoolRef) -> Flow[None]:
    """A delete that was broken off right before its last step left its name: release it."""
    for name, other in (yield from all_pools(ctx)):
        if other.id == ref.id:
            ctx.pools.drop(name)
            reply = yield GET_POOL(ref.key)
            if not reply:
                yield swap(ctx, ctx.keys.pools(), name, ctx.tag(ref.id), "")
    return None
