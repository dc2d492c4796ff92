"""Findings: what is wrong, how bad that is, how often, and what is to be done.

A pool of a million proxies can be wrong in a million places, so a finding stands for all of a kind
in one place: it has their number, how many were mended, and some examples.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_EXAMPLES = 5
_REMEMBERED = 20_000


class Level(StrEnum):
    """How bad a finding is."""

    REQUIRED = "required"
    """Leases get lost, wrongly granted or refused."""

    ADVISED = "advised"
    """Leases stay right, but something else does not: figures, speed, safety at a crash."""

    INFO = "info"
    """Nothing is wrong: what was measured, or could not be read."""


@dataclass(slots=True)
class Finding:
    """All that was found of one kind in one place."""

    where: str
    """``server``, a node's address, ``directory``, or a pool's name."""

    kind: str
    """A short name for it; scripts can rely on it."""

    level: Level
    """How bad it is."""

    wrong: str
    """What is wrong, in plain words."""

    todo: str
    """What to do about it; "" if there is nothing."""

    count: int = 1
    """How often it was found."""

    mended: int = 0
    """How many of them were mended."""

    examples: list[str] = field(default_factory=list)
    """Some of those it was found in."""

    @property
    def standing(self) -> int:
        """How many are still wrong: none where nothing is wrong."""
        return 0 if self.level is Level.INFO else self.count - self.mended

    def as_json(self) -> dict[str, Any]:
        """The finding for ``--json``."""
        return {
            "where": self.where,
            "kind": self.kind,
            "level": self.level.value,
            "wrong": self.wrong,
            "todo": self.todo,
            "count": self.count,
            "mended": self.mended,
            "standing": self.standing,
            "examples": self.examples,
        }


class Diagnosis:
    """Findings by place and kind, in the order in which they were made."""

    def __init__(self) -> None:
        self._findings: dict[tuple[str, str], Finding] = {}
        self._seen: dict[tuple[str, str, str], bool] = {}

    @property
    def findings(self) -> list[Finding]:
        """All of them, the worst first."""
        order = list(Level)
        return sorted(self._findings.values(), key=lambda found: order.index(found.level))

    @property
    def standing(self) -> int:
        """How many things are wrong, and were not mended."""
        return sum(finding.standing for finding in self._findings.values())

    def add(self, finding: Finding) -> None:
        """Note a finding of its own."""
        known = self._findings.setdefault((finding.where, finding.kind), finding)
        if known is not finding:
            known.count += finding.count
            known.mended += finding.mended
            known.examples = [*known.examples, *finding.examples][:_EXAMPLES]

    def note(self, template: Finding, subject: str, example: str, mended: bool) -> None:
        """Count one more of a kind. What is found by two ways counts once, the first 20,000 times:
        more are not remembered."""
        key = (template.where, template.kind, subject)
        known = self._findings.setdefault((template.where, template.kind), template)
        if known is template:
            known.count = 0
        before = self._seen.get(key)
        if before is None:
            known.count += 1
            known.mended += mended
            if len(known.examples) < _EXAMPLES:
                known.examples.append(example)
            if len(self._seen) < _REMEMBERED:
                self._seen[key] = mended
        elif mended and not before:
            known.mended += 1
            self._seen[key] = True

    def extend(self, findings: Iterable[Finding]) -> None:
        """Note several."""
        for finding in findings:
            self.add(finding)
