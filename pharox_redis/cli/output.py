"""What the commands print, and what they must not: passwords, and codes that steer a terminal."""

from __future__ import annotations

import json
import re
import sys

import typer
from pydantic_core import to_jsonable_python
from rich.console import Console

from pharox_redis.cli.exits import FAILED, USAGE
from pharox_redis.errors import without_quotations

_UNCHANGED = "Nothing was changed."
_USER_INFO = re.compile(r"//.*@", re.DOTALL)


class _Output(Console):
    """A console that lets a broken pipe be the command's to end (see `manners`).

    Those that are made of it print what is said as it is: the ``:a:`` of an IPv6 address, or of a
    pool's name, is no emoji.
    """

    def on_broken_pipe(self) -> None:
        """Raise what rich has caught."""
        raise


def result_console() -> Console:
    """Return the console for what a command was asked for."""
    # A pipe is a pipe, also where a variable such as FORCE_COLOR is set.
    return _Output(
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
        force_terminal=sys.stdout.isatty(),
    )


def error_console() -> Console:
    """Return the console for progress, warnings and errors."""
    return _Output(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print one JSON document on stdout: plain values, pydantic models and what they hold.

    In ASCII, so that no name in it steers a terminal or is more than its encoding can say.
    """
    typer.echo(json.dumps(to_jsonable_python(value)))


def confirm(question: str, yes: bool) -> None:
    """Go on if ``yes``, or if the person at the terminal says so.

    Raises
    ------
        typer.Exit: With `FAILED`, for any other answer; with `USAGE` if there is nobody to ask.
        KeyboardInterrupt: As it came.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        error_console().print(
            f"{question} There is no terminal to answer at; --yes says it beforehand."
        )
        raise typer.Exit(USAGE)
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort as abort:
        typer.echo(err=True)  # the question's line has no end yet
        if isinstance(abort.__context__, KeyboardInterrupt):
            interrupt = KeyboardInterrupt()
            interrupt.add_note(_UNCHANGED)
            raise interrupt from None
        agreed = False  # the end of the input
    if not agreed:
        error_console().print(_UNCHANGED)
        raise typer.Exit(FAILED)


def mask_url(url: str) -> str:
    """Return a valid URL of a server without user-info and query: both can hold a password."""
    return printable(_USER_INFO.sub("//***@", url.partition("?")[0]))


def describe(error: Exception) -> str:
    """Return the message of an error, or its kind, without the data of the command it quotes."""
    message = without_quotations(str(error))
    return printable(message.strip() or type(error).__name__)


def printable(text: str) -> str:
    """Return text with everything escaped that is no printable character."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def plural(number: int, noun: str) -> str:
    """Return ``1 proxy``, ``2 proxies``."""
    if number == 1:
        return f"1 {noun}"
    ending = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {ending}"
