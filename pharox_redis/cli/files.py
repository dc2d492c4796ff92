"""Writing a file whole or not at all: beside the old one, and over it at the end.

Whoever reads the file meanwhile reads the old one, and it is what stays if the work breaks off
(a kill that cannot be caught leaves a ``.part`` file besides).
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast


@contextmanager
def replacing(path: Path, *, private: bool) -> Iterator[BinaryIO]:
    """Open a file for a ``with`` block at whose end it takes the place of ``path``.

    A link is followed. What is no regular file (a pipe, a device) is written as it is. The old
    file's permissions stay.

    Args
    ----
        path: The file, which need not exist.
        private: A new file is for its owner only.

    Raises
    ------
        OSError: It cannot be made, written or put in place.
    """
    known = _mode_of(path)
    if known is not None and not stat.S_ISREG(known):
        with open(path, "wb") as stream:
            yield stream
        return
    place = path.resolve()
    beside = place.with_name(f".pharox-redis-{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    descriptor = os.open(beside, flags, 0o600 if private or known is not None else 0o666)
    try:
        with open(descriptor, "wb") as stream:
            if known is not None:
                os.fchmod(descriptor, stat.S_IMODE(known))
            yield cast(BinaryIO, stream)
            stream.flush()
            os.fsync(descriptor)
        beside.replace(place)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def _mode_of(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None
