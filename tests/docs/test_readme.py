"""The README's Python runs, and what it says about defaults is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pharox_redis import Settings

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_quickstart_runs_and_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    quickstart = blocks()[0]
    exec(compile(quickstart, "README.md", "exec"), {})
    promised = re.findall(r"print\(.*\)  # ([^:\s]+(?::[^ :]+)*)", quickstart)
    assert capsys.readouterr().out.split() == promised == ["http://192.0.2.1:8080", "10"]


def test_settings_shown_are_the_defaults() -> None:
    scope: dict[str, object] = {}
    exec(compile(blocks()[1], "README.md", "exec"), scope)
    assert scope["settings"] == Settings()
    assert all(name in blocks()[1] for name in Settings.model_fields)
