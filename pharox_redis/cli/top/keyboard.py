"""Single keys from a terminal, while an event loop runs."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_ESCAPE = "\x1b"


@contextmanager
def keys(heed: Callable[[str], None]) -> Iterator[None]:
    """Call ``heed`` with each key typed on stdin during the block, if stdin is a terminal.

    Keys are not echoed, and need no Enter; Ctrl-C and Ctrl-Z stay signals. What the terminal sends
    for arrows, function keys and the like is passed over. The terminal is as before afterwards.
    """
    try:
        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
    except (OSError, ValueError, AttributeError, termios.error):
        yield  # a pipe, a file, or nothing at all
        return
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            typed = os.read(number, 1024).decode(errors="replace")
        except OSError:
            typed = ""
        if not typed:  # the terminal is gone
            loop.remove_reader(number)
        elif not typed.startswith(_ESCAPE):
            for key in typed:
                heed(key)

    try:
        tty.setcbreak(number, termios.TCSADRAIN)
        loop.add_reader(number, read)
        yield
    finally:
        loop.remove_reader(number)
        # What was typed and not read is the shell's: not thrown away.
        with suppress(termios.error):
            termios.tcsetattr(number, termios.TCSADRAIN, before)
