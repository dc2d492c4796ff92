"""What a run leaves: its rows, the lines of its plots, and what it was measured on, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pharox_redis.benchmark.rows import Budget, Limit, Row

FILE = "results.json"

Series = dict[str, dict[str, list[tuple[float, float]]]]


@dataclass(frozen=True)
class Results:
    """One run."""

    profile: str
    environment: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    series: Series = field(default_factory=dict)
    date: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))


def write(results: Results, folder: Path) -> Path:
    """Write ``results.json`` into a folder that exists."""
    body = {
        "date": results.date.isoformat(),
        "profile": results.profile,
        "environment": results.environment,
        "rows": [{**asdict(row), "verdict": row.verdict} for row in results.rows],
        "series": results.series,
    }
    path = folder / FILE
    text = json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(f"{text}\n", encoding="utf-8")
    return path


def read(path: Path) -> Results:
    """The results that were written to a file."""
    body = json.loads(path.read_text(encoding="utf-8"))
    return Results(
        body["profile"],
        body["environment"],
        [_row(row) for row in body["rows"]],
        {
            plot: {name: [(x, y) for x, y in line] for name, line in lines.items()}
            for plot, lines in body["series"].items()
        },
        datetime.fromisoformat(body["date"]),
    )


def _row(body: dict[str, Any]) -> Row:
    given = {name: value for name, value in body.items() if name != "verdict"}
    budget = given["budget"]
    if budget is not None:
        given["budget"] = Budget(Limit(budget["limit"]), budget["value"])
    return Row(**given)
