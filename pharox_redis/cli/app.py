"""The entry point, which can say what is missing where the extra ``cli`` is not installed."""

from __future__ import annotations

import sys

_NEEDED = ("typer", "rich", "durationpy")
_INTERRUPTED = 130


def main() -> None:
    """Run the command line on ``sys.argv`` and exit with its code."""
    try:
        _run()
    except KeyboardInterrupt:
        # Before the command began or after it ended; within, `manners` has more to say.
        sys.exit(_INTERRUPTED)


def _run() -> None:
    try:
        from pharox_redis.cli.commands import app
        from pharox_redis.cli.manners import prepare_streams
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _NEEDED:
            raise
        sys.exit(
            f"The command line of pharox-redis needs {missing}. Install what it needs with\n"
            "    pip install 'pharox-redis[cli]'"
        )
    prepare_streams()
    app(prog_name="pharox-redis")
