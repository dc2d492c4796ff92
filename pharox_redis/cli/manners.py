"""How every command ends: what it was asked for is said, and whatever goes wrong is a sentence.

The group that all commands hang on looks after what can happen to any of them:

- Ctrl-C: a sentence about what was done (see `telling`), and the exit code of an interrupt.
- Whoever reads the output has seen enough (``| head``): silence, and the code of a broken pipe.
- A mistake in the command line: the words are typer's, but no password that was part of it.

What the server does wrong is `connection.storage_for`'s.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from pharox_redis.cli import exits
from pharox_redis.cli.output import error_console, printable

if TYPE_CHECKING:
    from typing import TextIO

# A URL or a proxy can stand where another argument should, and messages quote that. Greedy, as
# `output.mask_url` is: passwords have slashes and @ in them.
_SECRETS = (
    (re.compile(r"//.*@", re.DOTALL), "//***@"),
    (re.compile(r"(?<!//\*\*\*)(?<![^\s(])[^\s(]*@"), "***@"),
    (re.compile(r"(:[0-9]{1,5}):[^\s)]+"), r"\1:***"),
)


class Commands(TyperGroup):
    """The group of all commands; what its commands' own groups run is within it."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command, and let it end well."""
        with _ending_well():
            return super().invoke(ctx)


@contextmanager
def telling(sentence: Callable[[], str]) -> Iterator[None]:
    """For a block that does a long work: if it is broken off, by Ctrl-C or by an error, say how far
    it came. ``sentence`` is asked then; it may answer "" for nothing to say."""
    try:
        yield
    except BaseException as error:
        text = sentence()
        if text:
            error.add_note(text)
        raise


def notes_of(error: BaseException) -> list[str]:
    """What `telling` has left with an error."""
    return list(getattr(error, "__notes__", ()))


def speak_any_encoding() -> None:
    """Let output escape what the terminal's encoding does not have, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


@contextmanager
def _ending_well() -> Iterator[None]:
    try:
        try:
            yield
        finally:
            # Now, while somebody can hear that it fails: not when the interpreter goes.
            sys.stdout.flush()
    except KeyboardInterrupt as error:
        error_console().print(" ".join(["Interrupted.", *notes_of(error)]))
        raise typer.Exit(exits.INTERRUPTED) from None
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            _to_nowhere(stream)
        raise typer.Exit(exits.BROKEN_PIPE) from None
    except typer.TyperException as error:
        error.message = _fit_to_show(error.message)
        raise


def _fit_to_show(message: str) -> str:
    for pattern, shown in _SECRETS:
        message = pattern.sub(shown, message)
    return "\n".join(map(printable, message.split("\n")))


def _to_nowhere(stream: TextIO) -> None:
    """Point a stream's file at nothing, so that what is still in its buffer does no harm."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
