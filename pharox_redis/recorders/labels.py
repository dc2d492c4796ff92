"""Pool names as values of labels, and what recorders do unless they are told otherwise.

A pool's name is a user's text, and each value of a label is a time series that a monitoring system
keeps for months. So a process names a bounded number of pools; all others together are ``other``.
Which ones is decided by who comes first, and stays so: a counter that moved from one series to
another would seem to fall.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

DEFAULT_MAX_POOLS: Final = 100
"""Pools that have a series of their own, unless the user says otherwise."""

NAMESPACE: Final = "pharox_redis"
"""First part of every name in Prometheus, unless the user says otherwise."""

OTHER: Final = "other"
"""The label of all pools beyond those."""

UNKNOWN: Final = "unknown"
"""The label of pools that do not exist, and of leases that do not say where they are from."""


class PoolLabels:
    """The labels of pools, for any number of threads. Raises ``ValueError`` for a negative limit.

    ``label`` takes O(1), and memory for as many names as the limit allows.
    """

    def __init__(self, limit: int = DEFAULT_MAX_POOLS) -> None:
        if limit < 0:
            raise ValueError(f"max_pools is {limit}; it must not be negative.")
        self.limit = limit
        self._known: dict[str, str] = {}
        self._lock = Lock()

    def label(self, name: str | None) -> str:
        """The label of a pool's name; ``None`` and no name is ``unknown``."""
        if not name:
            return UNKNOWN
        known = self._known.get(name)
        if known is not None:
            return known
        with self._lock:
            if name not in self._known:
                if len(self._known) >= self.limit:
                    return OTHER
                self._known[name] = printable(name)
            return self._known[name]


def printable(name: str) -> str:
    """A name with everything escaped that does not print: a NUL or half a surrogate pair in one
    label would make a whole page of metrics unreadable."""
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)
