"""Proxies: saving, reading, deleting.

Save: everything is read and checked first (pools exist, no proxy is in another pool, every value
can be stored), then the directory entries are claimed, then the pools are written in chunks. A
known proxy is written over the revision that was read, so that fields others wrote survive; a stale
one is read again. Delete: hide, release the directory entry, purge in chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from pharox.exceptions import PoolNotFoundError, ProxyNotFoundError
from pharox.models import Proxy

from pharox_redis.codec import REVISION, decode_proxy, encode_proxy, merge_document
from pharox_redis.errors import InvalidProxyError, PoolMismatchError, ProxyPoolConflictError
from pharox_redis.flows.base import Command, Context, Flow, PoolRef, checked, in_chunks
from pharox_redis.flows.directory import GET_POOL, parse_tag, pool_of_proxy
from pharox_redis.flows.pools import parse_uuid, swap
from pharox_redis.scripts import load

GET_PROXIES = load("get_proxies")
HIDE_PROXY = load("hide_proxy")
LIST_PROXIES = load("list_proxies")
PURGE_PROXY = load("purge_proxy")
SAVE_PROXIES = load("save_proxies")

_READ_AT_ONCE = 200
_SAVE_AT_ONCE = 50
_ATTEMPTS = 20


class Entry(NamedTuple):
    """A proxy to be saved: its columns and its own part of the document."""

    id: str
    pool_id: UUID
    columns: list[str]
    document: dict[str, Any]
    model: type[Proxy]


# -- reading -----------------------------------------------------------------------------------


def get_proxy(ctx: Context, proxy_id: UUID | str) -> Flow[Proxy]:
    """A proxy by id. Two trips. Raises ``ProxyNotFoundError``."""
    known = parse_uuid(proxy_id)
    ref = (yield from pool_of_proxy(ctx, known)) if known else None
    if known is not None and ref is not None:
        (reply,) = yield GET_PROXIES(ref.key, str(known))
        if isinstance(reply, list):
            return _decode(ctx, ref, str(known), reply)
    raise ProxyNotFoundError(f"Proxy with ID {proxy_id} not found.")


def find_proxy(ctx: Context, proxy_id: UUID | str) -> Flow[Proxy | None]:
    """A proxy by id, None if there is none. Two trips."""
    try:
        return (yield from get_proxy(ctx, proxy_id))
    except ProxyNotFoundError:
        return None


def list_proxies(ctx: Context, pool_id: UUID | str) -> Flow[list[Proxy]]:
    """A pool's proxies in insertion order. A trip per 200. Raises ``PoolNotFoundError``."""
    known = parse_uuid(pool_id)
    if known is None:
        raise PoolNotFoundError(f"Pool with ID {pool_id} does not exist.")
    ref, after, found = ctx.pool_ref(known), "0", list[Proxy]()
    while after:
        try:
            after, *page = yield LIST_PROXIES(ref.key, after=after, limit=_READ_AT_ONCE)
        except PoolMismatchError:
            raise PoolNotFoundError(f"Pool with ID {pool_id} does not exist.") from None
        found.extend(_decode(ctx, ref, row[0], row[1:]) for row in page)
    return found


def _decode(ctx: Context, ref: PoolRef, proxy_id: str, row: Sequence[Any]) -> Proxy:
    document, fields, leases = row
    return decode_proxy(ctx.proxy_model, ref.id, proxy_id, document, fields, leases)


# -- saving ------------------------------------------------------------------------------------


def save_proxies(ctx: Context, proxies: Sequence[Proxy]) -> Flow[int]:
    """Insert or overwrite proxies; how many were given. Of two with one id the last counts.

    Trips grow with their number (about one in fifty proxies, and three more). Raises
    ``PoolNotFoundError``, ``ProxyPoolConflictError``, ``InvalidProxyError`` before the first write.
    """
    entries: dict[str, Entry] = {}
    for proxy in proxies:
        columns, document = encode_proxy(proxy)
        entry = Entry(str(proxy.id), proxy.pool_id, columns, document, type(proxy))
        known = entries.get(entry.id)
        if known is not None and known.pool_id != entry.pool_id:
            raise ProxyPoolConflictError(
                f"Proxy {entry.id} is given for pool {known.pool_id} and for {entry.pool_id}."
            )
        entries[entry.id] = entry
    refs = yield from _existing_pools(ctx, {entry.pool_id for entry in entries.values()})
    todo = list(entries.values())
    claims = yield from _check_directory(ctx, todo)
    # Read before the first write: also this may find that a record is damaged.
    stored = yield from _read_stored(ctx, refs, todo)
    yield from _claim_entries(ctx, todo, claims)
    for _ in range(_ATTEMPTS):
        todo = yield from _write(ctx, refs, todo, stored)
        if not todo:
            return len(proxies)
        yield from _claim_entries(ctx, todo, (yield from _check_directory(ctx, todo)))
        stored = yield from _read_stored(ctx, refs, todo)
    raise InvalidProxyError(f"Proxy {todo[0].id} changes too fast to be saved; try again.")


def _existing_pools(ctx: Context, ids: set[UUID]) -> Flow[dict[UUID, PoolRef]]:
    refs = [ctx.pool_ref(pool_id) for pool_id in ids]
    replies = checked((yield [GET_POOL(ref.key) for ref in refs])) if refs else []
    for ref, reply in zip(refs, replies, strict=True):
        if not reply or reply[0] == "":
            raise PoolNotFoundError(f"Pool with ID {ref.id} does not exist.")
    return {ref.id: ref for ref in refs}


def _check_directory(ctx: Context, entries: list[Entry]) -> Flow[dict[str, str]]:
    """What the directory says of those proxies that it does not name under their pool: "" or a
    void entry. Raises ``ProxyPoolConflictError`` if another pool confirms one."""
    found: dict[str, str] = {}
    elsewhere: list[tuple[Entry, str]] = []
    for chunk in in_chunks(entries, 500):
        replies = yield [Command(("HGET", ctx.keys.directory(e.id), e.id)) for e in chunk]
        for entry, tag in zip(chunk, checked(replies), strict=True):
            if tag != ctx.tag(entry.pool_id):
                found[entry.id] = tag or ""
                if tag:
                    elsewhere.append((entry, tag))
    for entry, tag in elsewhere:
        other = ctx.pool_ref(parse_tag(tag, f"of proxy {entry.id}"))
        (reply,) = yield GET_PROXIES(other.key, entry.id)
        if reply == "gone":
            yield from _purge(ctx, other, entry.id)
        elif reply:
            raise ProxyPoolConflictError(
                f"Proxy {entry.id} is in pool {other.id}, not in {entry.pool_id}; "
                "delete it there first."
            )
    return found


def _claim_entries(ctx: Context, entries: list[Entry], found: dict[str, str]) -> Flow[None]:
    missing = [entry for entry in entries if entry.id in found]
    for chunk in in_chunks(missing, 500):
        replies = yield [
            swap(ctx, ctx.keys.directory(e.id), e.id, found[e.id], ctx.tag(e.pool_id))
            for e in chunk
        ]
        for entry, tag in zip(chunk, checked(replies), strict=True):
            if tag != ctx.tag(entry.pool_id):
                raise ProxyPoolConflictError(
                    f"Proxy {entry.id} was saved into another pool meanwhile; nothing of it was "
                    f"written to pool {entry.pool_id}."
                )


def _read_stored(
    ctx: Context, refs: dict[UUID, PoolRef], entries: list[Entry]
) -> Flow[dict[str, tuple[str, str | None]]]:
    """Revision and document of each proxy ("", None if new)."""
    stored: dict[str, tuple[str, str | None]] = {}
    for ref in refs.values():
        mine = [entry for entry in entries if entry.pool_id == ref.id]
        for chunk in in_chunks(mine, _READ_AT_ONCE):
            replies = yield GET_PROXIES(ref.key, *[entry.id for entry in chunk])
            for entry, reply in zip(chunk, replies, strict=True):
                if reply == "gone":
                    yield from _purge(ctx, ref, entry.id)
                whole = isinstance(reply, list)
                stored[entry.id] = (reply[1][REVISION], reply[0]) if whole else ("", None)
    return stored


def _write(
    ctx: Context,
    refs: dict[UUID, PoolRef],
    entries: list[Entry],
    stored: dict[str, tuple[str, str | None]],
) -> Flow[list[Entry]]:
    """Write what can be written; returns what must be read again first."""
    again: list[Entry] = []
    for ref in refs.values():
        mine = [entry for entry in entries if entry.pool_id == ref.id]
        while mine:
            batch = mine[:_SAVE_AT_ONCE]
            items: list[str] = []
            for entry in batch:
                revision, document = stored[entry.id]
                merged = merge_document(entry.document, document, entry.model)
                items += [entry.id, revision, *entry.columns, merged]
            try:
                done, unsaved = yield SAVE_PROXIES(ref.key, *items, chunk_us=ctx.chunk_us)
            except PoolMismatchError:
                raise PoolNotFoundError(
                    f"Pool with ID {ref.id} was deleted while proxies were saved into it."
                ) from None
            for place, why in unsaved:
                if why == "gone":
                    yield from _purge(ctx, ref, batch[place].id)
                again.append(batch[place])
            mine = mine[done:]
    return again


# -- deleting ----------------------------------------------------------------------------------


def delete_proxy(ctx: Context, proxy_id: UUID | str) -> Flow[None]:
    """Delete a proxy; its leases end. Five trips. Raises ``ProxyNotFoundError``.

    A delete that was broken off is carried on, by this or by the pool's sweeps.
    """
    known = parse_uuid(proxy_id)
    ref = (yield from pool_of_proxy(ctx, known)) if known else None
    if known is None or ref is None:
        raise ProxyNotFoundError(f"Proxy with ID {proxy_id} not found.")
    text, tag = str(known), ctx.tag(ref.id)
    hidden = yield HIDE_PROXY(ref.key, proxy_id=text)
    yield from _purge(ctx, ref, text)
    yield swap(ctx, ctx.keys.directory(text), text, tag, "")
    # Saved anew into this pool between our purge and our swap: its entry must not be missing.
    (again,) = yield GET_PROXIES(ref.key, text)
    if again:
        yield swap(ctx, ctx.keys.directory(text), text, "", tag)
    if not hidden:
        raise ProxyNotFoundError(f"Proxy with ID {proxy_id} not found.")


def _purge(ctx: Context, ref: PoolRef, proxy_id: str) -> Flow[None]:
    while not (yield PURGE_PROXY(ref.key, proxy_id=proxy_id)):
        pass
