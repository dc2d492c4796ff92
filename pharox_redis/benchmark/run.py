"""A run from start to end: :func:`main` is what ``pharox-redis bench`` calls.

Find the server, run the sections one after the other, clean up, print the table, and write files if
they were asked for. A section that fails costs its own rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pharox.exceptions import PharoxError
from redis.exceptions import RedisClusterException, RedisError
from rich.console import Console

from pharox_redis.benchmark import plots, report, results
from pharox_redis.benchmark.bench import FULL, SMALL, Bench, Profile
from pharox_redis.benchmark.machine import environment
from pharox_redis.benchmark.peers.postgres import PostgresUnusableError, server_version
from pharox_redis.benchmark.place import UnusableServerError, clean, embedded_or
from pharox_redis.benchmark.progress import Display
from pharox_redis.benchmark.results import Results
from pharox_redis.benchmark.rows import Row, Verdict
from pharox_redis.benchmark.sections.registry import SECTIONS, Entry
from pharox_redis.cli.output import describe, error_console, mask_url
from pharox_redis.connecting import connect
from pharox_redis.embedded import EmbeddedServerError
from pharox_redis.signals import sigterm_like_ctrl_c

PROFILES = {profile.name: profile for profile in (SMALL, FULL)}

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

_FILE_WIDTH = 140

_UNREACHABLE = (
    RedisError,
    RedisClusterException,
    PharoxError,
    EmbeddedServerError,
    UnusableServerError,
    PostgresUnusableError,
    OSError,
)


@dataclass(frozen=True)
class Options:
    """How one run is to be. ``only`` are names of sections, all of them if there are none."""

    url: str | None = None
    postgres_url: str | None = None
    profile: Profile = FULL
    only: Sequence[str] = ()
    out: Path | None = None
    strict: bool = False


class UnknownSectionError(ValueError):
    """There is no section of that name."""


def chosen(names: Sequence[str]) -> list[Entry]:
    """The sections of these names in the table's order; all if there are none.

    Raises ``UnknownSectionError``.
    """
    known = [entry.name for entry in SECTIONS]
    for name in names:
        if name not in known:
            raise UnknownSectionError(f"no section {name!r}; there are {', '.join(known)}")
    return [entry for entry in SECTIONS if not names or entry.name in names]


def main(options: Options) -> int:
    """Run the benchmark, print how it went, and return the exit code."""
    sections = chosen(options.only)
    errors = error_console()
    try:
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
        with sigterm_like_ctrl_c():
            found, failed = measure(options, sections, errors)
    except KeyboardInterrupt:
        errors.print("interrupted; what the benchmark wrote to the server is deleted")
        return EXIT_INTERRUPTED
    except _UNREACHABLE as error:
        errors.print(f"Error: {masked(describe(error), options)}")
        return EXIT_FAILED
    report.show(_wide_console(), found)
    if options.out is not None:
        for path in save(found, options.out):
            errors.print(f"wrote {path}")
    missed = any(row.verdict is Verdict.FAIL for row in found.rows)
    return EXIT_FAILED if failed or (missed and options.strict) else 0


def measure(options: Options, sections: Sequence[Entry], errors: Console) -> tuple[Results, bool]:
    """What was measured, and whether a section failed.

    Raises what ``embedded_or`` does when the server cannot be used, ``PostgresUnusableError``.
    """
    with ExitStack() as stack:
        postgres = None if options.postgres_url is None else server_version(options.postgres_url)
        place = stack.enter_context(embedded_or(options.url))
        client: Any = stack.enter_context(connect(place.url))
        display = stack.enter_context(Display(errors, len(sections)))
        bench = Bench(client, place.url, options.profile, display, options.postgres_url)
        about = environment(client, place.where, postgres)
        if options.url is not None:
            stack.callback(clean, place.url, bench.prefix)
        rows: list[Row] = []
        failed = False
        for entry in sections:
            display.begin(entry.name)
            try:
                _run(entry, bench, rows)
            except Exception as error:
                failed = True
                rows.append(
                    Row(entry.name, entry.title, None, "", note=masked(reason(error), options))
                )
            display.end()
        display.status("cleaning up")
        return Results(options.profile.name, about, rows, bench.series), failed


def save(found: Results, folder: Path) -> list[Path]:
    """Write the results, the plots and the table of the page, and return their paths."""
    drawn = plots.draw(found, folder)
    page = report.rewrite_page(found, folder, [path.name for path in drawn])
    return [results.write(found, folder), *drawn, *([page] if page else [])]


def reason(error: BaseException) -> str:
    """Why a section failed, in one line without what redis-py quotes of a command."""
    while isinstance(error, BaseExceptionGroup):  # one of many tasks
        error = error.exceptions[0]
    text = describe(error) if isinstance(error, Exception) else ""
    kind = type(error).__name__
    return text if text == kind else f"{kind}: {text}"


def masked(text: str, options: Options) -> str:
    """A text without the passwords of the URLs, whatever put them there: results are published."""
    for url in filter(None, (options.url, options.postgres_url)):
        text = text.replace(url, mask_url(url))
        user_info = url.partition("://")[2].rpartition("@")[0]
        _, _, password = user_info.partition(":")
        for secret in filter(None, (password, unquote(password))):
            text = text.replace(secret, "***")
    return text


def _wide_console() -> Console:
    """The console for the table: a file has no width, and a table of 80 columns is hard to read."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, _FILE_WIDTH))


def _run(entry: Entry, bench: Bench, rows: list[Row]) -> None:
    """Add a section's rows as they come. Interrupted between two, it is closed all the same."""
    measuring = entry.measure(bench)
    try:
        rows.extend(measuring)
    finally:
        close = getattr(measuring, "close", None)
        if close is not None:
            close()
