"""Audits: what a pool's keys say, held against each other, and made right.

Whoever audits discovers ids, by whatever means, and passes them here; the scripts decide. Each
decision is one atomic step, so that a pool in use is never found wrong for being in use, and what
is mended is mended for good. Directories are in other slots than the pools they lead to: no script
sees both. There a difference counts only if it is still there after a second look, and is mended by
the steps of a save or a delete that was broken off.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from pharox.models import ProxyStatus

from pharox_redis.codec import REVISION, STATUS, decode_pool, decode_proxy
from pharox_redis.errors import CorruptRecordError, PoolNameTakenError
from pharox_redis.flows.base import AT_ONCE, BREATH, Command, Context, Flow, PoolRef, checked
from pharox_redis.flows.directory import GET_POOL, parse_tag
from pharox_redis.flows.pools import claim_name, fence, names, numbered, remove, swap
from pharox_redis.flows.proxies import FENCE_PROXY, GET_PROXIES, PURGE_PROXY
from pharox_redis.scripts import load

AUDIT_LEASES = load("audit_leases")
AUDIT_POOL = load("audit_pool")
AUDIT_PROXIES = load("audit_proxies")

ITEMS_AT_ONCE = 200
"""What a script takes in one call; it does as many as fit into its chunk."""


class Found(NamedTuple):
    """Something that is wrong: what kind of thing, what it is wrong with, and whether it was
    mended."""

    kind: str
    subject: str
    detail: str
    mended: bool


def audit_pool(
    ctx: Context, ref: PoolRef, suffixes: Sequence[str], repair: bool
) -> Flow[tuple[str, list[Found]]]:
    """What state a pool is in, and what is wrong with what it has once. ``suffixes`` are keys that
    were found, up to 200, without the pool's part. Two trips. O(views + suffixes)."""
    state, told = yield AUDIT_POOL(ref.key, *suffixes, repair="1" if repair else "")
    found = _founds(told)
    if state == "live" and not suffixes:
        known = yield GET_POOL(ref.key)
        if known[:1] == ["pool"] and known[2] is not None:
            try:
                decode_pool(ref.id, known[1], known[2])
            except CorruptRecordError as error:
                found.append(Found("pool-document-lost", "", str(error), False))
    return state, found


def audit_proxies(
    ctx: Context, ref: PoolRef, items: Sequence[str], repair: bool
) -> Flow[list[Found]]:
    """What is wrong with proxies, see ``audit_proxies.lua`` for the items. A trip for as many as
    fit into ``chunk_ms``. Raises ``PoolNotFoundError``."""
    todo, found = list(items), list[Found]()
    while todo:
        unread = list[str]()
        done, besides, told, read = yield AUDIT_PROXIES(
            ref.key, *todo[:ITEMS_AT_ONCE], chunk_us=ctx.chunk_us, repair="1" if repair else ""
        )
        todo = todo[done:] + besides
        for each in _founds(told):
            if each.kind == "proxy-unreadable":  # was found before, and is out of use by now
                found = [_out_of_use(known, each) for known in found]
            else:
                found.append(each)
        for place, (proxy_id, document, fields) in enumerate(read, 1):
            if document is not None:
                wrong = _undecodable(ctx, ref, proxy_id, document, fields)
                found += wrong
                if wrong and repair and fields[STATUS] == ProxyStatus.ACTIVE:
                    # Only Python can tell; the script does nothing if it was saved since.
                    unread.append(f"!{proxy_id}:{fields[REVISION]}")
            if place % AT_ONCE == 0:
                yield BREATH
        todo = unread + todo
    return found


def _out_of_use(known: Found, told: Found) -> Found:
    if known[:2] != told[:2]:
        return known
    return known._replace(detail=f"{known.detail.rstrip('.')}; {told.detail}")


def _undecodable(
    ctx: Context, ref: PoolRef, proxy_id: str, document: str, fields: list[str | None]
) -> list[Found]:
    try:
        decode_proxy(ctx.proxy_model, ref.id, proxy_id, document, fields, 0)
    except CorruptRecordError as error:
        return [Found("proxy-unreadable", proxy_id, str(error), False)]
    except ValueError:
        return [Found("proxy-unreadable", proxy_id, "its id is no UUID", False)]
    return []


def audit_leases(
    ctx: Context, ref: PoolRef, items: Sequence[str], repair: bool
) -> Flow[list[Found]]:
    """What is wrong with leases and claims, see ``audit_leases.lua`` for the items. A trip for as
    many as fit into ``chunk_ms``. Raises ``PoolNotFoundError``."""
    todo, found = list(items), list[Found]()
    while todo:
        done, told = yield AUDIT_LEASES(
            ref.key,
            *todo[:ITEMS_AT_ONCE],
            chunk_us=ctx.chunk_us,
            retention_ms=ctx.retention_ms,
            repair="1" if repair else "",
        )
        todo = todo[done:]
        found += _founds(told)
    return found


def audit_notes(
    ctx: Context, ref: PoolRef, tails: Sequence[str], repair: bool
) -> Flow[list[Found]]:
    """Notes of requests that were made once (``acquire_once``) and have no end: they get one, a day
    from now. A trip, two if there are such."""
    keys = [f"{ref.key}:once:{tail}" for tail in tails]
    ends = checked((yield [Command(("PTTL", key)) for key in keys])) if keys else []
    lasting = [tail for tail, ms in zip(tails, ends, strict=True) if ms == -1]
    if lasting and repair:
        until = round((time.time() + 86_400) * 1000)
        checked(
            (yield [Command(("PEXPIREAT", f"{ref.key}:once:{t}", until, "NX")) for t in lasting])
        )
    return [Found("note-end", tail, "", repair) for tail in lasting]


def _founds(told: list[list[str]]) -> list[Found]:
    return [Found(kind, subject, detail, bool(mended)) for kind, subject, detail, mended in told]


# -- directories -------------------------------------------------------------------------------


def numbers_of(ctx: Context, ref: PoolRef, ids: Sequence[str]) -> Flow[list[str | None]]:
    """The insertion numbers of proxies, None for those that the pool does not list. One trip."""
    if not ids:
        return []
    found: list[str | None] = yield Command(("ZMSCORE", f"{ref.key}:proxies", *ids))
    return found


def _entries(ctx: Context, ids: Sequence[str]) -> Flow[list[str]]:
    replies = checked((yield [Command(("HGET", ctx.keys.directory(i), i)) for i in ids]))
    return [reply or "" for reply in replies]


def audit_entries(
    ctx: Context, ref: PoolRef, ids: Sequence[str], repair: bool
) -> Flow[list[Found]]:
    """Whether the directory leads to these proxies of a pool. Two trips, more for each that it does
    not lead to.

    An entry is claimed before a proxy is listed and released after it, or its pool, is hidden. So
    it is wrong only if the proxy was listed before the first look and is after the second by the
    same number, and the pool is there.
    """
    tag, found = ctx.tag(ref.id), list[Found]()
    before = yield from numbers_of(ctx, ref, ids)
    entries = yield from _entries(ctx, ids)
    suspects = [
        (i, number)
        for i, number, entry in zip(ids, before, entries, strict=True)
        if number is not None and not names(entry, tag)
    ]
    if not suspects:
        return []
    chosen = [i for i, _ in suspects]
    entries = yield from _entries(ctx, chosen)
    after = yield from numbers_of(ctx, ref, chosen)
    if not (yield from _is_there(ref)):
        return []
    for (proxy_id, number), entry, now in zip(suspects, entries, after, strict=True):
        if now != number or names(entry, tag):
            continue
        mended = False
        if entry and _readable(entry):
            other = ctx.pool_ref(parse_tag(entry, f"of proxy {proxy_id}"))
            (there,) = yield GET_PROXIES(other.key, proxy_id)
            if isinstance(there, list):
                found.append(Found("two-pools", proxy_id, str(other.id), False))
                continue
        if repair:
            mended = yield from _lead_to(ctx, ref, proxy_id, entry)
        found.append(Found("no-entry", proxy_id, entry or "none", mended))
    return found


def _is_there(ref: PoolRef) -> Flow[bool]:
    known: list[str] = yield GET_POOL(ref.key)
    return known[:1] == ["pool"]


def _readable(entry: str) -> bool:
    try:
        parse_tag(entry, "")
    except CorruptRecordError:
        return False
    return True


def _lead_to(ctx: Context, ref: PoolRef, proxy_id: str, entry: str) -> Flow[bool]:
    """Make the directory lead to a proxy of this pool, as a save would."""
    key = ctx.keys.directory(proxy_id)
    if entry and _readable(entry):
        other = ctx.pool_ref(parse_tag(entry, f"of proxy {proxy_id}"))
        if (yield FENCE_PROXY(other.key, proxy_id=proxy_id)) == "here":
            return False
        yield PURGE_PROXY(other.key, proxy_id=proxy_id)
    ours = numbered(ctx.tag(ref.id))
    if (yield swap(key, proxy_id, entry, ours)) != ours:
        return False
    (number,) = yield from numbers_of(ctx, ref, [proxy_id])
    # Deleted meanwhile, it or its pool, before there was an entry to release?
    if number is None or not (yield from _is_there(ref)):
        yield swap(key, proxy_id, ours, "")
    return True


class Void(NamedTuple):
    """A directory entry that its pool did not confirm when it was read."""

    field: str
    entry: str


def suspect_entries(
    ctx: Context, bucket: str, entries: Sequence[tuple[str, str]], skipped: set[str]
) -> Flow[list[Void]]:
    """Those of a bucket's entries that their pools do not confirm, but for the pools in
    ``skipped`` (by tag), which are being deleted or cannot be read. A trip for each pool."""
    suspects = list[Void]()
    by_tag: dict[str, list[Void]] = {}
    for proxy_id, entry in entries:
        if not _readable(entry) or ctx.keys.directory(proxy_id) != bucket:
            suspects.append(Void(proxy_id, entry))
        else:
            by_tag.setdefault(entry.partition(".")[0], []).append(Void(proxy_id, entry))
    for tag, mine in by_tag.items():
        if tag in skipped:
            continue
        ref = ctx.pool_ref(parse_tag(tag, ""))
        listed = yield from numbers_of(ctx, ref, [void.field for void in mine])
        suspects += [v for v, number in zip(mine, listed, strict=True) if number is None]
    return suspects


def clear_entry(ctx: Context, bucket: str, void: Void, repair: bool) -> Flow[list[Found]]:
    """Look once more at an entry that was not confirmed some time ago, and remove it if it has not
    changed since: a save that is under way claims it anew. Five trips."""
    if (yield Command(("HGET", bucket, void.field))) != void.entry:
        return []
    if _readable(void.entry) and ctx.keys.directory(void.field) == bucket:
        ref = ctx.pool_ref(parse_tag(void.entry, ""))
        (number,) = yield from numbers_of(ctx, ref, [void.field])
        if number is not None:
            return []
        if repair:
            if (yield FENCE_PROXY(ref.key, proxy_id=void.field)) == "here":
                return []
            yield PURGE_PROXY(ref.key, proxy_id=void.field)
    mended = repair and not (yield swap(bucket, void.field, void.entry, ""))
    return [Found("void-entry", void.field, void.entry, mended)]


def suspect_names(ctx: Context, entries: Sequence[tuple[str, str]]) -> Flow[list[Void]]:
    """Those of the pools' names that their pools do not confirm. One trip."""
    readable = [Void(*entry) for entry in entries if _readable(entry[1])]
    suspects = [Void(*entry) for entry in entries if not _readable(entry[1])]
    refs = [ctx.pool_ref(parse_tag(void.entry, "")) for void in readable]
    replies = checked((yield [GET_POOL(ref.key) for ref in refs])) if refs else []
    for void, reply in zip(readable, replies, strict=True):
        if reply[:2] != ["pool", void.field]:
            suspects.append(void)
    return suspects


def clear_name(ctx: Context, void: Void, repair: bool) -> Flow[list[Found]]:
    """Look once more at a pool's name that was not confirmed some time ago; release it if it has
    not changed since, behind a fence. A pool that is being deleted keeps its name until then."""
    key = ctx.keys.pools()
    if (yield Command(("HGET", key, void.field))) != void.entry:
        return []
    if _readable(void.entry):
        ref = ctx.pool_ref(parse_tag(void.entry, ""))
        reply = yield GET_POOL(ref.key)
        if reply[:1] == ["deleting"] or reply[:2] == ["pool", void.field]:
            return []
        if repair and (yield fence(ref, void.field)) in ("here", "deleting"):
            return []
    mended = repair and not (yield swap(key, void.field, void.entry, ""))
    return [Found("void-name", void.field, void.entry, mended)]


def audit_name(ctx: Context, ref: PoolRef, repair: bool) -> Flow[list[Found]]:
    """Whether a pool's name leads to it. A name is claimed before a pool has it, and released
    after. Three trips."""
    tag, key = ctx.tag(ref.id), ctx.keys.pools()
    first = yield GET_POOL(ref.key)
    if first[:1] != ["pool"]:
        return []
    name = first[1]
    entry = yield Command(("HGET", key, name))
    if entry and names(entry, tag):
        return []
    if (yield GET_POOL(ref.key))[:2] != ["pool", name]:
        return []
    if entry and _readable(entry):
        other = ctx.pool_ref(parse_tag(entry, f"of pool name {name!r}"))
        if (yield GET_POOL(other.key))[:2] == ["pool", name]:
            return [Found("name-taken", name, entry, False)]
    if not repair:
        return [Found("no-name", name, entry or "none", False)]
    if entry and not _readable(entry):
        yield swap(key, name, entry, "")
    try:
        yield from claim_name(ctx, name, ref, anew=False)
    except PoolNameTakenError:
        return [Found("name-taken", name, entry, False)]
    if (yield GET_POOL(ref.key))[:2] != ["pool", name]:  # renamed or deleted meanwhile
        entry = yield Command(("HGET", key, name))
        if entry and names(entry, tag) and (yield fence(ref, name)) == "fenced":
            yield swap(key, name, entry, "")
    return [Found("no-name", name, entry or "none", True)]


def finish_delete(ctx: Context, ref: PoolRef) -> Flow[bool]:
    """Carry on the delete of a pool that is hidden. Trips grow with its proxies."""
    return (yield from remove(ctx, ref))
