"""What must not be in the dashboard's files, where a browser would not notice it."""

import os
import re
from pathlib import Path

import pytest

from pharox_redis.service.pages import DASHBOARD
from tests.dashboard.browsing import CHROMIUM

FILES = sorted(path for path in DASHBOARD.iterdir() if path.is_file())
FORBIDDEN = {
    ".js": (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|parseFromString|setHTML"
        r"|\beval\(|new Function|document\.cookie|\bon[a-z]+ = |https?://(?!www\.w3\.org/2000/svg)"
    ),
    ".html": r"https?://|\bon[a-z]+=|\bstyle=|<style|<script>|javascript:",
    ".css": r"https?://|@import|url\(",
    ".svg": r"https?://(?!www\.w3\.org/2000/svg)|\bon[a-z]+=|<script|<style|href",
}


def test_there_is_a_browser() -> None:
    if CHROMIUM is None:
        why = "no Chromium, so the dashboard is not tested: PHAROX_REDIS_TEST_CHROMIUM names one"
        assert not os.environ.get("CI"), why
        pytest.skip(why)


def test_the_files_are_there() -> None:
    assert {"index.html", "dashboard.css", "dashboard.js", "favicon.svg"} <= {f.name for f in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_ways_out_of_text(path: Path) -> None:
    found = re.findall(FORBIDDEN[path.suffix], path.read_text())
    assert not found
