"""The driver for ``redis.asyncio``, and what it does for a caller that is cancelled.

A task can be cancelled at any await, with a command on its way whose reply nobody will read. The
driver then throws ``Interrupted`` into the flow. Most flows end there: what they had begun is what
a process that was killed leaves, and whoever comes next carries on. A flow that must not stop there
yields further steps: a lease that may have been granted is taken back, a release is sent again.
Those steps run in a task of their own, so that the caller's cancellation does not reach them.

The caller waits for that task, so that nothing is left behind when its ``CancelledError`` goes on;
but only for ``GRACE_SECONDS``, or until it is cancelled once more: a server that does not answer
must not keep a program from stopping. The task goes on behind it; :meth:`AsyncDriver.settle` waits
for all of them.

A cancellation can also get lost: before Python 3.12 ``asyncio.wait_for``, which redis-py writes
through, drops one that meets the end of the write, and the task would work on for ever. So the
driver looks at the task's own count of them after each step.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from typing import Any, TypeVar

from pharox.exceptions import PharoxError
from pydantic_core import PydanticSerializationError
from redis import exceptions as redis_errors

from pharox_redis.drivers.async_links import async_link_of
from pharox_redis.drivers.replies import (
    CLIENT_ERRORS,
    Sendable,
    check_version,
    command_of,
    fallback_of,
    text,
    unencodable,
)
from pharox_redis.errors import translate
from pharox_redis.flows.base import Flow, Interrupted, OnMaster, Pause, Step
from pharox_redis.privacy import forget_details
from pharox_redis.scripts import Call

T = TypeVar("T")

GRACE_SECONDS = 1.0
"""Seconds a cancelled caller waits for what must still be done."""

logger = logging.getLogger("pharox_redis")


class AsyncDriver:
    """Runs flows on an asyncio client, in the task that calls, on one event loop."""

    def __init__(self, client: object) -> None:
        self._link = async_link_of(client)
        self._send = self._link.send
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
                    step = self._throw(flow, translate(error), error)
                except asyncio.CancelledError:
                    await self._wind_up(flow)
                    raise
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def settle(self) -> None:
        """Wait for what cancelled callers left to be done."""
        while self._windings:
            await asyncio.wait(self._windings)

    async def attend(self, flow: Flow[T], step: Step | None = None) -> None:
        """Have a flow done, from ``step`` on, that a caller must not leave undone: wait for it, but
        not for long. What goes wrong is logged."""
        task = asyncio.create_task(self._finish(flow, next(flow) if step is None else step))
        self._windings.add(task)
        task.add_done_callback(self._windings.discard)
        # Cancelled once more here, the caller is in a hurry, and the task goes on without it.
        await asyncio.wait({task}, timeout=GRACE_SECONDS)

    @staticmethod
    def _throw(flow: Flow[T], error: PharoxError, cause: Exception) -> Step:
        error.__cause__ = cause
        return flow.throw(error)

    async def _wind_up(self, flow: Flow[T]) -> None:
        with suppress(StopIteration, Interrupted):
            await self.attend(flow, flow.throw(Interrupted()))

    async def _finish(self, flow: Flow[T], step: Step) -> None:
        cancelled = False
        try:
            while True:
                try:
                    reply = await self._perform(step)
                except asyncio.CancelledError:
                    # A loop that closes down cancels all its tasks, and then waits for them: time
                    # for one more attempt. Every step can be sent twice.
                    if cancelled:
                        raise
                    cancelled = True
                except CLIENT_ERRORS as error:
                    step = self._throw(flow, translate(error), error)
                else:
                    step = flow.send(reply)
        except (StopIteration, Interrupted):
            pass
        except PharoxError as error:
            logger.warning(
                "A call that was given up could not be wound up; a lease it may have had ends at "
                "its expiry. %s",
                error,
            )

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        if not self._version_checked:
            await self._check_version()
        if isinstance(step, list):
            replies = await self._link.send_all([command_of(each) for each in step])
            return [
                await self._settle(each, reply) for each, reply in zip(step, replies, strict=True)
            ]
        if isinstance(step, OnMaster):
            commands = [command.args for command in step.commands]
            return [
                translate(reply) if isinstance(reply, CLIENT_ERRORS) else text(reply)
                for reply in await self._link.send_to_master(step.key, commands)
            ]
        return text(await self._one(step))

    async def _one(self, step: Sendable) -> Any:
        try:
            return await self._send(*command_of(step))
        except redis_errors.NoScriptError:
            if not isinstance(step, Call):
                raise
            return await self._send(*fallback_of(step))

    async def _settle(self, step: Sendable, reply: Any) -> Any:
        try:
            if isinstance(reply, redis_errors.NoScriptError):
                reply = await self._one(step)
            if isinstance(reply, CLIENT_ERRORS):
                return translate(reply)
        except CLIENT_ERRORS as error:
            return translate(error)
        return text(reply)

    async def _check_version(self) -> None:
        # Not allowed to ask, or a server that does not tell (fakeredis): it will show.
        with suppress(redis_errors.ResponseError):
            check_version(await self._link.info())
        self._version_checked = True
