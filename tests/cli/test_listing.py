"""Lists on a terminal: lines that fit it, one shape for the whole list, ids that stay whole."""

import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from pharox.models import ProxyPool
from rich.cells import cell_len
from typer.testing import Result

from pharox_redis import RedisStorage
from pharox_redis.cli.columns import Column, Layout, number
from tests.support.builders import make_proxies
from tests.support.terminal import COMMAND, Terminal

Command = Callable[..., Result]

LISTS = [("pool", "list"), ("proxy", "list"), ("lease", "list"), ("stats",)]
POOLS = {
    "a": 2,
    "latam-mobile": 60,
    "東京-residential": 3,
    "x" * 60: 1,
}


@pytest.fixture
def filled(stored: RedisStorage) -> list[str]:
    """Pools with names of any length; the ids of their leases."""
    leases = []
    for name, count in POOLS.items():
        pool = ProxyPool(name=name, description="of scrapers " * 12 if count > 2 else "")
        stored.save_pool(pool)
        proxies = [
            proxy.model_copy(update={"city": "Ciudad de México", "source": "somewhere"})
            for proxy in make_proxies(pool, count)
        ]
        stored.add_proxies_bulk(proxies)
        lease = stored.acquire_lease(name, "scraper-with-a-name-7", 7200)
        assert lease is not None
        leases.append(str(lease.id))
    return leases


@pytest.fixture
def table(
    command: Command, on_terminal: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """The lines of a list on a terminal of so many columns."""

    def read(columns: int, *line: str) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        result = command(*line)
        assert (result.exit_code, result.stderr) == (0, "")
        return re.sub(r"\x1b\[[0-9]*m", "", result.stdout).split("\n")[:-1]

    return read


@pytest.mark.parametrize("columns", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("line", LISTS, ids=" ".join)
def test_every_line_fits(
    table: Callable[..., list[str]],
    stored: RedisStorage,
    filled: list[str],
    line: tuple[str, ...],
    columns: int,
) -> None:
    lines = table(columns, *line)
    rows = {"proxy": sum(POOLS.values()), "lease": len(filled)}.get(line[0], len(POOLS))
    assert len(lines) == 1 + rows
    assert all(0 < cell_len(text) <= columns for text in lines)
    assert not any(text != text.rstrip() for text in lines)
    ids = {
        "pool": [str(pool.id) for pool in stored.list_pools()],
        "proxy": [str(each.id) for pool in stored.list_pools()
                  for each in stored.list_proxies(str(pool.id))],
        "lease": filled,
    }.get(line[0], [])  # fmt: skip
    assert all(any(each in text for text in lines) for each in ids)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        (60, "ID PROXY"),
        (80, "ID POOL PROXY STATUS"),
        (120, "ID POOL PROXY STATUS LEASES LIMIT LATENCY_MS"),
    ],
)
def test_columns_of_low_rank_are_left_out(
    table: Callable[..., list[str]], columns: int, headings: str
) -> None:
    lines = table(columns, "proxy", "list")
    assert lines[0].split() == headings.split()
    if columns == 120:
        # The second pool's name is whole, though the first page has but a short one.
        assert sum("latam-mobile " in text for text in lines) == 60


@pytest.mark.usefixtures("filled")
def test_the_only_pool_needs_no_column(table: Callable[..., list[str]]) -> None:
    heading = table(100, "proxy", "list", "--pool", "latam-mobile")[0]
    assert heading.split() == ["ID", "PROXY", "STATUS", "LEASES", "LIMIT", "LATENCY_MS", "COUNTRY"]


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("line", LISTS[:3], ids=" ".join)
def test_in_a_terminal_no_line_wraps(valkey_url: str, prefix: str, line: tuple[str, ...]) -> None:
    whole = (*COMMAND, *line, "--prefix", prefix)
    with Terminal(*whole, size=(80, 100), env={"PHAROX_REDIS_URL": valkey_url}) as terminal:
        assert terminal.ended() == 0
        lines = [text for text in terminal.lines if text]
    rows = {"proxy": sum(POOLS.values())}.get(line[0], len(POOLS))
    assert len(lines) == 1 + rows
    assert terminal.lines[len(lines) :] == [""] * (100 - len(lines))  # no empty ones between


def test_a_layout_gives_way_step_by_step() -> None:
    columns = (
        Column("id", 3),
        Column("name", 2, least=6),
        number("count", 1),
    )
    rows = [("i" * 10, "a long name", "1,234"), ("i" * 10, "short", "9")]
    shapes = [
        (28, ["iiiiiiiiii a long name 1,234", "iiiiiiiiii short           9"]),
        (23, ["iiiiiiiiii a lon… 1,234", "iiiiiiiiii short      9"]),
        (22, ["iiiiiiiiii a long name", "iiiiiiiiii short"]),
        (16, ["iiiiiiiiii", "iiiiiiiiii"]),
        (5, ["iiii…", "iiii…"]),
        (1, ["i", "i"]),
    ]
    for width, lines in shapes:
        layout = Layout(columns, rows, width, "…")
        assert [layout.line(row) for row in rows] == lines, width
    for narrow, wide in pairwise(range(1, 40)):
        for width in (narrow, wide):
            layout = Layout(columns, rows[1:], width, "...")
            later = layout.line(("i" * 10, "a name that is longer", "1,234,567"))
            assert max(map(cell_len, (layout.heading(), later, layout.line(rows[1])))) <= width
