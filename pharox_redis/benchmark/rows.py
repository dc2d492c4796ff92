"""What a run yields: figures, and the budgets they are held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Limit(StrEnum):
    """Which side of a budget is the good one."""

    AT_LEAST = ">="
    AT_MOST = "<="


class Verdict(StrEnum):
    """How a figure stands against its budget."""

    PASS = "pass"
    FAIL = "fail"
    NOT_RUN = "not run"
    NO_BUDGET = "-"


@dataclass(frozen=True, slots=True)
class Budget:
    """A bound for a figure."""

    limit: Limit
    value: float

    def keeps(self, figure: float) -> bool:
        """Whether a figure is within the bound."""
        return figure >= self.value if self.limit is Limit.AT_LEAST else figure <= self.value


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    ``figure`` is None when the row could not be measured; ``note`` then says why. ``unit`` is "x"
    for a ratio, "us", "ms", "s", "B" or "" for a count. ``details`` are the raw figures behind it
    (medians by name: pairs a second, microseconds, bytes), for ``results.json``.
    """

    section: str
    what: str
    figure: float | None
    unit: str
    budget: Budget | None = None
    note: str = ""
    details: dict[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """How the figure stands."""
        if self.figure is None:
            return Verdict.NOT_RUN
        if self.budget is None:
            return Verdict.NO_BUDGET
        return Verdict.PASS if self.budget.keeps(self.figure) else Verdict.FAIL
