"""What an import prints when it is done."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from pharox_redis.cli.output import error_console, plural, printable, result_console
from pharox_redis.importing import FieldMap, ImportSummary, Outcome


def print_summary(pool: str, summary: ImportSummary, *, dry_run: bool) -> None:
    """Print what an import did to the pool, or in a dry run would do, with examples."""
    console = result_console()
    counts = summary.counts
    made = " (does not exist yet)" if dry_run else " (made)"
    if dry_run:
        console.print("Dry run: nothing was written.")
    console.print(
        f"Pool {printable(pool)}{made if summary.pool_is_new else ''}: "
        f"{counts[Outcome.NEW]:,} new, {counts[Outcome.CHANGED]:,} changed, "
        f"{counts[Outcome.UNCHANGED]:,} unchanged, "
        f"{plural(counts[Outcome.DUPLICATE], 'duplicate')}, "
        f"{counts[Outcome.UNREADABLE]:,} unreadable."
    )
    if dry_run:
        for label in summary.new:
            console.print(f"  new      {label}")
        _print_rest(console, counts[Outcome.NEW] - len(summary.new))
        for label, changes in summary.changed:
            console.print(f"  changed  {label}: {', '.join(changes)}")
        _print_rest(console, counts[Outcome.CHANGED] - len(summary.changed))


def summary_json(pool: str, summary: ImportSummary, *, dry_run: bool) -> dict[str, Any]:
    """Return what an import did, or in a dry run would do, for programs: all of the numbers, and
    the examples that a person sees."""
    return {
        "pool": pool,
        "made": summary.pool_is_new,
        "dry_run": dry_run,
        **{outcome.value: summary.counts[outcome] for outcome in Outcome},
        "written": summary.written,
        "examples": {
            "new": summary.new,
            "changed": [
                {"proxy": label, "fields": list(changes)} for label, changes in summary.changed
            ],
            "unreadable": [str(issue) for issue in summary.issues],
        },
    }


def print_issues(summary: ImportSummary) -> None:
    """Print the first entries that could not be read, and how many more there are."""
    console = error_console()
    for issue in summary.issues:
        console.print(f"  {issue}")
    _print_rest(console, summary.counts[Outcome.UNREADABLE] - len(summary.issues))


def print_unused(fields: FieldMap) -> None:
    """Warn of mapped fields that no entry of the list had anything under."""
    for field, path in fields.unused.items():
        error_console().print(f"Warning: --map {field}: nothing in the list at {printable(path)!r}")


def _print_rest(console: Console, more: int) -> None:
    if more > 0:
        console.print(f"  ... and {more:,} more")
