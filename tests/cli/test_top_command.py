"""``pharox-redis top`` where there is no terminal: text and JSON, exit codes, streams."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from typer.testing import Result

from pharox_redis import RedisStorage
from pharox_redis.embedded import EmbeddedServer
from tests.support.builders import make_proxy
from tests.support.terminal import COMMAND, ROOT

Command = Callable[..., Result]
SECRET = "Hunter2-Secret"


@contextmanager
def process(url: str, prefix: str, *line: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, its output in pipes."""
    with subprocess.Popen(
        [*COMMAND, *line, "--prefix", prefix],
        cwd=ROOT,
        env={**os.environ, "PHAROX_REDIS_URL": url, "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def let_fail(server: EmbeddedServer, times: int) -> None:
    """Turn connections to a server that is stopped away, until that many were tried."""
    with socket.create_server(("127.0.0.1", server.port)) as nobody:
        nobody.settimeout(30)
        for _ in range(times):
            nobody.accept()[0].close()


def test_one_plain_reading(command: Command, stored: RedisStorage) -> None:
    result = command("top")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "0 pools, 0 leases\n\n", "")
    shop = stored.ensure_pool("shop")
    stored.ensure_pool("n" * 150)
    stored.add_proxy(make_proxy(shop, host="192.0.2.7", port=8080))
    assert stored.acquire_lease("shop", "scraper-1", 3600)
    first, heading, row, other, empty, longest, words, held, *rest = command(
        "top"
    ).stdout.splitlines()
    assert first.startswith("2 pools, 1 lease, 20") and first.endswith("+00:00")
    assert heading.split() == [
        "pool", "total", "active", "available", "saturated", "leases", "acq/s", "miss/s", "swept"
    ]  # fmt: skip
    assert row.split() == ["shop", "1", "1", "0", "1", "1", "-", "-", "0"]
    assert other.split()[0] == "n" * 150
    assert (empty, longest) == ("", "held longest")
    assert words.split() == ["pool", "proxy", "held", "by", "held", "for", "time", "left"]
    assert held.split()[:3] == ["shop", "192.0.2.7:8080", "scraper-1"]
    assert held.endswith("59m 59s") and rest == [""]
    assert "\x1b" not in command("top").stdout


def test_one_reading_as_json(command: Command, stored: RedisStorage) -> None:
    shop = stored.ensure_pool("shop")
    stored.add_proxy(make_proxy(shop, credentials={"user": "me", "password": SECRET}))
    lease = stored.acquire_lease("shop", "scraper-1", 60)
    assert lease and lease.proxy.credentials
    result = command("top", "--json", "--once", "--interval", "100ms")
    assert (result.exit_code, result.stderr) == (0, "")
    assert SECRET not in result.stdout
    (line,) = result.stdout.splitlines()
    seen = json.loads(line)
    assert seen["at"].endswith("+00:00")
    (pool,) = seen["pools"]
    assert pool["pool"] == {"id": str(shop.id), "name": "shop", "description": ""}
    assert (pool["total_leases"], pool["acquired"], pool["missed"]) == (1, 1, 0)
    # With an interval --once looks twice, so there are rates.
    assert (pool["acquires_per_second"], pool["misses_per_second"]) == (0.0, 0.0)
    (held,) = seen["longest_held"]
    assert (held["id"], held["consumer_name"]) == (str(lease.id), "scraper-1")
    assert 0 <= held["held_seconds"] < 60 and 0 < held["seconds_left"] <= 60
    assert (seen["leases"], seen["leases_looked_at"]) == (1, 1)
    (line,) = command("top", "--json", "--once", "--limit", "0").stdout.splitlines()
    seen = json.loads(line)
    assert seen["longest_held"] == [] and seen["pools"][0]["acquires_per_second"] is None


def test_one_pool_by_name_or_id(command: Command, stored: RedisStorage) -> None:
    for name in ("shop", "other"):
        stored.ensure_pool(name)
    for named in ("shop", str(stored.ensure_pool("shop").id)):
        result = command("top", "--pool", named)
        assert "shop" in result.stdout and "other" not in result.stdout


def test_what_does_not_exist_is_exit_code_4(command: Command, stored: RedisStorage) -> None:
    stored.ensure_pool("shop")
    result = command("top", "--pool", "sohp")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "sohp" in result.stderr and "shop" in result.stderr


@pytest.mark.parametrize(
    "options", [["--interval", "soon"], ["--interval", "0s"], ["--limit", "-1"], ["extra"]]
)
def test_mistakes_are_exit_code_2(command: Command, options: list[str]) -> None:
    result = command("top", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr


def test_a_server_that_is_not_there_is_exit_code_1(command: Command) -> None:
    result = command("top", url=f"redis://:{SECRET}@127.0.0.1:1/0")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error with redis://***@127.0.0.1:1/0: ")
    assert SECRET not in result.stderr


def test_a_stream_goes_on_over_a_server_that_was_away() -> None:
    with EmbeddedServer() as server:
        with RedisStorage.from_url(server.url) as storage:
            storage.add_proxy(make_proxy(storage.ensure_pool("shop")))
        with process(server.url, "pharox", "top", "--json", "--interval", "50ms") as running:
            assert running.stdout and running.stderr
            first, second = (json.loads(running.stdout.readline()) for _ in range(2))
            assert first["pools"][0]["acquires_per_second"] is None
            assert second["pools"][0]["acquires_per_second"] == 0.0
            server.stop()
            assert "not available" in running.stderr.readline()
            let_fail(server, 6)
            server.restart()
            # Said once each, whatever was tried meanwhile.
            assert running.stderr.readline() == "The server answers again.\n"
            running.send_signal(signal.SIGTERM)
            out, err = running.communicate(timeout=30)
            assert (running.returncode, err) == (0, "")
            assert all(json.loads(line)["pools"] for line in out.splitlines())


@pytest.mark.parametrize("options", [(), pytest.param(("--json",), marks=pytest.mark.slow)])
def test_who_reads_may_leave(
    valkey_url: str, prefix: str, stored: RedisStorage, options: tuple[str, ...]
) -> None:
    stored.ensure_pool("shop")
    with process(valkey_url, prefix, "top", "--interval", "50ms", *options) as running:
        assert running.stdout and running.stderr
        assert running.stdout.readline()
        running.stdout.close()
        assert running.wait(30) == 141
        assert running.stderr.read() == ""


def test_ctrl_c_ends_a_stream(valkey_url: str, prefix: str, stored: RedisStorage) -> None:
    with process(valkey_url, prefix, "top", "--interval", "50ms") as running:
        assert running.stdout and running.stdout.readline() == "0 pools, 0 leases\n"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
        assert (running.returncode, err) == (130, "")
