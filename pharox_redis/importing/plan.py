"""What an import would do to a pool, decided entry by entry and without touching the storage.

An entry of the list is one of

- ``NEW``: a proxy the pool does not have. Its id follows from the pool and the identity, so
  imports that run at the same time add it under one id.
- ``CHANGED``: a proxy the pool has, with other attributes than the list gives. It keeps its id and
  everything the list does not say.
- ``UNCHANGED``: a proxy the pool has just so; nothing is written.
- ``DUPLICATE``: a proxy that an earlier entry of the same list was about; the first one counts.
- ``UNREADABLE``: an issue.

The live state of a known proxy (status, max_concurrency, checked_at) is the fleet's, not the
list's: it stays, unless `Terms` say that this import is to set it.

A proxy that is retired, that is to say on its way out of the pool, stays in it when a list has it:
it counts as changed. If it is inactive, as retiring makes it, it gets the status of a new one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from pharox.models import Proxy, ProxyStatus

from pharox_redis.importing.records import (
    Concurrency,
    Identity,
    Issue,
    Parsed,
    Record,
    identity_of,
    proxy_id,
)
from pharox_redis.privacy import PrivateCredentials

RETIRED = "retired"
"""Stands among the changes of a proxy that was on its way out and is not any more."""

_ATTRIBUTES = ("country", "city", "latitude", "longitude", "isp", "asn")


class Outcome(StrEnum):
    """What becomes of one entry of a list."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds where the list says nothing.

    Attributes
    ----------
        status: Status of new proxies.
        max_concurrency: Leases at once of new proxies, at least 1.
        source: Source of proxies that the list gives none.
        reset_status: Give known proxies the status of the list, or else ``status``.
        reset_max_concurrency: The same for the number of leases.
    """

    status: ProxyStatus = ProxyStatus.ACTIVE
    max_concurrency: Concurrency = 1
    source: str | None = None
    reset_status: bool = False
    reset_max_concurrency: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """The decision about one entry.

    Attributes
    ----------
        outcome: What becomes of it.
        proxy: What is to be written, for ``NEW`` and ``CHANGED``.
        identity: Which proxy it is about, unless ``UNREADABLE``.
        changes: Names of the fields that differ, for ``CHANGED``; `RETIRED` first if it was that.
        issue: Why not, for ``UNREADABLE``.
    """

    outcome: Outcome
    proxy: Proxy | None = None
    identity: Identity | None = None
    changes: tuple[str, ...] = ()
    issue: Issue | None = None


def plan(
    existing: Iterable[Proxy],
    entries: Iterable[Parsed],
    pool_id: UUID,
    terms: Terms,
    *,
    retired: Collection[UUID] = (),
) -> Iterator[Step]:
    """Decide about each entry, in order and lazily.

    Memory grows with the pool and, by some 100 bytes each, with the distinct proxies of the list.

    Args
    ----
        existing: The proxies of the pool.
        entries: The list.
        pool_id: The pool that new proxies go to.
        terms: What holds where the list says nothing.
        retired: Ids of those existing ones that are retired.
    """
    known: dict[Identity, Proxy] = {}
    owners: dict[UUID, Identity] = {}
    for proxy in existing:
        identity = identity_of(proxy)
        known.setdefault(identity, proxy)
        owners[proxy.id] = identity
    seen: set[bytes] = set()
    for entry in entries:
        if isinstance(entry, Issue):
            yield Step(Outcome.UNREADABLE, issue=entry)
            continue
        identity = entry.identity
        new_id = proxy_id(pool_id, identity)
        if new_id.bytes in seen:
            yield Step(Outcome.DUPLICATE, identity=identity)
            continue
        seen.add(new_id.bytes)
        if identity in known:
            proxy = known[identity]
            yield compared(proxy, entry, terms, retired=proxy.id in retired)
        else:
            yield Step(Outcome.NEW, new_proxy(pool_id, entry, terms, owners), identity)


def compared(proxy: Proxy, record: Record, terms: Terms, *, retired: bool) -> Step:
    """Return what becomes of a proxy that the pool has: ``CHANGED`` or ``UNCHANGED``."""
    wanted = _listed(record, terms)
    if terms.reset_status or (retired and proxy.status == ProxyStatus.INACTIVE):
        wanted["status"] = record.status or terms.status
    if terms.reset_max_concurrency:
        wanted["max_concurrency"] = _stored(record.max_concurrency or terms.max_concurrency)
    changed = {name: value for name, value in wanted.items() if getattr(proxy, name) != value}
    if not changed and not retired:
        return Step(Outcome.UNCHANGED, identity=record.identity)
    return Step(
        Outcome.CHANGED,
        proxy.model_copy(update=changed),
        record.identity,
        changes=(RETIRED, *changed) if retired else tuple(changed),
    )


def new_proxy(
    pool_id: UUID, record: Record, terms: Terms, owners: Mapping[UUID, Identity]
) -> Proxy:
    """Return a proxy to be added.

    Args
    ----
        pool_id: The pool that it goes to.
        record: The proxy.
        terms: What holds where the list says nothing.
        owners: Who has which id; those suffice whose id is another identity's by `proxy_id`.
    """
    values: Mapping[str, object] = {
        "id": _free_id(pool_id, record.identity, owners),
        "pool_id": pool_id,
        "protocol": record.protocol,
        "host": record.host,
        "port": record.port,
        "status": record.status or terms.status,
        "max_concurrency": _stored(record.max_concurrency or terms.max_concurrency),
        **_listed(record, terms),
    }
    return Proxy.model_validate(values)


def _listed(record: Record, terms: Terms) -> dict[str, object]:
    """Return the attributes that the list gives, by pharox's names."""
    listed = {name: getattr(record, name) for name in _ATTRIBUTES}
    listed["source"] = record.source or terms.source
    if record.user is not None and record.password is not None:
        listed["credentials"] = PrivateCredentials(user=record.user, password=record.password)
    return {name: value for name, value in listed.items() if value is not None}


def _stored(concurrency: Concurrency) -> int | None:
    return None if concurrency == "unlimited" else concurrency


def _free_id(pool_id: UUID, identity: Identity, owners: Mapping[UUID, Identity]) -> UUID:
    """Return an id that no other proxy has: one that was edited to another host keeps its id."""
    taken: list[UUID] = []
    new_id = proxy_id(pool_id, identity)
    while owners.get(new_id, identity) != identity:
        taken.append(new_id)
        new_id = proxy_id(pool_id, identity, unlike=taken)
    return new_id
