"""Cancels a task at a chosen await, as many times as a test wants to count.

A coroutine is a chain of waits on futures. :func:`cancelled_at` runs one in a task and cancels it
at its n-th wait: *early*, while what it waits for is still to come, or *late*, after it has come
and before the task has gone on, when the answer is lost though it is there. So "at every await" is
a loop over n, and needs no clock and no luck.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Literal, NamedTuple, TypeVar

T = TypeVar("T")

Moment = Literal["early", "late"]
MOMENTS: tuple[Moment, ...] = ("early", "late")


class Outcome(NamedTuple):
    """``cancelled`` if the coroutine ended by its ``CancelledError``, else its result; ``reached``
    if it came to the wait at which it was to be cancelled."""

    cancelled: bool
    reached: bool
    result: Any


class _Counted:
    """Awaits a coroutine, and calls back at its n-th wait with the future it waits for."""

    def __init__(self, inner: Coroutine[Any, Any, T], at: int, reached: Callable[[Any], None]):
        self._inner, self._left, self._reached = inner, at, reached

    def __await__(self) -> Generator[Any, Any, T]:
        send: Callable[[], Any] = lambda: self._inner.send(None)  # noqa: E731
        while True:
            try:
                waits_for = send()
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            self._left -= 1
            if self._left == 0:
                self._reached(waits_for)
            try:
                sent = yield waits_for
                send = lambda sent=sent: self._inner.send(sent)  # noqa: E731
            except BaseException as error:
                send = lambda error=error: self._inner.throw(error)  # noqa: E731


async def cancelled_at(
    wait: int, moment: Moment, make: Callable[[], Coroutine[Any, Any, T]], times: int = 1
) -> Outcome:
    """Run ``make()`` in a task that is cancelled at its ``wait``-th wait, counted from 1; with
    ``times`` 2 once more at the wait after that."""
    reached = False

    def cancel(waits_for: Any) -> None:
        nonlocal reached
        reached = True
        if moment == "late" and isinstance(waits_for, asyncio.Future):
            # Before the task's own callback, which the task adds after this one.
            waits_for.add_done_callback(lambda _: task.cancel())
        else:
            asyncio.get_running_loop().call_soon(task.cancel)

    async def counted() -> T:
        inner: Awaitable[T] = _Counted(make(), wait, cancel)
        if times == 2:
            inner = _Counted(_awaiting(inner), wait + 1, cancel)
        return await inner

    task = asyncio.create_task(counted())
    try:
        result = await task
        return Outcome(False, reached, result)
    except asyncio.CancelledError:
        return Outcome(True, reached, None)


async def _awaiting(inner: Awaitable[T]) -> T:
    return await inner
