"""Short load tests as whole processes: they pass, leave a report, and fail if they must."""

from __future__ import annotations

import re
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis
import yaml

from tests.load_tests.processes import (
    ALL_STARTED,
    HEADLESS,
    LOCUST,
    LOCUSTFILE,
    ROOT,
    SHORT,
    Run,
    started,
)
from tests.support.ports import free_ports

# Each run keeps a core busy for some seconds, so they take turns.
pytestmark = pytest.mark.xdist_group("load")

ASYNC = [sys.executable, "load_tests/async_load.py", "--tasks", "24"]
REQUESTS = {"acquire", "miss", "release", "sweep", "save"}
OK = "OK: no limit exceeded, no lease lost, every proxy is free again"


def requests(report: Path) -> set[str]:
    """The names of the requests in locust's report."""
    return set(re.findall(r'"name": ?"(\w+)"', report.read_text(encoding="utf-8")))


def test_a_headless_run_passes_and_leaves_a_report(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    command = [*LOCUST, *LOCUSTFILE, *HEADLESS, *SHORT, "-t", "5s", "--html", str(report)]
    with started([*command, "--pharox-proxies", "8"]) as run:
        assert run.end() == 0, run.text
    assert OK in run.text
    assert " 0 looks" not in run.text
    assert requests(report) >= REQUESTS
    assert {"storage", "manager"} <= set(re.findall(r'"method": ?"(\w+)"', report.read_text()))


def test_an_asyncio_run_passes() -> None:
    with started([*ASYNC, *SHORT, "--seconds", "4", "--pharox-proxies", "8"]) as run:
        assert run.end() == 0, run.text
    assert OK in run.text
    for name in REQUESTS:
        assert re.search(rf"│ +storage +│ +{name} +│", run.text), run.text


def test_what_makes_no_sense_is_said() -> None:
    with started([*ASYNC, "--pharox-lease-seconds", "0"]) as run:
        assert run.end() == 2
    assert "a lease must be asked for" in run.text
    with started([*LOCUST, *LOCUSTFILE, *HEADLESS, "--pharox-burst", "0"]) as run:
        assert run.end() == 1
    assert "must be at least 1" in run.text


# -- violations ----------------------------------------------------------------------------------


def limits_are_taken_away(client: redis.Redis, pool: str) -> None:
    """As if the library did not look at them: leases beyond them are granted from now on."""
    for key in client.scan_iter(match=f"{pool}:proxy:*", count=1000):
        client.hdel(key, "max")


def leases_are_taken_out_of_expiry(client: redis.Redis, pool: str) -> None:
    """No sweep finds them any more, and their releases do nothing."""
    assert client.zrem(f"{pool}:expiry", *client.zrandmember(f"{pool}:expiry", SEVERAL)) > 1


def leases_are_given_to_nobody(client: redis.Redis, pool: str) -> None:
    """They are there, whole, for longer than the run."""
    ends = int(time.time() * 1000) + 15_000
    for proxy in client.zrandmember(f"{pool}:proxies", SEVERAL):
        client.zadd(f"{pool}:held:{proxy}", {"stranger": ends})
        client.zadd(f"{pool}:expiry", {f"stranger:{proxy}": ends})


SEVERAL = 6
"""The maintainer may delete a proxy, and what is wrong with it."""


def plant(plan: Callable[[redis.Redis, str], None], url: str, prefix: str) -> None:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        (entry,) = client.hgetall(f"{prefix}:1:pools").values()
        pool = f"{prefix}:1:{{{entry.partition('.')[0]}}}"
        while client.zcard(f"{pool}:expiry") < SEVERAL:
            pass  # the first leases are a matter of milliseconds
        plan(client, pool)


@pytest.mark.parametrize(
    ("plan", "blamed"),
    [
        (limits_are_taken_away, r"limit exceeded: proxy \S+ had \d+ leases at"),
        # What the judge makes of each kind of damage is in test_judging.py.
        pytest.param(
            leases_are_taken_out_of_expiry,
            r"lease stuck: lease \S+ (still )?holds proxy",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            leases_are_given_to_nobody,
            r"lease lost: lease stranger on proxy \S+ is nobody",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_violation_fails_the_run(
    valkey_url: str, tmp_path: Path, plan: Callable[[redis.Redis, str], None], blamed: str
) -> None:
    report, prefix = tmp_path / "report.html", f"load-{secrets.token_hex(4)}"
    command = [*LOCUST, *LOCUSTFILE, *HEADLESS, *SHORT, "-t", "3s", "--html", str(report)]
    with started([*command, "--host", valkey_url, "--pharox-prefix", prefix]) as run:
        run.until(ALL_STARTED)
        plant(plan, valkey_url, prefix)
        assert run.end() == 1, run.text
    assert re.search(f"^FAILED: {blamed}", run.text, re.MULTILINE), run.text
    assert re.search(blamed, report.read_text(encoding="utf-8"))


def test_a_violation_fails_an_asyncio_run(valkey_url: str) -> None:
    prefix = f"load-{secrets.token_hex(4)}"
    command = [*ASYNC, *SHORT, "--seconds", "2", "--pharox-prefix", prefix]
    with started([*command, "--pharox-url", valkey_url]) as run:
        run.until("24 tasks are at work")
        plant(limits_are_taken_away, valkey_url, prefix)
        assert run.end() == 1, run.text
    assert "FAILED: limit exceeded" in run.text


# -- several processes ---------------------------------------------------------------------------


def composed(service: str, **values: str) -> list[str]:
    """A service's command line in docker-compose.yml, with these values for its options."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    program, *options = compose["services"][service]["command"]
    assert program == "locust"
    options = [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", option) for option in options]
    named = {option.partition("=")[0]: option for option in options}
    for name, value in values.items():
        assert f"--{name.replace('_', '-')}" in named, name
        named[f"--{name.replace('_', '-')}"] = f"--{name.replace('_', '-')}={value}"
    return [*LOCUST, *named.values()]


@contextmanager
def distributed(url: str, prefix: str, report: Path) -> Iterator[tuple[Run, Run, Run]]:
    """A master and two workers by the compose file, but for addresses, size and time."""
    values = {"users": "24", "run_time": "4s", "html": str(report), "host": url}
    (port,) = map(str, free_ports(1))
    near = ["--master-bind-host=127.0.0.1", f"--master-bind-port={port}", *SHORT]
    far = [*composed("load-worker", master_host="127.0.0.1"), f"--master-port={port}"]
    with (
        started([*composed("load-master", **values), *near, "--pharox-prefix", prefix]) as master,
        started(far) as one,
        started(far) as other,
    ):
        yield master, one, other


def test_a_master_and_two_workers(valkey_url: str, tmp_path: Path) -> None:
    report, prefix = tmp_path / "report.html", f"load-{secrets.token_hex(4)}"
    with distributed(valkey_url, prefix, report) as (master, *workers):
        assert master.end() == 0, master.text
        assert [worker.end() for worker in workers] == [0, 0]
    assert OK in master.text
    assert "to 2 ready workers" in master.text
    assert requests(report) >= REQUESTS


@pytest.mark.slow
def test_a_violation_among_workers_fails_the_master(valkey_url: str, tmp_path: Path) -> None:
    report, prefix = tmp_path / "report.html", f"load-{secrets.token_hex(4)}"
    with distributed(valkey_url, prefix, report) as (master, *workers):
        master.until(ALL_STARTED)
        plant(limits_are_taken_away, valkey_url, prefix)
        assert master.end() == 1, master.text
        assert [worker.end() for worker in workers] == [0, 0]
    assert "FAILED: limit exceeded" in master.text
    assert "limit exceeded" in report.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_worker_that_is_killed_fails_the_master(valkey_url: str, tmp_path: Path) -> None:
    """Its leases cannot be accounted for: nobody may say that none was lost."""
    report, prefix = tmp_path / "report.html", f"load-{secrets.token_hex(4)}"
    with distributed(valkey_url, prefix, report) as (master, one, _):
        master.until(ALL_STARTED)
        one.process.kill()
        assert master.end() == 1, master.text
    assert re.search("^FAILED: worker lost: .* sent no last report", master.text, re.MULTILINE)


def test_a_run_that_is_terminated_has_a_verdict_and_leaves_no_process() -> None:
    with started([*LOCUST, *LOCUSTFILE, *HEADLESS, *SHORT, "-t", "60s"]) as run:
        run.until(ALL_STARTED)
        children = psutil.Process(run.process.pid).children(recursive=True)
        assert children
        run.process.send_signal(signal.SIGTERM)
        assert run.end() == 0, run.text
    assert OK in run.text
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert not alive and gone
