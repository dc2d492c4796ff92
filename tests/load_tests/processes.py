"""Starts load tests as processes: locust patches whatever imports it, so no test may."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCUST = [sys.executable, "-m", "locust"]
LOCUSTFILE = ["-f", "load_tests/locustfile.py"]
OVER_HTTP = ["-f", "load_tests/service_locustfile.py"]
HEADLESS = ["--headless", "--only-summary", "--users", "24", "--spawn-rate", "50"]
SHORT = ["--pharox-lease-seconds", "1", "--pharox-proxies", "20"]
ALL_STARTED = "All users spawned"
PATIENCE = 60.0


@dataclass
class Run:
    """A process, and what it has said."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    def until(self, words: str) -> None:
        """Read on until a line has these words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if words in line:
                return
        raise AssertionError(f"{words!r} was never said:\n{self.text}")

    def end(self) -> int:
        """Wait for its end; its exit code."""
        assert self.process.stdout is not None
        self.said += self.process.stdout
        return self.process.wait(PATIENCE)

    @property
    def text(self) -> str:
        """All it has said so far."""
        return "".join(self.said)


@contextmanager
def started(command: list[str]) -> Iterator[Run]:
    """A process in the checkout, in a session of its own, none of which is left afterwards."""
    ours = ("LOCUST_", "PHAROX_LOAD_")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**clean, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield Run(process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
