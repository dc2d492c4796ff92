"""Proxy lists on the command line: the options that say how one is read, and its opening.

``import`` and ``sync`` read lists in the same way, because both do so here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Annotated, BinaryIO, TypeAlias, cast

import typer
from pharox.models import ProxyProtocol, ProxyStatus
from rich.progress import Progress, TaskID

from pharox_redis.cli.output import printable
from pharox_redis.importing import FieldMap, ListError, ListFormat, Terms, Unreadable, open_list
from pharox_redis.importing.readers import ProxyList
from pharox_redis.importing.records import Concurrency
from pharox_redis.importing.values import read_concurrency

FileArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="FILE", help="The list; - is stdin.")
]
FormatOption: TypeAlias = Annotated[
    ListFormat | None,
    typer.Option("--format", help="What FILE is written in; told from FILE by default."),
]
MapOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="FIELD=PATH",
        help="Read FIELD from this column, or from this path of keys joined by dots, as in "
        "country=geo.country.iso_code; FIELD= says the list does not have it. Repeatable.",
    ),
]
ProtocolOption: TypeAlias = Annotated[
    ProxyProtocol,
    typer.Option("--protocol", help="Protocol of proxies for which the list names none."),
]
StatusOption: TypeAlias = Annotated[
    ProxyStatus | None,
    typer.Option(
        "--status",
        help="Status of new proxies, active by default; if given, known ones get it too.",
    ),
]
ConcurrencyOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--max-concurrency",
        metavar="N|unlimited",
        help="Leases at once of new proxies, 1 by default; if given, known ones get it too.",
    ),
]
SourceOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--source", metavar="TEXT", help="Source of proxies for which the list names none."
    ),
]
DryRunOption: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Show what would happen, and change nothing.")
]


def checked_pool(pool: str) -> str:
    """Return the name of a pool that may have to be made. Raises ``typer.BadParameter``."""
    if not pool.strip():
        raise typer.BadParameter("must not be blank", param_hint="--pool")
    return pool


def field_map(mapped: list[str] | None) -> FieldMap:
    """Return what ``--map`` says. Raises ``typer.BadParameter``."""
    try:
        return FieldMap.parse(mapped or [])
    except ListError as error:
        raise typer.BadParameter(printable(str(error)), param_hint="--map") from None


def terms_of(status: ProxyStatus | None, max_concurrency: str | None, source: str | None) -> Terms:
    """Return what holds where the list says nothing. Raises ``typer.BadParameter``."""
    return Terms(
        status=status or ProxyStatus.ACTIVE,
        max_concurrency=_concurrency(max_concurrency),
        source=source or None,
        reset_status=status is not None,
        reset_max_concurrency=max_concurrency is not None,
    )


def _concurrency(text: str | None) -> Concurrency:
    try:
        return read_concurrency(text) or 1
    except Unreadable:
        raise typer.BadParameter(
            "neither a positive number nor 'unlimited'", param_hint="--max-concurrency"
        ) from None


@contextmanager
def opened(file: str) -> Iterator[IO[bytes]]:
    """Open a list, or stdin for ``-``. Raises ``typer.BadParameter`` if there is none."""
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


def start_reading(
    stream: IO[bytes],
    progress: Progress,
    *,
    name: str,
    list_format: ListFormat | None,
    fields: FieldMap,
    protocol: ProxyProtocol,
) -> tuple[ProxyList, TaskID]:
    """Return the list, unread but for its beginning, and its task: the bar moves as it is read.

    Raises
    ------
        OSError: The stream cannot be read; taking the entries can raise it too.
    """
    size = _size_of(stream)
    task = progress.add_task("reading", total=size)
    watched = stream
    if size is not None:
        watched = progress.wrap_file(cast(BinaryIO, stream), size, task_id=task)
    proxies = open_list(watched, name=name, format=list_format, fields=fields, protocol=protocol)
    if proxies.format is ListFormat.JSON:
        # Read whole before the first entry is taken, so bytes tell nothing.
        progress.update(task, total=None)
    return proxies, task


def _size_of(stream: IO[bytes]) -> int | None:
    """Return the bytes of a regular file, ``None`` for pipes and the like."""
    try:
        return os.fstat(stream.fileno()).st_size or None
    except OSError:
        return None
