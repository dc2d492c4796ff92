"""The plots: SVG that parses, the same for the same results."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pharox_redis.benchmark.plots import LATENCY, SIZES, draw
from tests.benchmark.test_results import RESULTS

HISTOGRAM = [(100.0, 0.25), (110.0, 0.75), (120.0, 0.0)]
SERIES = {
    "sizes": {"ours": [(100.0, 0.5), (1000.0, 0.25)], "theirs": [(100.0, 0.1)]},
    "latency acquire": {"ours": HISTOGRAM, "a Lock": HISTOGRAM},
    "latency release": {"ours": HISTOGRAM, "a Lock": HISTOGRAM},
}
SVG = "{http://www.w3.org/2000/svg}"


def texts(path: Path) -> list[str]:
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{SVG}svg"
    return ["".join(text.itertext()).strip() for text in root.iter(f"{SVG}text")]


def test_each_plot_has_its_lines(tmp_path: Path) -> None:
    paths = draw(replace(RESULTS, series=SERIES), tmp_path)
    assert [path.name for path in paths] == [SIZES, LATENCY]
    assert {"ours", "theirs", "proxies in the pool"} <= set(texts(tmp_path / SIZES))
    assert {"acquire", "release", "us", "ours", "a Lock"} <= set(texts(tmp_path / LATENCY))


def test_the_same_results_give_the_same_files_without_a_date(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        made.append([path.read_bytes() for path in draw(replace(RESULTS, series=SERIES), folder)])
    assert made[0] == made[1]
    assert not any(re.search(rb"dc:date|\d{4}-\d\d-\d\dT", file) for file in made[0])


def test_they_can_be_read_on_a_dark_page(tmp_path: Path) -> None:
    for path in draw(replace(RESULTS, series=SERIES), tmp_path):
        assert "fill: #fcfcfc" in path.read_text(), "no background of its own"


@pytest.mark.parametrize(
    ("series", "names"),
    [
        ({}, []),
        ({"sizes": {}}, []),
        ({"sizes": SERIES["sizes"]}, [SIZES]),
        ({"latency acquire": SERIES["latency acquire"]}, [LATENCY]),
    ],
)
def test_what_was_not_measured_is_not_drawn(
    tmp_path: Path, series: dict[str, dict[str, list[tuple[float, float]]]], names: list[str]
) -> None:
    assert [path.name for path in draw(replace(RESULTS, series=series), tmp_path)] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
