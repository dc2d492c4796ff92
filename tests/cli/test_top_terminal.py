"""``pharox-redis top`` in a terminal, as a person sees it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from collections.abc import Iterator

from pharox_redis import RedisStorage
from pharox_redis.embedded import EmbeddedServer
from tests.support.builders import make_proxies, make_proxy
from tests.support.invariants import check_invariants
from tests.support.terminal import COMMAND, Terminal

SECRET = "Hunter2-Secret"
ODD = "odd\x1b[31m\npool"
FAST = ("--interval", "100ms")


def top(url: str, prefix: str, *options: str, size: tuple[int, int] = (80, 24)) -> Terminal:
    line = (*COMMAND, "top", *options, "--prefix", prefix)
    return Terminal(*line, size=size, env={"PHAROX_REDIS_URL": url})


def cells(terminal: Terminal, pool: str) -> dict[str, str]:
    """The row of a pool in the upper table, by the words above it."""
    heading = next((line for line in terminal.lines if line.startswith("pool ")), "")
    row = next((line for line in terminal.lines if line.startswith(pool)), "")
    # Numbers stand below the ends of their headings.
    ends = {word.group(): word.end() for word in re.finditer(r"\S+", heading)}
    return {name: row[:end].split(" ")[-1] for name, end in ends.items()}


def rate(terminal: Terminal, pool: str, name: str) -> float:
    """A rate that the screen shows, -1 if it shows none."""
    with contextlib.suppress(ValueError):
        return float(cells(terminal, pool).get(name, "").replace(",", ""))
    return -1.0


@contextlib.contextmanager
def scrapers(storage: RedisStorage, pool: str, *, keep: bool) -> Iterator[None]:
    """A thread that acquires all the time; it returns what it gets, unless it is to keep it."""
    enough = threading.Event()

    def scrape() -> None:
        while not enough.is_set():
            lease = storage.acquire_lease(pool, "scraper", 600)
            if lease is not None and not keep:
                storage.release_lease(lease)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def test_rates_move_and_it_goes_by_q(valkey_url: str, prefix: str, stored: RedisStorage) -> None:
    shop, odd = stored.ensure_pool("shop"), stored.ensure_pool(ODD)
    stored.add_proxies_bulk(make_proxies(shop, 3))
    stored.add_proxy(make_proxy(odd, host="gate.example.com", port=8080))
    assert stored.acquire_lease(ODD, "slow\x07holder", 7200)
    with top(valkey_url, prefix, *FAST) as terminal:
        terminal.until("held longest")
        assert terminal.alternate and terminal.cursor_hidden and terminal.single_keys
        assert terminal.lines[0].startswith("pharox-redis top  redis://127.0.0.1:")
        assert "2 pools  1 lease" in terminal.lines[0]
        assert terminal.lines[-1] == "q quit   p pause   s sort: activity   every 100ms"
        found = cells(terminal, r"odd\x1b[31m")
        assert {name: found[name] for name in ("total", "active", "saturated", "leases")} == {
            "total": "1", "active": "1", "saturated": "1", "leases": "1"
        }  # fmt: skip
        held = re.compile(
            r"odd\\x1b\[31m\\npool\s+gate\.example\.com:8080\s+slow\\x07holder\s+\d+ s\s+1h 59m"
        )
        assert any(held.match(line) for line in terminal.lines)
        with scrapers(stored, "shop", keep=False):
            terminal.until(lambda: rate(terminal, "shop", "acq/s") > 1)
            assert rate(terminal, "shop", "miss/s") == 0
        terminal.until(lambda: rate(terminal, "shop", "acq/s") == 0)
        with scrapers(stored, "shop", keep=True):
            terminal.until(lambda: rate(terminal, "shop", "miss/s") > 1)
            terminal.until(lambda: cells(terminal, "shop").get("available") == "0")
        # The busier pool is first, until the order is that of names.
        terminal.until(lambda: terminal.lines[3].startswith("shop"))
        terminal.type("s")
        terminal.until("sort: name")
        assert terminal.lines[3].startswith("odd")
        terminal.type("p")
        terminal.until("paused")
        shown = cells(terminal, "shop")
        stored.add_proxies_bulk(make_proxies(shop, 5))
        terminal.type("s")
        terminal.until("sort: least available")
        assert cells(terminal, "shop") == shown
        terminal.type("p")
        terminal.until(lambda: cells(terminal, "shop").get("total") == "8")
        terminal.type("\x1b[A")  # an arrow: nothing
        terminal.type("q")
        assert terminal.ended() == 0
        assert terminal.as_before
    assert b"\x1b[31m\n" not in terminal.output and b"\x07" not in terminal.output
    check_invariants(stored)


def test_a_big_terminal_a_small_one_and_ctrl_c(
    valkey_url: str, prefix: str, stored: RedisStorage
) -> None:
    for number in range(40):
        pool = stored.ensure_pool(f"pool-{number:02}")
        stored.add_proxy(make_proxy(pool))
        if number < 30:
            assert stored.acquire_lease(pool.name, f"holder-{number:02}", 600)
    with top(valkey_url, prefix, *FAST, "--limit", "50", size=(200, 50)) as terminal:
        terminal.until("held longest")
        assert "available" in terminal.text and "━" * 20 in terminal.text
        assert "... and 10 more pools" in terminal.text
        assert sum(" holder-" in line for line in terminal.lines) == 12
        # Resized in between, both ways: it fits at once, and nothing of before is left.
        terminal.resize(60, 16)
        terminal.until("... and 33 more pools")
        assert terminal.lines[-1].startswith("q quit")
        assert all(len(line) <= 60 for line in terminal.lines)
        assert "swept" not in terminal.text and "available" in terminal.text
        terminal.resize(100, 60)
        terminal.until("... and 3 more pools")
        assert "holder-14" in terminal.text
        terminal.resize(12, 2)
        terminal.until(lambda: terminal.lines[0].startswith("pharox-redi"))
        terminal.ctrl("c")
        assert terminal.ended() == 130
        assert terminal.as_before
    assert b"Traceback" not in terminal.output


def test_a_server_that_goes_and_comes_back() -> None:
    with EmbeddedServer({"requirepass": SECRET}) as server:
        with RedisStorage.from_url(server.url) as storage:
            storage.add_proxy(make_proxy(storage.ensure_pool("shop")))
        with top(server.url, "pharox", *FAST) as terminal:
            terminal.until("shop")
            server.stop()
            terminal.until(lambda: re.search("server away for [1-9]", terminal.text))
            assert cells(terminal, "shop")["total"] == "1"  # what was seen last stays
            server.restart()
            terminal.until(lambda: "server away" not in terminal.text)
            with RedisStorage.from_url(server.url) as storage:
                storage.add_proxy(make_proxy(storage.ensure_pool("shop")))
            terminal.until(lambda: cells(terminal, "shop").get("total") == "2")
            # A server that only says nothing does not hold up the end either.
            assert server.pid
            os.kill(server.pid, signal.SIGSTOP)
            try:
                terminal.until("no answer from the server for ")
                os.kill(terminal.child.pid, signal.SIGTERM)
                assert terminal.ended() == 0
            finally:
                os.kill(server.pid, signal.SIGCONT)
            assert terminal.as_before
        assert SECRET.encode() not in terminal.output


def test_suspended_it_leaves_the_terminal_and_comes_back(
    valkey_url: str, prefix: str, stored: RedisStorage
) -> None:
    stored.add_proxy(make_proxy(stored.ensure_pool("shop")))
    with top(valkey_url, prefix, *FAST) as terminal:
        terminal.until("shop")
        terminal.ctrl("z")
        terminal.until(lambda: not terminal.alternate)
        _, status = os.waitpid(terminal.child.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status) and terminal.as_before
        os.kill(terminal.child.pid, signal.SIGCONT)
        terminal.until(lambda: terminal.alternate and terminal.single_keys)
        terminal.type("q")
        assert terminal.ended() == 0
        assert terminal.as_before
