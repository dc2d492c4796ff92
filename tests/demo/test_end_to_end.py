"""The whole demo on the embedded server: it passes, it fails when it must, it leaves nothing."""

import io
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
from rich.console import Console

from pharox_redis.demo.run import Options, run
from pharox_redis.demo.worker import Sabotage

# Each run keeps every core busy for some seconds, so they take turns.
pytestmark = pytest.mark.xdist_group("demo")


PATIENCE = 80.0
"""Seconds for what takes one or two: a machine with other things to do may need them."""


def short_run(sabotage: Sabotage | None = None) -> tuple[int, str]:
    text = io.StringIO()
    code = run(Options(seconds=2, workers=3, sabotage=sabotage), Console(file=text, width=120))
    return code, text.getvalue()


def test_a_run_passes() -> None:
    code, text = short_run()
    assert code == 0, text
    assert "12 proxies, none over its limit" in text
    assert re.search(r"leases abandoned / recovered +│ 3 / 3 ", text)
    assert "and leased again, with a page fetched through each" in text
    assert "leased everything there is once more: 24 of 24 leases" in text


@pytest.mark.parametrize(
    ("sabotage", "complaints"),
    [
        pytest.param(
            Sabotage.UNLEASED_FETCH,
            [r"requests went through a proxy without a lease on it"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            Sabotage.SHARED_LEASE,
            [r"leases were used by two fetches at once"],
            marks=pytest.mark.slow,
        ),
        (
            Sabotage.LEAKED_LEASE,
            [r"3 leases were never given back", r"3 leases were still active at the end"],
        ),
        (Sabotage.LOST_LIMITS, [r"was leased \d+ times at once", r"could be leased \d+ times"]),
    ],
)
def test_a_broken_rule_fails_the_run(sabotage: Sabotage, complaints: list[str]) -> None:
    code, text = short_run(sabotage)
    assert code == 1, text
    for complaint in complaints:
        assert re.search(rf"FAILED: .*{complaint}", text), text


def test_it_needs_two_workers() -> None:
    with pytest.raises(ValueError, match="at least two workers"):
        run(Options(workers=1), Console(file=io.StringIO()))


def in_session(session: int) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return found


@pytest.mark.parametrize(
    ("stop", "moment"),
    [
        (signal.SIGINT, "12 forward proxies"),
        pytest.param(signal.SIGINT, "workers of 3 threads", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, "SIGKILL", marks=pytest.mark.slow),
        (signal.SIGTERM, "workers of 3 threads"),
    ],
)
def test_an_interrupted_run_leaves_no_process(stop: signal.Signals, moment: str) -> None:
    # A runner in the background ignores SIGINT, and children inherit that.
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from pharox_redis.demo.run import main; sys.exit(main(8, 2))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if moment in line:
                break
        deadline = time.monotonic() + PATIENCE
        while len(in_session(demo.pid)) < 4:  # the program, its servers and their guards
            assert time.monotonic() < deadline, in_session(demo.pid)
            time.sleep(0.02)
        os.kill(demo.pid, stop)
        text = demo.stdout.read()
        assert demo.wait(PATIENCE) == 130, text
    assert "interrupted" in text
    assert in_session(demo.pid) == []
