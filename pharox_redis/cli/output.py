"""What the commands print, and what they must not: passwords, and codes that steer a terminal."""

from __future__ import annotations

import re
import sys

import typer
from pydantic_core import to_json
from rich.console import Console

from pharox_redis.cli.exits import FAILED
from pharox_redis.errors import without_quotations

_USER_INFO = re.compile(r"//.*@", re.DOTALL)


def result_console() -> Console:
    """Return the console for what a command was asked for."""
    return Console(highlight=False, markup=False, soft_wrap=True)


def error_console() -> Console:
    """Return the console for progress, warnings and errors."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print one JSON document on stdout: plain values, pydantic models and what they hold."""
    typer.echo(to_json(value).decode())


def confirm(question: str, yes: bool) -> None:
    """Go on if ``yes``, or if the person at the terminal says so.

    Raises
    ------
        typer.Exit: With `FAILED`, for any other answer.
        typer.BadParameter: There is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"{question} There is no terminal to answer at; --yes says it beforehand."
        )
    if not typer.confirm(question, err=True):
        error_console().print("Nothing was changed.")
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
