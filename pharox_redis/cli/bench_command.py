"""``pharox-redis bench``: what leasing costs on this machine, beside what else would do the job."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pharox_redis.cli import exits
from pharox_redis.cli.output import error_console


class ProfileName(StrEnum):
    """How much is measured."""

    SMALL = "small"
    FULL = "full"


def bench(
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="The server to measure on, nobody else being at work there: redis://, rediss:// "
            "or unix://. An embedded one by default.",
            show_default=False,
        ),
    ] = None,
    postgres_url: Annotated[
        str | None,
        typer.Option(
            "--postgres-url",
            metavar="URL",
            help="A PostgreSQL to compare with: postgresql://. Needs pharox[postgres].",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        ProfileName,
        typer.Option("--profile", help="full is what is quoted, small shows that it works."),
    ] = ProfileName.FULL,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="SECTION", help="Just this section. Repeatable."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            file_okay=False,
            help="Write results.json and plots there, and the table into its performance.md.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if a budget is missed.")
    ] = False,
) -> None:
    """Measure pairs of acquire and release, and hold them against their budgets.

    What it writes to a server is deleted when it ends, and nothing else there is touched.
    """
    # Imported here, because only this command needs the extra `bench`.
    try:
        from pharox_redis.benchmark.run import PROFILES, Options, UnknownSectionError, chosen, main
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pharox"):
            raise
        error_console().print(
            f"The benchmark needs {error.name}. Install it with\n"
            "    pip install 'pharox-redis[bench]'"
        )
        raise typer.Exit(exits.FAILED) from None
    try:
        chosen(only or [])
    except UnknownSectionError as error:
        raise typer.BadParameter(str(error), param_hint="--only") from None
    options = Options(url, postgres_url, PROFILES[profile], only or [], out, strict)
    raise typer.Exit(main(options))
