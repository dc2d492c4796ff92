"""Performs what flows yield on a redis-py client: the only code that talks to one.

A script call is one EVALSHA; on NOSCRIPT (a restart, a fail-over, SCRIPT FLUSH) one EVAL, which
also caches it again. Replies are decoded here, whatever the client's ``decode_responses``. Commands
may be sent twice by redis-py's own retries; that every script can be repeated is the scripts' part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import redis
from pharox.exceptions import PharoxError
from pydantic_core import PydanticSerializationError
from redis import exceptions as redis_errors

from pharox_redis.errors import (
    StorageError,
    UnsupportedClientError,
    UnsupportedServerError,
    translate,
)
from pharox_redis.flows.base import Command, Flow, Pause, Step
from pharox_redis.scripts import Call
from pharox_redis.server import MINIMUM_VERSION

T = TypeVar("T")


def text(reply: Any) -> Any:
    """A reply with ``str`` for ``bytes``, at any depth."""
    if isinstance(reply, bytes):
        return reply.decode("utf-8", "surrogateescape")
    if isinstance(reply, list):
        return [
            item.decode("utf-8", "surrogateescape")
            if type(item) is bytes
            else (item if type(item) is int or item is None else text(item))
            for item in reply
        ]
    if isinstance(reply, dict):
        return {text(key): text(value) for key, value in reply.items()}
    return reply


def command_of(step: Call | Command) -> tuple[Any, ...]:
    """The command that performs a step, with EVALSHA for a script."""
    if isinstance(step, Call):
        return ("EVALSHA", step.script.sha, 1, step.key, *step.args)
    return step.args


def fallback_of(step: Call) -> tuple[Any, ...]:
    """The command for a script the server does not have."""
    return ("EVAL", step.script.text, 1, step.key, *step.args)


def check_version(info: Any) -> None:
    """Raise ``UnsupportedServerError`` if INFO tells of a server that is too old."""
    version = str(text(info).get("redis_version", ""))
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if parts and parts < MINIMUM_VERSION:
        wanted = ".".join(map(str, MINIMUM_VERSION))
        raise UnsupportedServerError(
            f"The server is Redis {version}; pharox-redis needs Redis {wanted} or later, or Valkey."
        )


class SyncDriver:
    """Runs flows on a blocking client. As safe to share among threads as the client is."""

    def __init__(self, client: redis.Redis) -> None:
        given: object = client
        if not isinstance(given, redis.Redis):
            kind = f"{type(client).__module__}.{type(client).__qualname__}"
            raise UnsupportedClientError(
                f"RedisStorage needs a redis.Redis client, not {kind}; "
                "RedisStorage.from_url(url) makes one."
            )
        self.client = client
        self._version_checked = False
        self._send: Callable[..., Any] = client.execute_command

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its result; its errors are the flow's."""
        try:
            step = next(flow)
            while True:
                try:
                    reply = self._perform(step)
                except redis_errors.RedisError as error:
                    step = self._throw(flow, translate(error), error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result
        except (UnicodeEncodeError, PydanticSerializationError):
            # Not the text: it may be a password.
            raise StorageError(
                "A text has characters that UTF-8 cannot encode (lone surrogates); "
                "nothing was sent with it."
            ) from None

    @staticmethod
    def _throw(flow: Flow[T], error: PharoxError, cause: Exception) -> Step:
        error.__cause__ = cause
        return flow.throw(error)

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        if not self._version_checked:
            self._check_version()
        if isinstance(step, list):
            return self._together(step)
        return text(self._one(step))

    def _one(self, step: Call | Command) -> Any:
        try:
            return self._send(*command_of(step))
        except redis_errors.NoScriptError:
            if not isinstance(step, Call):
                raise
            return self._send(*fallback_of(step))

    def _together(self, steps: Iterable[Call | Command]) -> list[Any]:
        steps = list(steps)
        with self.client.pipeline(transaction=False) as pipe:
            for step in steps:
                pipe.execute_command(*command_of(step))  # type: ignore[no-untyped-call]
            replies = pipe.execute(raise_on_error=False)
        return [self._settle(step, reply) for step, reply in zip(steps, replies, strict=True)]

    def _settle(self, step: Call | Command, reply: Any) -> Any:
        try:
            if isinstance(reply, redis_errors.NoScriptError):
                reply = self._one(step)
            if isinstance(reply, redis_errors.RedisError):
                return translate(reply)
        except redis_errors.RedisError as error:
            return translate(error)
        return text(reply)

    def _check_version(self) -> None:
        # Not allowed to ask, or a server that does not tell (fakeredis): it will show.
        with suppress(redis_errors.ResponseError):
            check_version(self.client.info("server"))
        self._version_checked = True
