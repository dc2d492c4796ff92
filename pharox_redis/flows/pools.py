"""Pools: their models, names and figures.

Create: claim the name, then make the pool. Rename: claim the new name, change the pool, release the
old name. Delete: hide the pool, empty it in chunks, release the name, drop it. Each step can be
repeated, so that whatever breaks off between two of them is carried on, or made void, by whoever
comes next. Between a look at a pool and a change of the directory anything may happen, so a name is
only given away after its pool was *fenced*: made to refuse that name once.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Any
from uuid import UUID

from pharox.exceptions import PoolNotFoundError
from pharox.models import PoolStatsSnapshot, ProxyPool

from pharox_redis.codec import decode_pool, decode_stats, encode_pool
from pharox_redis.errors import PoolMismatchError, PoolNameTakenError
from pharox_redis.flows.base import Command, Context, Flow, PoolRef, checked, in_turns
from pharox_redis.flows.directory import GET_POOL, all_pools, parse_tag, pool_by_name
from pharox_redis.scripts import Call, load

FENCE_POOL = load("fence_pool")
HIDE_POOL = load("hide_pool")
LIST_HIDDEN = load("list_hidden")
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


def swap(key: str, field: str, expected: str, wanted: str) -> Any:
    """The call that changes a directory entry if it still says ``expected``."""
    return SWAP_ENTRY(key, field=field, expected=expected, wanted=wanted)


def get_pool(ctx: Context, pool_id: UUID | str) -> Flow[ProxyPool]:
    """A pool by id. One trip. Raises ``PoolNotFoundError``."""
    known = parse_uuid(pool_id)
    reply = (yield GET_POOL(ctx.keys.pool(known))) if known else []
    if known is None or not reply or reply[0] != "pool":
        raise PoolNotFoundError(f"Pool with ID {pool_id} does not exist.")
    return decode_pool(known, reply[1], reply[2])


def get_pool_by_name(ctx: Context, name: str) -> Flow[ProxyPool | None]:
    """A pool by name, None if there is none. Two trips."""
    ref = yield from pool_by_name(ctx, name, refresh=True)
    if ref is None:
        return None
    reply = yield GET_POOL(ref.key)
    if reply[:2] != ["pool", name]:
        ctx.pools.drop(name)
        return None
    return decode_pool(ref.id, name, reply[2])


def list_pools(ctx: Context) -> Flow[list[ProxyPool]]:
    """Every pool, by name. Two trips."""
    entries = yield from all_pools(ctx)
    if not entries:
        return []
    replies = yield [GET_POOL(ref.key) for _, ref in entries]
    found = yield from in_turns(
        (
            (ref.id, name, reply[2])
            for (name, ref), reply in zip(entries, checked(replies), strict=True)
            if reply[:2] == ["pool", name]
        ),
        lambda known: decode_pool(*known),
    )
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
    """Create a pool, or change its description or name. Three trips, two more for a rename.

    Raises ``PoolNameTakenError``.
    """
    ref, tag = ctx.pool_ref(pool.id), ctx.tag(pool.id)
    document, mark = encode_pool(pool), fence_mark(pool.name)
    outcome, passed = "", ""
    for _ in range(_ATTEMPTS):
        known = yield GET_POOL(ref.key)
        before = known[1] if known else None
        if known and known[0] == "deleting":
            outcome = "deleting"
            yield from remove(ctx, ref)
            continue
        yield from claim_name(ctx, pool.name, ref, anew=outcome != "")
        outcome, *nonce = yield SAVE_POOL(
            ref.key,
            expected="" if before is None else f"={before}",
            name=pool.name,
            mark=mark,
            document=document,
            passed=passed,
        )
        passed = nonce[0] if nonce else ""
        if outcome == "deleting":
            yield from remove(ctx, ref)
        if outcome != "saved":
            continue
        if before not in (None, pool.name):
            ctx.pools.drop(before)
            entry = yield Command(("HGET", ctx.keys.pools(), before))
            if entry and names(entry, tag) and (yield fence(ref, before)) != "here":
                yield swap(ctx.keys.pools(), before, entry, "")
        ctx.pools.put(pool.name, ref)
        return None
    raise PoolNameTakenError(f"Pool name {pool.name!r} changes hands too fast; try again.")


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


def delete_pool(
    ctx: Context, pool_id: UUID | str, on_progress: Callable[[int], None] | None = None
) -> Flow[None]:
    """Delete a pool with all that is in it. Trips grow with its proxies.

    Raises ``PoolNotFoundError``. A delete that was broken off is carried on. ``on_progress`` is
    told now and then how many proxies are gone.
    """
    known = parse_uuid(pool_id)
    if known is None or not (yield from remove(ctx, ctx.pool_ref(known), True, on_progress)):
        raise PoolNotFoundError(f"Pool with ID {pool_id} does not exist.")
    return None


def fence_mark(name: str) -> str:
    """What fences of a pool name are called: user text does not enter keys."""
    return hashlib.sha256(name.encode()).hexdigest()[:20]


def fence(ref: PoolRef, name: str) -> Call:
    """The call that makes a pool refuse a name once."""
    return FENCE_POOL(ref.key, name=name, mark=fence_mark(name), nonce=secrets.token_hex(8))


def names(entry: str, tag: str) -> bool:
    """Whether a directory entry names the pool of this tag."""
    return entry.partition(".")[0] == tag


def numbered(tag: str) -> str:
    """An entry for a pool that differs from every earlier one: who read one of those and is about
    to change it will find that it is not there any more."""
    return f"{tag}.{secrets.token_urlsafe(3)}"


def claim_name(ctx: Context, name: str, ref: PoolRef, anew: bool) -> Flow[None]:
    """Make the directory give a name to a pool, taking a void entry over.

    The pool that had it is fenced before, so that it cannot come to have the name afterwards.
    ``anew``: a fence or a delete was met, so somebody may have read our entry and be about to
    change it; a new one defeats that.
    """
    key, tag = ctx.keys.pools(), ctx.tag(ref.id)
    for _ in range(_ATTEMPTS):
        replies = yield [
            Command(("HSETNX", key, name, numbered(tag))),
            Command(("HGET", key, name)),
        ]
        owner = checked(replies)[1]
        if owner is None:
            continue
        if names(owner, tag):
            if not anew or names((yield swap(key, name, owner, numbered(tag))), tag):
                return None
            continue
        other = ctx.pool_ref(parse_tag(owner, f"of pool name {name!r}"))
        state = yield fence(other, name)
        if state == "here":
            break
        if state == "deleting":
            yield from remove(ctx, other)
        elif names((yield swap(key, name, owner, numbered(tag))), tag):
            return None
    raise PoolNameTakenError(
        f"Pool name {name!r} belongs to another pool; ensure_pool({name!r}) returns it."
    )


def remove(
    ctx: Context,
    ref: PoolRef,
    begin: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Flow[bool]:
    """Delete a pool (``begin``), or only carry on the delete of one that is hidden already.

    Hide, empty, release the name, drop; False if there is nothing to delete. Until it is dropped
    nobody can create it again, and the name's entry is read before it is hidden: so what is
    released is not the name of a pool that was made anew.
    """
    known = yield GET_POOL(ref.key)
    if not known or (known[0] == "pool" and not begin):
        return False
    name, tag = known[1], ctx.tag(ref.id)
    entry = yield Command(("HGET", ctx.keys.pools(), name))
    if known[0] == "pool":
        hidden = yield HIDE_POOL(ref.key)
        if hidden != [name]:
            return (yield from remove(ctx, ref, begin, on_progress))
    ctx.pools.drop(name)
    gone, before, empty = 0, list[str](), False
    while not empty:
        ids = yield LIST_HIDDEN(ref.key, limit=200)
        gone += len(set(before).difference(ids))
        before = ids
        if on_progress is not None:
            on_progress(gone)
        if ids:
            yield from release_entries(ctx, ids, ref)
        empty = bool((yield PURGE_POOL(ref.key, *ids, chunk_us=ctx.chunk_us, final="")))
    if on_progress is not None:
        on_progress(gone + len(before))
    if entry and names(entry, tag):
        yield swap(ctx.keys.pools(), name, entry, "")
    yield PURGE_POOL(ref.key, chunk_us=ctx.chunk_us, final="1")
    return True


def release_entries(ctx: Context, ids: list[str], ref: PoolRef) -> Flow[None]:
    """Remove the directory entries of proxies that name this pool. Two trips."""
    entries = checked((yield [Command(("HGET", ctx.keys.directory(i), i)) for i in ids]))
    mine = [
        swap(ctx.keys.directory(i), i, entry, "")
        for i, entry in zip(ids, entries, strict=True)
        if entry and names(entry, ctx.tag(ref.id))
    ]
    if mine:
        checked((yield mine))
