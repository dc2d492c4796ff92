"""The driver for blocking clients."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any, TypeVar

from pharox.exceptions import PharoxError
from pydantic_core import PydanticSerializationError
from redis import exceptions as redis_errors

from pharox_redis.drivers.links import link_of
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
from pharox_redis.flows.base import Flow, OnMaster, Pause, Step
from pharox_redis.privacy import forget_details
from pharox_redis.scripts import Call

T = TypeVar("T")


class SyncDriver:
    """Runs flows on a blocking client. As safe to share among threads as the client is."""

    def __init__(self, client: object) -> None:
        self._link = link_of(client)
        self._send = self._link.send
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
                    step = self._throw(flow, translate(error), error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result

    @staticmethod
    def _throw(flow: Flow[T], error: PharoxError, cause: Exception) -> Step:
        error.__cause__ = cause
        return flow.throw(error)

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Pause):
            if step.seconds > 0:
                time.sleep(step.seconds)
            return None
        if not self._version_checked:
            self._check_version()
        if isinstance(step, list):
            replies = self._link.send_all([command_of(each) for each in step])
            return [self._settle(each, reply) for each, reply in zip(step, replies, strict=True)]
        if isinstance(step, OnMaster):
            commands = [command.args for command in step.commands]
            return [
                translate(reply) if isinstance(reply, CLIENT_ERRORS) else text(reply)
                for reply in self._link.send_to_master(step.key, commands)
            ]
        return text(self._one(step))

    def _one(self, step: Sendable) -> Any:
        try:
            return self._send(*command_of(step))
        except redis_errors.NoScriptError:
            if not isinstance(step, Call):
                raise
            return self._send(*fallback_of(step))

    def _settle(self, step: Sendable, reply: Any) -> Any:
        try:
            if isinstance(reply, redis_errors.NoScriptError):
                reply = self._one(step)
            if isinstance(reply, CLIENT_ERRORS):
                return translate(reply)
        except CLIENT_ERRORS as error:
            return translate(error)
        return text(reply)

    def _check_version(self) -> None:
        # Not allowed to ask, or a server that does not tell (fakeredis): it will show.
        with suppress(redis_errors.ResponseError):
            check_version(self._link.info())
        self._version_checked = True
