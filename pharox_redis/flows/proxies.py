"""Proxies: saving, reading, deleting.

Save: everything is read and checked first (pools exist, no proxy is in another pool, every value
can be stored), then the directory entries of new proxies are claimed, then the pools are written
in chunks, then the entries are looked at once more. A known proxy is written over the revision
that was read, so that fields others wrote survive; a stale one is read again.

Retire: one that somebody holds is made inactive, and deleted by the sweep after its last lease.

Delete: hide, release the directory entry, purge in chunks. Whoever meets a hidden proxy finishes
its delete in that order; each claim of an entry carries a number of its own, so that the release of
an earlier one does not take it away. A void entry of another pool is taken over only after that
pool was fenced: a save that claimed it earlier looks at the directory again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from pharox.exceptions import PoolNotFoundError, ProxyNotFoundError
from pharox.models import Proxy, ProxyStatus

from pharox_redis.codec import INDEXED, REVISION, decode_proxy, encode_proxy, merge_document
from pharox_redis.errors import InvalidProxyError, PoolMismatchError, ProxyPoolConflictError
from pharox_redis.flows.base import Command, Context, Flow, PoolRef, checked, in_chunks, in_turns
from pharox_redis.flows.directory import GET_POOL, parse_tag, pool_of_proxy
from pharox_redis.flows.pools import names, numbered, parse_uuid, release_entries, swap
from pharox_redis.scripts import load

FENCE_PROXY = load("fence_proxy")
GET_PROXIES = load("get_proxies")
HIDE_PROXY = load("hide_proxy")
LIST_PROXIES = load("list_proxies")
PURGE_PROXY = load("purge_proxy")
RETIRE_PROXY = load("retire_proxy")
SAVE_PROXIES = load("save_proxies")
SET_STATUS = load("set_status")

_READ_AT_ONCE = 200
_SAVE_AT_ONCE = 50
_ATTEMPTS = 20
_STATUS = len(INDEXED)


class Entry(NamedTuple):
    """A proxy to be saved: its columns and its own part of the document."""

    id: str
    pool_id: UUID
    columns: list[str]
    document: dict[str, Any]
    model: type[Proxy]

    def __repr__(self) -> str:
        # Without the document: passwords are in it.
        return f"Entry({self.id}, pool {self.pool_id})"


# -- reading -----------------------------------------------------------------------------------


def get_proxy(ctx: Context, proxy_id: UUID | str) -> Flow[Proxy]:
    """A proxy by id. Two trips. Raises ``ProxyNotFoundError``."""
    known = parse_uuid(proxy_id)
    ref = (yield from pool_of_proxy(ctx, known)) if known else None
    if known is not None and ref is not None:
        (reply,) = yield GET_PROXIES(ref.key, str(known))
        if isinstance(reply, list):
            return decode_listed(ctx, ref, [str(known), *reply])
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
        found += yield from in_turns(page, lambda row: decode_listed(ctx, ref, row))
    return found


def decode_listed(ctx: Context, ref: PoolRef, row: Sequence[Any]) -> Proxy:
    """A proxy from a row of ``list_proxies``."""
    proxy_id, document, fields, leases, *_ = row
    return decode_proxy(ctx.proxy_model, ref.id, proxy_id, document, fields, leases)


# -- saving ------------------------------------------------------------------------------------


def save_proxies(ctx: Context, proxies: Sequence[Proxy], keep_status: bool = False) -> Flow[int]:
    """Insert or overwrite proxies; how many were given. Of two with one id the last counts.

    ``keep_status``: known ones keep theirs, but for those that retiring made inactive.

    Trips grow with their number (about one in fifty proxies, and three more). Raises
    ``PoolNotFoundError``, ``ProxyPoolConflictError``, ``InvalidProxyError`` before the first write.
    """
    entries: dict[str, Entry] = {}
    for entry in (yield from in_turns(proxies, lambda proxy: _encode(proxy, keep_status))):
        known = entries.get(entry.id)
        if known is not None and known.pool_id != entry.pool_id:
            raise ProxyPoolConflictError(
                f"Proxy {entry.id} is given for pool {known.pool_id} and for {entry.pool_id}."
            )
        entries[entry.id] = entry
    refs = yield from _existing_pools(ctx, {entry.pool_id for entry in entries.values()})
    todo = list(entries.values())
    for _ in range(_ATTEMPTS):
        found = yield from _check_directory(ctx, todo)
        # Read before the first write: also this may find that a record is damaged.
        stored = yield from _read_stored(ctx, refs, todo)
        yield from _claim_entries(ctx, todo, found, stored)
        todo = yield from _write(ctx, refs, todo, stored)
        if not todo:
            yield from _confirm_entries(ctx, refs, list(entries.values()))
            return len(proxies)
    raise InvalidProxyError(f"Proxy {todo[0].id} changes too fast to be saved; try again.")


def _encode(proxy: Proxy, keep_status: bool) -> Entry:
    columns, document = encode_proxy(proxy)
    if keep_status:
        columns[_STATUS] = f"+{columns[_STATUS]}"
    return Entry(str(proxy.id), proxy.pool_id, columns, document, type(proxy))


def _existing_pools(ctx: Context, ids: set[UUID]) -> Flow[dict[UUID, PoolRef]]:
    refs = [ctx.pool_ref(pool_id) for pool_id in ids]
    replies = checked((yield [GET_POOL(ref.key) for ref in refs])) if refs else []
    for ref, reply in zip(refs, replies, strict=True):
        if not reply or reply[0] != "pool":
            raise PoolNotFoundError(f"Pool with ID {ref.id} does not exist.")
    return {ref.id: ref for ref in refs}


def _entries(ctx: Context, entries: list[Entry]) -> Flow[dict[str, str]]:
    """What the directory says of proxies, "" where it says nothing."""
    found: dict[str, str] = {}
    for chunk in in_chunks(entries, 500):
        replies = yield [Command(("HGET", ctx.keys.directory(e.id), e.id)) for e in chunk]
        found.update((e.id, r or "") for e, r in zip(chunk, checked(replies), strict=True))
    return found


def _check_directory(ctx: Context, entries: list[Entry]) -> Flow[dict[str, str]]:
    """The directory's entries. Raises ``ProxyPoolConflictError`` if another pool confirms one."""
    found = yield from _entries(ctx, entries)
    for entry in entries:
        if found[entry.id] and not names(found[entry.id], ctx.tag(entry.pool_id)):
            other = ctx.pool_ref(parse_tag(found[entry.id], f"of proxy {entry.id}"))
            (reply,) = yield GET_PROXIES(other.key, entry.id)
            if isinstance(reply, list):
                raise _elsewhere(entry, other)
    return found


def _elsewhere(entry: Entry, other: PoolRef) -> ProxyPoolConflictError:
    return ProxyPoolConflictError(
        f"Proxy {entry.id} is in pool {other.id}, not in {entry.pool_id}; delete it there first."
    )


def _claim_entries(
    ctx: Context,
    entries: list[Entry],
    found: dict[str, str],
    stored: dict[str, tuple[str, str | None]],
) -> Flow[None]:
    """Make the directory name the pools of the proxies that are new there. Every claim differs from
    the ones before: a delete that has read one of those must not release ours."""
    fresh = [entry for entry in entries if stored[entry.id][0] == ""]
    for chunk in in_chunks(fresh, 500):
        swaps = []
        for entry in chunk:
            tag, known = ctx.tag(entry.pool_id), found[entry.id]
            if known and not names(known, tag):
                other = ctx.pool_ref(parse_tag(known, f"of proxy {entry.id}"))
                if (yield FENCE_PROXY(other.key, proxy_id=entry.id)) == "here":
                    raise _elsewhere(entry, other)
            key = ctx.keys.directory(entry.id)
            swaps.append(swap(key, entry.id, known, numbered(tag)))
        for entry, said in zip(chunk, checked((yield swaps)), strict=True):
            if said == "":  # a delete released what was found
                key, tag = ctx.keys.directory(entry.id), ctx.tag(entry.pool_id)
                said = yield swap(key, entry.id, "", numbered(tag))
            if said and not names(said, ctx.tag(entry.pool_id)):
                raise ProxyPoolConflictError(
                    f"Proxy {entry.id} was saved into another pool meanwhile; nothing of it was "
                    f"written to pool {entry.pool_id}."
                )


def _confirm_entries(ctx: Context, refs: dict[UUID, PoolRef], entries: list[Entry]) -> Flow[None]:
    """Look once more: what was deleted and claimed while we wrote must not leave a proxy that
    cannot be found by its id, or that is in two pools."""
    found = yield from _entries(ctx, entries)
    for entry in entries:
        tag, known = ctx.tag(entry.pool_id), found[entry.id]
        if known == "":
            known = yield swap(ctx.keys.directory(entry.id), entry.id, "", numbered(tag))
        if not names(known, tag):
            ref = refs[entry.pool_id]
            yield HIDE_PROXY(ref.key, proxy_id=entry.id)
            yield from _purge(ctx, ref, entry.id)
            raise _elsewhere(entry, ctx.pool_ref(parse_tag(known, f"of proxy {entry.id}")))


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
                    yield from release_entries(ctx, [entry.id], ref)
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
                    yield from release_entries(ctx, [batch[place].id], ref)
                    yield from _purge(ctx, ref, batch[place].id)
                again.append(batch[place])
            mine = mine[done:]
    return again


# -- status ------------------------------------------------------------------------------------


def set_status(ctx: Context, proxy_id: UUID | str, status: ProxyStatus | str) -> Flow[Proxy]:
    """Give a proxy another status; its leases go on. Two trips.

    Raises ``ProxyNotFoundError``, and ``ValueError`` for what is no status.
    """
    wanted, known = ProxyStatus(status), parse_uuid(proxy_id)
    ref = (yield from pool_of_proxy(ctx, known)) if known else None
    if ref is not None:
        try:
            reply = yield SET_STATUS(ref.key, proxy_id=str(known), status=wanted.value)
        except ProxyNotFoundError:
            pass
        else:
            return decode_listed(ctx, ref, [str(known), *reply])
    raise ProxyNotFoundError(f"Proxy with ID {proxy_id} not found.")


# -- deleting ----------------------------------------------------------------------------------


def delete_proxy(ctx: Context, proxy_id: UUID | str) -> Flow[None]:
    """Delete a proxy; its leases end. Four trips. Raises ``ProxyNotFoundError``.

    A delete that was broken off is carried on, by this, by a save or by the pool's sweeps.
    """
    known = parse_uuid(proxy_id)
    text = str(known)
    entry = (yield Command(("HGET", ctx.keys.directory(text), text))) if known else None
    if entry:
        ref = ctx.pool_ref(parse_tag(entry, f"of proxy {text}"))
        if (yield HIDE_PROXY(ref.key, proxy_id=text)):
            yield from _finish(ctx, ref, text, entry)
            return None
    raise ProxyNotFoundError(f"Proxy with ID {proxy_id} not found.")


def retire(ctx: Context, proxy_id: UUID | str) -> Flow[bool]:
    """Delete a proxy once nobody holds it: now (True), else when its leases are over (False).

    Until then it is inactive: its leases go on, no other is granted, and the sweep after the last
    one's end deletes it. Four trips. Raises ``ProxyNotFoundError``.
    """
    known = parse_uuid(proxy_id)
    ref = (yield from pool_of_proxy(ctx, known)) if known else None
    said = (yield from retire_proxy(ctx, ref, str(known))) if ref is not None else ""
    if not said:
        raise ProxyNotFoundError(f"Proxy with ID {proxy_id} not found.")
    return said == "hidden"


def retire_proxy(ctx: Context, ref: PoolRef, proxy_id: str, *, only: str = "") -> Flow[str]:
    """As `retire`, of a proxy of this pool; what the script said of it. With ``only`` "retired" it
    is left alone if it was brought back."""
    entry = yield Command(("HGET", ctx.keys.directory(proxy_id), proxy_id))
    said: str = yield RETIRE_PROXY(ref.key, proxy_id=proxy_id, only=only)
    if said == "hidden":
        yield from _finish(ctx, ref, proxy_id, entry or "")
    return said


def _finish(ctx: Context, ref: PoolRef, proxy_id: str, entry: str) -> Flow[None]:
    """The rest of a delete, of a proxy that is hidden: ``entry`` was read before."""
    if names(entry, ctx.tag(ref.id)):
        yield swap(ctx.keys.directory(proxy_id), proxy_id, entry, "")
    yield from _purge(ctx, ref, proxy_id)


def _purge(ctx: Context, ref: PoolRef, proxy_id: str) -> Flow[None]:
    while not (yield PURGE_PROXY(ref.key, proxy_id=proxy_id)):
        pass
