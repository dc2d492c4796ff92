"""Processes that contend for a few things at once, started together and ended for certain.

The processes are of multiprocessing's *spawn* kind: nothing of this one's connections is in them.
They end when the rounds are over, and are ended when the run is, whatever ends it: here in order,
or by themselves when this process was killed. A Ctrl-C at the terminal reaches this process only.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from pharox_redis.benchmark.contender import PATIENCE, Plan, Round, contend

_END_SECONDS = 5.0


class CrowdError(RuntimeError):
    """A process of a crowd ended early, or did not answer."""


def run_crowd(plan: Plan, processes: int, advance: Callable[[], object]) -> list[list[Round]]:
    """What each process did, round by round; ``advance`` is called after each.

    Raises ``CrowdError``.
    """
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(processes + 1)
    crowd: list[SpawnProcess] = []
    ends: list[Connection] = []
    try:
        for _ in range(processes):
            ours, theirs = spawn.Pipe(duplex=False)
            process = spawn.Process(target=contend, args=(plan, barrier, theirs), daemon=True)
            _start(process)
            crowd.append(process)
            ends.append(ours)
            theirs.close()
        try:
            for _ in plan.schedule():
                barrier.wait(PATIENCE)
                advance()
            barrier.wait(PATIENCE)
        except threading.BrokenBarrierError:
            raise CrowdError(_reason(ends)) from None
        return [_answer(end) for end in ends]
    finally:
        for process in crowd:
            _end(process)
        for end in ends:
            end.close()


def overlaps(holds: Iterable[tuple[str, float, float]]) -> tuple[int, int]:
    """(how often something was taken while it was held, the most that was held at one time)."""
    events = [e for name, start, end in holds for e in ((start, 1, name), (end, -1, name))]
    held: dict[str, int] = {}
    taken_twice = most = now = 0
    for _, change, name in sorted(events):  # at the same moment the end of a hold comes first
        held[name] = held.get(name, 0) + change
        now += change
        most = max(most, now)
        taken_twice += change > 0 and held[name] > 1
    return taken_twice, most


def _start(process: SpawnProcess) -> None:
    """Start a process that never sees the terminal's Ctrl-C: it inherits the mask."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _end(process: SpawnProcess) -> None:
    process.join(0)
    if process.is_alive():
        process.terminate()
        process.join(_END_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
    process.close()


def _answer(end: Connection) -> list[Round]:
    try:
        answer = end.recv() if end.poll(PATIENCE) else "no answer"
    except EOFError:
        answer = "it ended without an answer"
    if isinstance(answer, str):
        raise CrowdError(f"a process of the crowd failed: {answer}")
    rounds: list[Round] = answer
    return rounds


def _reason(ends: Iterable[Connection]) -> str:
    """What the process said that failed first, if any said something."""
    said = []
    for end in ends:
        try:
            answer = end.recv() if end.poll(1.0) else None
        except EOFError:
            continue
        if isinstance(answer, str):
            said.append(answer)
    own = [text for text in said if text != "another process gave up"]
    return f"a process of the crowd failed: {(own or said or ['no answer'])[0]}"
