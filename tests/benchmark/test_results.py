"""results.json: what was written is read, and anybody can read it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pharox_redis.benchmark.results import Results, read, write
from pharox_redis.benchmark.rows import Budget, Limit, Row

ROWS = [
    Row("pairs", "a / b", 0.31, "x", Budget(Limit.AT_LEAST, 0.4), "1 / 3", {"a a second": 1.0}),
    Row("pairs", "a / c", None, "x", Budget(Limit.AT_LEAST, 60.0), "no --postgres-url"),
    Row("latency", "acquire", 120.5, "us"),
]
RESULTS = Results(
    "small",
    {"Python": "3.11"},
    ROWS,
    {"sizes": {"ours": [(100.0, 0.5), (200.0, 0.25)]}},
    datetime(2026, 11, 23, 12, tzinfo=UTC),
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = write(RESULTS, tmp_path)
    assert path == tmp_path / "results.json"
    assert read(path) == RESULTS


def test_others_find_verdicts_and_bounds_in_it(tmp_path: Path) -> None:
    body = json.loads(write(RESULTS, tmp_path).read_text())
    assert [row["verdict"] for row in body["rows"]] == ["fail", "not run", "-"]
    assert body["rows"][0]["budget"] == {"limit": ">=", "value": 0.4}
    assert body["date"] == "2026-11-23T12:00:00+00:00"


def test_a_figure_that_is_no_number_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write(Results("small", {}, [Row("s", "w", float("nan"), "x")]), tmp_path)
