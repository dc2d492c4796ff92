"""A ``redis-server`` of a section's own, where one is installed.

Figures in bytes hold for one server only: allocators and encodings differ. So memory is measured on
Redis 7, whatever server the run is on, if a binary of it is there. It listens on loopback, keeps
nothing on disk, and is gone with the ``with`` block.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_ATTEMPTS = 10
_OPTIONS = ("--save", "", "--appendonly", "no")
_PATIENCE = 10.0  # seconds to wait for it


def redis_binary(major: int) -> str | None:
    """The ``redis-server`` on the path, if it is of this major version."""
    binary = shutil.which("redis-server")
    if binary is None:
        return None
    try:
        told = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"Redis server v=(\d+)\.", told.stdout)
    return binary if version and int(version[1]) == major else None


@contextmanager
def redis_process(binary: str) -> Iterator[str]:
    """The URL of a server that runs inside the ``with`` block. Raises ``RuntimeError``."""
    with tempfile.TemporaryDirectory(prefix="pharox-redis-bench-") as folder:
        for port in random.sample(range(20000, 32768), _ATTEMPTS):
            process = subprocess.Popen(
                [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, *_OPTIONS],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                url = f"redis://127.0.0.1:{port}/0"
                if _answers(process, url):
                    yield url
                    return
            finally:
                process.terminate()
                try:
                    process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    raise RuntimeError(f"redis-server did not start in {_ATTEMPTS} attempts")


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    """Wait for it; False if it ended, the port being taken, or somebody else has the port."""
    deadline = time.monotonic() + _PATIENCE
    with redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=1) as client:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                info: dict[str, object] = client.info("server")
            except redis.RedisError:
                time.sleep(0.02)
            else:
                return info.get("process_id") == process.pid
    return False
