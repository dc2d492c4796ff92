"""The forward proxies of the demo, and the proxy list that describes them.

They are plain HTTP forward proxies with basic authentication, one port and one account each, all
served by one process on aiohttp. They count nothing about leases: each writes down which request
it answered from when to when, which is how the demo learns the highest concurrency of a proxy
without asking the library that is being shown.

Run as a process: reads its configuration, prints ``{"ports": [...]}`` when it is ready, ends when
its standard input closes.
"""

from __future__ import annotations

import asyncio
import base64
import csv
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from pharox_redis.demo.children import announce, read_config, stdin_closed
from pharox_redis.demo.records import Journal
from pharox_redis.demo.target import LOOPBACK, PORT_HEADER

LEASE_HEADER = "X-Demo-Lease"
_COLUMNS = (
    *("host", "port", "protocol", "user", "password"),
    *("country", "city", "latitude", "longitude", "asn", "max_concurrency"),
)
_NOT_FORWARDED = {
    *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
    *("proxy-authenticate", "proxy-authorization", "proxy-connection"),
    *(LEASE_HEADER.lower(), PORT_HEADER.lower()),
}


@dataclass(frozen=True)
class ProxySpec:
    """What the list says about one proxy; its port is known once it listens."""

    country: str
    city: str
    latitude: float
    longitude: float
    asn: int
    max_concurrency: int
    user: str
    password: str


def _specs() -> tuple[ProxySpec, ...]:
    places = (
        ("DE", "Berlin", 52.52, 13.40, 64500),
        ("DE", "Hamburg", 53.55, 9.99, 64501),
        ("DE", "Munich", 48.14, 11.58, 64500),
        ("FR", "Paris", 48.86, 2.35, 64502),
        ("FR", "Lyon", 45.76, 4.84, 64501),
        ("ES", "Madrid", 40.42, -3.70, 64502),
        ("ES", "Valencia", 39.47, -0.38, 64500),
        ("PL", "Warsaw", 52.23, 21.01, 64501),
        ("CZ", "Prague", 50.08, 14.44, 64502),
        ("US", "Chicago", 41.88, -87.63, 64500),
        ("US", "Denver", 39.74, -104.99, 64501),
        ("JP", "Osaka", 34.69, 135.50, 64502),
    )
    return tuple(
        ProxySpec(*place, 1 + number % 3, f"user{number:02}", f"p+ss/{number:02}@demo")
        for number, place in enumerate(places)
    )


SPECS = _specs()


def write_list(path: Path, specs: Sequence[ProxySpec], ports: Sequence[int]) -> None:
    """Write the proxy list as the CSV file that gets imported."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for spec, port in zip(specs, ports, strict=True):
            account = (LOOPBACK, port, "http", spec.user, spec.password)
            place = (spec.country, spec.city, spec.latitude, spec.longitude, spec.asn)
            table.writerow((*account, *place, spec.max_concurrency))


class ForwardProxies:
    """The request handler behind all ports."""

    def __init__(
        self, session: aiohttp.ClientSession, accounts: dict[int, str], journal: Journal
    ) -> None:
        self._session = session
        self._accounts = accounts
        self._journal = journal

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request and write it down.

        The entry ends before the answer is sent: the client cannot have begun anything else by
        then, so entries never overlap unless requests really did.
        """
        start = time.monotonic()
        assert request.transport is not None
        port: int = request.transport.get_extra_info("sockname")[1]
        response = await self._forward(request, port)
        self._journal.write(
            "forwarded",
            port=port,
            lease=request.headers.get(LEASE_HEADER),
            start=start,
            end=time.monotonic(),
            status=response.status,
        )
        return response

    async def _forward(self, request: web.BaseRequest, port: int) -> web.Response:
        if request.headers.get("Proxy-Authorization") != self._accounts[port]:
            challenge = {"Proxy-Authenticate": 'Basic realm="demo"'}
            return web.Response(status=407, headers=challenge)
        if not request.raw_path.startswith("http://") or request.url.host != LOOPBACK:
            return web.Response(status=403, text="only http pages on the loopback interface")
        try:
            async with self._session.request(
                request.method,
                request.url,
                headers=[*_passed_on(request.headers), (PORT_HEADER, str(port))],
                data=await request.read(),
                allow_redirects=False,
            ) as answer:
                body = await answer.read()
                headers = _passed_on(answer.headers)
                return web.Response(status=answer.status, headers=headers, body=body)
        except (aiohttp.ClientError, TimeoutError) as error:
            return web.Response(status=502, text=f"{type(error).__name__}: {error}")


def _passed_on(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [item for item in headers.items() if item[0].lower() not in _NOT_FORWARDED]


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def serve(credentials: Sequence[tuple[str, str]], journal: Journal) -> None:
    """Serve one proxy for each account until standard input closes."""
    accounts: dict[int, str] = {}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=10),
        auto_decompress=False,
        trust_env=False,
    ) as session:
        proxies = ForwardProxies(session, accounts, journal)
        runner = web.ServerRunner(web.Server(proxies.handle, access_log=None))
        await runner.setup()
        try:
            for user, password in credentials:
                await web.TCPSite(runner, LOOPBACK, 0).start()
                port: int = runner.addresses[-1][1]
                accounts[port] = _basic(user, password)
            announce(json.dumps({"ports": list(accounts)}))
            await stdin_closed()
        finally:
            await runner.cleanup()


def main() -> None:
    """Run the proxies' process."""
    config = read_config()
    with Journal(Path(config["journal"])) as journal:
        asyncio.run(serve([tuple(pair) for pair in config["credentials"]], journal))


if __name__ == "__main__":
    main()
