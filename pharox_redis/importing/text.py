r"""The text of a list: encoding, byte-order marks, and lines of bounded length.

Lists are UTF-8, or UTF-16 when they begin with its mark (what some shells write on ``>``). Bytes
that are not valid are carried along as lone surrogates, so that one of them in a comment or an
unused column harms nothing; the values that are used are checked (see `values`).

Only ``\n``, ``\r\n`` and ``\r`` end a line. A mark inside the text, where files were joined, is
dropped at the start of any line.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import IO, TextIO

MARK = "\ufeff"
MAX_LINE = 1 << 20
"""Characters of the longest line that is read; a longer one is skipped without being kept."""

_HEAD = 1 << 16


class Source:
    """A binary stream whose beginning can be looked at before it is read.

    Works on pipes too. ``head`` is up to 64 KiB of text from the beginning, without a mark.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        raw = _read_up_to(stream, _HEAD)
        self._encoding, self._errors = _encoding_of(raw)
        self._stream = io.BufferedReader(_Rejoined(raw, stream), _HEAD)
        # A character cut in two at the end of the head is no concern of whoever looks at it.
        decoder = codecs.getincrementaldecoder(self._encoding)(errors="replace")
        self.head: str = decoder.decode(raw)

    def text(self) -> TextIO:
        """Return the whole text, with line feeds for all line ends."""
        return io.TextIOWrapper(self._stream, encoding=self._encoding, errors=self._errors)


def numbered_lines(text: TextIO, limit: int = MAX_LINE) -> Iterator[tuple[int, str | None]]:
    """Yield each line with its 1-based number, without its end; ``None`` for one over ``limit``."""
    number = 0
    while line := text.readline(limit + 1):
        number += 1
        if len(line) > limit and not line.endswith("\n"):
            while (rest := text.readline(limit)) and not rest.endswith("\n"):
                pass
            yield number, None
        else:
            yield number, line.removesuffix("\n").removeprefix(MARK)


class _Rejoined(io.RawIOBase):
    """The bytes already taken from a stream, then the rest of it."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self._head = memoryview(head)
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._head:
            piece: memoryview | bytes = self._head[: len(buffer)]
            self._head = self._head[len(buffer) :]
        else:
            piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _read_up_to(stream: IO[bytes], size: int) -> bytes:
    pieces = []
    while size > 0 and (piece := stream.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _encoding_of(head: bytes) -> tuple[str, str]:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", "surrogatepass"
    return "utf-8-sig", "surrogateescape"
