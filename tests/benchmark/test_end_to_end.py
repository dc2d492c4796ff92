"""The small profile by the command line, in a process of its own: its structure, never a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest
import redis

from pharox_redis.benchmark.bench import SMALL
from pharox_redis.benchmark.report import BEGIN, END
from pharox_redis.benchmark.results import read
from pharox_redis.benchmark.rows import Verdict
from pharox_redis.benchmark.sections.registry import SECTIONS
from pharox_redis.embedded import EmbeddedServer

# One after the other: each keeps every core busy.
pytestmark = pytest.mark.xdist_group("benchmark")

ROWS = {
    "pairs": 5,
    "contention": 4,
    "server-time": 1,
    "sizes": len(SMALL.sizes) - 1,
    "past-leases": 1,
    "misses": len(SMALL.sizes),
    "live-views": 1,
    "new-filter": 3,
    "pauses": 2,
    "memory": 2,
    "asyncio": 1,
    "batch": 1,
    "latency": 6,
    "client-sizes": 1 + len(SMALL.sizes),
}
"""How many rows a section has."""

PATIENCE = 80.0
"""Seconds for what takes two or three: a machine with other things to do may need them."""

COMMAND = [sys.executable, "-m", "pharox_redis.benchmark", "--profile", "small"]
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "PYTHONPATH": str(ROOT)}

# The rounds are long, so that the processes that contend are at it when the signal comes.
PROGRAM = """
import signal, sys
from dataclasses import replace
from pathlib import Path

from pharox_redis.benchmark.bench import SMALL
from pharox_redis.benchmark.run import Options, main

if __name__ == "__main__":
    # A runner in the background ignores SIGINT, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    profile = replace(SMALL, round_seconds=5)
    sys.exit(main(Options(sys.argv[1], None, profile, ["contention"], Path(sys.argv[2]))))
"""


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as server:
        yield server


def keys(server: EmbeddedServer) -> list[bytes]:
    with redis.Redis.from_url(server.url) as client:
        return list(client.keys())


def test_the_whole_of_it(server: EmbeddedServer, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"Before.\n{BEGIN}\n{END}\nAfter.\n")
    done = subprocess.run(
        [*COMMAND, "--url", server.url, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert keys(server) == []

    found = read(tmp_path / "results.json")
    assert found.profile == "small"
    assert {"machine", "server", "Python", "redis", "pharox", "pharox-redis"} <= set(
        found.environment
    )
    sections = [row.section for row in found.rows]
    assert list(dict.fromkeys(sections)) == [entry.name for entry in SECTIONS]
    for name, count in ROWS.items():
        assert sections.count(name) == count, name
    for row in found.rows:
        assert row.what in done.stdout or len(row.what) > 40
        assert row.note or row.verdict is not Verdict.NOT_RUN, "a row not run says why"
        assert row.figure is None or row.figure >= 0
    not_run = {row.what for row in found.rows if row.figure is None}
    assert not_run == {"RedisProxyManager / PostgresStorage"}
    exact = {row.what: row.figure for row in found.rows if row.unit == "" and row.budget}
    assert len(exact) == 3 and set(exact.values()) == {0.0}, "errors, or limits that broke"
    assert all(verdict in done.stdout for verdict in ("pass", "not run", ">= 0.40x"))

    for name in ("benchmark-sizes.svg", "benchmark-latency.svg"):
        assert ElementTree.parse(tmp_path / name).getroot().tag.endswith("svg")
        assert f"]({name})" in page.read_text()
    text = page.read_text()
    assert text.startswith(f"Before.\n{BEGIN}\n") and text.endswith(f"{END}\nAfter.\n")
    assert text.count("\n| ") == len(found.rows) + 1
    written = {"results.json", "performance.md", "benchmark-sizes.svg", "benchmark-latency.svg"}
    assert {path.name for path in tmp_path.iterdir()} == written


def in_session(session: int) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return found


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_neither_keys_nor_processes(
    server: EmbeddedServer, tmp_path: Path, stop: signal.Signals
) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, str(script), server.url, str(out)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=ENVIRONMENT,
    ) as process:
        deadline = time.monotonic() + PATIENCE
        with redis.Redis.from_url(server.url) as client:
            # acquired and released: the processes are at work
            while not client.keys("*:lease:*"):
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.05)
        assert len(in_session(process.pid)) >= 3
        os.kill(process.pid, stop)
        assert process.wait(PATIENCE) == 130
        assert process.stderr is not None
        said = process.stderr.read()
    assert "interrupted" in said and "Traceback" not in said
    assert keys(server) == []
    assert in_session(process.pid) == []
    assert list(out.iterdir()) == []
