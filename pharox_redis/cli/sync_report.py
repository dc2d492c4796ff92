"""What a sync prints: the difference between list and pool, and what was done about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any

from pharox_redis.cli.import_report import print_rest
from pharox_redis.cli.output import plural, printable, result_console
from pharox_redis.importing import Identity, SyncPlan, SyncResult
from pharox_redis.importing.apply import KEPT
from pharox_redis.importing.sync import Leaver, Update


def print_plan(plan: SyncPlan, *, dry_run: bool) -> None:
    """Print how many proxies differ, and the first of each kind."""
    console = result_console()
    if dry_run:
        console.print("Dry run: nothing was written.")
    made = " (does not exist yet)" if plan.pool_is_new else ""
    back = f" ({plan.returning:,} retired before)" if plan.returning else ""
    console.print(
        f"Pool {printable(plan.pool.name)}{made}: {len(plan.new):,} new, "
        f"{len(plan.changed):,} changed{back}, {plan.unchanged:,} unchanged, "
        f"{len(plan.retired):,} to retire; "
        f"{plural(plan.wanted.duplicates, 'duplicate')}, {plan.wanted.unreadable:,} unreadable."
    )
    _print_some("new", plan.new, (identity.label for identity in plan.new))
    _print_some("changed", plan.changed, map(_update_label, plan.changed.values()))
    _print_some("retire", plan.retired, map(_leaver_label, plan.retired.values()))
    _print_some("leaving", plan.leaving, map(_leaver_label, plan.leaving.values()))


def print_result(result: SyncResult) -> None:
    """Print what was done."""
    result_console().print(f"Done: {_done(result)}.")


def broken_off(result: SyncResult) -> str:
    """Return what to say of a sync that broke off."""
    return f"Done before: {_done(result)}. A second run completes the sync."


def _done(result: SyncResult) -> str:
    return (
        f"{result.added:,} added, {result.updated:,} updated, {result.deleted:,} deleted, "
        f"{result.leaving:,} to be deleted when their leases are over"
    )


def plan_json(plan: SyncPlan) -> dict[str, Any]:
    """The whole difference, for programs."""
    wanted = plan.wanted
    return {
        "pool": plan.pool.name,
        "made": plan.pool_is_new,
        "counts": {
            "new": len(plan.new),
            "changed": len(plan.changed),
            "returning": plan.returning,
            "unchanged": plan.unchanged,
            "retired": len(plan.retired),
            "leaving": len(plan.leaving),
            "duplicate": wanted.duplicates,
            "unreadable": wanted.unreadable,
        },
        "new": [_proxy_json(identity) for identity in plan.new],
        "changed": [
            {"id": str(id), **_proxy_json(update.identity), "changes": list(update.changes)}
            for id, update in plan.changed.items()
        ],
        "retired": [_leaver_json(str(id), leaver) for id, leaver in plan.retired.items()],
        "leaving": [_leaver_json(str(id), leaver) for id, leaver in plan.leaving.items()],
        "unreadable": [str(issue) for issue in wanted.issues],
    }


def result_json(result: SyncResult) -> dict[str, int]:
    """What was done, for programs."""
    return {
        "added": result.added,
        "updated": result.updated,
        "deleted": result.deleted,
        "leaving": result.leaving,
    }


def _print_some(word: str, all: Collection[object], labels: Iterable[str]) -> None:
    console = result_console()
    for label in islice(labels, KEPT):
        console.print(f"  {word:<8} {printable(label)}")
    print_rest(console, len(all) - KEPT)


def _update_label(update: Update) -> str:
    return f"{update.identity.label}: {', '.join(update.changes)}"


def _leaver_label(leaver: Leaver) -> str:
    leases = f" ({plural(leaver.leases, 'lease')})" if leaver.leases else ""
    return f"{leaver.identity.label}{leases}"


def _proxy_json(identity: Identity) -> dict[str, Any]:
    return {
        "protocol": identity.protocol.value,
        "host": identity.host,
        "port": identity.port,
        "username": identity.user,
    }


def _leaver_json(id: str, leaver: Leaver) -> dict[str, Any]:
    return {"id": id, **_proxy_json(leaver.identity), "leases": leaver.leases}
