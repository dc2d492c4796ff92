"""The tables and the screen of ``pharox-redis top``, in terminals of all sizes."""

from __future__ import annotations

import io
import itertools
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from pharox.models import Lease, ProxyPool
from rich.cells import cell_len
from rich.console import Console

from pharox_redis.cli.top.reading import Held, Reading, Row, compare
from pharox_redis.cli.top.screen import Screen
from pharox_redis.cli.top.tables import Order, lease_table, ordered, pool_table
from pharox_redis.models import PoolFigures

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def figures(
    name: str, at: datetime = NOW, pool: ProxyPool | None = None, **more: int
) -> PoolFigures:
    values = {
        "total_proxies": 10, "active_proxies": 10, "available_proxies": 5, "saturated_proxies": 5,
        "leased_proxies": 5, "total_leases": 5, "views": 0, "acquired": 0, "missed": 0,
        "reclaimed": 0,
    }  # fmt: skip
    return PoolFigures(pool=pool or ProxyPool(name=name), at=at, **{**values, **more})


def held(pool: str = "shop", holder: str | None = "scraper-1", since: float = 60.0) -> Held:
    lease = Lease(
        proxy_id=uuid4(),
        consumer_id=uuid4(),
        acquired_at=NOW - timedelta(seconds=since),
        expires_at=NOW + timedelta(seconds=60),
    )
    return Held(lease, pool, holder, "192.0.2.1:8080", NOW)


def reading(
    rows: list[Row], longest: list[Held] | None = None, *, looked_at: int = 5, leases: int = 5
) -> Reading:
    return Reading(NOW, rows, longest or [], looked_at, leases, partly=looked_at < leases)


def drawn(renderable: object, width: int, height: int | None = None) -> list[str]:
    """The lines of it, in a terminal of that size."""
    console = Console(
        file=io.StringIO(), width=width, height=height or 40, markup=False, color_system=None
    )
    options = console.options if height is None else console.options.update_height(height)
    lines = console.render_lines(renderable, options, pad=False)
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


def test_rates_are_counts_over_the_servers_time() -> None:
    pool = ProxyPool(name="shop")
    before = figures("shop", pool=pool, acquired=100, missed=7)
    later = NOW + timedelta(seconds=2)
    row = compare(before, figures("shop", later, pool, acquired=350, missed=8))
    assert (row.acquires, row.misses) == (125.0, 0.5)
    assert compare(None, before) == Row(before)


@pytest.mark.parametrize(
    ("seconds", "acquired", "missed"),
    [(0, 200, 7), (-5, 200, 7), (2, 99, 7), (2, 100, 6)],
    ids=["no time", "clock set back", "acquires forgotten", "misses forgotten"],
)
def test_there_is_no_rate_where_nothing_can_be_compared(
    seconds: int, acquired: int, missed: int
) -> None:
    pool = ProxyPool(name="shop")
    before = figures("shop", pool=pool, acquired=100, missed=7)
    now = figures("shop", NOW + timedelta(seconds=seconds), pool, acquired=acquired, missed=missed)
    assert compare(before, now) == Row(now)


def test_the_orders() -> None:
    quiet = Row(figures("quiet", available_proxies=10), 0.0, 0.0)
    busy = Row(figures("busy", available_proxies=9), 5.0, 1.0)
    missing = Row(figures("missing", available_proxies=0), 0.0, 8.0)
    full = Row(figures("a full one", total_leases=50, available_proxies=1), 0.0, 0.0)
    rows = [quiet, full, busy, missing]
    assert ordered(rows, Order.ACTIVITY) == [missing, busy, full, quiet]
    assert ordered(rows, Order.NAME) == [full, busy, missing, quiet]
    assert ordered(rows, Order.AVAILABLE) == [missing, full, busy, quiet]
    assert list(itertools.accumulate(range(3), lambda o, _: o.following, initial=Order.NAME)) == [
        Order.NAME, Order.AVAILABLE, Order.ACTIVITY, Order.NAME
    ]  # fmt: skip


def test_what_goes_on_a_narrow_terminal() -> None:
    rows = [Row(figures("a-pool-with-a-long-name-indeed"), 12.34, 1234.5)]
    seen = {width: drawn(pool_table(rows, width), width) for width in (120, 80, 60, 40, 25)}
    assert seen[120][0].split() == [
        "pool", "total", "active", "available", "saturated", "leases", "acq/s", "miss/s", "swept"
    ]  # fmt: skip
    assert seen[120][1].split() == [
        "a-pool-with-a-long-name-indeed", "10", "10", "5", "━" * 9 + "╸", "5", "5", "12.3", "1,234",
        "0",
    ]  # fmt: skip
    assert "━" in seen[80][1] and "swept" in seen[80][0]
    assert seen[60][0].split() == [
        "pool", "total", "available", "saturated", "leases", "acq/s", "miss/s"
    ]  # fmt: skip
    assert seen[40][0].split() == ["pool", "available", "leases", "acq/s"]
    assert seen[25][0].split() == ["pool", "available", "leases"]
    for width, lines in seen.items():
        assert len(lines) == 2 and all(cell_len(line) <= width for line in lines)


@pytest.mark.parametrize("width", [*range(1, 40, 3), 60, 80, 99, 100, 101, 150, 300])
def test_no_line_is_too_long_and_none_is_broken(width: int) -> None:
    rows = [
        Row(figures("漢字" * 20, total_proxies=12_345_678, available_proxies=12_345_000), 1e7, 0.0),
        Row(figures("x", total_proxies=0, active_proxies=0, available_proxies=0), None, None),
    ]
    leases = [held("漢字" * 20, "holder" * 30), held(holder=None, since=1e7)]
    for table in (pool_table(rows, width), lease_table(leases, width)):
        lines = drawn(table, width)
        assert len(lines) == 3
        assert all(cell_len(line) <= width for line in lines)


def test_without_a_terminal_nothing_is_cut() -> None:
    name, holder = "n" * 200, "h" * 200
    (_, row) = drawn(pool_table([Row(figures(name))], 0), 1000)
    assert row.split() == [name, "10", "10", "5", "5", "5", "-", "-", "0"]
    (_, row) = drawn(lease_table([held(name, holder)], 0), 1000)
    assert row.split("  ")[:3] == [name, "192.0.2.1:8080", holder]


@pytest.mark.parametrize(("pools", "leases"), [(0, 0), (1, 0), (1, 1), (30, 0), (30, 20), (2, 40)])
def test_the_screen_is_as_high_as_the_terminal(pools: int, leases: int) -> None:
    rows = [Row(figures(f"pool-{number:02}")) for number in range(pools)]
    screen = Screen("redis://h", "1s", reading(rows, [held() for _ in range(leases)]))
    for height in (*range(1, 20), 24, 36, 50):
        lines = drawn(screen, 80, height)
        assert len(lines) == height
        assert lines[0].startswith("pharox-redis top")
        assert lines[-1].startswith("q quit") or height < 3
        shown = sum(line.startswith("pool-") for line in lines)
        assert shown or not pools or height < 8
        if shown:
            more = f"... and {pools - shown} more pool"
            assert (more in "\n".join(lines)) == (shown < pools)
        if height >= 16:
            assert any("scraper-1" in line for line in lines) == bool(leases)


def test_what_the_status_line_says() -> None:
    screen = Screen("redis://h", "1s", reading([]))
    assert drawn(screen, 80)[1] == "There are no pools."
    screen.paused = True
    assert drawn(screen, 80)[1] == "paused"
    assert "p go on" in drawn(screen, 80)[-1]
    screen.trouble = "server away for 3 s: refused"
    assert drawn(screen, 80)[1] == "server away for 3 s: refused"


def test_it_says_when_it_looked_at_a_part_of_the_leases() -> None:
    whole = reading([Row(figures("shop"))], [held()])
    part = reading([Row(figures("shop"))], [held()], leases=12_345, looked_at=2_000)
    assert "held longest" in drawn(Screen("redis://h", "1s", whole), 80)
    assert "held longest (looked at 2,000 of 12,345 leases)" in drawn(
        Screen("redis://h", "1s", part), 80
    )


def test_user_text_does_not_steer_the_terminal() -> None:
    evil = "\x1b[2J\u202e[red]x[/red]\n"
    rows, leases = [Row(figures(evil))], [held(evil, evil)]
    text = "\n".join(drawn(Screen("redis://h", "1s", reading(rows, leases)), 200))
    assert text.count(r"\x1b[2J\u202e[red]x[/red]\n") == 3
    assert "\x1b" not in text and "\u202e" not in text
