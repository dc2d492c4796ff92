"""A server that lets clients connect, and never answers a script call.

It counts how often it was sent each, by the call's last word. A real server can be paused, but does
not tell what it was sent meanwhile.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections import Counter
from typing import Any, Self

import hiredis

_NO_MORE = object()


class SilentServer:
    """Listens on a loopback port; use it in a ``with`` block."""

    def __init__(self) -> None:
        self.sent: Counter[bytes] = Counter()
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    outer._serve(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """Where clients connect to; in RESP2 their setup is answered by OK."""
        return f"redis://127.0.0.1:{self._server.server_address[1]}/0?protocol=2"

    def _serve(self, client: Any) -> None:
        reader = hiredis.Reader(notEnoughData=_NO_MORE)
        while data := client.recv(1 << 16):
            reader.feed(data)
            for words in iter(reader.gets, _NO_MORE):
                if words[0].startswith(b"EVAL"):
                    self.sent[words[-1]] += 1
                else:
                    client.sendall(b"+OK\r\n")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
