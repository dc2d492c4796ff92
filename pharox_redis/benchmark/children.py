"""Processes beside a measurement: one that pings, one that keeps asking for new filters.

In processes of their own, for a thread would wait for this interpreter's lock, not for the server.
A child is told what to do by a line of JSON on its standard input; it says ``ready``, works until
its input is closed, and answers by a line of JSON. ``python -m pharox_redis.benchmark.children``
is a child.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import redis
from pharox.models import ProxyFilters, SelectorStrategy

from pharox_redis import RedisStorage, Settings
from pharox_redis.benchmark.bench import COUNTRIES

_PAUSE = 0.0005  # seconds between two pings
_WINDOW = 0.1  # seconds a ping's maximum is kept for


class Child:
    """A running child."""

    def __init__(self, task: str, **orders: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pharox_redis.benchmark.children"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends this one
        )
        assert self._process.stdin and self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout
        self._input.write(json.dumps({"task": task, **orders}) + "\n")
        self._input.flush()
        if self._output.readline().strip() != "ready":
            self.end()
            raise RuntimeError(f"the process that should {task} did not start")

    def result(self) -> Any:
        """Tell it to stop, and what it found."""
        self._input.close()
        line = self._output.readline()
        if not line:
            raise RuntimeError("a process beside the measurement ended by itself")
        return json.loads(line)

    def end(self) -> None:
        """See to it that it is gone."""
        self._input.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()


@contextmanager
def child(task: str, **orders: Any) -> Iterator[Child]:
    """A child that is gone with the ``with`` block."""
    started = Child(task, **orders)
    try:
        yield started
    finally:
        started.end()


def ping(url: str) -> list[tuple[float, float, float]]:
    """Until told to stop: (``time.monotonic``, the longest PING in ms, the longest pause in ms) of
    each tenth of a second. The pauses, of half a millisecond, tell what the machine alone does to a
    process that wants to run."""
    client = redis.Redis.from_url(url)
    client.ping()
    gc.disable()
    print("ready", flush=True)
    found: list[tuple[float, float, float]] = []
    longest = idle = 0.0
    before = began = time.monotonic()
    while True:
        client.ping()
        now = time.monotonic()
        longest = max(longest, now - before)
        over = _told_to_stop(_PAUSE)
        before = time.monotonic()
        idle = max(idle, before - now)
        if before - began > _WINDOW or over:
            found.append((before, longest * 1000, idle * 1000))
            longest, idle, began = 0.0, 0.0, before
        if over:
            return found


def _told_to_stop(patience: float) -> bool:
    return bool(select.select([sys.stdin], [], [], patience)[0])


def fill(url: str, prefix: str, pool: str, workers: int, idle_seconds: float) -> dict[str, Any]:
    """Until told to stop: so many threads ask for filters that nobody asked for before, under all
    selectors; how many answers they got, and their errors."""
    stand_back()
    storage = RedisStorage(
        redis.Redis.from_url(url, max_connections=workers + 1),
        Settings(key_prefix=prefix, view_idle_seconds=idle_seconds),
    )
    answers, errors = itertools.count(), list[str]()

    def work(number: int) -> None:
        for turn in itertools.count():
            filters, selector = _question(number + turn)
            try:
                lease = storage.acquire_lease(pool, f"filler-{number}", 60, filters, selector)
                if lease is not None:
                    storage.release_lease(lease)
                next(answers)
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
                time.sleep(0.1)

    for number in range(workers):
        threading.Thread(target=work, args=(number,), daemon=True).start()
    print("ready", flush=True)
    while not _told_to_stop(1):
        pass
    return {"answers": next(answers), "errors": errors[:10]}


def _question(number: int) -> tuple[ProxyFilters, SelectorStrategy]:
    """A new filter: rare, common, or matched by none, in turn."""
    new = [ProxyFilters(source=f"nobody-{uuid4().hex[:12]}")]
    kinds = (
        ProxyFilters(city="rare", none_of=new),
        ProxyFilters(country=COUNTRIES[number % len(COUNTRIES)], none_of=new),
        ProxyFilters(isp="some", none_of=new),
        ProxyFilters(all_of=new),
    )
    selectors = list(SelectorStrategy)
    return kinds[number % 4], selectors[number // 4 % len(selectors)]


def stand_back() -> None:
    """Let others have the processor first, from now on: this thread and those it starts, on Linux.

    Clients that load the server share the machine with it here. Without this, what is measured is
    how long the server waits for its turn among them.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def main() -> None:
    """Be a child."""
    orders = json.loads(sys.stdin.readline())
    tasks: dict[str, Callable[..., Any]] = {"ping": ping, "fill": fill}
    found = tasks[orders.pop("task")](**orders)
    print(json.dumps(found), flush=True)
    os._exit(0)  # whatever threads are at


if __name__ == "__main__":
    main()
