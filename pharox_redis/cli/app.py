"""The entry point, which can say what is missing where the extra ``cli`` is not installed."""

from __future__ import annotations

import sys

_NEEDED = ("typer", "rich")


def main() -> None:
    """Run the command line on ``sys.argv`` and exit with its code."""
    try:
        from pharox_redis.cli.commands import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        sys.exit(
            "The command line of pharox-redis needs typer and rich. Install them with\n"
            "    pip install 'pharox-redis[cli]'"
        )
    app(prog_name="pharox-redis")
