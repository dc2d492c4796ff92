"""The driver for blocking clients."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar

from pydantic_core import PydanticSerializationError
from redis import exceptions as redis_errors

from pharox_redis.drivers.links import link_of
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
from pharox_redis.errors import translate
from pharox_redis.flows.base import Flow, OnMaster, Pause, Step, in_chunks
from pharox_redis.privacy import forget_details
from pharox_redis.scripts import Call

T = TypeVar("T")


class SyncDriver:
    """Runs flows on a blocking client. As safe to share among threads as the client is."""

    def __init__(self, client: object) -> None:
        self._link = link_of(client)
        self._version_checked = False

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its result; its errors are the flow's, without what they came across."""
        outer = sys.exception()
        try:
            return self._drive(flow)
        except (UnicodeEncodeError, PydanticSerializationError):
            pass  # the error has the text, which may be a password
        except Exception as error:
            forget_details(error, outer)
            raise
        raise unencodable()

    def _drive(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    reply = self._perform(step)
                except CLIENT_ERRORS as error:
                    step = throw_into(flow, error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Pause):
            if step.seconds > 0:
                time.sleep(step.seconds)
            return None
        if not self._version_checked:
            self._check_version()
        if isinstance(step, list):
            return [reply for chunk in in_chunks(step, TOGETHER) for reply in self._all(chunk)]
        if isinstance(step, OnMaster):
            commands = [command.args for command in step.commands]
            return [settled(reply) for reply in self._link.send_to_master(step.key, commands)]
        return text(self._one(step))

    def _one(self, step: Sendable) -> Any:
        if not isinstance(step, Call):
            return self._link.send(*step.args)
        try:
            return self._link.call(command_of(step))
        except redis_errors.NoScriptError:
            return self._link.call(fallback_of(step))

    def _all(self, steps: Sequence[Sendable]) -> list[Any]:
        replies = self._link.send_all([command_of(step) for step in steps])
        # The first of those that lack their script brings it to its server, and the rest is tried
        # again: a round for each script and server, not a trip for each step.
        while lacking := places_without_script(replies):
            first, *others = lacking
            try:
                replies[first] = self._one(steps[first])
            except CLIENT_ERRORS as error:
                replies[first] = translate(error)
            if others:
                again = self._link.send_all([command_of(steps[place]) for place in others])
                for place, reply in zip(others, again, strict=True):
                    replies[place] = reply
        return [settled(reply) for reply in replies]

    def _check_version(self) -> None:
        # Not allowed to ask, or a server that does not tell (fakeredis): it will show.
        with suppress(redis_errors.ResponseError):
            check_version(self._link.info())
        self._version_checked = True
