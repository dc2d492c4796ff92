"""The service of a run that was given none: ``pharox-redis serve``, on this machine, keyless."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

READY = "The lease service is at "
_PATIENCE = 30.0


class ServiceProcess:
    """A service on a free port of 127.0.0.1; :meth:`close` ends it as SIGTERM does.

    It does not sweep: the run's maintainer does, and counts.
    """

    def __init__(self, url: str, prefix: str, *, workers: int = 1) -> None:
        ours = {
            "PHAROX_REDIS_URL": url,
            "PHAROX_REDIS_PREFIX": prefix,
            "PHAROX_REDIS_SWEEP_SECONDS": "0",
            "PHAROX_REDIS_WORKERS": str(workers),
        }
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PHAROX_REDIS_")}
        command = [sys.executable, "-m", "pharox_redis", "serve", "--port", "0", "--quiet"]
        self._process = subprocess.Popen(
            command, env={**clean, **ours}, stderr=subprocess.PIPE, text=True
        )
        self.url = self._read_address()

    def _read_address(self) -> str:
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if line.startswith(READY):
                return line.removeprefix(READY).split()[0]
        raise RuntimeError(f"the service did not start:\n{''.join(said)}")

    def close(self) -> int:
        """End it, and wait; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=_PATIENCE)
        return self._process.returncode
