"""What happened, for those who count: a function given to ``create_app`` sees each outcome.

An observer is called in the event loop, after the fact, and must not block. What it raises is
logged and goes no further: counting must not fail a request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pharox_redis.errors import StorageFullError, StorageUnavailableError

logger = logging.getLogger("pharox_redis.service")

AcquireResult: TypeAlias = Literal[
    "leased", "ended", "none", "abandoned", "no_pool", "refused", "unavailable", "error"
]
ReleaseResult: TypeAlias = Literal["released", "unknown", "unavailable", "error"]

AWAY = (StorageUnavailableError, StorageFullError)
"""What counts as ``unavailable``."""


@dataclass(frozen=True, slots=True)
class AcquireOutcome:
    """A request for a lease is answered. ``seconds`` are those of the storage's calls.

    ``outcome``: ``leased``; ``ended`` (a repeated request whose lease is over); ``none`` (nothing
    was free); ``abandoned`` (the client went away); ``no_pool``; ``refused`` (the request was at
    fault, as an Idempotency-Key that has another body); ``unavailable`` (the server is away or
    full); ``error``.
    ``pool`` is the pool's name, "" for one that does not exist.
    """

    pool: str
    selector: str
    outcome: AcquireResult
    seconds: float


@dataclass(frozen=True, slots=True)
class ReleaseOutcome:
    """A request to release a lease is answered. ``pool`` is the pool's name, "" if unknown."""

    pool: str
    outcome: ReleaseResult
    seconds: float


@dataclass(frozen=True, slots=True)
class SweepOutcome:
    """A sweep of all pools ended: so many leases had run out. ``failed``: the server was away."""

    leases: int
    seconds: float
    failed: bool


Outcome: TypeAlias = AcquireOutcome | ReleaseOutcome | SweepOutcome
Observer: TypeAlias = Callable[[Outcome], None]


def tell(observers: Sequence[Observer], outcome: Outcome) -> None:
    """Tell all observers of an outcome. Raises nothing."""
    for observer in observers:
        try:
            observer(outcome)
        except Exception:
            logger.exception("An observer failed on %s", type(outcome).__name__)
