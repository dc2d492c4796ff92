"""From the options of ``pharox-redis top`` to its exit code.

On a terminal it is a screen that is drawn again and again. Elsewhere it prints readings one below
the other: one, or with ``--interval`` one each interval. ``--json`` prints them as JSON, one object
a line, until it is ended. ``--once`` prints one anywhere; with ``--interval`` it looks twice, so
that there are rates.

A server that cannot be used at the beginning ends the command; later it is waited for.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from pharox.exceptions import PharoxError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from rich.console import Console

from pharox_redis.aio import AsyncRedisStorage
from pharox_redis.cli import exits
from pharox_redis.cli.connection import settings_for, storage_for
from pharox_redis.cli.durations import shortly
from pharox_redis.cli.naming import find_pool
from pharox_redis.cli.output import describe, error_console, mask_url
from pharox_redis.cli.top.printing import plain_console, print_plain, print_reading_json
from pharox_redis.cli.top.reading import Reader, Reading
from pharox_redis.cli.top.screen import Screen
from pharox_redis.cli.top.watching import Ended, Watch, ended_by_signals, pace

_INTERVAL = 1.0
_SIGNALS = {signal.SIGINT: exits.INTERRUPTED, signal.SIGTERM: exits.DONE}


@dataclass(frozen=True)
class Options:
    """What the command line asks for; ``interval`` (seconds) is ``None`` if it does not say."""

    url: str
    prefix: str | None
    pool: str | None
    interval: float | None
    limit: int
    as_json: bool
    once: bool


def main(options: Options) -> int:
    """Run the command, and return its exit code.

    Raises
    ------
        typer.BadParameter, typer.Exit: See `storage_for` and `find_pool`.
    """
    with storage_for(options.url, options.prefix) as storage:
        pool_id = None if options.pool is None else find_pool(storage, options.pool, "--pool").id
        storage.close()  # what follows has connections of its own
        return asyncio.run(_main(options, pool_id))


async def _main(options: Options, pool_id: UUID | None) -> int:
    # A look that fails is made again soon: the screen should say at once that it failed. The one
    # repetition is for connections that a server has closed while they were idle.
    async with AsyncRedisStorage.from_url(
        options.url, settings_for(options.prefix), retry=Retry(NoBackoff(), 1)
    ) as storage:
        reader = Reader(storage, pool_id=pool_id, limit=options.limit)
        try:
            with ended_by_signals(_SIGNALS):
                await _show(options, reader)
        except Ended as ended:
            return ended.exit_code
    return exits.DONE


async def _show(options: Options, reader: Reader) -> None:
    interval = _INTERVAL if options.interval is None else options.interval
    console = plain_console()
    write: Callable[[Reading], None]
    write = print_reading_json if options.as_json else lambda reading: print_plain(console, reading)
    begun = time.monotonic()
    reading = await reader.read()
    if options.once:
        if options.interval is not None:
            await pace(interval, begun)
            reading = await reader.read()
        write(reading)
    elif _is_screen(console) and not options.as_json:
        screen = Screen(mask_url(options.url), shortly(interval), reading)
        await Watch(reader.read, console, screen, interval).run()
    else:
        write(reading)
        if options.as_json or options.interval is not None:
            await pace(interval, begun)
            await _go_on(reader, write, interval)


async def _go_on(reader: Reader, write: Callable[[Reading], None], interval: float) -> None:
    """Print a reading each interval, for ever. What goes wrong is said once, as it begins."""
    failed: type[PharoxError] | None = None
    while True:
        begun = time.monotonic()
        try:
            reading = await reader.read()
        except PharoxError as error:
            if type(error) is not failed:
                failed = type(error)
                error_console().print(f"{describe(error)} Trying again.")
        else:
            if failed:
                error_console().print("The server answers again.")
                failed = None
            write(reading)
        await pace(interval, begun)


def _is_screen(console: Console) -> bool:
    # Not what rich takes for one because of a variable (FORCE_COLOR).
    return sys.stdout.isatty() and console.is_terminal and not console.is_dumb_terminal
