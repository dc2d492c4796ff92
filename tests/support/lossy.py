"""A TCP relay between a client and a server that loses one chosen command or its reply.

``lose(n)`` arms it: of the commands that follow, the n-th reaches the server, is executed, and its
reply is thrown away with the connection, as when a network fails. With ``"request"`` the command
does not even reach the server. Commands that only set up a connection do not count; commands sent
together (a pipeline) count as one and are lost together. It happens once; ``fired`` tells that it
did.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any, Literal, Self

import hiredis

_SETUP = {b"HELLO", b"CLIENT", b"AUTH", b"SELECT", b"INFO", b"PING"}
_MISSING = object()


class LossyRelay:
    """Listens on a loopback port; use it in a ``with`` block."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._left = 0
        self._what: Literal["reply", "request"] = "reply"
        self.fired = False
        self._sockets: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def lose(self, number: int, what: Literal["reply", "request"] = "reply") -> None:
        """Lose the ``number``-th command from now on, counted from 1; 0: none."""
        with self._lock:
            self._left, self._what, self.fired = number, what, False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for known in self._sockets:
            _close(known)
        for thread in [self._thread, *self._threads]:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._sockets += [client, server]
            thread = threading.Thread(target=self._relay, args=(client, server), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        asked, told = (hiredis.Reader(notEnoughData=_MISSING) for _ in range(2))
        try:
            while data := client.recv(1 << 16):
                asked.feed(data)
                commands = list(iter(asked.gets, _MISSING))
                lost = self._is_lost(commands)
                if lost == "request":
                    return
                server.sendall(data)
                replies = b""
                for _ in commands:
                    while told.gets() is _MISSING:
                        part = server.recv(1 << 16)
                        if not part:
                            return
                        told.feed(part)
                        replies += part
                if lost:
                    return
                client.sendall(replies)
        except OSError:
            return
        finally:
            _close(client)
            _close(server)

    def _is_lost(self, commands: list[Any]) -> Literal["reply", "request"] | None:
        with self._lock:
            if self._left == 0 or all(command[0].upper() in _SETUP for command in commands):
                return None
            self._left -= 1
            if self._left > 0:
                return None
            self.fired = True
            return self._what


def _close(known: socket.socket) -> None:
    with contextlib.suppress(OSError):
        known.shutdown(socket.SHUT_RDWR)
    known.close()
