"""``pharox-redis sweep``: leases that are over are ended, once or for ever."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable

import pytest
from typer.testing import Result

from pharox_redis import RedisStorage
from pharox_redis.embedded import EmbeddedServer
from pharox_redis.keys import Keys
from tests.cli.test_top_command import let_fail, process
from tests.support.builders import make_proxies
from tests.support.invariants import check_invariants
from tests.support.terminal import COMMAND, PATIENCE, Terminal

Command = Callable[..., Result]


def let_expire(storage: RedisStorage, pool: str, count: int) -> None:
    """Leave that many leases of a pool over, and not swept."""
    made = storage.ensure_pool(pool)
    storage.add_proxies_bulk(make_proxies(made, count))
    assert len(storage.acquire_leases(pool, "scraper", 0.001, count)) == count


def test_one_sweep_of_all_pools(command: Command, stored: RedisStorage) -> None:
    stored.add_proxies_bulk(make_proxies(stored.ensure_pool("shop"), 1))
    live = stored.acquire_lease("shop", "scraper", 60)
    let_expire(stored, "other", 1)
    let_expire(stored, "third", 2)
    result = command("sweep")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "3 leases ended\n", "")
    assert live and [lease.id for lease in stored.list_leases()] == [live.id]
    assert command("sweep").stdout == "0 leases ended\n"
    check_invariants(stored)


def test_json(command: Command, stored: RedisStorage) -> None:
    let_expire(stored, "shop", 1)
    assert [json.loads(command("sweep", "--json").stdout)["ended"] for _ in range(2)] == [1, 0]


@pytest.mark.parametrize("options", [["--every", "never"], ["--every", "1ms"], ["extra"]])
def test_mistakes_are_exit_code_2(command: Command, options: list[str]) -> None:
    result = command("sweep", *options)
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_server_that_is_not_there_is_exit_code_1(command: Command) -> None:
    result = command("sweep", url="redis://127.0.0.1:1/0")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "refused" in result.stderr


def test_a_refused_password_is_not_waited_for(command: Command, valkey_url: str) -> None:
    url = valkey_url.replace("redis://", "redis://me:Hunter2-Secret@")
    result = command("sweep", "--every", "50ms", url=url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "refused" in result.stderr and "Hunter2" not in result.stderr


def test_for_ever_in_a_terminal_until_ctrl_c(
    valkey_url: str, prefix: str, stored: RedisStorage
) -> None:
    let_expire(stored, "shop", 2)
    line = (*COMMAND, "sweep", "--every", "50ms", "--prefix", prefix)
    with Terminal(*line, env={"PHAROX_REDIS_URL": valkey_url}) as terminal:
        terminal.until("2 leases ended")
        enough = time.monotonic() + 0.2  # for sweeps with nothing to end, and to say
        terminal.until(lambda: time.monotonic() > enough)
        let_expire(stored, "other", 1)
        terminal.until("1 lease ended")
        terminal.ctrl("c")
        assert terminal.ended() == 130
        assert terminal.as_before
        assert terminal.text.split("\n")[:2] == ["2 leases ended", "1 lease ended"]
        assert "Traceback" not in terminal.text and "0 leases" not in terminal.text
    check_invariants(stored)


def test_a_server_that_is_away_is_waited_for() -> None:
    with EmbeddedServer() as server:
        server.stop()
        # Away from the beginning, as when a machine starts.
        with process(server.url, "pharox", "sweep", "--every", "50ms", "--json") as running:
            assert running.stdout and running.stderr
            said = running.stderr.readline()
            assert "not available" in said and said.endswith(" Trying again.\n")
            let_fail(server, 6)
            server.restart()
            assert running.stderr.readline() == "The server answers again.\n"
            with RedisStorage.from_url(server.url) as storage:
                let_expire(storage, "shop", 3)
                assert json.loads(running.stdout.readline())["ended"] == 3
                check_invariants(storage)
            running.send_signal(signal.SIGTERM)
            out, err = running.communicate(timeout=30)
            assert (running.returncode, out, err) == (0, "", "")


def test_one_pool_that_cannot_be_read_does_not_stop_it(
    valkey_url: str, prefix: str, stored: RedisStorage
) -> None:
    let_expire(stored, "broken", 1)
    pool = stored.ensure_pool("broken")
    stored.client.set(Keys(prefix).expiry(pool.id), "junk")
    with process(valkey_url, prefix, "sweep", "--every", "50ms") as running:
        assert running.stderr and running.stdout
        assert "another type" in running.stderr.readline()
        let_expire(stored, "shop", 2)
        shop, deadline = stored.ensure_pool("shop").id, time.monotonic() + PATIENCE
        while stored.get_pool_figures(shop).reclaimed < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=30)
        assert (running.returncode, err) == (0, "")
