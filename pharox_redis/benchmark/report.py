"""The table of a run: printed for the terminal, and as Markdown for the documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pharox_redis.benchmark.results import Results
from pharox_redis.benchmark.rows import Budget, Row, Verdict
from pharox_redis.cli.output import plural

BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
"""What stands between these in ``performance.md`` is written by the benchmark."""

PAGE = "performance.md"

_STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.NOT_RUN: "yellow"}
_COLUMNS = ("section", "what", "figure", "budget", "verdict", "note")
_LEAST_WIDTHS = {"what": 28, "note": 20}
_RIGHT = {"figure", "budget"}


def figure(value: float | None, unit: str) -> str:
    """A figure with its unit, in three digits or more."""
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100 or (not unit and value == int(value)):
        number = f"{value:,.0f}"
    else:
        number = f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
    return number + (unit if unit in ("", "x") else f" {unit}")


def budget(bound: Budget | None, unit: str) -> str:
    """A bound as the table shows it."""
    return "" if bound is None else f"{bound.limit} {figure(bound.value, unit)}"


def header(results: Results) -> list[tuple[str, str]]:
    """When, how and on what it was measured."""
    return [
        ("date", f"{results.date:%Y-%m-%d %H:%M} UTC"),
        ("profile", results.profile),
        *results.environment.items(),
    ]


def show(console: Console, results: Results) -> None:
    """Print header, table and how many budgets were kept."""
    for name, value in header(results):
        console.print(f"{name}: {value}", style="dim", markup=False, highlight=False)
    table = Table(title="pharox-redis benchmark", title_justify="left")
    for column in _COLUMNS:
        table.add_column(
            column,
            justify="right" if column in _RIGHT else "left",
            no_wrap=column in _RIGHT | {"verdict"},
            overflow="fold",
            min_width=_LEAST_WIDTHS.get(column),
        )
    section = None
    for row in results.rows:
        if section not in (None, row.section):
            table.add_section()
        name = "" if row.section == section else row.section
        section = row.section
        verdict = Text(row.verdict, style=_STYLES.get(row.verdict, ""))
        table.add_row(*(Text(text) for text in (name, *_cells(row))), verdict, Text(row.note))
    console.print(table)
    console.print(summary(results.rows), markup=False, highlight=False)


def summary(rows: list[Row]) -> str:
    """How many budgets were kept, missed and not measured."""
    verdicts = [row.verdict for row in rows]
    return (
        f"{plural(verdicts.count(Verdict.PASS), 'budget')} kept, {verdicts.count(Verdict.FAIL)} "
        f"missed, {plural(verdicts.count(Verdict.NOT_RUN), 'row')} not run"
    )


def markdown(results: Results, plots: Sequence[str] = ()) -> str:
    """Header and table for a document, and the plots that lie beside it."""
    return "\n".join(_markdown_lines(results, plots))


def rewrite_page(results: Results, folder: Path, plots: Sequence[str] = ()) -> Path | None:
    """Put the table between the two comments of ``performance.md``, if the folder has such a page.

    ``plots`` are names of files in the folder. Nothing else of the page is touched, and a page
    without the comments not at all: None then.
    """
    page = folder / PAGE
    if not page.is_file():
        return None
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return None
    page.write_text(
        f"{before}{begin}\n\n{markdown(results, plots)}\n\n{end}{after}", encoding="utf-8"
    )
    return page


def _cells(row: Row) -> tuple[str, str, str]:
    return row.what, figure(row.figure, row.unit), budget(row.budget, row.unit)


def _markdown_lines(results: Results, plots: Sequence[str]) -> Iterator[str]:
    yield "; ".join(f"{_escaped(name)}: {_escaped(value)}" for name, value in header(results))
    yield ""
    yield f"| {' | '.join(_COLUMNS[1:])} |"
    yield "|" + "|".join("---:" if column in _RIGHT else "---" for column in _COLUMNS[1:]) + "|"
    for row in results.rows:
        verdict = f"**{row.verdict}**" if row.verdict is Verdict.FAIL else str(row.verdict)
        cells = (*_cells(row), verdict, row.note)
        yield f"| {' | '.join(map(_escaped, cells))} |"
    yield ""
    yield summary(results.rows)
    for plot in plots:
        yield ""
        yield f"![{Path(plot).stem.replace('-', ' ')}]({plot})"


def _escaped(text: str) -> str:
    """Text that stays in its cell, in one line, and is not taken for HTML."""
    return re.sub(r"\s+", " ", text.replace("|", r"\|").replace("<", "&lt;"))
