"""The locustfile's load for asyncio: one process, one event loop, many tasks, the same judgement.

    python load_tests/async_load.py --tasks 50 --seconds 60

runs on an embedded server, or on ``--pharox-url``. The exit code is 1 if a proxy had more leases
than its limit, a lease was lost or stuck, or a call failed. See docs/load-testing.md.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import ExitStack
from dataclasses import replace

from lease_load.async_desk import Timings
from lease_load.async_run import AsyncRun, Outcome
from lease_load.options import add_arguments, from_namespace
from lease_load.verdict import lines
from rich.console import Console
from rich.table import Table

from pharox_redis.demo.summary import percentile
from pharox_redis.embedded import EmbeddedServer

MOST_ERRORS = 10


def main() -> int:
    """Run, print a summary, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=50, help="users at once (default: 50)")
    parser.add_argument("--seconds", type=float, default=60, help="for how long (default: 60)")
    add_arguments(parser)
    given = parser.parse_args()
    try:
        options = from_namespace(given)
        if given.tasks < 1 or given.seconds <= 0:
            raise ValueError("there must be a task, and time for it to work")
    except ValueError as error:
        parser.error(str(error))
    console = Console()
    with ExitStack() as stack:
        if not options.url:
            server = stack.enter_context(EmbeddedServer())
            options = replace(options, url=server.url)
        run = AsyncRun(options, given.tasks, given.seconds, console.print)
        outcome = asyncio.run(run.run())
    return show(console, outcome)


def show(console: Console, outcome: Outcome) -> int:
    """Print what a run has brought; its exit code."""
    console.print(table(outcome.timings, outcome.seconds))
    errors = [text for texts in outcome.timings.errors.values() for text in texts]
    for text in [*errors[:MOST_ERRORS], *outcome.troubles[:MOST_ERRORS]]:
        console.print(f"error: {text}", style="red", markup=False)
    for line in lines(outcome.judge):
        style = {"FAILED": "bold red", "OK": "bold green"}.get(line.partition(":")[0])
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
    return 1 if errors or outcome.judge.problems else 0


def table(timings: Timings, seconds: float) -> Table:
    """Requests a second, percentiles in ms, and errors, by type and name."""
    found = Table(title="Requests", title_justify="left")
    for column in ("type", "name", "count", "a second", "p50", "p95", "p99", "max", "errors"):
        found.add_column(column, justify="left" if column in ("type", "name") else "right")
    everything: list[float] = []
    for key in sorted(timings.took.keys() | timings.errors.keys()):
        took = timings.took.get(key, [])
        everything += took
        found.add_row(*key, *figures(took, seconds), str(len(timings.errors.get(key, ()))))
    total = sum(map(len, timings.errors.values()))
    found.add_section()
    found.add_row("all", "", *figures(everything, seconds), str(total))
    return found


def figures(took: list[float], seconds: float) -> list[str]:
    """Count, rate and percentiles of some requests."""
    shares = (f"{percentile(took, share):.1f}" for share in (0.5, 0.95, 0.99, 1.0))
    return [str(len(took)), f"{len(took) / seconds:.1f}", *shares]


if __name__ == "__main__":
    sys.exit(main())
