"""Drives flows step by step, so that a test decides what happens between any two of their calls.

A flow is a generator that yields one call to the server after the other. What a process that is
killed leaves behind is what a flow leaves behind that is closed between two of them; what two
processes do at once is what two flows do that are stepped in turn. No clock and no luck is needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from pharox.exceptions import PharoxError
from redis.exceptions import RedisError

from pharox_redis import RedisStorage
from pharox_redis.errors import translate
from pharox_redis.flows import Context, Flow

MakeFlow = Callable[[Context], Flow[Any]]


class Stepped:
    """One flow on one storage. ``result`` or ``error`` is set when it is ``over``."""

    def __init__(self, storage: RedisStorage, make: MakeFlow) -> None:
        self._storage = storage
        self._flow = make(storage._context)
        self._reply: Any = None
        self._thrown: PharoxError | None = None
        self.over = self.killed = False
        self.steps = 0
        self.result: Any = None
        self.error: PharoxError | None = None
        self._step: Any = None
        self._advance()

    def _advance(self) -> None:
        try:
            if self._thrown is not None:
                self._step = self._flow.throw(self._thrown)
            else:
                self._step = self._flow.send(self._reply)
        except StopIteration as stop:
            self.over, self.result = True, stop.value
        except PharoxError as error:
            self.over, self.error = True, error

    def step(self) -> None:
        """Perform the call the flow waits for, and let it go on to the next."""
        assert not self.over
        self._thrown = self._reply = None
        try:
            self._reply = self._storage._driver._perform(self._step)
        except RedisError as error:
            self._thrown = translate(error)
        self.steps += 1
        self._advance()

    def finish(self) -> Stepped:
        """Step until it is over."""
        for _ in range(1_000):
            if self.over:
                return self
            self.step()
        raise AssertionError("the flow does not end")

    def finish_or_die(self, steps: int) -> None:
        """Take at most so many steps; broken off if it is not over then."""
        for _ in range(steps):
            if not self.over:
                self.step()
        if not self.over:
            self.abandon()

    def abandon(self) -> None:
        """What SIGKILL does: nothing more is sent."""
        self._flow.close()
        self.over = self.killed = True

    @property
    def succeeded(self) -> bool:
        """Whether it ended by itself and without an error."""
        return self.over and self.error is None and not self.killed


def count_steps(storage: RedisStorage, make: MakeFlow) -> int:
    """How many calls a flow takes; they are performed."""
    return Stepped(storage, make).finish().steps


def schedules(run: Callable[[list[int]], list[int]], switches: int) -> Iterator[list[int]]:
    """Every order of two flows' steps that changes sides at most ``switches`` times, each once.

    ``run`` performs one order: it follows the choices given (0 or 1: whose step is next) while both
    flows live, goes on without changing sides, and returns the choices that were made.
    """
    todo: list[list[int]] = [[0], [1]]
    while todo:
        prefix = todo.pop()
        made = run(prefix)
        yield made
        for at in range(len(prefix), len(made)):
            other = [*made[:at], 1 - made[at]]
            if sum(a != b for a, b in itertools.pairwise(other)) <= switches:
                todo.append(other)


def interleave(
    first: Stepped, second: Stepped, choices: list[int], kill_after: int | None = None
) -> list[int]:
    """Perform one order of two flows' steps, see :func:`schedules`.

    ``kill_after``: when one is over, the other takes so many steps more and is then broken off.
    """
    made: list[int] = []
    flows = (first, second)
    while not first.over and not second.over:
        at = len(made)
        side = choices[at] if at < len(choices) else made[-1]
        flows[side].step()
        made.append(side)
    for flow in flows:
        if kill_after is None:
            flow.finish()
        else:
            flow.finish_or_die(kill_after)
    return made
