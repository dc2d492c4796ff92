"""Lines out of a body that streams in: none is held longer than it may be, nor the body ever."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

MEDIA_TYPES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")


class Line(NamedTuple):
    """A line of the body, from 1; ``text`` is None of one that is too long."""

    number: int
    text: bytes | None


async def lines(chunks: AsyncIterator[bytes], longest: int) -> AsyncIterator[Line]:
    """The lines that are not blank. The end of the last one may be missing."""
    number, rest, skipping = 1, b"", False
    async for chunk in chunks:
        *whole, last = chunk.split(b"\n")
        for part in whole:
            text = rest + part
            if skipping or len(text) > longest:
                yield Line(number, None)
            elif text.strip():
                yield Line(number, text)
            number, rest, skipping = number + 1, b"", False
        if not skipping:
            rest += last
            if len(rest) > longest + 1:  # it may end in a carriage return
                rest, skipping = b"", True
    if skipping or len(rest) > longest:
        yield Line(number, None)
    elif rest.strip():
        yield Line(number, rest)
