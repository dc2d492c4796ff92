"""What a service's ``/metrics`` says."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from tests.recorders.exposition import Samples, read

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def scrape(client: httpx.Client, accept: str = "") -> Samples:
    """Every sample, in the format asked for."""
    reply = client.get("/metrics", headers={"Accept": accept})
    assert reply.status_code == 200, reply.text
    parse = openmetrics if "openmetrics" in reply.headers["Content-Type"] else plain
    return read(parse(reply.text))


def scrape_until(client: httpx.Client, wanted: Callable[[Samples], bool]) -> Samples:
    """Scrape until the page says so."""
    deadline = time.monotonic() + 30
    while not wanted(found := scrape(client)):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found
