"""What the demo writes down while it runs, and how it is read back.

Every process appends JSON lines to a file of its own through a :class:`Journal`. A line is handed
to the kernel at once, so what a process had written survives its SIGKILL. All times are readings
of the monotonic clock, which the processes of one machine share.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

# A lease's expiry is rounded to milliseconds on its way through the storage.
EXPIRY_MARGIN = 0.005


class Journal:
    """A file of JSON lines that one process appends to (its threads may share it)."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def write(self, event: str, **values: str | float | None) -> None:
        """Append one line."""
        self._file.write(json.dumps({"event": event, **values}) + "\n")

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


@dataclass(frozen=True)
class LeaseRecord:
    """One acquired lease, as its holder saw it."""

    lease: str
    worker: str
    job: str
    port: int
    asked: float
    got: float
    ttl: float
    released: float | None = None
    release_ms: float | None = None

    @property
    def acquire_ms(self) -> float:
        """How long the acquire took."""
        return (self.got - self.asked) * 1000

    @property
    def end(self) -> float:
        """Until when the lease was held for certain.

        The earlier of two moments: just before its release was asked for, and the earliest moment
        at which it can have expired.
        """
        expiry = self.asked + self.ttl - EXPIRY_MARGIN
        return expiry if self.released is None else min(self.released, expiry)


@dataclass(frozen=True)
class Forwarded:
    """One request that a proxy answered, as that proxy saw it."""

    port: int
    lease: str | None
    start: float
    end: float
    status: int


@dataclass
class WorkerLog:
    """Everything one worker wrote down."""

    leases: dict[str, LeaseRecord] = field(default_factory=dict)
    misses: dict[str, int] = field(default_factory=dict)
    fetches: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def unreleased(self) -> list[LeaseRecord]:
        """The leases this worker never gave back."""
        return [lease for lease in self.leases.values() if lease.released is None]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a journal; a last line cut short by a SIGKILL is left out."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    complete = text[: text.rfind("\n") + 1]
    return [json.loads(line) for line in complete.splitlines()]


def worker_log(worker: str, lines: Iterable[dict[str, Any]]) -> WorkerLog:
    """Collect the lines of one worker's journal."""
    log = WorkerLog()
    for line in lines:
        values = dict(line)
        match values.pop("event"):
            case "acquire":
                log.leases[values["lease"]] = LeaseRecord(worker=worker, **values)
            case "release":
                held = log.leases[values["lease"]]
                log.leases[values["lease"]] = replace(
                    held, released=values["at"], release_ms=values["ms"]
                )
            case "miss":
                log.misses[values["job"]] = log.misses.get(values["job"], 0) + 1
            case "fetch":
                log.fetches[values["lease"]] = log.fetches.get(values["lease"], 0) + 1
            case "error":
                log.errors.append(f"{worker}: {values['text']}")
            case other:
                raise ValueError(f"unknown event in the journal of {worker}: {other}")
    return log


def forwarded(lines: Iterable[dict[str, Any]]) -> list[Forwarded]:
    """Collect the lines of the proxies' journal."""
    return [
        Forwarded(**{key: value for key, value in line.items() if key != "event"}) for line in lines
    ]
