"""Runs the service: one process, or several on one socket.

The socket is opened here and not by uvicorn, so that a port that is taken is said in a line, and
that port 0 is known before the first request. A stop (SIGTERM, Ctrl-C) closes it first, then waits
for the requests that are under way, then for the storage.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any, Final

import uvicorn
from uvicorn.supervisors import Multiprocess

from pharox_redis.service.loopback import is_loopback
from pharox_redis.service.settings import ENV_PREFIX, ServiceSettings
from pharox_redis.signals import Terminated, sigterm_like_ctrl_c

APP: Final = "pharox_redis.service.app:app"
_BACKLOG: Final = 2048


class CannotServeError(Exception):
    """The service cannot be started so; the message says which setting to change."""


def listen(settings: ServiceSettings) -> socket.socket:
    """The socket to serve on. Raises ``CannotServeError``: an address that is taken, or that others
    than this machine can reach while no key is configured."""
    host, port = settings.listen_host, settings.listen_port
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise CannotServeError(
            f"{host!r} is no address of this machine ({why}): --host, or {ENV_PREFIX}LISTEN_HOST."
        ) from None
    if not settings.api_keys and not all(is_loopback(str(each[4][0])) for each in found):
        raise CannotServeError(
            f"Without API keys the service listens on a loopback address only, not on {host}. "
            f"Set {ENV_PREFIX}API_KEYS; `pharox-redis serve --new-key NAME --role ROLE` makes one."
        )
    family, kind, protocol, _, address = found[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        # Now, and not when uvicorn does: two sockets can be bound alike, but not listen.
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise CannotServeError(
            f"Cannot listen on {host} port {port} ({error.strerror}): --host and --port, or "
            f"{ENV_PREFIX}LISTEN_HOST and {ENV_PREFIX}LISTEN_PORT."
        ) from None
    made.set_inheritable(True)
    return made


def address_of(listener: socket.socket) -> str:
    """Where the service is, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def introduction(settings: ServiceSettings, listener: socket.socket) -> list[str]:
    """What to say at the start: the address, and which keys there are, by name."""
    lines = [f"The lease service is at {address_of(listener)}"]
    if settings.docs:
        lines[0] += f" (API: {address_of(listener)}/docs)"
    if settings.api_keys:
        keys = dict.fromkeys(f"{key.name} ({key.role})" for key in settings.api_keys)
        lines.append(f"API keys: {', '.join(keys)}")
    else:
        lines.append("No API keys: programs on this machine may do everything, others nothing.")
    return lines


def run(settings: ServiceSettings, listener: socket.socket, *, access_log: bool = True) -> int:
    """Serve until SIGTERM; the exit code: 0 after a stop in good order. Ctrl-C stops it likewise,
    and then raises ``KeyboardInterrupt``."""
    config = uvicorn.Config(
        APP,
        workers=settings.workers,
        access_log=access_log,
        log_level="info" if access_log else "warning",
        log_config=_logging(),
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        # Longer than clients and proxies in front keep theirs (nginx: 60 s): who closes an idle
        # connection should not be the one who does not know that a request is on its way.
        timeout_keep_alive=75,
        # A worker that is slow to start, on a busy machine, is not taken for one that hangs.
        timeout_worker_healthcheck=30,
        ws="none",
    )
    if settings.workers > 1:
        supervisor = _Supervisor(config, sockets=[listener])
        supervisor.run()
        if supervisor.interrupted:
            raise KeyboardInterrupt
        return 0
    server = uvicorn.Server(config)
    # After its stop uvicorn raises the signal once more, which would end us before our cleaning up.
    with suppress(Terminated), sigterm_like_ctrl_c():
        server.run(sockets=[listener])
    return 0 if server.started else 1


class _Supervisor(Multiprocess):
    """uvicorn's, which keeps its own copy of the socket open: while workers finish their requests
    clients would still be connected, and never answered."""

    interrupted = False

    def handle_int(self) -> None:
        """Ctrl-C, which the workers hear of, too."""
        self.interrupted = True
        super().handle_int()

    def terminate_all(self) -> None:
        """Stop the workers."""
        for each in self.sockets:
            each.close()
        super().terminate_all()


def export(settings: ServiceSettings) -> None:
    """Put settings into the environment, where workers look for theirs."""
    values = settings.model_dump(
        mode="json", exclude={"url", "storage", "api_keys", "prefix", "api_keys_file"}
    )
    values["url"] = settings.url.get_secret_value()
    values["api_keys"] = " ".join(key.line for key in settings.api_keys)
    for name, value in settings.storage.model_dump(mode="json").items():
        values[f"storage__{name}"] = value
    for name, value in values.items():
        os.environ[ENV_PREFIX + name.upper()] = str(value)
    for name in ("PREFIX", "API_KEYS_FILE"):
        os.environ.pop(ENV_PREFIX + name, None)


def _logging() -> dict[str, Any]:
    """uvicorn's logging, and ours beside it."""
    found: dict[str, Any] = {**uvicorn.config.LOGGING_CONFIG}
    found["loggers"] = {
        **found["loggers"],
        "pharox_redis": {"handlers": ["default"], "level": "INFO", "propagate": False},
    }
    return found
