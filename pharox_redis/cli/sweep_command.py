"""``pharox-redis sweep``: end the leases that are over, once or for ever.

A pool that is in use sweeps itself: every acquire ends some leases that are due. What is left to a
sweeper are pools that nobody asks, and figures that should be right all the time. Several sweepers
do not disturb each other: each lease is ended, and counted, by one.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Protocol

import typer
from pharox.exceptions import PharoxError

from pharox_redis.cli import exits
from pharox_redis.cli.connection import DEFAULT_URL, PrefixOption, UrlOption, storage_for
from pharox_redis.cli.durations import interval_option
from pharox_redis.cli.options import JsonOption
from pharox_redis.cli.output import describe, error_console, plural, print_json


class _Sweeping(Protocol):
    def cleanup_expired_leases(self) -> int:
        """End the leases that are over."""


def sweep(
    every: Annotated[
        float | None,
        interval_option(
            "--every", help="Go on until ended, this long after each other, as in 1s or 500ms."
        ),
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
) -> None:
    """End the leases that are over, in all pools.

    Prints how many these were; with --every, a line whenever there were some, until Ctrl-C, or
    SIGTERM, which is exit code 0. It then waits for a server that is away.
    """
    # Imported here, as all that needs the server's client.
    from pharox_redis.signals import Terminated, sigterm_like_ctrl_c

    if every is None:
        with storage_for(url, prefix) as storage:
            _say(storage.cleanup_expired_leases(), as_json)
        return
    try:
        with sigterm_like_ctrl_c(), storage_for(url, prefix, waits=True) as storage:
            _sweep_forever(storage, every, as_json)
    except Terminated:
        raise typer.Exit(exits.DONE) from None


def _sweep_forever(storage: _Sweeping, every: float, as_json: bool) -> None:
    from pharox_redis.errors import StorageAccessError, UnsupportedServerError

    failed: type[PharoxError] | None = None
    while True:
        begun = time.monotonic()
        try:
            ended = storage.cleanup_expired_leases()
        except (StorageAccessError, UnsupportedServerError):
            raise  # waiting does not help
        except PharoxError as error:
            # Also if one pool's data cannot be read: the others were swept.
            if type(error) is not failed:
                failed = type(error)
                error_console().print(f"{describe(error)} Trying again.")
        else:
            if failed:
                failed = None
                error_console().print("The server answers again.")
            if ended:
                _say(ended, as_json)
        time.sleep(max(0.0, every - (time.monotonic() - begun)))


def _say(ended: int, as_json: bool) -> None:
    now = datetime.now(UTC)
    if as_json:
        print_json({"at": now.isoformat(), "ended": ended})
    else:
        typer.echo(f"{plural(ended, 'lease')} ended")
