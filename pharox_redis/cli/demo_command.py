"""``pharox-redis demo``: several processes lease proxies on a server of their own."""

from __future__ import annotations

from typing import Annotated

import typer

from pharox_redis.cli import exits
from pharox_redis.cli.output import error_console


def demo(
    seconds: Annotated[
        float, typer.Option("--seconds", min=1.0, help="How long the workers run.")
    ] = 8.0,
    workers: Annotated[int, typer.Option("--workers", min=2, help="How many processes.")] = 6,
) -> None:
    """Watch processes share a pool on this machine."""
    # Imported here, because only this command needs the extra `demo`.
    try:
        from pharox_redis.demo.run import main
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pharox"):
            raise
        error_console().print(
            f"The demo needs {error.name}. Install it with\n    pip install 'pharox-redis[demo]'"
        )
        raise typer.Exit(exits.FAILED) from None
    raise typer.Exit(main(seconds, workers))
