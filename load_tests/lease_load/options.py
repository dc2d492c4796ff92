"""What a run can be told: the same arguments for locust's command line and for the asyncio script.

The environment gives defaults (``PHAROX_LOAD_URL``, ``PHAROX_LOAD_PROXIES`` and so on, as the
arguments are called), so that a compose file or a CI job need not spell out a command line.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit, urlunsplit

SCHEMES = ("redis", "unix")


@dataclass(frozen=True)
class LoadOptions:
    """One run's parameters. Times are in seconds."""

    url: str = ""
    """The server, Cluster or Sentinel; empty: an embedded server."""
    prefix: str = "pharox-load"
    """The key prefix; everything below it belongs to the run."""
    pool: str = "load"
    """The pool's name. A pool of that name is deleted first."""
    proxies: int = 60
    """How many proxies the pool begins with."""
    limit: int = 3
    """Proxies may have 1 to so many leases at once, in turns."""
    lease_seconds: float = 4.0
    """For how long a lease is asked for."""
    hold_seconds: float = 0.05
    """How long a scraper holds a lease, on average."""
    burst: int = 16
    """How many leases a burst asks for."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for what makes no sense."""
        if min(self.proxies, self.limit, self.burst) < 1:
            raise ValueError("proxies, limit and burst must be at least 1")
        if not 0.1 <= self.lease_seconds <= 600:
            raise ValueError("a lease must be asked for 0.1 to 600 seconds")
        if not 0 <= self.hold_seconds < self.lease_seconds:
            raise ValueError("scrapers must hold their leases for less than these last")

    @property
    def longest_lease(self) -> float:
        """No lease of the run lasts longer."""
        return self.lease_seconds


HELP = {
    "url": "redis://, redis+cluster:// or redis+sentinel:// URL; an embedded server without one",
    "prefix": "key prefix; everything below it belongs to the run",
    "pool": "name of the pool; one of that name is deleted first",
    "proxies": "proxies in the pool",
    "limit": "proxies may have 1 to so many leases at once",
    "lease_seconds": "how long a lease lasts",
    "hold_seconds": "how long a scraper holds a lease, on average",
    "burst": "leases a burst asks for",
}


def add_arguments(parser: Any) -> None:
    """Add ``--pharox-url`` and so on to an ``argparse`` parser, or to locust's."""
    for item in fields(LoadOptions):
        kind: Callable[[str], Any] = type(item.default)  # type: ignore[assignment]
        parser.add_argument(
            f"--pharox-{item.name.replace('_', '-')}",
            type=kind,
            default=kind(os.environ.get(f"PHAROX_LOAD_{item.name.upper()}", item.default)),
            help=f"{HELP[item.name]} (default: {item.default or 'none'})",
        )


def from_namespace(found: argparse.Namespace, host: str | None = None) -> LoadOptions:
    """The options of a parsed command line; locust's ``--host`` is the URL if none was given.

    Raises ``ValueError`` for what makes no sense.
    """
    values = {item.name: getattr(found, f"pharox_{item.name}") for item in fields(LoadOptions)}
    values["url"] = values["url"] or host or ""
    return LoadOptions(**values)


def without_password(url: str) -> str:
    """A URL as it may stand in a report."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
