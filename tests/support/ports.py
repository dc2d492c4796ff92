"""Ports for servers that tests start, and a second try for those that lost theirs.

A port is chosen below the range the kernel gives to outgoing connections, so none is lost while its
server is down. A cluster's node needs two, and both come from here: by itself it takes the one
10,000 above its own for its bus, which is in the kernel's range. Between the choice and the bind
another test process may take the same port: whoever starts a server for the first time tries again.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from typing import Final, TypeVar

from pharox_redis.embedded import HOST, PORTS

START_ATTEMPTS: Final = 5
_TAKEN: Final = "already in use"  # what the servers say of a port, word for word
Started = TypeVar("Started")


def free_ports(count: int) -> list[int]:
    """Choose ports nobody listens on, below those given to outgoing connections."""
    found: list[int] = []
    for port in random.sample(PORTS, 50 * count):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")


def was_taken(log: str) -> bool:
    """Whether a server ended because somebody else has its port."""
    return _TAKEN in log


def on_free_ports(start: Callable[[], Started]) -> Started:
    """Start something that chooses ports, again if they were taken meanwhile.

    Args:
        start: Chooses ports and starts a server there. Where the server ends at once, it raises
            `AssertionError` with what the server said.

    Raises:
        AssertionError: The server ended for another reason, or five times for this one.
    """
    for _ in range(START_ATTEMPTS - 1):
        try:
            return start()
        except AssertionError as error:
            if not was_taken(str(error)):
                raise
    return start()
