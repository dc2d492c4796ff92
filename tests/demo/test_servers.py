"""The forward proxies and the web server behind them, as processes, over real connections."""

import csv
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pharox_redis.demo.children import Crew
from pharox_redis.demo.proxies import LEASE_HEADER, SPECS, write_list
from pharox_redis.demo.records import Forwarded, forwarded, read_lines
from pharox_redis.demo.report import peak
from pharox_redis.demo.target import PORT_HEADER
from pharox_redis.importing import Record, open_list

ACCOUNTS = [("ann", "p+ss/1@demo"), ("bob", "p+ss/2@demo")]


@dataclass
class Servers:
    target: str
    ports: list[int]
    journal: Path

    def client(self, number: int, account: tuple[str, str] | None) -> httpx.Client:
        proxy = httpx.Proxy(f"http://127.0.0.1:{self.ports[number]}", auth=account)
        return httpx.Client(proxy=proxy, trust_env=False, timeout=10)

    def written(self) -> list[Forwarded]:
        return forwarded(read_lines(self.journal))


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    journal = tmp_path / "proxies.jsonl"
    with Crew() as crew:
        target = crew.start("target", "target", {})
        config = {"journal": str(journal), "credentials": ACCOUNTS}
        proxies = crew.start("proxies", "proxies", config)
        port = json.loads(target.answer(30))["port"]
        ports = json.loads(proxies.answer(30))["ports"]
        yield Servers(f"http://127.0.0.1:{port}", ports, journal)


def test_a_page_comes_through_the_proxy_that_was_asked(servers: Servers) -> None:
    assert len(set(servers.ports)) == len(ACCOUNTS)
    for number, account in enumerate(ACCOUNTS):
        with servers.client(number, account) as client:
            began = time.monotonic()
            answer = client.get(f"{servers.target}/page/7", headers={LEASE_HEADER: "lease-1"})
            ended = time.monotonic()
        assert answer.status_code == 200
        assert answer.json()["page"] == "7"
        assert answer.json()["proxy_port"] == servers.ports[number]
        entry = servers.written()[-1]
        assert (entry.port, entry.lease, entry.status) == (servers.ports[number], "lease-1", 200)
        assert began <= entry.start <= entry.end - 0.005 < entry.end <= ended


def test_the_web_server_knows_a_request_that_came_past_the_proxies(servers: Servers) -> None:
    with httpx.Client(trust_env=False) as client:
        assert client.get(f"{servers.target}/page/7").json()["proxy_port"] is None


def test_the_port_cannot_be_made_up(servers: Servers) -> None:
    with servers.client(0, ACCOUNTS[0]) as client:
        answer = client.get(f"{servers.target}/page/7", headers={PORT_HEADER: "1"})
    assert answer.json()["proxy_port"] == servers.ports[0]


@pytest.mark.parametrize("account", [None, ACCOUNTS[1], ("ann", "wrong")])
def test_each_proxy_takes_its_own_account_only(
    servers: Servers, account: tuple[str, str] | None
) -> None:
    with servers.client(0, account) as client:
        answer = client.get(f"{servers.target}/page/7")
    assert answer.status_code == 407
    assert answer.headers["Proxy-Authenticate"].startswith("Basic")
    assert servers.written()[-1].status == 407


def test_nothing_leaves_the_loopback_interface(servers: Servers) -> None:
    with servers.client(0, ACCOUNTS[0]) as client:
        assert client.get("http://192.0.2.1/").status_code == 403


def test_a_dead_web_server_is_a_bad_gateway(servers: Servers) -> None:
    with servers.client(0, ACCOUNTS[0]) as client:
        assert client.get("http://127.0.0.1:1/").status_code == 502


def test_requests_at_once_show_in_what_the_proxies_wrote(servers: Servers) -> None:
    def get(_number: int) -> int:
        with servers.client(0, ACCOUNTS[0]) as client:
            return [client.get(f"{servers.target}/page/1").status_code for _ in range(5)][-1]

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(get, range(3))) == [200] * 3
    entries = servers.written()
    assert len(entries) == 15
    assert 2 <= peak((entry.start, entry.end) for entry in entries) <= 3


def test_the_list_says_what_the_proxies_are(tmp_path: Path) -> None:
    path = tmp_path / "proxies.csv"
    ports = list(range(20001, 20001 + len(SPECS)))
    write_list(path, SPECS, ports)
    with path.open(newline="") as file:
        assert len(list(csv.reader(file))) == 1 + len(SPECS)
    with path.open("rb") as stream:
        records = list(open_list(stream, name=path.name).entries)
    for record, spec, port in zip(records, SPECS, ports, strict=True):
        assert isinstance(record, Record)
        assert (record.host, record.port, record.user) == ("127.0.0.1", port, spec.user)
        assert record.password == spec.password
        assert (record.country, record.city, record.asn) == (spec.country, spec.city, spec.asn)
        assert (record.latitude, record.longitude) == (spec.latitude, spec.longitude)
        assert record.max_concurrency == spec.max_concurrency
    assert {spec.max_concurrency for spec in SPECS} == {1, 2, 3}
