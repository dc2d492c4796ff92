"""``pharox-redis export``: write a pool as a list that ``import`` reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from pharox.models import Proxy, ProxyPool, ProxyStatus

from pharox_redis.cli import exits
from pharox_redis.cli.connection import DEFAULT_URL, PrefixOption, UrlOption, storage_for
from pharox_redis.cli.files import replacing
from pharox_redis.cli.import_report import print_rest
from pharox_redis.cli.naming import PoolOption, find_pool
from pharox_redis.cli.options import JsonOption, ShowSecretsOption
from pharox_redis.cli.output import error_console, plural, print_json, printable, result_console
from pharox_redis.cli.progress import progress_bar
from pharox_redis.importing import ExportSummary, ListFormat, write_list
from pharox_redis.importing.pools import PoolReader, states_of
from pharox_redis.signals import sigterm_like_ctrl_c

Put: TypeAlias = Callable[[str], object]

_TOLD_EVERY = 500
_EXTENSIONS = {
    ".csv": ListFormat.CSV,
    ".json": ListFormat.JSON,
    ".jsonl": ListFormat.JSONL,
    ".ndjson": ListFormat.JSONL,
}


def export_proxies(
    pool: PoolOption,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    list_format: Annotated[
        ListFormat | None,
        typer.Option(
            "--format",
            help="What to write; told from the name of --output by default, else lines.",
            show_default=False,
        ),
    ] = None,
    status: Annotated[
        ProxyStatus | None, typer.Option("--status", help="Only proxies of this status.")
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write into this file, which stays as it was if that breaks off; - is stdout.",
        ),
    ] = Path("-"),
    show_secrets: ShowSecretsOption = False,
    json: JsonOption = False,
) -> None:
    """Write a pool as a list that import reads.

    CSV, JSON and JSON Lines say all that a list can say of a proxy; lines say protocol, address
    and credentials only. Passwords are *** unless --show-secrets is given, and import does not
    read a proxy whose password is that. Proxies that are retired are left out. With --output,
    --json prints what was written.
    """
    to_stdout = str(output) == "-"
    if to_stdout and json:
        raise typer.BadParameter(
            "is for --output; a list in JSON is --format json", param_hint="--json"
        )
    summary = ExportSummary()
    with sigterm_like_ctrl_c(), storage_for(url, prefix) as storage:
        known = find_pool(storage, pool, "--pool")
        pieces = write_list(
            _proxies(storage, known, status),
            list_format or _EXTENSIONS.get(output.suffix.lower(), ListFormat.LINES),
            show_secrets=show_secrets,
            summary=summary,
        )
        figures = storage.get_pool_stats(known.name) if status is None else None
        total = None if figures is None else figures.total_proxies
        try:
            with _stdout() if to_stdout else _file(output, private=show_secrets) as put:
                _write(pieces, put, summary, total, quiet=to_stdout and _is_terminal())
        except BrokenPipeError:
            raise
        except OSError as error:
            where = "stdout" if to_stdout else printable(str(output))
            error_console().print(f"Error: cannot write {where}: {error.strerror}")
            raise typer.Exit(exits.FAILED) from error
    _warn(summary)
    if json:
        print_json({"pool": known.name, "file": str(output), "written": summary.written,
                    "masked": summary.masked, "unreadable": summary.unreadable})  # fmt: skip
    elif not to_stdout:
        written = plural(summary.written, "proxy")
        result_console().print(f"{written} written to {printable(str(output))}.")


def _proxies(storage: PoolReader, pool: ProxyPool, status: ProxyStatus | None) -> Iterator[Proxy]:
    for proxy, _, retired in states_of(storage, pool.id):
        if not retired and (status is None or proxy.status == status):
            yield proxy


def _write(
    pieces: Iterator[str], put: Put, summary: ExportSummary, total: int | None, *, quiet: bool
) -> None:
    with progress_bar() as progress:
        task = progress.add_task("writing", total=total, visible=not quiet)
        for piece in pieces:
            put(piece)
            if summary.written % _TOLD_EVERY == 0:
                said = f"{summary.written:,} written"
                progress.update(task, completed=summary.written, description=said)


@contextmanager
def _stdout() -> Iterator[Put]:
    """Write to stdout in UTF-8, whatever the locale; what would steer a terminal is escaped."""
    stream = typer.get_binary_stream("stdout")
    if _is_terminal():
        yield lambda text: stream.write("\n".join(map(printable, text.split("\n"))).encode())
    else:
        yield lambda text: stream.write(text.encode())
    stream.flush()


@contextmanager
def _file(path: Path, *, private: bool) -> Iterator[Put]:
    with replacing(path, private=private) as stream:
        yield lambda text: stream.write(text.encode())


def _warn(summary: ExportSummary) -> None:
    console = error_console()
    if summary.masked:
        passwords = plural(summary.masked, "password")
        console.print(
            f"Warning: {passwords} masked. This list cannot be imported again as it is; "
            "--show-secrets writes one that can."
        )
    if summary.unreadable:
        proxies = plural(summary.unreadable, "proxy")
        console.print(f"Warning: {proxies} that an import would not read, or not as stored:")
        for label, reason in summary.first_unreadable:
            console.print(f"  {printable(label)}: {reason}")
        print_rest(console, summary.unreadable - len(summary.first_unreadable))


def _is_terminal() -> bool:
    return sys.stdout.isatty()
