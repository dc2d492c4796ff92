"""``pharox-redis doctor``: what is wrong with the server and with the data, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from redis.exceptions import NoPermissionError

from pharox_redis.cli.connection import DEFAULT_URL, PrefixOption, UrlOption, storage_for
from pharox_redis.cli.exits import FINDINGS
from pharox_redis.cli.naming import SomePoolOption, find_pool
from pharox_redis.cli.options import JsonOption
from pharox_redis.cli.output import describe, print_json, printable, result_console
from pharox_redis.cli.progress import progress_bar
from pharox_redis.doctor import DataChecks, Diagnosis, Finding, Level, ServerChecks
from pharox_redis.doctor.data_checks import Progress as Told
from pharox_redis.doctor.report import Looked, document, lines
from pharox_redis.errors import StorageAccessError


def doctor(
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Recompute what can be recomputed, each thing in one atomic step, while leases go"
            " on. No live lease ends.",
        ),
    ] = False,
    pool: SomePoolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the server and the data, and say what is wrong and what to do.

    Safe on pools in use: what is told was wrong at one moment, not a lease half given. Exits with 0
    if all is well (or was mended), 5 if something stays wrong, 1 if the server fails.
    """
    diagnosis = Diagnosis()
    with storage_for(url, prefix) as storage, _progress() as progress:
        chosen = None if pool is None else find_pool(storage, pool, "--pool")
        ServerChecks(storage.client, storage.settings, diagnosis).check()
        checks = DataChecks(
            storage.client, storage.settings, diagnosis, repair=repair, progress=progress
        )
        try:
            if chosen is None:
                checks.check_all()
            else:
                checks.check_pool(chosen.id)
        except (NoPermissionError, StorageAccessError) as error:
            diagnosis.add(
                Finding(
                    "data",
                    "unread-data",
                    Level.ADVISED,
                    f"The data could not be read to the end: {describe(error)}",
                    "Run doctor as an operator (docs/security.md).",
                )
            )
    looked = Looked(checks.pools, checks.proxies, repair)
    if as_json:
        print_json(document(diagnosis, looked))
    else:
        for line in lines(diagnosis, looked, shown=printable):
            result_console().print(line)
    if diagnosis.standing:
        raise typer.Exit(FINDINGS)


@contextmanager
def _progress() -> Iterator[Told]:
    """A bar on a terminal: keys looked at, then each pool's proxies."""
    with progress_bar() as bar:
        task = bar.add_task("server", total=None)

        def told(stage: str, done: int, total: int | None) -> None:
            bar.update(
                task, description=f"{printable(stage)}: {done:,}", completed=done, total=total
            )

        yield told
