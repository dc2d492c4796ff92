"""A real lease service in a thread, and what its ``/metrics`` says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from pydantic import SecretStr

from pharox_redis.service.app import create_app
from pharox_redis.service.serve import listen
from pharox_redis.service.settings import ServiceSettings
from tests.recorders.exposition import Samples, read

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class _Server(uvicorn.Server):
    """Says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.up.set()


@contextmanager
def service(url: str, **settings: Any) -> Iterator[httpx.Client]:
    """A service on a server of that URL, and a client of it."""
    chosen = ServiceSettings(
        url=SecretStr(url), listen_port=0, **{"sweep_seconds": 0.0, **settings}
    )
    listener = listen(chosen)
    server = _Server(uvicorn.Config(create_app(chosen), log_config=None, ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert server.up.wait(30)
        port = listener.getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


def scrape(client: httpx.Client, accept: str = "", **headers: str) -> Samples:
    """What ``/metrics`` says, in the format asked for."""
    reply = client.get("/metrics", headers={"Accept": accept, **headers})
    assert reply.status_code == 200, reply.text
    parse = openmetrics if "openmetrics" in reply.headers["Content-Type"] else plain
    return read(parse(reply.text))
