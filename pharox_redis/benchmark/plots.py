"""The plots of a run, as SVG.

They have a light background of their own, so that they can be read on a dark page, too. The same
results give the same file: ids are salted with a constant and no date is written. Text stays text,
in a font of whoever looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pharox_redis.benchmark.results import Results, Series
from pharox_redis.benchmark.sections.client_sizes import SERIES as SIZES_LINES
from pharox_redis.benchmark.sections.latency import SERIES as LATENCY_LINES

SIZES, LATENCY = "benchmark-sizes.svg", "benchmark-latency.svg"

_STYLE: Any = {
    "svg.hashsalt": "pharox-redis",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "legend.frameon": False,
}
_BACKGROUND = "#fcfcfc"
_COLOURS = ("#c6302b", "#1f6fb4", "#5d6770")


def draw(results: Results, folder: Path) -> list[Path]:
    """Write the plots for which the run has lines into a folder that exists."""
    written = []
    for name, make in _PLOTS.items():
        # Also while it is drawn: that is when matplotlib asks for the salt and the font.
        with matplotlib.rc_context(_STYLE):
            figure = make(results.series)
            if figure is None:
                continue
            path = folder / name
            figure.savefig(
                path, format="svg", facecolor=_BACKGROUND, metadata={"Date": None, "Creator": None}
            )
            written.append(path)
    return written


def _sizes(series: Series) -> Figure | None:
    lines = series.get(SIZES_LINES)
    if not lines:
        return None
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for colour, (name, line) in zip(_colours(), lines.items(), strict=False):
        sizes, seconds = zip(*line, strict=True)
        axes.plot(sizes, [s * 1e3 for s in seconds], marker="o", color=colour, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("proxies in the pool")
    axes.set_ylabel("ms a pair, one client")
    axes.set_title("Acquire and release, with a country filter", loc="left")
    axes.legend()
    return figure


def _latency(series: Series) -> Figure | None:
    plots = {call: series[name] for call, name in LATENCY_LINES.items() if series.get(name)}
    if not plots:
        return None
    figure = Figure(figsize=(8, 2.6 * len(plots) + 0.8), layout="constrained")
    every = figure.subplots(len(plots), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (call, lines) in zip(every, plots.items(), strict=True):
        _histograms(axes, lines)
        axes.set_title(call, loc="left")
        axes.set_ylabel("share of the calls")
    every[0].legend()
    every[-1].set_xscale("log")
    every[-1].xaxis.set_major_formatter("{x:,g}")
    every[-1].set_xlabel("us")
    return figure


def _histograms(axes: Axes, lines: dict[str, list[tuple[float, float]]]) -> None:
    for colour, (name, line) in zip(_colours(), lines.items(), strict=False):
        begins, shares = zip(*line, strict=True)
        # The last bin is empty: it is there for its edge.
        axes.stairs(shares[:-1], begins, color=colour, fill=True, alpha=0.25)
        axes.stairs(shares[:-1], begins, color=colour, label=name)


def _colours() -> Iterator[str]:
    while True:
        yield from _COLOURS


_PLOTS: dict[str, Callable[[Series], Figure | None]] = {SIZES: _sizes, LATENCY: _latency}
