"""Looks for planted secrets in everything that people, logs and trackers of errors get to see.

A secret is a random word. It stands between characters that URLs, JSON and Python escape, but no
escaping changes the word, so finding the word finds each of these forms; base64 is looked for as
such. The variables of frames are taken as a tracker of errors takes them. Those that are the
caller's own objects, passed to the library, are left out: their ``repr`` is pharox's, and they
stand in the caller's frame anyway.
"""

from __future__ import annotations

import base64
import logging
import secrets
import traceback
from collections.abc import Iterator
from types import TracebackType

from rich.pretty import pretty_repr

OURS = ("pharox_redis", "redis")


class Secret:
    """A password or user name that must not be seen; ``text`` is what is planted."""

    def __init__(self, name: str, around: str = 'é"{}/\\ :@%') -> None:
        self.name = name
        # No letters that hexadecimal ids could have, so that nothing is found by chance.
        self._word = "".join(secrets.choice("GHJKLMNPQRSTVWXYZ") for _ in range(18))
        self.text = around.format(self._word)

    def forms(self) -> Iterator[bytes]:
        """What to look for."""
        word = self._word.encode()
        yield word
        for skipped in range(3):  # base64 reads three bytes at a time, and may begin anywhere
            whole = base64.b64encode(bytes(skipped) + word)
            yield whole[4 if skipped else 0 : -4]


def found_in(text: str, wanted: list[Secret]) -> list[str]:
    """The names of the secrets in a text."""
    data = text.encode("utf-8", "backslashreplace")
    return [secret.name for secret in wanted if any(form in data for form in secret.forms())]


class Watch(logging.Handler):
    """Takes in what could be seen and notes where a secret was."""

    def __init__(self, wanted: list[Secret], given: list[object]) -> None:
        super().__init__(logging.DEBUG)
        self.wanted, self.seen, self.leaks = wanted, 0, list[str]()
        self._given = given

    def text(self, where: str, text: str) -> None:
        """A text somebody may read."""
        self.seen += 1
        self.leaks += [f"{name} in {where}" for name in found_in(text, self.wanted)]

    def thing(self, where: str, value: object) -> None:
        """An object somebody may print, or log, or see in a debugger."""
        self.text(f"repr of {where}", repr(value))
        self.text(f"str of {where}", str(value))
        self.text(f"pretty {where}", pretty_repr(value))

    def emit(self, record: logging.LogRecord) -> None:
        """A log's record, at any level."""
        self.text(f"log {record.name}", record.getMessage())
        self.text(f"arguments of log {record.name}", repr(record.args))

    def error(self, where: str, error: BaseException) -> None:
        """An exception: its texts, its notes, its traceback, and all that led to it."""
        self.text(f"traceback of {where}", "".join(traceback.format_exception(error)))
        for each in _chain(error):
            kind = f"{where}: {type(each).__name__}"
            self.thing(kind, each)
            self.text(f"arguments of {kind}", repr(each.args))
            self.text(f"attributes of {kind}", repr(vars(each)))
            self.text(f"notes of {kind}", repr(getattr(each, "__notes__", ())))
            self._locals(kind, each.__traceback__)

    def _locals(self, where: str, trace: TracebackType | None) -> None:
        for frame, _ in traceback.walk_tb(trace):
            if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in OURS:
                continue
            for name, value in frame.f_locals.items():
                if not any(value is known for known in self._given):
                    self.text(f"{where}: local {name} of {frame.f_code.co_qualname}", repr(value))


def _chain(error: BaseException) -> Iterator[BaseException]:
    todo, known = [error], set[int]()
    while todo:
        each = todo.pop()
        if id(each) not in known:
            known.add(id(each))
            yield each
            todo += [other for other in (each.__cause__, each.__context__) if other is not None]
