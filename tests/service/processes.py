"""The service as processes: ``pharox-redis serve``, or uvicorn by itself, as people start them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pharox_redis.service.settings import ENV_PREFIX
from tests.service.serving import API_KEYS

PATIENCE = 30.0
SERVE = [sys.executable, "-m", "pharox_redis", "serve", "--port", "0", "--quiet"]
UVICORN = [
    *(sys.executable, "-m", "uvicorn", "pharox_redis.service.app:app"),
    *("--host", "127.0.0.1"),
]
_ADDRESS = re.compile(r"(?:The lease service is at|running on) (http://\S+)")
_STARTED = "Application startup complete"


class Process:
    """A service that runs, and where."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url

    def terminate(self) -> None:
        """SIGTERM, to the process that was started and no other."""
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Wait for its end; its exit code."""
        self._process.communicate(timeout=PATIENCE)
        return self._process.returncode

    @property
    def children(self) -> list[int]:
        """Process ids of its workers."""
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)], capture_output=True, text=True
        )
        return [int(word) for word in listed.stdout.split()]


@contextmanager
def running(
    command: list[str], redis_url: str, prefix: str, *, started: int = 0, **values: object
) -> Iterator[Process]:
    """A service from the environment, with the tests' keys; none of it is left at the end.

    ``started``: so many workers must have said so. (uvicorn's own socket does not listen before.)
    """
    ours = {
        "url": redis_url,
        "prefix": prefix,
        "api_keys": " ".join(key.line for key in API_KEYS),
        "sweep_seconds": 0.2,
        **values,
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    with subprocess.Popen(
        command,
        env={**clean, **{ENV_PREFIX + name.upper(): str(value) for name, value in ours.items()}},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stderr is not None
            said, url = list[str](), ""
            for line in process.stderr:
                said.append(line)
                if found := _ADDRESS.search(line):
                    url = found[1]
                if url and "".join(said).count(_STARTED) >= started:
                    yield Process(process, url)
                    break
            else:
                raise AssertionError(f"it did not start:\n{''.join(said)}")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
