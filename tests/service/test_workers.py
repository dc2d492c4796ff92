"""``serve --workers 2``: whoever is scraped tells what both have counted."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from pharox_redis import RedisStorage, Settings
from pharox_redis.service.workers import shared_directory
from tests.recorders.exposition import Samples, labels_of, value
from tests.service.scraping import OPENMETRICS, scrape
from tests.support.builders import make_proxies

ROOT = Path(__file__).parents[2]
P = "pharox_redis_"
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def two_workers(url: str, prefix: str, tmp: Path) -> Iterator[str]:
    """The command, with a place for its temporary files; where it listens."""
    command = [sys.executable, "-W", "error", "-m", "pharox_redis", "serve", "--quiet"]
    options = ["--workers", "2", "--port", "0", "--url", url, "--prefix", prefix]
    environment = {**os.environ, "TMPDIR": str(tmp)}
    environment.pop(VARIABLE, None)
    with subprocess.Popen(
        [*command, *options], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        try:
            found = re.search(r"http://\S+", process.stderr.readline())
            assert found
            # The socket listens before there are workers: the first one answers.
            assert httpx.get(f"{found[0]}/healthz", timeout=30, verify=False).status_code == 200
            yield found[0]
        finally:
            process.send_signal(signal.SIGTERM)
            rest = process.stderr.read()
            assert process.wait(30) == 0, rest


@contextmanager
def fresh(url: str) -> Iterator[httpx.Client]:
    """A client with a connection of its own, which any worker may accept."""
    # Without a look at this machine's certificates, which takes longer than all the rest.
    with httpx.Client(base_url=url, timeout=20, verify=False) as client:
        yield client


def fresh_scrape(url: str, accept: str = "") -> Samples:
    """A scrape that any worker may answer."""
    with fresh(url) as client:
        return scrape(client, accept)


def pids(found: Samples) -> set[int]:
    return {int(pid) for pid in labels_of(found, "pid")}


def test_both_workers_count_together(valkey_url: str, tmp_path: Path) -> None:
    prefix = f"w{secrets.token_hex(4)}"
    with RedisStorage.from_url(valkey_url, settings=Settings(key_prefix=prefix)) as storage:
        pool = storage.ensure_pool("pool")
        storage.add_proxies_bulk(make_proxies(pool, 1))
        with two_workers(valkey_url, prefix, tmp_path) as url:
            (directory,) = tmp_path.glob("pharox-redis-metrics-*")
            asked = 0

            def ask(_: int) -> int:
                body: dict[str, Any] = {"pool_id": str(pool.id), "consumer_id": "c"}
                with fresh(url) as client:
                    return client.post("/v1/leases/", json=body).status_code

            # Who accepts a connection is the kernel's choice: until both have.
            statuses: list[int] = []
            with ThreadPoolExecutor(8) as threads:
                while len(counted_by(directory)) < 2:
                    assert asked < 2000
                    statuses += threads.map(ask, range(20))
                    asked += 20
            assert sorted(set(statuses)) == [201, 409] and statuses.count(201) == 1
            # A request is counted when its answer is sent, which its client may see before.
            route = {"route": "/v1/leases/", "method": "POST"}
            count = P + "http_request_seconds_count"
            until(url, lambda found: value(found, count, **route) == asked)
            for accept in ("", OPENMETRICS) * 4:
                found = fresh_scrape(url, accept)
                labels = {"pool": "pool", "selector": "first_available"}
                assert value(found, P + "acquires_total", **labels, outcome="granted") == 1
                assert value(found, P + "acquires_total", **labels, outcome="none") == asked - 1
                assert value(found, count, **route) == asked
                assert value(found, P + "http_requests_open") in (1, 2), "this, and the last one"
                assert value(found, P + "pool_acquired_total", pool="pool") == 1
                assert value(found, P + "up") == 1
                assert len(pids(found)) == 2

            # One is lost, and another one comes: what it counted stays, its process goes.
            before = pids(found)
            lost = min(before)
            os.kill(lost, signal.SIGKILL)
            after = until(url, lambda found: len(pids(found) - before) == 1)
            assert lost not in pids(after)
            assert value(after, P + "acquires_total", **labels, outcome="none") == asked - 1
            assert not list(directory.glob(f"gauge_live*_{lost}.db"))
        assert not list(tmp_path.glob("pharox-redis-metrics-*"))
        storage.delete_pool(pool.id)


def counted_by(directory: Path) -> list[Path]:
    """The files of the workers that have counted an acquire."""
    return [p for p in directory.glob("counter_*.db") if b"acquires_total" in p.read_bytes()]


def until(url: str, wanted: Callable[[Samples], bool]) -> Samples:
    """Scrape until the page says so, whoever answers."""
    deadline = time.monotonic() + 60
    while True:
        # A connection of a worker that is lost ends so.
        with suppress(httpx.TransportError):
            if wanted(found := fresh_scrape(url)):
                return found
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def test_a_directory_is_made_for_several_workers_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with shared_directory(1):
        assert VARIABLE not in os.environ
    with shared_directory(2):
        made = Path(os.environ[VARIABLE])
        assert made.is_dir() and made.stat().st_mode & 0o077 == 0
    assert VARIABLE not in os.environ and not made.exists()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with shared_directory(2):
        assert os.environ[VARIABLE] == str(tmp_path)
    assert os.environ[VARIABLE] == str(tmp_path) and tmp_path.is_dir()


def test_a_directory_of_the_user_s_is_made_if_it_is_not_there(tmp_path: Path) -> None:
    """In an interpreter of its own: prometheus-client looks at the variable when it is imported."""
    code = (
        "from prometheus_client import CollectorRegistry\n"
        "from pharox_redis.service import workers\n"
        "assert workers.share(CollectorRegistry())\n"
    )
    there = tmp_path / "not" / "yet"
    environment = {**os.environ, VARIABLE: str(there)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment)
    assert there.is_dir()


def test_a_worker_that_counts_for_itself_says_so() -> None:
    code = (
        "import multiprocessing as m\n"
        "from prometheus_client import CollectorRegistry\n"
        "from pharox_redis.service import workers\n"
        "if __name__ == '__main__':\n"
        "    workers.share(CollectorRegistry())\n"
        "    child = m.get_context('fork').Process(\n"
        "        target=workers.share, args=(CollectorRegistry(),))\n"
        "    child.start(); child.join()\n"
    )
    environment = {name: text for name, text in os.environ.items() if name != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stderr.count("counts for itself alone") == 1
