"""The Lua scripts: found, put together, named.

A script is one file in ``lua/``. Its opening comment is its interface, and it is read, not
repeated: the names under ``KEYS`` and ``ARGV`` give the order in which :class:`Script` passes what
it is called with by name, so that a call cannot drift from the file. Shared functions are files in
``lua/includes/``, pulled in by a line ``--- @include "name"``: at the margin it puts the function
before the file, once in a script; indented, right there, inside a function, so that what a rare
branch needs is made only when that branch is taken (a script defines its functions anew at every
call, and that costs). A missing or circular include is an error. The sha is computed here: nothing
is loaded at start-up.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

_INCLUDE = re.compile(r'^( *)--- @include "([a-z_]+)"$')
_NAME = re.compile(r"^--   ([a-z_]+)(\.\.\.)?(?:\s|$)")

Value = str | int | float


class ScriptError(Exception):
    """A Lua file is missing, includes itself, or has no readable header."""


class Call(NamedTuple):
    """One script call: what a flow yields and a driver performs."""

    script: Script
    key: str
    args: tuple[Value, ...]

    def __repr__(self) -> str:
        # Without the arguments: passwords are among them.
        return f"Call({self.script.name}, {self.key}, {len(self.args)} arguments)"


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """A script ready to run, and the interface its header states."""

    name: str
    text: str
    sha: str
    keys: tuple[str, ...]
    argv: tuple[str, ...]
    rest: str | None

    def __call__(self, key: str, *rest: Value, **args: Value) -> Call:
        """The call with its arguments in the header's order; ``TypeError`` if they do not fit."""
        try:
            named = tuple([args[name] for name in self.argv])
        except KeyError as missing:
            raise TypeError(f"{self.name}: argument {missing} is missing") from None
        if len(args) != len(named) or (rest and not self.rest):
            raise TypeError(f"{self.name}: takes {self.argv}, got {tuple(args)} and {len(rest)}")
        return Call(self, key, named + rest)


def lua_root() -> Path:
    """The folder of the Lua files: package data in a wheel, the checkout's ``lua/`` otherwise."""
    here = Path(__file__).resolve().parent
    for folder in (here / "lua", here.parent / "lua"):
        if (folder / "acquire.lua").is_file():
            return folder
    raise ScriptError(f"no Lua files found beside {here}; the installation is incomplete")


def resolve(root: Path, name: str) -> str:
    """The text of ``name`` with its includes before it, each once. Raises ``ScriptError``."""

    def take(file: Path, stack: tuple[str, ...], done: set[str]) -> str:
        if not file.is_file():
            raise ScriptError(f"{' -> '.join(stack)}: there is no {file.name}")
        before: list[str] = []
        own: list[str] = []
        for line in file.read_text(encoding="utf-8").splitlines():
            include = _INCLUDE.match(line)
            if include is None:
                own.append(line)
                continue
            indent, part = include.groups()
            if part in stack[1:]:
                raise ScriptError(f"{' -> '.join(stack)} -> {part}: circular include")
            if part in done:
                continue
            source = root / "includes" / f"{part}.lua"
            if indent:
                own.append(textwrap.indent(take(source, (*stack, part), set(done)), indent))
            else:
                before.append(take(source, (*stack, part), done))
                done.add(part)
        return "\n".join([*before, "\n".join(own).strip("\n")])

    return take(root / f"{name}.lua", (name,), set()) + "\n"


def header(text: str, section: str) -> list[str]:
    """The names a script's opening comment lists under ``section``, in order."""
    names: list[str] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        if re.match(r"^-- [A-Z]+$", line):
            inside = line == f"-- {section}"
        elif inside and (found := _NAME.match(line)):
            names.append(found[1] + (found[2] or ""))
    return names


@cache
def load(name: str) -> Script:
    """The script ``name``, read once in a process. ``ScriptError`` if it cannot be put together."""
    root = lua_root()
    text = resolve(root, name)
    own = (root / f"{name}.lua").read_text(encoding="utf-8")
    argv = header(own, "ARGV")
    rest = argv.pop()[:-3] if argv and argv[-1].endswith("...") else None
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Script(name, text, sha, tuple(header(own, "KEYS")), tuple(argv), rest)
