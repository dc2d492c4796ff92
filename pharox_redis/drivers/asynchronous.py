"""The driver for ``redis.asyncio``, and what it does for a caller that is cancelled.

A task can be cancelled at any await, with a command on its way whose reply nobody will read. The
driver then throws ``Interrupted`` into the flow. Most flows end there: what they had begun is what
a process that was killed leaves, and whoever comes next carries on. A flow that must not stop there
yields further steps: a lease that may have been granted is taken back, a release is sent again.
Those steps run in a task of their own, so that the caller's cancellation does not reach them.

The caller waits for that task, so that nothing is left behind when its ``CancelledError`` goes on;
but only for ``GRACE_SECONDS``, or until it is cancelled once more: a server that does not answer
must not keep a program from stopping. The task goes on behind it, for a minute if need be;
:meth:`AsyncDriver.settle` waits for all of them.

A cancellation can also get lost: before Python 3.12 ``asyncio.wait_for``, which redis-py writes
through, drops one that meets the end of the write, and the task would work on for ever. So the
driver looks at the task's own count of them after each step.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, repeat
from typing import Any, TypeVar

from pharox.exceptions import PharoxError
from pydantic_core import PydanticSerializationError
from redis import exceptions as redis_errors

from pharox_redis.drivers.async_links import async_link_of
from pharox_redis.drivers.replies import (
    CLIENT_ERRORS,
    TOGETHER,
    Sendable,
    check_version,
    command_of,
    fallback_of,
    places_without_script,
    settled,
    text,
    throw_into,
    unencodable,
)
from pharox_redis.errors import StorageUnavailableError, translate
from pharox_redis.flows.base import AT_ONCE, Flow, Interrupted, OnMaster, Pause, Step, in_chunks
from pharox_redis.privacy import forget_details
from pharox_redis.scripts import Call

T = TypeVar("T")

GRACE_SECONDS = 1.0
"""Seconds a cancelled caller waits for what must still be done."""

SETTLE_SECONDS = 10.0
"""Seconds that ``settle`` waits."""

PATIENCE_SECONDS = 60.0
"""Seconds for which what must still be done is tried again while the server is away."""

logger = logging.getLogger("pharox_redis")


class AsyncDriver:
    """Runs flows on an asyncio client, in the task that calls, on one event loop."""

    def __init__(self, client: object) -> None:
        self._link = async_link_of(client)
        self._version_checked = False
        self._windings: set[asyncio.Task[None]] = set()

    async def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its result; its errors are the flow's, without what they came across."""
        outer = sys.exception()
        try:
            return await self._drive(flow)
        except (UnicodeEncodeError, PydanticSerializationError):
            pass  # the error has the text, which may be a password
        except Exception as error:
            forget_details(error, outer)
            raise
        raise unencodable()

    async def _drive(self, flow: Flow[T]) -> T:
        task = asyncio.current_task()
        cancels = task.cancelling() if task else 0
        try:
            step = next(flow)
            while True:
                try:
                    reply = await self._perform(step)
                    if task and task.cancelling() > cancels:
                        raise asyncio.CancelledError
                except CLIENT_ERRORS as error:
                    if task and task.cancelling() > cancels:
                        await self._wind_up(flow)
                        raise asyncio.CancelledError from None
                    step = throw_into(flow, error)
                except asyncio.CancelledError:
                    await self._wind_up(flow)
                    raise
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def settle(self) -> None:
        """Wait for what cancelled callers left to be done, ``SETTLE_SECONDS`` at most."""
        loop = asyncio.get_running_loop()
        mine = {task for task in self._windings if task.get_loop() is loop}
        if mine:
            _, late = await asyncio.wait(mine, timeout=SETTLE_SECONDS)
            for task in late:
                task.cancel()  # one more attempt, see _insist
            if late:
                await asyncio.wait(late)

    async def attend(self, flow: Flow[T], step: Step | None = None) -> None:
        """Have a flow done, from ``step`` on, that a caller must not leave undone: wait for it, but
        not for long. What goes wrong is logged."""
        task = asyncio.create_task(self._finish(flow, next(flow) if step is None else step))
        self._windings.add(task)
        task.add_done_callback(self._windings.discard)
        # Cancelled once more here, the caller is in a hurry, and the task goes on without it.
        await asyncio.wait({task}, timeout=GRACE_SECONDS)

    async def _wind_up(self, flow: Flow[T]) -> None:
        with suppress(StopIteration, Interrupted):
            await self.attend(flow, flow.throw(Interrupted()))

    async def _finish(self, flow: Flow[T], step: Step) -> None:
        try:
            while True:
                step = flow.send(await self._insist(step))
        except (StopIteration, Interrupted):
            pass
        except (PharoxError, *CLIENT_ERRORS, TimeoutError) as error:
            logger.warning(
                "A call that was given up could not be wound up; a lease it may have had ends at "
                "its expiry. %s",
                translate(error) if isinstance(error, CLIENT_ERRORS) else repr(error),
            )

    async def _insist(self, step: Step) -> Any:
        """The reply of a step that is tried again while the server is away."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        for pause in chain((0.05, 0.1, 0.2, 0.5), repeat(1.0)):
            try:
                return await self._perform(step)
            except asyncio.CancelledError:
                # A loop that closes down cancels all its tasks, and then waits for them: time for
                # one more attempt. Every step can be sent twice.
                async with asyncio.timeout(GRACE_SECONDS):
                    return await self._perform(step)
            except CLIENT_ERRORS as error:
                away = isinstance(translate(error), StorageUnavailableError)
                if not away or time.monotonic() + pause > deadline:
                    raise
                await asyncio.sleep(pause)

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        if not self._version_checked:
            await self._check_version()
        if isinstance(step, list):
            replies: list[Any] = []
            for chunk in in_chunks(step, TOGETHER):
                replies += await self._all(chunk)
            return replies
        if isinstance(step, OnMaster):
            commands = [command.args for command in step.commands]
            return [settled(reply) for reply in await self._link.send_to_master(step.key, commands)]
        return text(await self._one(step))

    async def _one(self, step: Sendable) -> Any:
        if not isinstance(step, Call):
            return await self._link.send(*step.args)
        try:
            return await self._link.call(command_of(step))
        except redis_errors.NoScriptError:
            return await self._link.call(fallback_of(step))

    async def _all(self, steps: Sequence[Sendable]) -> list[Any]:
        replies = await self._link.send_all([command_of(step) for step in steps])
        # As in the blocking driver.
        while lacking := places_without_script(replies):
            first, *others = lacking
            try:
                replies[first] = await self._one(steps[first])
            except CLIENT_ERRORS as error:
                replies[first] = translate(error)
            if others:
                again = await self._link.send_all([command_of(steps[place]) for place in others])
                for place, reply in zip(others, again, strict=True):
                    replies[place] = reply
        done: list[Any] = []
        for some in in_chunks(replies, AT_ONCE):
            done += map(settled, some)
            await asyncio.sleep(0)
        return done

    async def _check_version(self) -> None:
        # Not allowed to ask, or a server that does not tell (fakeredis): it will show.
        with suppress(redis_errors.ResponseError):
            check_version(await self._link.info())
        self._version_checked = True
