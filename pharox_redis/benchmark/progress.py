"""How far a run is: a display that goes away on a terminal, a line a section elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Display:
    """The reporter of a run of the command. Use it in a ``with`` block."""

    def __init__(self, console: Console, sections: int) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=sections)
        self._section = ""
        self._status = ""
        self._rounds = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, section: str) -> None:
        """A section begins."""
        self._section = section
        self.status("")
        if not self._console.is_terminal:
            self._console.print(f"measuring {section}", markup=False, highlight=False)

    def end(self) -> None:
        """A section has ended."""
        self._progress.advance(self._task)

    def status(self, text: str) -> None:
        """Say what is being done."""
        self._status, self._rounds = text, 0
        self._show()

    def advance(self) -> None:
        """One more round is done."""
        self._rounds += 1
        self._show()

    def _show(self) -> None:
        parts = [self._section, self._status, f"round {self._rounds}" if self._rounds else ""]
        self._progress.update(self._task, description=": ".join(filter(None, parts)))
