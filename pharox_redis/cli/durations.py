"""Lengths of time on the command line: ``500ms``, ``1s``, ``1m30s``; a plain number is seconds."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import durationpy
import typer

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?|\.[0-9]+")
_DURATION = re.compile(rf"(({_NUMBER.pattern})[a-zµμ]+)+")

SHORTEST = 0.05
LONGEST = 86_400.0


def parse_interval(given: str) -> float:
    """Return the seconds of a text such as ``1s``, from `SHORTEST` to `LONGEST` (a day).

    Raises
    ------
        typer.BadParameter: It is no length of time, or out of bounds.
    """
    text = given.strip().lower()
    try:
        if _NUMBER.fullmatch(text):
            seconds = float(text)
        elif _DURATION.fullmatch(text):
            # The pattern, because the library passes over what stands between two parts.
            seconds = durationpy.from_str(text).total_seconds()
        else:
            raise ValueError
    except ValueError:
        raise typer.BadParameter(
            f"{given!r} is no length of time; write 500ms, 1s, 2m or 1m30s."
        ) from None
    if not SHORTEST <= seconds <= LONGEST:
        raise typer.BadParameter(f"{given!r} is not between 50ms and 24h.")
    return seconds


def interval_option(*names: str, help: str) -> Any:
    """Return an option that takes such a text and has seconds (a float) as its value."""
    return typer.Option(
        *names, metavar="DURATION", parser=parse_interval, help=help, show_default=False
    )


def in_words(seconds: float) -> str:
    """Return ``8 s``, ``3m 20s``, ``2h 05m``, ``3d 04h``: two units at most, as people read it."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m {rest:02}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes:02}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours:02}h"


def shortly(seconds: float) -> str:
    """Return ``500ms``, ``1s``, ``1m30s``: as it is written on the command line."""
    return str(durationpy.to_str(timedelta(seconds=seconds)))
