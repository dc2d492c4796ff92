"""``pharox-redis import``: bring a provider's list into a pool."""

from __future__ import annotations

from typing import Annotated

import typer
from pharox.models import ProxyProtocol

from pharox_redis.cli import exits
from pharox_redis.cli.connection import DEFAULT_URL, PrefixOption, UrlOption, storage_for
from pharox_redis.cli.import_report import (
    print_issues,
    print_summary,
    print_unused,
    summary_json,
)
from pharox_redis.cli.list_options import (
    ConcurrencyOption,
    DryRunOption,
    FileArgument,
    FormatOption,
    MapOption,
    ProtocolOption,
    SourceOption,
    StatusOption,
    checked_pool,
    field_map,
    opened,
    start_reading,
    terms_of,
)
from pharox_redis.cli.manners import telling
from pharox_redis.cli.options import JsonOption
from pharox_redis.cli.output import error_console, plural, print_json, printable
from pharox_redis.cli.progress import progress_bar
from pharox_redis.importing import ImportSummary, Outcome, import_list


def import_proxies(
    file: FileArgument,
    pool: Annotated[
        str, typer.Option("--pool", metavar="NAME", help="The pool, made if it does not exist.")
    ],
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    list_format: FormatOption = None,
    mapped: MapOption = None,
    protocol: ProtocolOption = ProxyProtocol.HTTP,
    status: StatusOption = None,
    max_concurrency: ConcurrencyOption = None,
    source: SourceOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Bring a provider's proxy list into a pool.

    FILE holds lines (host:port, host:port:user:password, [scheme://]user:password@host:port), CSV
    with a header, JSON or JSON Lines. Importing a list again changes nothing. Proxies the pool
    knows are updated where the list says something else; they keep their status and number of
    leases unless these are given here. What cannot be read is listed and skipped.
    """
    checked_pool(pool)
    fields = field_map(mapped)
    terms = terms_of(status, max_concurrency, source)
    summary = ImportSummary()
    with (
        opened(file) as stream,
        storage_for(url, prefix) as storage,
        telling(lambda: _what_was_written(summary)),
        progress_bar() as progress,
    ):
        try:
            proxies, task = start_reading(
                stream,
                progress,
                name=file,
                list_format=list_format,
                fields=fields,
                protocol=protocol,
            )
            import_list(
                storage,
                pool,
                proxies.entries,
                terms,
                dry_run=dry_run,
                summary=summary,
                on_progress=lambda so_far: progress.update(task, description=_progress_of(so_far)),
            )
        except OSError as error:
            error_console().print(f"Error: cannot read {printable(file)}: {error.strerror}")
            if summary.written:
                error_console().print(_what_was_written(summary))
            raise typer.Exit(exits.USAGE) from error
    if not summary.readable:
        error_console().print(f"Error: no proxy could be read from {printable(file)}.")
        print_issues(summary.issues, summary.counts[Outcome.UNREADABLE])
        raise typer.Exit(exits.NOTHING_READ)
    if json:
        print_json(summary_json(pool, summary, dry_run=dry_run))
    else:
        print_summary(pool, summary, dry_run=dry_run)
    if summary.counts[Outcome.UNREADABLE]:
        error_console().print("Could not be read:")
        print_issues(summary.issues, summary.counts[Outcome.UNREADABLE])
    print_unused(fields)


def _progress_of(summary: ImportSummary) -> str:
    return f"{summary.entries:,} read, {summary.written:,} written"


def _what_was_written(summary: ImportSummary) -> str:
    if summary.written:
        written = plural(summary.written, "proxy")
        return f"{written} had been written; a second run completes the import."
    # Not a whole batch, but perhaps some of the first one.
    return "A second run completes the import." if summary.readable else ""
