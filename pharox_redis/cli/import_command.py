"""``pharox-redis import``: bring a provider's list into a pool."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Annotated, BinaryIO, cast

import typer
from pharox.models import ProxyProtocol, ProxyStatus
from rich.progress import Progress, TaskID

from pharox_redis.cli import exits
from pharox_redis.cli.connection import DEFAULT_URL, PrefixOption, UrlOption, storage_for
from pharox_redis.cli.import_report import (
    print_issues,
    print_summary,
    print_unused,
    summary_json,
)
from pharox_redis.cli.manners import telling
from pharox_redis.cli.options import JsonOption
from pharox_redis.cli.output import error_console, plural, print_json, printable
from pharox_redis.cli.progress import progress_bar
from pharox_redis.importing import (
    FieldMap,
    ImportSummary,
    ListError,
    ListFormat,
    Outcome,
    Terms,
    Unreadable,
    import_list,
    open_list,
)
from pharox_redis.importing.records import Concurrency
from pharox_redis.importing.values import read_concurrency


def import_proxies(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The list; - is stdin.")],
    pool: Annotated[
        str, typer.Option("--pool", metavar="NAME", help="The pool, made if it does not exist.")
    ],
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    list_format: Annotated[
        ListFormat | None,
        typer.Option("--format", help="What FILE is written in; told from FILE by default."),
    ] = None,
    mapped: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=PATH",
            help="Read FIELD from this column, or from this path of keys joined by dots, as in "
            "country=geo.country.iso_code; FIELD= says the list does not have it. Repeatable.",
        ),
    ] = None,
    protocol: Annotated[
        ProxyProtocol,
        typer.Option("--protocol", help="Protocol of proxies for which the list names none."),
    ] = ProxyProtocol.HTTP,
    status: Annotated[
        ProxyStatus | None,
        typer.Option(
            "--status",
            help="Status of new proxies, active by default; if given, known ones get it too.",
        ),
    ] = None,
    max_concurrency: Annotated[
        str | None,
        typer.Option(
            "--max-concurrency",
            metavar="N|unlimited",
            help="Leases at once of new proxies, 1 by default; if given, known ones get it too.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source", metavar="TEXT", help="Source of proxies for which the list names none."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would happen, and change nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Bring a provider's proxy list into a pool.

    FILE holds lines (host:port, host:port:user:password, [scheme://]user:password@host:port), CSV
    with a header, JSON or JSON Lines. Importing a list again changes nothing. Proxies the pool
    knows are updated where the list says something else; they keep their status and number of
    leases unless these are given here. What cannot be read is listed and skipped.
    """
    if not pool.strip():
        raise typer.BadParameter("must not be blank", param_hint="--pool")
    fields = _fields(mapped or [])
    terms = Terms(
        status=status or ProxyStatus.ACTIVE,
        max_concurrency=_concurrency(max_concurrency),
        source=source or None,
        reset_status=status is not None,
        reset_max_concurrency=max_concurrency is not None,
    )
    summary = ImportSummary()
    with (
        _opened(file) as stream,
        storage_for(url, prefix) as storage,
        telling(lambda: _what_was_written(summary)),
        progress_bar() as progress,
    ):
        size = _size_of(stream)
        task = progress.add_task("reading", total=size)
        try:
            proxies = open_list(
                _watched(stream, progress, task, size),
                name=file,
                format=list_format,
                fields=fields,
                protocol=protocol,
            )
            if proxies.format is ListFormat.JSON:
                # Read whole before the first proxy is written, so bytes tell nothing.
                progress.update(task, total=None)
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
        print_issues(summary)
        raise typer.Exit(exits.NOTHING_READ)
    if json:
        print_json(summary_json(pool, summary, dry_run=dry_run))
    else:
        print_summary(pool, summary, dry_run=dry_run)
    if summary.counts[Outcome.UNREADABLE]:
        error_console().print("Could not be read:")
        print_issues(summary)
    print_unused(fields)


def _fields(mapped: list[str]) -> FieldMap:
    try:
        return FieldMap.parse(mapped)
    except ListError as error:
        raise typer.BadParameter(printable(str(error)), param_hint="--map") from None


def _concurrency(text: str | None) -> Concurrency:
    try:
        return read_concurrency(text) or 1
    except Unreadable:
        raise typer.BadParameter(
            "neither a positive number nor 'unlimited'", param_hint="--max-concurrency"
        ) from None


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield typer.get_binary_stream("stdin")
        return
    try:
        stream = open(file, "rb")  # noqa: SIM115 - what is read later fails in its own way
    except OSError as error:
        raise typer.BadParameter(
            f"cannot open {printable(file)}: {error.strerror}", param_hint="FILE"
        ) from None
    with stream:
        yield stream


def _size_of(stream: IO[bytes]) -> int | None:
    """Return the bytes of a regular file, ``None`` for pipes and the like."""
    try:
        return os.fstat(stream.fileno()).st_size or None
    except OSError:
        return None


def _watched(stream: IO[bytes], progress: Progress, task: TaskID, size: int | None) -> IO[bytes]:
    """Return the stream, moving the bar as it is read where its end is known."""
    if size is None:
        return stream
    return progress.wrap_file(cast(BinaryIO, stream), size, task_id=task)


def _progress_of(summary: ImportSummary) -> str:
    return f"{summary.entries:,} read, {summary.written:,} written"


def _what_was_written(summary: ImportSummary) -> str:
    if summary.written:
        written = plural(summary.written, "proxy")
        return f"{written} had been written; a second run completes the import."
    # Not a whole batch, but perhaps some of the first one.
    return "A second run completes the import." if summary.readable else ""
