"""Carrying a plan out, and counting what was done.

Proxies are written 500 at a time while the list is still being read. An import that breaks off
has written whole batches; running it again completes it, since what is there counts as unchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias
from uuid import UUID

from pharox.models import Proxy, ProxyPool

from pharox_redis.importing.plan import Outcome, Step, Terms, plan
from pharox_redis.importing.pools import ImportStorage, ProxyWriter, states_of
from pharox_redis.importing.records import Issue, Parsed

BATCH = 500
KEPT = 20
"""How many issues, and how many changes, a summary keeps to show; the rest is only counted."""


@dataclass
class ImportSummary:
    """What an import did so far.

    Attributes
    ----------
        counts: Entries by outcome.
        written: Proxies handed to the storage.
        issues: The first of the entries that could not be read.
        new: Labels of the first new proxies.
        changed: Labels of the first changed proxies, with the fields that change.
        pool_is_new: The pool did not exist.
    """

    counts: Counter[Outcome] = field(default_factory=Counter)
    written: int = 0
    issues: list[Issue] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    changed: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    pool_is_new: bool = False

    @property
    def entries(self) -> int:
        """Entries taken from the list."""
        return self.counts.total()

    @property
    def readable(self) -> int:
        """Entries that could be read."""
        return self.entries - self.counts[Outcome.UNREADABLE]

    def count(self, step: Step) -> None:
        """Take a step into account."""
        self.counts[step.outcome] += 1
        if step.issue is not None and len(self.issues) < KEPT:
            self.issues.append(step.issue)
        if step.identity is None:
            return
        if step.outcome is Outcome.NEW and len(self.new) < KEPT:
            self.new.append(step.identity.label)
        if step.outcome is Outcome.CHANGED and len(self.changed) < KEPT:
            self.changed.append((step.identity.label, step.changes))


Progress: TypeAlias = Callable[[ImportSummary], None]


def apply(
    storage: ProxyWriter | None,
    steps: Iterable[Step],
    *,
    summary: ImportSummary | None = None,
    on_progress: Progress | None = None,
    batch: int = BATCH,
) -> ImportSummary:
    """Write what is new and changed; a step is taken only when all before it are accounted for.

    Args
    ----
        storage: Where to write; ``None`` to count only.
        steps: See `plan`.
        summary: Counts to go on with; it is also what is returned.
        on_progress: Called with the summary after every ``batch`` entries and at the end.
        batch: Proxies a call to the storage.

    Raises
    ------
        PharoxError: From the storage; ``summary.written`` then tells what was written before.
    """
    summary = summary if summary is not None else ImportSummary()
    pending: list[Proxy] = []

    def flush() -> None:
        if storage is not None and pending:
            storage.add_proxies_bulk(pending)
            summary.written += len(pending)
        pending.clear()

    for step in steps:
        summary.count(step)
        if step.proxy is not None:
            pending.append(step.proxy)
        if len(pending) >= batch:
            flush()
        if on_progress is not None and summary.entries % batch == 0:
            on_progress(summary)
    flush()
    if on_progress is not None:
        on_progress(summary)
    return summary


def import_list(
    storage: ImportStorage,
    pool_name: str,
    entries: Iterable[Parsed],
    terms: Terms,
    *,
    dry_run: bool = False,
    summary: ImportSummary | None = None,
    on_progress: Progress | None = None,
) -> ImportSummary:
    """Bring the proxies of a list into a pool, which is made if it does not exist.

    A list without any readable entry leaves the storage as it is, without a new pool as well. A
    proxy that someone else writes between the reading of the pool and the writing of its batch is
    overwritten with what was read, changed as the list says; its leases are not affected.

    Args
    ----
        storage: Where the pool is.
        pool_name: The pool.
        entries: See `open_list`.
        terms: What holds where the list says nothing.
        dry_run: Write nothing, make no pool.
        summary: Counts to go on with, which tell how far an import came that raised.
        on_progress: See `apply`.

    Raises
    ------
        PharoxError: From the storage.
        OSError: From reading the list.
    """
    summary = summary if summary is not None else ImportSummary()
    remaining = iter(entries)
    first = _first_record(remaining, summary)
    if not first:
        return summary
    pool = storage.get_pool_by_name(pool_name)
    summary.pool_is_new = pool is None
    if pool is None:
        # In a dry run this pool is never stored: it only lends an id to proxies nobody sees.
        pool = ProxyPool(name=pool_name) if dry_run else storage.ensure_pool(pool_name)
    existing, retired = list[Proxy](), set[UUID]()
    if not summary.pool_is_new:
        for state in states_of(storage, pool.id):
            existing.append(state.proxy)
            if state.retired:
                retired.add(state.proxy.id)
    return apply(
        None if dry_run else storage,
        plan(existing, chain(first, remaining), pool.id, terms, retired=retired),
        summary=summary,
        on_progress=on_progress,
    )


def _first_record(entries: Iterator[Parsed], summary: ImportSummary) -> list[Parsed]:
    for entry in entries:
        if not isinstance(entry, Issue):
            return [entry]
        summary.count(Step(Outcome.UNREADABLE, issue=entry))
    return []
