"""The table, on the terminal and in the page."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pharox_redis.benchmark.report import (
    BEGIN,
    END,
    PAGE,
    figure,
    header,
    markdown,
    rewrite_page,
    show,
    summary,
)
from pharox_redis.benchmark.rows import Row
from tests.benchmark.test_results import RESULTS, ROWS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.4, "x", "0.40x"),
        (40.0, "x", "40.0x"),
        (0.0, "", "0"),
        (3.0, "", "3"),
        (2650.4, "", "2,650"),
        (64.25, "us", "64.2 us"),
        (1126.0, "B", "1,126 B"),
        (0.0042, "s", "0.00 s"),
        (None, "x", "-"),
    ],
)
def test_figures(value: float | None, unit: str, text: str) -> None:
    assert figure(value, unit) == text


def test_the_terminal_shows_every_row_and_what_it_was_measured_on() -> None:
    text = io.StringIO()
    show(Console(file=text, width=140), RESULTS)
    shown = text.getvalue()
    for part in ("0.31x", ">= 0.40x", "fail", "not run", "no --postgres-url", "120 us", "small"):
        assert part in shown, part
    assert "Python: 3.11" in shown and "2026-11-23 12:00 UTC" in shown
    assert "0 budgets kept, 1 missed, 1 row not run" in shown
    assert shown.count("pairs") == 1, "a section is named once"


def test_brackets_in_a_note_are_not_markup() -> None:
    text = io.StringIO()
    row = Row("s", "w [bold]", None, "x", note="[red]odd[/red] [/]")
    show(Console(file=text, width=140), replace(RESULTS, rows=[row]))
    assert "w [bold]" in text.getvalue() and "[red]odd[/red] [/]" in text.getvalue()


def test_summary_counts_verdicts() -> None:
    assert summary(ROWS) == "0 budgets kept, 1 missed, 1 row not run"


def test_markdown_has_a_line_a_row_and_stays_a_table() -> None:
    odd = Row("s", "a | b\nc", 1.0, "x", note="<script>")
    lines = markdown(replace(RESULTS, rows=[*ROWS, odd]), ["one-two.svg"]).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 4
    assert table[2] == "| a / b | 0.31x | >= 0.40x | **fail** | 1 / 3 |"
    assert table[5] == r"| a \| b c | 1.00x |  | - | &lt;script> |"
    assert lines[-1] == "![one two](one-two.svg)"
    assert all(f"{name}: {value}" in lines[0] for name, value in header(RESULTS))


def test_only_what_is_between_the_comments_is_rewritten(tmp_path: Path) -> None:
    page = tmp_path / PAGE
    page.write_text(f"# Title\n{BEGIN}\nold\n{END}\n\nThe rest.\n")
    for _ in range(2):  # a second time it replaces what the first one wrote
        assert rewrite_page(RESULTS, tmp_path) == page
    assert page.read_text() == f"# Title\n{BEGIN}\n\n{markdown(RESULTS)}\n\n{END}\n\nThe rest.\n"


@pytest.mark.parametrize("text", ["", "no comments", f"{BEGIN} and no end", f"{END} {BEGIN}"])
def test_a_page_without_the_comments_is_left_alone(tmp_path: Path, text: str) -> None:
    page = tmp_path / PAGE
    page.write_text(text)
    assert rewrite_page(RESULTS, tmp_path) is None
    assert page.read_text() == text


def test_no_page_is_made(tmp_path: Path) -> None:
    assert rewrite_page(RESULTS, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_documents_have_a_place_for_the_table_and_name_every_section() -> None:
    from pharox_redis.benchmark.sections.registry import SECTIONS

    text = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1 and text.index(BEGIN) < text.index(END)
    for entry in SECTIONS:
        assert f"\n`{entry.name}`: " in text, entry.name
