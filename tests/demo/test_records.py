"""What the processes write down is read back as it was, up to the line a SIGKILL cut short."""

import subprocess
import sys
from pathlib import Path

import pytest

from pharox_redis.demo.records import Journal, forwarded, read_lines, worker_log


def test_a_workers_journal(tmp_path: Path) -> None:
    path = tmp_path / "worker-1.jsonl"
    with Journal(path) as journal:
        for name, port in (("a", 1), ("b", 2)):
            journal.write("acquire", lease=name, job="any", port=port, asked=1.0, got=1.002, ttl=30)
            journal.write("fetch", lease=name)
        journal.write("fetch", lease="a")
        journal.write("miss", job="any")
        journal.write("miss", job="any")
        journal.write("release", lease="a", at=1.5, ms=0.7)
        journal.write("error", text="ReadTimeout")
    log = worker_log("worker-1", read_lines(path))
    assert log.leases["a"].acquire_ms == pytest.approx(2)
    assert (log.leases["a"].released, log.leases["a"].release_ms) == (1.5, 0.7)
    assert [(lease.lease, lease.worker) for lease in log.unreleased] == [("b", "worker-1")]
    assert log.fetches == {"a": 2, "b": 1}
    assert log.misses == {"any": 2}
    assert log.errors == ["worker-1: ReadTimeout"]


def test_the_proxies_journal(tmp_path: Path) -> None:
    path = tmp_path / "proxies.jsonl"
    with Journal(path) as journal:
        journal.write("forwarded", port=1, lease=None, start=1.0, end=1.5, status=407)
    (entry,) = forwarded(read_lines(path))
    assert (entry.port, entry.lease, entry.start, entry.end, entry.status) == (1, None, 1, 1.5, 407)


def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "worker-1.jsonl"
    path.write_text('{"event": "miss", "job": "any"}\n{"event": "mi')
    assert worker_log("worker-1", read_lines(path)).misses == {"any": 1}


def test_a_worker_that_wrote_nothing(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "nothing.jsonl") == []


def test_an_unknown_event_is_no_silent_loss() -> None:
    with pytest.raises(ValueError, match="unknown event in the journal of worker-1: leese"):
        worker_log("worker-1", [{"event": "leese"}])


def test_what_was_written_survives_a_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "worker-1.jsonl"
    program = (
        "import os, pathlib, signal, sys\n"
        "from pharox_redis.demo.records import Journal\n"
        "journal = Journal(pathlib.Path(sys.argv[1]))\n"
        "journal.write('miss', job='any')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert ended.returncode == -9
    assert len(read_lines(path)) == 1
