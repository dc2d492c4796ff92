"""The bar of long work: on stderr, if that is a terminal, and gone when the work is done."""

from __future__ import annotations

from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from pharox_redis.cli.output import error_console


def progress_bar() -> Progress:
    """Return a bar without tasks yet; use it in a ``with`` block."""
    console = error_console()
    return Progress(
        SpinnerColumn(),
        BarColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
