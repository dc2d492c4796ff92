"""What the demo prints when it has ended."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pharox_redis.demo.report import Results, peaks

TABLE_ROWS = 12
MOST_PROBLEMS = 20


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of the values lie (nearest rank)."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def show(console: Console, results: Results, found: Sequence[str]) -> None:
    """Print the summary."""
    console.print(_proxies_table(results))
    over = sum(
        max(highest) > results.limits.get(port, 0) for port, highest in peaks(results).items()
    )
    console.print(f"{len(results.limits)} proxies, {over or 'none'} over its limit", style="bold")
    console.print(_jobs_table(results))
    console.print(_numbers_table(results, found))
    for text in found[:MOST_PROBLEMS]:
        console.print(f"FAILED: {text}", style="bold red", markup=False)
    if len(found) > MOST_PROBLEMS:
        console.print(f"... and {len(found) - MOST_PROBLEMS} more", style="red")
    if not found:
        console.print(
            "OK: no limit exceeded, no lease lost, every proxy is free again", style="bold green"
        )


def _proxies_table(results: Results) -> Table:
    table = Table(title="Highest concurrency seen per proxy", title_justify="left")
    for column in ("proxy", "limit", "requests at once", "leases at once", "requests", "leases"):
        table.add_column(column, justify="left" if column == "proxy" else "right")
    leases = Counter(lease.port for lease in results.leases.values())
    requests = Counter(request.port for request in results.scraped)
    rows = sorted(peaks(results).items(), key=lambda row: (-max(row[1]), row[0]))
    for port, (most_requests, most_leases) in rows[:TABLE_ROWS]:
        limit = results.limits.get(port, 0)
        numbers = (limit, most_requests, most_leases, requests[port], leases[port])
        style = "red" if max(most_requests, most_leases) > limit else None
        table.add_row(f":{port}", *map(str, numbers), style=style)
    return table


def _jobs_table(results: Results) -> Table:
    table = Table(title="What was asked for", title_justify="left")
    for column in ("filter and selector", "leases", "misses"):
        table.add_column(column, justify="left" if "filter" in column else "right")
    leases = Counter(lease.job for log in results.workers for lease in log.leases.values())
    misses = sum((Counter(log.misses) for log in results.workers), Counter[str]())
    for job in sorted({*leases, *misses}):
        table.add_row(job, str(leases[job]), str(misses[job]))
    return table


def _numbers_table(results: Results, found: Sequence[str]) -> Table:
    leases = [lease for log in results.workers for lease in log.leases.values()]
    took = [lease.acquire_ms for lease in leases]
    gave = [lease.release_ms for lease in leases if lease.release_ms is not None]
    pages = sum(sum(log.fetches.values()) for log in results.workers)
    misses = sum(sum(log.misses.values()) for log in results.workers)
    recovered = len(results.recovered & {lease.lease for lease in results.abandoned})

    def times(values: list[float]) -> str:
        return f"{percentile(values, 0.5):.2f} / {percentile(values, 0.99):.2f} ms"

    table = Table(title="The run", title_justify="left", show_header=False)
    for name, value in (
        ("acquires a second", f"{len(leases) / results.seconds:.0f}"),
        ("releases a second", f"{len(gave) / results.seconds:.0f}"),
        ("acquire p50 / p99", times(took)),
        ("release p50 / p99", times(gave)),
        ("misses (nothing free)", str(misses)),
        ("pages fetched through proxies", str(pages)),
        ("leases abandoned / recovered", f"{len(results.abandoned)} / {recovered}"),
        ("errors", str(sum(text.startswith("error: ") for text in found))),
    ):
        table.add_row(name, value)
    return table
