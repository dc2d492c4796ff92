"""The codes that commands end with, for scripts that call them."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
"""What was asked for is done."""

FAILED: Final = 1
"""The server or the storage failed, or a question was answered with no."""

USAGE: Final = 2
"""A mistake in the command line; also a question that nobody is there to answer."""

NOTHING_READ: Final = 3
"""Nothing in a list could be read."""

NOT_FOUND: Final = 4
"""What was named does not exist."""

FINDINGS: Final = 5
"""Something is wrong with the server or the data, and stands."""

INTERRUPTED: Final = 130
"""Ended by Ctrl-C; also by SIGTERM, but for what would go on for ever: that is done."""

BROKEN_PIPE: Final = 141
"""Whoever read the output closed it, as ``head`` does; what a shell says of other commands then."""

EXIT_CODES: Final = (
    "0 done; 1 the server or the storage failed, or a question was answered with no; 2 a mistake "
    "in the command line, or a question with nobody to answer it; 3 nothing in a list could be "
    "read; 4 what was named does not exist; 5 something is wrong with the server or the data; 130 "
    "ended by Ctrl-C; 141 whoever read the output closed it."
)
"""The same, for ``--help``."""
