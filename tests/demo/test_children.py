"""The demo's processes end whenever it ends, and say so when they end too early."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pharox_redis.demo.children import ChildFailedError, Crew


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_answers_and_ends_when_asked() -> None:
    with Crew() as crew:
        child = crew.start("target", "target", {})
        assert child.answer_if_any() is None
        assert '"port"' in child.answer(30)
        assert child.running
        assert child.end() == 0
        assert not child.running


def test_leaving_the_crew_ends_everyone() -> None:
    with Crew() as crew:
        children = [crew.start(f"target-{number}", "target", {}) for number in range(3)]
        children[0].answer(30)
        children[1].answer(30)
        children[1].kill()
    assert not any(child.running for child in children)
    assert all(gone(child.pid) for child in children)


def test_a_child_that_does_not_end_by_itself_is_killed() -> None:
    with Crew() as crew:
        child = crew.start("target", "target", {})
        child.answer(30)
        os.kill(child.pid, signal.SIGSTOP)
        assert child.end(timeout=0.2) == -signal.SIGKILL


def test_a_silent_child_is_noticed() -> None:
    with Crew() as crew:
        child = crew.start("target", "target", {})
        child.answer(30)
        with pytest.raises(ChildFailedError, match=r"target did not answer within 0\.1 s"):
            child.answer(0.1)


def test_a_child_that_ends_early_is_noticed(tmp_path: Path) -> None:
    with Crew() as crew:
        config = {"journal": str(tmp_path / "missing" / "file"), "credentials": []}
        child = crew.start("proxies", "proxies", config)
        with pytest.raises(ChildFailedError, match="proxies ended early"):
            child.answer(30)
        with pytest.raises(ChildFailedError, match="proxies"):
            child.answer_if_any()


def test_no_child_outlives_a_killed_demo() -> None:
    program = (
        "import time\n"
        "from pharox_redis.demo.children import Crew\n"
        "with Crew() as crew:\n"
        "    child = crew.start('target', 'target', {})\n"
        "    child.answer(30)\n"
        "    print(child.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
    assert eventually(lambda: gone(pid))
