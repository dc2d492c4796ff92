"""Programs in a terminal: a pseudo-terminal (pexpect) whose output goes to a screen (pyte).

A test types, and waits for what a person would see. The screen is the one pyte draws; what pyte
does not draw (which of the two screens a terminal shows, whether keys are echoed) is asked of the
modes that were set.
"""

from __future__ import annotations

import os
import sys
import termios
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import pexpect
import pyte

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "pharox_redis")
PATIENCE = 30.0  # seconds that anything may take: machines are busy
_ALTERNATE = 1049 << 5  # pyte keeps private modes shifted


class Terminal:
    """A terminal in which one program runs, in a ``with`` block; what still runs then is killed."""

    def __init__(
        self, *line: str, size: tuple[int, int] = (80, 24), env: Mapping[str, str] | None = None
    ) -> None:
        self._screen = pyte.HistoryScreen(*size, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self.output = b""
        self._quiet = False
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with warnings.catch_warnings():
            # Python 3.12 and later warn of a fork beside threads; here it is followed by exec.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.child = pexpect.spawn(
                line[0],
                list(line[1:]),
                dimensions=(size[1], size[0]),
                cwd=ROOT,
                env={**kept, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})},
            )
        self._before = self._settings()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.child.close(force=True)

    # -- what is seen --------------------------------------------------------------------------

    @property
    def lines(self) -> list[str]:
        """The lines of the screen, without the blanks at their ends."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(self.lines)

    @property
    def alternate(self) -> bool:
        """Whether the terminal shows its other screen, which full-screen programs draw on."""
        return _ALTERNATE in self._screen.mode

    @property
    def as_before(self) -> bool:
        """Whether the terminal is as it was: main screen, a cursor, no styles, keys as before."""
        plain = self._screen.cursor.attrs == self._screen.default_char
        clean = not (self.alternate or self._screen.cursor.hidden)
        return clean and plain and self._settings() == self._before

    @property
    def cursor_hidden(self) -> bool:
        """Whether there is no cursor to be seen."""
        return bool(self._screen.cursor.hidden)

    @property
    def single_keys(self) -> bool:
        """Whether keys reach the program without Enter, and are not echoed."""
        return not self._settings()[3] & (termios.ICANON | termios.ECHO)

    def until(self, seen: str | Callable[[], object], patience: float = PATIENCE) -> None:
        """Read until the screen has a text, or something else is true of it, and goes on to be so
        when all has been read that was written in one go."""
        there = (lambda: seen in self.text) if isinstance(seen, str) else seen
        deadline = time.monotonic() + patience
        while True:
            open_still = self._read()
            while there() and self._read(0.02):
                if self._quiet:
                    return
            if there():
                return
            assert open_still, f"it ended with {self._result()} and this screen:\n{self.text}"
            assert time.monotonic() < deadline, f"not seen: {seen}, but:\n{self.text}"

    def ended(self) -> int:
        """Read to the end; the exit code, negative if a signal ended the program."""
        deadline = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < deadline, f"it goes on, with this screen:\n{self.text}"
        return self._result()

    # -- what is done --------------------------------------------------------------------------

    def type(self, keys: str) -> None:
        """Type keys."""
        self.child.send(keys)

    def ctrl(self, letter: str) -> None:
        """Type a letter with the control key held down."""
        self.child.sendcontrol(letter)

    def resize(self, columns: int, lines: int) -> None:
        """Make the window another size."""
        self._screen.resize(lines, columns)
        self.child.setwinsize(lines, columns)

    def _read(self, patience: float = 0.05) -> bool:
        """Draw what has come, after waiting a little for it; whether more may come."""
        self._quiet = False
        try:
            data = self.child.read_nonblocking(65_536, timeout=patience)
        except pexpect.TIMEOUT:
            self._quiet = True
            return True
        except pexpect.EOF:
            return False
        self.output += data
        self._stream.feed(data)
        return True

    def _result(self) -> int:
        self.child.wait()
        signalled = self.child.signalstatus
        return -signalled if signalled is not None else int(self.child.exitstatus or 0)

    def _settings(self) -> list[object]:
        return list(termios.tcgetattr(self.child.child_fd))
