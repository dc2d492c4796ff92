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
"""Ended by Ctrl-C, or SIGTERM."""
