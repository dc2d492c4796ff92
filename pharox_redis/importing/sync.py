"""Making a pool equal to a list: what a sync would do, and doing it.

The whole list is read first, then the pool, in pages. What the list has and the pool has not is
*new*; what both have is *changed* or *unchanged*, as in an import; what only the pool has is
*retired*. A retired proxy gets no lease any more, and is deleted when nobody has one; until then it
counts as *leaving*. Of several proxies of one identity in the pool the first stays.

Nothing is written before the plan stands, so that it can be shown and doubted. Then new proxies are
added, changed ones are written, and last others are retired: a pool never runs low on the way. A
changed proxy is read again just before it is written, so that what was done to it since the plan
was made (while somebody thought about a question, say) stays. Only what was planned is retired.

Every step can be done twice. So a sync that broke off is completed by the next one, and several at
once do no harm: with one list they do the same; with different ones each retires what its own list
does not have, and the next sync puts it right.

Memory grows with the list and with the differences, not with the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias
from uuid import UUID

from pharox.exceptions import ProxyNotFoundError
from pharox.models import Proxy, ProxyPool

from pharox_redis.importing.apply import BATCH, KEPT
from pharox_redis.importing.plan import RETIRED, Outcome, Terms, compared, new_proxy
from pharox_redis.importing.pools import PoolReader, SyncStorage, states_of
from pharox_redis.importing.records import (
    Identity,
    Issue,
    Parsed,
    Record,
    identity_of,
    proxy_id,
)

Progress: TypeAlias = Callable[[str, int], None]
"""Called with what is being done and how many are done; or are, while nobody knows of how many."""


@dataclass
class Wanted:
    """What a list has.

    Attributes
    ----------
        records: Its proxies, each once, in order: the first entry about one counts.
        duplicates: Entries about a proxy that an earlier one was about.
        unreadable: Entries that could not be read.
        issues: The first of these.
    """

    records: dict[Identity, Record] = field(default_factory=dict)
    duplicates: int = 0
    unreadable: int = 0
    issues: list[Issue] = field(default_factory=list)


class Update(NamedTuple):
    """A proxy that the pool has, and which of its fields the list says otherwise."""

    identity: Identity
    changes: tuple[str, ...]


class Leaver(NamedTuple):
    """A proxy that the list has not, and how many leases it had when the pool was read."""

    identity: Identity
    leases: int


@dataclass
class SyncPlan:
    """What a sync would do to a pool.

    Attributes
    ----------
        pool: The pool; one that does not exist yet has an id that nobody keeps.
        pool_is_new: The pool does not exist.
        wanted: What the list has.
        terms: What holds where the list says nothing.
        new: Proxies to be added.
        changed: Proxies to be written, by id.
        unchanged: How many of the pool are as the list says.
        retired: Proxies to be retired, by id.
        leaving: Proxies that are retired already, by id; they are deleted if nobody has them.
        owners: See `new_proxy`.
    """

    pool: ProxyPool
    pool_is_new: bool
    wanted: Wanted
    terms: Terms
    new: list[Identity] = field(default_factory=list)
    changed: dict[UUID, Update] = field(default_factory=dict)
    unchanged: int = 0
    retired: dict[UUID, Leaver] = field(default_factory=dict)
    leaving: dict[UUID, Leaver] = field(default_factory=dict)
    owners: dict[UUID, Identity] = field(default_factory=dict)

    @property
    def returning(self) -> int:
        """How many of those changed were retired."""
        return sum(RETIRED in update.changes for update in self.changed.values())

    @property
    def present(self) -> int:
        """How many proxies of the pool are not retired already: what shares are told of."""
        return len(self.changed) - self.returning + self.unchanged + len(self.retired)

    @property
    def retired_percent(self) -> float:
        """Which share of the pool's proxies, but for those retired already, would be retired."""
        return 100 * len(self.retired) / self.present if self.retired else 0.0


@dataclass
class SyncResult:
    """What a sync did so far.

    Attributes
    ----------
        added: New proxies written.
        updated: Changed proxies written.
        deleted: Retired proxies that nobody had, or has any more.
        leaving: Retired proxies that go when their leases are over.
    """

    added: int = 0
    updated: int = 0
    deleted: int = 0
    leaving: int = 0

    @property
    def total(self) -> int:
        """Proxies that something was done about."""
        return self.added + self.updated + self.deleted + self.leaving


def read_wanted(entries: Iterable[Parsed], on_progress: Progress | None = None) -> Wanted:
    """Read a list to its end.

    Raises
    ------
        OSError: From reading the list.
    """
    wanted = Wanted()
    for number, entry in enumerate(entries, start=1):
        if isinstance(entry, Issue):
            wanted.unreadable += 1
            if len(wanted.issues) < KEPT:
                wanted.issues.append(entry)
        elif entry.identity in wanted.records:
            wanted.duplicates += 1
        else:
            wanted.records[entry.identity] = entry
        _tell(on_progress, "read", number)
    return wanted


def plan_sync(
    storage: PoolReader,
    pool_name: str,
    wanted: Wanted,
    terms: Terms,
    on_progress: Progress | None = None,
) -> SyncPlan:
    """Compare a list with a pool; nothing is written, and no pool made.

    Args
    ----
        storage: Where the pool is.
        pool_name: The pool.
        wanted: What the list has.
        terms: What holds where the list says nothing.
        on_progress: Called after every ``BATCH`` proxies.

    Raises
    ------
        PharoxError: From the storage.
    """
    pool = storage.get_pool_by_name(pool_name)
    plan = SyncPlan(pool or ProxyPool(name=pool_name), pool is None, wanted, terms)
    met = set[Identity]()
    if pool is not None:
        for number, (proxy, _, retired) in enumerate(states_of(storage, pool.id), start=1):
            identity = identity_of(proxy)
            if proxy.id.version == 5 and proxy.id != proxy_id(pool.id, identity):
                plan.owners[proxy.id] = identity
            record = wanted.records.get(identity)
            if record is None or identity in met:
                leavers = plan.leaving if retired else plan.retired
                leavers[proxy.id] = Leaver(identity, proxy.current_leases)
            else:
                met.add(identity)
                step = compared(proxy, record, terms, retired=retired)
                if step.outcome is Outcome.CHANGED:
                    plan.changed[proxy.id] = Update(identity, step.changes)
                else:
                    plan.unchanged += 1
            _tell(on_progress, "compared", number)
    plan.new = [identity for identity in wanted.records if identity not in met]
    return plan


def apply_sync(
    storage: SyncStorage,
    plan: SyncPlan,
    *,
    result: SyncResult | None = None,
    on_progress: Progress | None = None,
) -> SyncResult:
    """Do what was planned; the pool is made if it has to be.

    Args
    ----
        storage: Where the pool is.
        plan: See `plan_sync`.
        result: Counts to go on with, which tell how far a sync came that raised.
        on_progress: Called after every batch, or page.

    Raises
    ------
        PharoxError: From the storage. Another sync completes this one.
    """
    result = result if result is not None else SyncResult()
    if plan.new:
        pool = storage.ensure_pool(plan.pool.name) if plan.pool_is_new else plan.pool
        _add(storage, plan, pool, plan.new, result, on_progress)
    if plan.changed:
        _update(storage, plan, result, on_progress)
    for gone in (*plan.retired, *plan.leaving):
        try:
            deleted = storage.retire_proxy(gone)
        except ProxyNotFoundError:
            deleted = True  # by somebody else
        result.deleted += deleted
        result.leaving += not deleted
        _tell(on_progress, "done", result.total)
    return result


def _add(
    storage: SyncStorage,
    plan: SyncPlan,
    pool: ProxyPool,
    identities: list[Identity],
    result: SyncResult,
    on_progress: Progress | None,
) -> None:
    for start in range(0, len(identities), BATCH):
        batch = [
            new_proxy(pool.id, plan.wanted.records[identity], plan.terms, plan.owners)
            for identity in identities[start : start + BATCH]
        ]
        storage.add_proxies_bulk(batch)
        result.added += len(batch)
        _tell(on_progress, "done", result.total, always=True)


def _update(
    storage: SyncStorage, plan: SyncPlan, result: SyncResult, on_progress: Progress | None
) -> None:
    """Write what changed, page by page as it is now.

    What was to come back and is not there any more was deleted as its last lease ended: it is added
    anew.
    """
    after, left = "", len(plan.changed)
    returning = {
        gone: update.identity for gone, update in plan.changed.items() if RETIRED in update.changes
    }
    while left:
        page = storage.page_proxies(plan.pool.id, after=after)
        batch = list[Proxy]()
        for proxy, _, retired in page.proxies:
            update = plan.changed.get(proxy.id)
            returning.pop(proxy.id, None)
            record = update and plan.wanted.records.get(identity_of(proxy))
            if record is None:
                continue
            left -= 1
            step = compared(proxy, record, plan.terms, retired=retired)
            if step.proxy is not None:
                batch.append(step.proxy)
        if batch:
            storage.add_proxies_bulk(batch)
            result.updated += len(batch)
            _tell(on_progress, "done", result.total, always=True)
        if not page.next:
            break
        after = page.next
    _add(storage, plan, plan.pool, list(returning.values()), result, on_progress)


def _tell(on_progress: Progress | None, what: str, number: int, *, always: bool = False) -> None:
    if on_progress is not None and (always or number % BATCH == 0):
        on_progress(what, number)
