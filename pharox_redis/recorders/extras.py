"""What is said when the library that a recorder is for is not installed."""

from __future__ import annotations


def not_installed(error: ModuleNotFoundError, extra: str) -> ModuleNotFoundError:
    """The error to raise instead: which extra to install."""
    return ModuleNotFoundError(
        f"{error}; it comes with the extra {extra!r}: pip install 'pharox-redis[{extra}]'",
        name=error.name,
    )
