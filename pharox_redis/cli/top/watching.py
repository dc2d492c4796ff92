"""Looks again and again until a key or a signal ends it, and draws what it sees.

One task looks. The main one draws whenever there is something new to see, and at least every second
as long as the server is away, for the time since. So a server that does not answer holds up neither
keys nor the clock. A look that failed is made again after the interval, for as long as it takes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from pharox.exceptions import PharoxError
from rich.console import Console
from rich.live import Live

from pharox_redis.cli.durations import in_words
from pharox_redis.cli.output import describe
from pharox_redis.cli.top.keyboard import keys
from pharox_redis.cli.top.reading import Reading
from pharox_redis.cli.top.screen import Screen
from pharox_redis.errors import StorageUnavailableError

Look = Callable[[], Awaitable[Reading]]

_OVERDUE = 3.0  # seconds a look may take before the screen says that it is waiting
_REDRAW = 1.0


async def pace(interval: float, begun: float) -> None:
    """Wait until ``interval`` after a look began, and no less than the look took: who watches
    should not be what keeps a server busy."""
    took = time.monotonic() - begun
    await asyncio.sleep(max(interval - took, took))


class Watch:
    """A terminal that shows one look after the other; ``screen`` has the first one."""

    def __init__(self, look: Look, console: Console, screen: Screen, interval: float) -> None:
        self._look = look
        self._console = console
        self._screen = screen
        self._interval = interval
        self._changed = asyncio.Event()
        self._going = asyncio.Event()
        self._going.set()
        self._quit = self._suspended = False
        self._failed: PharoxError | None = None
        self._well_at = time.monotonic()  # when the last look ended that succeeded
        self._begun: float | None = None  # when the look under way began

    async def run(self) -> None:
        """Show it until the key for the end is typed. Cancel the task to end it otherwise.

        The terminal is as before when this returns or raises, and while the process is suspended.
        """
        looking = asyncio.create_task(self._look_forever())
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self._changed.set)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        try:
            while not self._quit:
                with (
                    keys(self._heed),
                    Live(console=self._console, screen=True, auto_refresh=False) as live,
                ):
                    await self._show(live, looking)
                if self._suspended:
                    self._suspended = False
                    os.kill(os.getpid(), signal.SIGSTOP)
        finally:
            loop.remove_signal_handler(signal.SIGTSTP)
            loop.remove_signal_handler(signal.SIGWINCH)
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    async def _show(self, live: Live, looking: asyncio.Task[None]) -> None:
        while not (self._quit or self._suspended):
            self._changed.clear()
            self._screen.trouble = self._trouble()
            live.update(self._screen, refresh=True)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _REDRAW)
            if looking.done():
                looking.result()

    async def _look_forever(self) -> None:
        begun = time.monotonic()
        try:
            while True:
                await pace(self._interval, begun)
                await self._going.wait()
                self._begun = begun = time.monotonic()
                try:
                    reading = await self._look()
                except PharoxError as error:
                    self._failed = error
                else:
                    self._failed, self._well_at = None, time.monotonic()
                    self._screen.reading = reading
                self._begun = None
                self._changed.set()
        finally:
            self._changed.set()

    def _trouble(self) -> str:
        """Return what is wrong and since when, or nothing."""
        now = time.monotonic()
        if self._failed is not None and not self._screen.paused:
            away = isinstance(self._failed, StorageUnavailableError)
            what = "server away" if away else "failing"
            return f"{what} for {in_words(now - self._well_at)}: {describe(self._failed)}"
        if self._begun is not None and now - self._begun > _OVERDUE:
            return f"no answer from the server for {in_words(now - self._begun)}"
        return ""

    def _heed(self, key: str) -> None:
        screen = self._screen
        if key in "qQ":
            self._quit = True
        elif key in "pP":
            screen.paused = not screen.paused
            (self._going.clear if screen.paused else self._going.set)()
        elif key in "sS":
            screen.order = screen.order.following
        self._changed.set()

    def _suspend(self) -> None:
        self._suspended = True
        self._changed.set()


class Ended(Exception):
    """A signal ended the command; ``exit_code`` is what it exits with."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@contextmanager
def ended_by_signals(codes: dict[signal.Signals, int]) -> Iterator[None]:
    """Let signals cancel the task of the block, which then ends with ``Ended``.

    So whatever is under way is left in good order: no exception comes from nowhere.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    came: list[int] = []

    def end(code: int) -> None:
        came.append(code)
        task.cancel()

    for number, code in codes.items():
        loop.add_signal_handler(number, end, code)
    try:
        yield
    except asyncio.CancelledError:
        if not came:
            raise
        task.uncancel()
        raise Ended(came[0]) from None
    finally:
        for number in codes:
            loop.remove_signal_handler(number)
