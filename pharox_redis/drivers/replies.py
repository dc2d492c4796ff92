"""What steps are sent as, and what comes back: no I/O.

A script call is one EVALSHA; on NOSCRIPT (a restart, a fail-over, SCRIPT FLUSH) one EVAL, which
also caches it again. Replies are decoded here, whatever the client's ``decode_responses``. Commands
may be sent twice by redis-py's own retries; that every script can be repeated is the scripts' part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from redis import exceptions as redis_errors

from pharox_redis.errors import StorageError, UnsupportedServerError, translate
from pharox_redis.flows.base import Command, Flow, Step
from pharox_redis.scripts import Call
from pharox_redis.server import MINIMUM_VERSION

CLIENT_ERRORS = (redis_errors.RedisError, redis_errors.RedisClusterException)
"""What redis-py raises when a server refuses or cannot be reached; the second is no RedisError."""

T = TypeVar("T")

Sendable = Call | Command

TOGETHER = 500
"""Commands sent in one go: packing and parsing more would hold up an event loop."""


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
    if isinstance(reply, tuple):
        return [text(item) for item in reply]  # redis-py's own form of a SCAN's reply
    if isinstance(reply, dict):
        return {text(key): text(value) for key, value in reply.items()}
    return reply


def command_of(step: Sendable) -> tuple[Any, ...]:
    """The command that performs a step, with EVALSHA for a script."""
    if isinstance(step, Call):
        return ("EVALSHA", step.script.sha, 1, step.key, *step.args)
    return step.args


def fallback_of(step: Call) -> tuple[Any, ...]:
    """The command for a script the server does not have."""
    return ("EVAL", step.script.text, 1, step.key, *step.args)


def throw_into(flow: Flow[T], error: Exception) -> Step:
    """Tell a flow of one of redis-py's exceptions, as this library's; the flow's next step."""
    ours = translate(error)
    ours.__cause__ = error
    return flow.throw(ours)


def settled(reply: Any) -> Any:
    """A raw reply of several, decoded; the exception of this library if it is one of redis-py's."""
    return translate(reply) if isinstance(reply, CLIENT_ERRORS) else text(reply)


def places_without_script(replies: Sequence[Any]) -> list[int]:
    """Which of these replies say that the server does not have the script."""
    return [n for n, reply in enumerate(replies) if isinstance(reply, redis_errors.NoScriptError)]


def check_version(info: Any) -> None:
    """Raise ``UnsupportedServerError`` if INFO tells of a server that is too old."""
    version = str(text(info).get("redis_version", ""))
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if parts and parts < MINIMUM_VERSION:
        wanted = ".".join(map(str, MINIMUM_VERSION))
        raise UnsupportedServerError(
            f"The server is Redis {version}; pharox-redis needs Redis {wanted} or later, or Valkey."
        )


def unencodable() -> StorageError:
    """The error for text that cannot be sent. It does not show the text: it may be a password."""
    return StorageError(
        "A text has characters that UTF-8 cannot encode (lone surrogates); "
        "nothing was sent with it."
    )
