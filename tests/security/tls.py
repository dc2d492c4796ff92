"""Certificates for a test, and servers that speak TLS.

Debian's ``redis-server`` does; the embedded Valkey is built without it, so there a relay on
loopback ends TLS before it, as stunnel would in production.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.security.rules import DOCUMENT
from tests.support.own_servers import own_server
from tests.support.ports import free_ports


@dataclass(frozen=True)
class Files:
    """A CA's certificate, and a certificate of its with the key."""

    ca: str
    cert: str
    key: str


def issue(
    folder: Path, ca: trustme.CA, name: str, *hosts: str, until: datetime | None = None
) -> Files:
    """Have a CA sign a certificate for some hosts; all of it in files."""
    made = ca.issue_cert(*hosts, not_after=until)
    files = Files(*(str(folder / f"{name}.{part}") for part in ("ca", "crt", "key")))
    ca.cert_pem.write_to_path(files.ca)
    made.cert_chain_pems[0].write_to_path(files.cert)
    made.private_key_pem.write_to_path(files.key)
    return files


def server_settings(files: Files, port: int, *, clients: bool) -> dict[str, str]:
    """The settings of docs/security.md with values for a test."""
    (block,) = re.findall(
        r"```text\n(port 0\n.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL
    )
    values = dict(line.split(" ", 1) for line in block.splitlines())
    assert values["tls-auth-clients"] == "no" and values["port"] == "0"
    return {
        **values,
        "tls-port": str(port),
        "tls-cert-file": files.cert,
        "tls-key-file": files.key,
        "tls-ca-cert-file": files.ca,
        "tls-auth-clients": "yes" if clients else "no",
    }


@contextmanager
def tls_server(kind: str, files: Files, *, clients: bool = False) -> Iterator[int]:
    """A server with TLS; its port. ``clients``: they must have a certificate, too."""
    if kind == "valkey":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files.ca)
        context.load_cert_chain(files.cert, files.key)
        context.verify_mode = ssl.CERT_REQUIRED if clients else ssl.CERT_NONE
        with own_server(kind) as server, Front(context, port_of(server.url)) as front:
            yield front.port
        return
    (port,) = free_ports(1)
    running = own_server(kind, server_settings(files, port, clients=clients))
    try:
        running.__enter__()
    except AssertionError as error:
        running.__exit__(None, None, None)
        if "Bad directive" not in str(error):
            raise
        pytest.skip("this redis-server is built without TLS")
    with contextlib.ExitStack() as stack:
        stack.push(running.__exit__)
        yield port


def port_of(url: str) -> int:
    """The port of a server's URL."""
    return int(url.rsplit(":", 1)[1].split("/")[0])


class Front:
    """Ends TLS on a loopback port and passes on what comes to a server without."""

    def __init__(self, context: ssl.SSLContext, server_port: int) -> None:
        self._context, self._server_port = context, server_port
        self._loop = asyncio.new_event_loop()
        # A refused handshake is the client's to report; the loop would log it, too.
        self._loop.set_exception_handler(lambda loop, problem: None)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> Front:
        self._thread.start()
        self._server = self._do(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *exc: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _end(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        replies, server = await asyncio.open_connection("127.0.0.1", self._server_port)
        try:
            await asyncio.gather(_pass(client, server), _pass(replies, answers))
        finally:
            server.close()
            answers.close()


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()
