"""What compiled Lua 5.1 does with globals: reads the bytecode of a chunk, every path of it.

In Lua 5.1 a global is named by the instructions GETGLOBAL and SETGLOBAL and nowhere else, so their
operands are the globals a chunk can touch (but for ``_G`` and ``getfenv``, which are globals too).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from lupa import lua51

_GETGLOBAL, _SETGLOBAL = 5, 7


@dataclass
class Globals:
    """Names a chunk reads, and names it writes."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)


class _Dump:
    """A cursor in ``string.dump`` output of a 64-bit little-endian Lua 5.1."""

    def __init__(self, data: bytes) -> None:
        assert data[:12] == b"\x1bLuaQ\x00\x01\x04\x08\x04\x08\x00", data[:12]
        self.data, self.at = data, 12

    def take(self, form: str) -> int:
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return int(value)

    def text(self) -> str:
        size = self.take("Q")
        self.at += size
        return self.data[self.at - size : self.at - 1].decode() if size else ""

    def function(self, found: Globals) -> None:
        self.text()
        self.at += 4 + 4 + 4  # lines; upvalues, parameters, vararg, stack
        code = [self.take("I") for _ in range(self.take("i"))]
        constants: list[str] = []
        for _ in range(self.take("i")):
            kind = self.take("B")
            constants.append(self.text() if kind == 4 else "")
            self.at += {0: 0, 1: 1, 3: 8, 4: 0}[kind]
        for _ in range(self.take("i")):
            self.function(found)
        for _ in range(self.take("i")):
            self.take("i")  # line numbers
        for _ in range(self.take("i")):
            self.text()
            self.at += 8  # a local's scope
        for _ in range(self.take("i")):
            self.text()
        for instruction in code:
            if instruction & 0x3F == _GETGLOBAL:
                found.read.add(constants[instruction >> 14])
            elif instruction & 0x3F == _SETGLOBAL:
                found.written.add(constants[instruction >> 14])


def globals_of(source: str) -> Globals:
    """The globals a Lua chunk touches. Fails on a syntax error."""
    lua = lua51.LuaRuntime(encoding=None)
    dump = lua.eval(b"string.dump")(lua.compile(source.encode()))
    found, cursor = Globals(), _Dump(dump)
    cursor.function(found)
    assert cursor.at == len(dump)
    return found
