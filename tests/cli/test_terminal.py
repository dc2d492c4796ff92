"""The command line at a person's terminal: questions, bars, and completion by a real shell."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from pharox.exceptions import PoolNotFoundError

from pharox_redis import RedisStorage
from tests.support.builders import make_proxies
from tests.support.invariants import check_invariants
from tests.support.terminal import COMMAND, PATIENCE, ROOT, Terminal

QUESTION = "Pool shop has 2 proxies and 1 live lease. Delete it? [y/N]: "


def at(url: str, prefix: str, *line: str, size: tuple[int, int] = (100, 24)) -> Terminal:
    return Terminal(*COMMAND, *line, "--prefix", prefix, size=size, env={"PHAROX_REDIS_URL": url})


def text_of(terminal: Terminal) -> str:
    return "\n".join(line for line in terminal.lines if line)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        pytest.param("\r", 1, "Nothing was changed.", id="Enter"),
        pytest.param("\x04", 1, "Nothing was changed.", id="Ctrl-D"),
        pytest.param("\x03", 130, "Interrupted. Nothing was changed.", id="Ctrl-C"),
        pytest.param("n\r", 1, "Nothing was changed.", id="n", marks=pytest.mark.slow),
        pytest.param("maybe\rn\r", 1, "Nothing was changed.", id="maybe", marks=pytest.mark.slow),
    ],
)
def test_a_question_that_is_not_answered_with_yes(
    valkey_url: str, prefix: str, stored: RedisStorage, answer: str, code: int, said: str
) -> None:
    shop = stored.ensure_pool("shop")
    stored.add_proxies_bulk(make_proxies(shop, 2))
    assert stored.acquire_lease("shop", "scraper", 60)
    with at(valkey_url, prefix, "pool", "delete", "shop") as terminal:
        terminal.until(QUESTION.rstrip())
        terminal.type(answer)
        assert terminal.ended() == code
        assert text_of(terminal).endswith(said)
        assert terminal.as_before and "Traceback" not in terminal.text
    assert stored.get_pool_figures(shop.id).total_leases == 1
    check_invariants(stored)


def test_a_question_that_is_answered_with_yes(
    valkey_url: str, prefix: str, stored: RedisStorage
) -> None:
    shop = stored.ensure_pool("shop")
    stored.add_proxies_bulk(make_proxies(shop, 2))
    assert stored.acquire_lease("shop", "scraper", 60)
    with at(valkey_url, prefix, "pool", "delete", "shop") as terminal:
        terminal.until(QUESTION.rstrip())
        terminal.type("y\r")
        assert terminal.ended() == 0
        assert "Pool shop is deleted, with 2 proxies and 1 live lease." in terminal.text
        assert terminal.as_before
        # The bar was there, and is not any more.
        assert b"deleting" in terminal.output or b"proxies deleted" in terminal.output
        assert "━" not in terminal.text
    with pytest.raises(PoolNotFoundError):
        stored.get_pool(shop.id)
    check_invariants(stored)


@pytest.mark.parametrize(
    "end", ["Ctrl-C", pytest.param("the end of the list", marks=pytest.mark.slow)]
)
def test_the_bar_of_an_import(
    valkey_url: str, prefix: str, stored: RedisStorage, tmp_path: Path, end: str
) -> None:
    """The list comes through a pipe, so that it is the test that says when it goes on."""
    fifo = tmp_path / "list"
    os.mkfifo(fifo)
    line = ("import", str(fifo), "--pool", "shop", "--format", "lines")
    with at(valkey_url, prefix, *line) as terminal:
        with fifo.open("w") as pipe:
            # Lists are read by the 64 KiB: more of those than of proxies that are written at once.
            for number in range(2_000):
                pipe.write(f"192.0.2.{number % 250}:{1024 + number} # {'-' * 200}\n")
            pipe.flush()
            terminal.until(" written")
            assert terminal.cursor_hidden and not terminal.alternate
            if end == "Ctrl-C":
                terminal.ctrl("c")
                assert terminal.ended() == 130
        if end == "Ctrl-C":
            assert "Interrupted." in terminal.text
        else:
            assert terminal.ended() == 0
            assert text_of(terminal) == (
                "Pool shop (made): 2,000 new, 0 changed, 0 unchanged, 0 duplicates, 0 unreadable."
            )
        assert terminal.as_before and "Traceback" not in terminal.text
        assert "━" not in terminal.text
    check_invariants(stored)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_and_pools(
    valkey_url: str, prefix: str, stored: RedisStorage
) -> None:
    stored.ensure_pool("zebra-crossing")
    bin_directory = Path(sys.executable).parent
    env = {
        "PATH": f"{bin_directory}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),  # the command is the checkout's, wherever it was installed from
        "PHAROX_REDIS_URL": valkey_url,
        "PHAROX_REDIS_PREFIX": prefix,
        "PS1": "ready> ",
    }
    bash = ("bash", "--noprofile", "--norc", "-i")
    with Terminal(*bash, size=(200, 24), env=env) as terminal:
        terminal.until("ready> ".rstrip())
        terminal.type('eval "$(pharox-redis --show-completion)"; echo prepared\r')
        terminal.until("\nprepared")
        for typed, completed in (
            ("pharox-redis sw", "pharox-redis sweep "),
            ("pharox-redis top --pool zeb", "pharox-redis top --pool zebra-crossing "),
        ):
            terminal.type(typed)
            _complete(terminal, completed.strip())
            terminal.ctrl("u")
        terminal.type("exit\r")
        terminal.ended()
        assert "Traceback" not in terminal.text


def _complete(terminal: Terminal, completed: str) -> None:
    """Press the tab key, as often as it takes: on a busy machine a completion gives up early."""
    deadline = time.monotonic() + PATIENCE
    while True:
        terminal.type("\t")
        try:
            terminal.until(completed, patience=3.0)
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
