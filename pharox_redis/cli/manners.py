"""How every command ends: what it was asked for is said, and whatever goes wrong is a sentence.

The group that all commands hang on looks after what can happen to any of them:

- Ctrl-C: a sentence about what was done (see `telling`), and the exit code of an interrupt.
- Whoever reads the output has seen enough (``| head``): silence, and the code of a broken pipe.
- The output cannot be written, as on a full disk: a sentence, and the code of a failure.
- A mistake in the command line: the words are typer's, but no password that was part of it.

What the server does wrong is `connection.storage_for`'s.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from pharox_redis.cli import exits
from pharox_redis.cli.output import describe, error_console, printable

if TYPE_CHECKING:
    from typing import TextIO

# What may have a password in it: a URL, or a proxy in one of the notations of lists. Greedy, as
# `output.mask_url` is: passwords have slashes and @ in them.
_SECRETS = (
    (re.compile(r"//.*@", re.DOTALL), "//***@"),
    (re.compile(r"^(?!.*//).*@", re.DOTALL), "***@"),
    (re.compile(r"(:[0-9]{1,5}):.+", re.DOTALL), r"\1:***"),
)


class Commands(TyperGroup):
    """The group of all commands; what its commands' own groups run is within it."""

    _line: Sequence[str] = ()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take note of the command line before it is read."""
        self._line = list(args)
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def invoke(self, ctx: Any) -> Any:
        """Run a command, and let it end well."""
        with _ending_well(self._line):
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


def prepare_streams() -> None:
    """Let output escape what the terminal's encoding does not have, instead of failing; and let it
    go nowhere, and input come from there, if the process was started without."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - for good
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good
        else:
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _ending_well(line: Sequence[str]) -> Iterator[None]:
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
    except OSError as error:
        # The output's disk is full, say. Files that are read have sentences of their own.
        error_console().print(f"Error: {describe(error)}")
        _to_nowhere(sys.stdout)
        raise typer.Exit(exits.FAILED) from None
    except typer.TyperException as error:
        # What pydantic puts before a sentence says nothing to whoever types commands.
        message = error.message.removeprefix("Value error, ")
        error.message = _without_secrets(message, line)
        raise


def _without_secrets(message: str, line: Sequence[str]) -> str:
    """A message about a mistake without the secrets of the arguments that it quotes; nothing of it
    steers a terminal."""
    for argument in line:
        for text in (argument, argument.partition("=")[2]):
            shown = text
            for pattern, instead in _SECRETS:
                shown = pattern.sub(instead, shown)
            if shown != text:
                for quoted in (text, repr(text)[1:-1], printable(text)):
                    message = message.replace(quoted, shown)
    return "\n".join(map(printable, message.split("\n")))


def _to_nowhere(stream: TextIO) -> None:
    """Point a stream's file at nothing, so that what is still in its buffer does no harm."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
