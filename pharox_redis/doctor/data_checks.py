"""The data of every pool, held against itself while it is in use.

Python goes through the keys, on every master and in bounded steps; scripts decide about what it
meets, and mend it, each in one atomic step (``flows/auditing.py``). In this order:

1. each pool's own key, its numbers and its registry of views;
2. all keys of the prefix: those of proxies that are not listed, leases and their holds, views that
   no registry names, what the schema does not know;
3. each pool's sets: what is due, claims, the proxies in the order of the list;
4. the directories.

What is mended in one step may show in the next; never the other way round: whatever changes a
proxy's load has all that follows from it recomputed at once. Nothing that is kept grows with a
pool, but for suspects of the directories, of which there are few, and they are bounded.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from pharox.exceptions import PoolNotFoundError
from pharox.models import Proxy

from pharox_redis.doctor.findings import Diagnosis, Finding, Level
from pharox_redis.doctor.kinds import KINDS
from pharox_redis.doctor.scanning import (
    PoolKey,
    glob_escaped,
    parse_key,
    scan_keys,
    scan_members,
)
from pharox_redis.drivers import SyncDriver
from pharox_redis.errors import CorruptRecordError, StorageFullError
from pharox_redis.flows import Context, Flow, auditing
from pharox_redis.flows.auditing import Found, Void
from pharox_redis.flows.base import Command, PoolRef
from pharox_redis.keys import pool_of_tag
from pharox_redis.settings import Settings

T = TypeVar("T")

Progress = Callable[[str, int, int | None], None]
"""Told how far it is: what is being looked at, how many were, and of how many if that is known."""

_AT_ONCE = 200
_SUSPECTS = 10_000


class DataChecks:
    """Checks, and with ``repair`` mends, the data under one prefix, or of one pool of it."""

    def __init__(
        self,
        client: Any,
        settings: Settings,
        diagnosis: Diagnosis,
        *,
        repair: bool = False,
        progress: Progress = lambda stage, done, total: None,
        second_look: float = 1.0,
    ) -> None:
        """``second_look`` is how many seconds a directory's entry must stay wrong to count."""
        self._client = client
        self._driver = SyncDriver(client)
        self._context = Context(settings, Proxy)
        self._diagnosis = diagnosis
        self._repair = repair
        self._progress = progress
        self._second_look = second_look
        self._states: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._buckets: set[str] = set()
        self.proxies = 0
        """How many proxies were looked at."""
        self.pools = 0
        """How many pools were looked at."""

    # -- what is done ----------------------------------------------------------------------------

    def check_all(self) -> None:
        """Every pool, the directories, and all keys of the prefix."""
        for page in self._members("HSCAN", self._context.keys.pools()):
            for name, entry in page:
                with suppress(ValueError):
                    self._names.setdefault(entry.partition(".")[0], name)
                    self._state(self._ref(entry))
        self._scan(f"{glob_escaped(self._context.keys.root)}:*")
        for tag in list(self._states):
            self._check_pool(self._ref(tag))
        self._check_directories()

    def check_pool(self, pool_id: UUID) -> None:
        """One pool, and what leads to it."""
        ref = self._context.pool_ref(pool_id)
        tag = self._context.tag(pool_id)
        self._state(ref)
        self._scan(f"{glob_escaped(self._context.keys.root)}:{{{tag}}}*")
        self._check_pool(ref)

    # -- running flows and noting what they find -------------------------------------------------

    def _ref(self, tag: str) -> PoolRef:
        return self._context.pool_ref(pool_of_tag(tag))

    def _run(self, flow: Callable[..., Flow[T]], *args: Any) -> T:
        """The result of a flow of an audit. Full memory ends the mending, not the check."""
        if self._repair:
            try:
                return self._driver.run(flow(self._context, *args, True))
            except StorageFullError as error:
                self._repair = False
                self._diagnosis.add(
                    Finding(
                        "server",
                        "memory-full",
                        Level.REQUIRED,
                        "The server's memory is full: from here on nothing was mended.",
                        f"Give it more memory, then run doctor --repair again. ({error})",
                    )
                )
        return self._driver.run(flow(self._context, *args, False))

    def _note(self, where: str, found: Iterable[Found]) -> None:
        for each in found:
            level, wrong, todo = KINDS[each.kind]
            example = f"{each.subject}: {each.detail}" if each.detail else each.subject
            self._diagnosis.note(
                Finding(where, each.kind, level, wrong, todo), each.subject, example, each.mended
            )

    def _where(self, ref: PoolRef) -> str:
        tag = self._context.tag(ref.id)
        return self._names.get(tag) or str(ref.id)

    def _state(self, ref: PoolRef) -> str:
        """live, broken, deleting, lost or absent; asked once for each pool, with its own check."""
        tag = self._context.tag(ref.id)
        known = self._states.get(tag)
        if known is None:
            known, found = self._run(auditing.audit_pool, ref, [])
            self._states[tag] = known
            if known == "live":
                with suppress(PoolNotFoundError):
                    self._names[tag] = self._driver.run(_name_of(self._context, ref))
            if known == "broken":
                found.append(Found("not-checked", "", "", False))
            if known == "deleting":
                found.append(Found("pool-deleting", "", "", False))
            self._note(self._where(ref), found)
        return known

    def _audit(
        self, ref: PoolRef, what: Callable[..., Flow[list[Found]]], items: list[str]
    ) -> None:
        """Have a script judge items of a pool that is there."""
        if items and self._state(ref) == "live":
            # A pool may be deleted while we look at it.
            try:
                found = self._run(what, ref, items)
            except PoolNotFoundError:
                return
            except CorruptRecordError as error:
                found = [Found("not-checked", items[0], str(error), False)]
            self._note(self._where(ref), found)

    def _members(self, kind: str, key: str) -> Iterator[list[Any]]:
        return scan_members(self._client, kind, key)

    # -- all keys --------------------------------------------------------------------------------

    def _scan(self, pattern: str) -> None:
        looked = 0
        for page in scan_keys(self._client, pattern):
            groups: defaultdict[str, list[PoolKey]] = defaultdict(list)
            for key in page:
                parsed = parse_key(key, self._context.keys)
                if parsed is None:
                    self._note("keys", [Found("strange-key", key, "", False)])
                elif isinstance(parsed, PoolKey):
                    groups[parsed.tag].append(parsed)
                elif parsed not in ("pools", "consumers"):
                    self._buckets.add(key)
            for tag, found in groups.items():
                self._look_at_keys(self._ref(tag), found)
            looked += len(page)
            self._progress("keys", looked, None)

    def _look_at_keys(self, ref: PoolRef, keys: list[PoolKey]) -> None:
        state = self._state(ref)
        if state == "absent" or any(key.name == "view" for key in keys):
            suffixes = [key.suffix for key in keys if state == "absent" or key.name == "view"]
            self._look_at_names(ref, suffixes)
        if state != "live":
            return
        items = [f"={key.item}" for key in keys if key.name == "lease"]
        for key in keys:
            if key.name == "leases":
                items.append(f">{key.item} ")
        for chunk in _chunks(items, _AT_ONCE):
            self._audit(ref, auditing.audit_leases, chunk)
        for key in keys:
            if key.name == "leases":
                self._look_at_index(ref, key.item)
        notes = [key.item for key in keys if key.name == "once"]
        self._note(self._where(ref), self._run(auditing.audit_notes, ref, notes))
        proxies = {key.item for key in keys if key.name in ("proxy", "doc", "held", "health")}
        self._look_at_unlisted(ref, proxies)
        self._look_at_holds(ref, [key.item for key in keys if key.name == "held"])

    def _look_at_names(self, ref: PoolRef, suffixes: list[str]) -> None:
        for chunk in _chunks(suffixes, _AT_ONCE):
            _, found = self._run(auditing.audit_pool, ref, chunk)
            self._note(self._where(ref), found)

    def _look_at_index(self, ref: PoolRef, consumer: str) -> None:
        key = f"{ref.key}:leases:{consumer}"
        for page in self._scan_typed("ZSCAN", key):
            for chunk in _chunks((f">{consumer} {tail}" for tail in page), _AT_ONCE):
                self._audit(ref, auditing.audit_leases, chunk)

    def _look_at_unlisted(self, ref: PoolRef, ids: Iterable[str]) -> None:
        """Of proxies that something names: those that the list does not have."""
        for chunk in _chunks(ids, _AT_ONCE):
            numbers = self._driver.run(auditing.numbers_of(self._context, ref, chunk))
            unlisted = [f"={i}" for i, number in zip(chunk, numbers, strict=True) if number is None]
            self._audit(ref, auditing.audit_proxies, unlisted)

    def _look_at_holds(self, ref: PoolRef, ids: list[str]) -> None:
        for chunk in _chunks(ids, _AT_ONCE):
            pages = self._driver.run(_first_pages(ref, chunk))
            items = []
            for proxy_id, (cursor, holders) in zip(chunk, pages, strict=True):
                items += [f"@{holder}:{proxy_id}" for holder in holders]
                if cursor != "0":
                    for page in self._scan_typed("ZSCAN", f"{ref.key}:held:{proxy_id}"):
                        items += [f"@{holder}:{proxy_id}" for holder in page]
                        items = self._flush(ref, items)
            self._audit(ref, auditing.audit_leases, items)

    def _flush(self, ref: PoolRef, items: list[str]) -> list[str]:
        self._audit(ref, auditing.audit_leases, items)
        return []

    def _scan_typed(self, kind: str, key: str) -> Iterator[list[Any]]:
        """Pages of a key; none if it is of another type, which is told elsewhere."""
        try:
            yield from self._members(kind, key)
        except Exception as error:
            if "WRONGTYPE" not in str(error):
                raise

    # -- one pool --------------------------------------------------------------------------------

    def _check_pool(self, ref: PoolRef) -> None:
        state = self._state(ref)
        if state == "deleting" and self._repair:
            self._driver.run(auditing.finish_delete(self._context, ref))
            self._note(self._where(ref), [Found("pool-deleting", "", "", True)])
        if state != "live":
            return
        self.pools += 1
        key = ref.key
        for page in self._scan_typed("ZSCAN", f"{key}:expiry"):
            for chunk in _chunks((f"@{member}" for member in page), _AT_ONCE):
                self._audit(ref, auditing.audit_leases, chunk)
        for page in self._scan_typed("ZSCAN", f"{key}:claims"):
            for chunk in _chunks((f"?{member}" for member in page), _AT_ONCE):
                self._audit(ref, auditing.audit_leases, chunk)
        for name in ("gone", "idle", "reserved", "retired"):
            for page in self._scan_typed("SSCAN", f"{key}:{name}"):
                self._look_at_unlisted(ref, page)
        views = [name for page in self._scan_typed("HSCAN", f"{key}:views") for name, _ in page]
        for view in views:
            for page in self._scan_typed("ZSCAN", f"{key}:view:{view}"):
                self._look_at_unlisted(ref, [member for member in page if member != "~"])
        self._look_at_listed(ref)
        for page in self._scan_typed("SSCAN", f"{key}:extra"):
            for chunk in _chunks((f"+{member}" for member in page), _AT_ONCE):
                self._audit(ref, auditing.audit_proxies, chunk)
        found = self._run(auditing.audit_name, ref)
        self._note(self._where(ref), found)

    def _look_at_listed(self, ref: PoolRef) -> None:
        total = self._driver.run(_size_of(f"{ref.key}:proxies"))
        looked = 0
        for page in self._scan_typed("ZSCAN", f"{ref.key}:proxies"):
            for chunk in _chunks(page, _AT_ONCE):
                self._audit(ref, auditing.audit_proxies, [f"={i}" for i in chunk])
                self._audit(ref, auditing.audit_entries, chunk)
            looked += len(page)
            self.proxies += len(page)
            self._progress(f"pool {self._where(ref)}", looked, max(total, looked))

    # -- directories -----------------------------------------------------------------------------

    def _check_directories(self) -> None:
        keys, context = self._context.keys, self._context
        skipped = {tag for tag, state in self._states.items() if state in ("deleting", "broken")}
        for page in self._scan_typed("HSCAN", keys.consumers()):
            for name, value in page:
                if not _is_uuid(value):
                    self._note("consumers", [Found("wrong-consumer", name, "", False)])
        names: list[Void] = []
        for page in self._scan_typed("HSCAN", keys.pools()):
            for chunk in _chunks(page, _AT_ONCE):
                names += self._driver.run(auditing.suspect_names(context, chunk))
        suspects: list[tuple[str, Void]] = []
        for number, bucket in enumerate(sorted(self._buckets), 1):
            for page in self._scan_typed("HSCAN", bucket):
                for chunk in _chunks(page, _AT_ONCE):
                    if len(suspects) < _SUSPECTS:
                        found = self._driver.run(
                            auditing.suspect_entries(context, bucket, chunk, skipped)
                        )
                        suspects += [(bucket, void) for void in found]
            self._progress("directories", number, len(self._buckets))
        if not names and not suspects:
            return
        time.sleep(self._second_look)
        for void in names[:_SUSPECTS]:
            self._note("pools", self._run(auditing.clear_name, void))
        for bucket, void in suspects:
            self._note("directory", self._run(auditing.clear_entry, bucket, void))


def _name_of(ctx: Context, ref: PoolRef) -> Flow[str]:
    name = yield Command(("HGET", ref.key, "name"))
    if not name:
        raise PoolNotFoundError(f"Pool with ID {ref.id} does not exist.")
    return str(name)


def _size_of(key: str) -> Flow[int]:
    return int((yield Command(("ZCARD", key))))


def _first_pages(ref: PoolRef, ids: list[str]) -> Flow[list[tuple[str, list[str]]]]:
    """The first holders of each proxy; the cursor is "0" where that is all. One trip."""
    replies = yield [Command(("ZRANGE", f"{ref.key}:held:{i}", 0, 500)) for i in ids]
    pages = []
    for reply in replies:
        holders = reply if isinstance(reply, list) else []  # of another type
        pages.append(("1", []) if len(holders) > 500 else ("0", holders))
    return pages


def _is_uuid(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    todo = iter(items)
    while chunk := list(islice(todo, size)):
        yield chunk
