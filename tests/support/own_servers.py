"""Servers of a test's own, for what a shared one cannot show: full memory, crashes, lost data.

Two kinds with the same few methods: the library's embedded Valkey, and a ``redis-server`` process
if that is installed. Both keep port and data over ``kill`` and ``restart``.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from pharox_redis import RedisStorage, Settings
from pharox_redis.embedded import EmbeddedServer
from pharox_redis.server import recommended_config
from tests.support.ports import free_ports, on_free_ports

REDIS_SERVER = shutil.which("redis-server")
KINDS = ["valkey", *(["redis"] if REDIS_SERVER else [])]

Config = dict[str, str]


class OwnServer(Protocol):
    """What tests do with a server of their own."""

    @property
    def url(self) -> str: ...

    def kill(self) -> None: ...

    def restart(self) -> object: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


def started_redis(
    port: int, options: Sequence[str], directory: str | Path
) -> subprocess.Popen[bytes]:
    """Start a ``redis-server`` on a loopback port; it accepts connections.

    Raises:
        AssertionError: It ended at once. The message has what it said.
    """
    assert REDIS_SERVER
    process = subprocess.Popen(
        [REDIS_SERVER, "--port", str(port), "--bind", "127.0.0.1", *options],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout
    said = b""
    for line in process.stdout:
        said += line
        if b"Ready to accept connections" in line:
            return process
    with process:
        raise AssertionError(f"redis-server did not start:\n{said.decode(errors='replace')}")


class RedisProcess:
    """A ``redis-server`` on a loopback port, with its data in a directory of its own."""

    def __init__(self, config: Config | None = None) -> None:
        self._port = 0
        values = {**recommended_config(), "save": "", **(config or {})}
        self._options = [part for name, value in values.items() for part in (f"--{name}", value)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address for ``redis.Redis.from_url``."""
        return f"redis://127.0.0.1:{self._port}/0"

    def _start(self) -> None:
        self._process = started_redis(self._port, self._options, self._data.name)

    def _start_first(self) -> None:
        (self._port,) = free_ports(1)
        self._start()

    def kill(self) -> None:
        """As a crash would end it."""
        if self._process:
            self._process.kill()
            self._process.wait(10)
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None

    def restart(self) -> None:
        """Another process on the same data and port."""
        self.kill()
        self._start()

    def __enter__(self) -> Self:
        self._data = tempfile.TemporaryDirectory(prefix="pharox-redis-test-")
        try:
            on_free_ports(self._start_first)
        except BaseException:
            self._data.cleanup()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        self._data.cleanup()


def own_server(kind: str, config: Config | None = None) -> OwnServer:
    """A server of that kind, to be used in a ``with`` block."""
    return EmbeddedServer(config) if kind == "valkey" else RedisProcess(config)


def connect(url: str, retries: int = 10, timeout: float = 10.0) -> redis.Redis:
    """A client that repeats what got no answer, at once."""
    return redis.Redis.from_url(
        url, retry=Retry(ConstantBackoff(0.02), retries), socket_timeout=timeout
    )


def storage_on(url: str, client: redis.Redis | None = None, **settings: object) -> RedisStorage:
    """A storage with a client of its own."""
    return RedisStorage(client or connect(url), Settings.model_validate(settings))


def raw_dump(client: redis.Redis, prefix: str = "") -> dict[bytes, bytes | None]:
    """Every key, or those of a prefix, with its serialised value: two equal dumps mean that nothing
    was written."""
    keys = sorted(client.scan_iter(match=f"{prefix}:*" if prefix else None, count=1000))
    return {key: client.dump(key) for key in keys}
