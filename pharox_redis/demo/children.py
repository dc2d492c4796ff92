"""Starting the demo's processes and ending every one of them.

A child gets its configuration as the first line of its standard input, answers with lines on its
standard output, and ends when its standard input closes. The pipe closes whenever the demo ends,
however it ends, so no child outlives it. Children run in a process group of their own: a Ctrl-C
at the terminal reaches the demo only, which then ends them in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import IO, Any


class ChildFailedError(RuntimeError):
    """A process of the demo ended, or stayed silent, when it should have answered."""


class Child:
    """One process of the demo, as the demo sees it."""

    def __init__(self, name: str, module: str, config: dict[str, Any]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"pharox_redis.demo.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, name=f"{name}-output", daemon=True).start()
        self.send(json.dumps(config))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def _read(self) -> None:
        for line in _pipe(self._process.stdout):
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def send(self, line: str) -> None:
        """Write one line to the child."""
        pipe = _pipe(self._process.stdin)
        with contextlib.suppress(BrokenPipeError):
            pipe.write(line + "\n")
            pipe.flush()

    def answer(self, timeout: float) -> str:
        """Wait for the child's next line."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise ChildFailedError(f"{self.name} did not answer within {timeout:g} s") from None
        if line is None:
            raise ChildFailedError(f"{self.name} ended early (exit code {self._process.wait(5)})")
        return line

    def answer_if_any(self) -> str | None:
        """Return the child's next line if it has come already."""
        try:
            return self.answer(0.0)
        except ChildFailedError:
            if not self.running:
                raise
            return None

    def kill(self) -> None:
        """End the child with SIGKILL, as a crash or the out-of-memory killer would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def ask_to_end(self) -> None:
        """Close the child's standard input."""
        with contextlib.suppress(BrokenPipeError):
            _pipe(self._process.stdin).close()

    def end(self, timeout: float = 5.0) -> int:
        """Ask the child to end, insist if it does not, and return its exit code."""
        self.ask_to_end()
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode
        finally:
            _pipe(self._process.stdout).close()


class Crew:
    """All processes of the demo; leaving the context ends those that still run."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def start(self, name: str, module: str, config: dict[str, Any]) -> Child:
        """Start one process."""
        child = Child(name, module, config)
        self._children.append(child)
        return child

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._children:
            child.ask_to_end()
        for child in reversed(self._children):
            child.end()


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "children are started with pipes"
    return stream


def announce(line: str) -> None:
    """In a child: answer with one line."""
    print(line, flush=True)


def read_config() -> dict[str, Any]:
    """In a child: read the configuration."""
    config: dict[str, Any] = json.loads(sys.stdin.readline())
    return config


async def stdin_closed() -> None:
    """In a child with an event loop: wait until standard input closes."""
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    watch_stdin(lambda: loop.call_soon_threadsafe(closed.set))
    await closed.wait()


def watch_stdin(then: Callable[[], object]) -> None:
    """In a child: call ``then`` from a thread when standard input closes."""

    def watch() -> None:
        for _line in sys.stdin:
            pass
        then()

    threading.Thread(target=watch, name="stdin", daemon=True).start()
