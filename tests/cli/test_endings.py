"""Commands that are broken off, in processes of their own: by Ctrl-C, by who reads their output, by
a disk that is full."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from typer.testing import Result

from pharox_redis import RedisStorage
from pharox_redis.cli import manners
from tests.support.builders import make_proxies

Command = Callable[..., Result]
Started = Callable[..., "subprocess.Popen[bytes]"]

INTERRUPTED, BROKEN_PIPE = 130, 141


@pytest.fixture
def started(valkey_url: str, prefix: str, stored: RedisStorage) -> Iterator[Started]:
    """Starts commands: ``started("proxy", "list", url=..., **options of Popen)``."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*words: str, url: str = valkey_url, **options: object) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-m", "pharox_redis", *words]
        env = {**os.environ, "PHAROX_REDIS_URL": url, "PHAROX_REDIS_PREFIX": prefix}
        env.pop("PYTHONUNBUFFERED", None)
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen(line, env=env, **{**streams, **options})  # type: ignore[call-overload]
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, (out or b"").decode(), (err or b"").decode()


@contextmanager
def half_a_list(process: subprocess.Popen[bytes], stored: RedisStorage) -> Iterator[None]:
    """Gives an import the first part of a list, and waits until its second batch is under way."""
    assert process.stdin is not None
    lines = b"".join(b"10.0.%d.%d:80\n" % (n >> 8, n & 255) for n in range(8_000))
    process.stdin.write(lines)
    process.stdin.flush()
    while sum(each.total_proxies for each in stored.list_pool_figures()) <= 500:
        assert process.poll() is None
    yield


def test_ctrl_c_says_what_was_done(started: Started, stored: RedisStorage) -> None:
    process = started("import", "-", "--pool", "shop")
    with half_a_list(process, stored):
        process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert (code, out) == (INTERRUPTED, "")
    assert err.startswith("Interrupted. ")
    assert err.endswith(" proxies had been written; a second run completes the import.\n")
    written = int(err.split()[1].replace(",", ""))
    pool = stored.get_pool_by_name("shop")
    assert pool is not None
    assert written <= stored.get_pool_figures(pool.id).total_proxies <= written + 500


def test_ctrl_c_while_nothing_answers(started: Started) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = started("stats", url=f"redis://127.0.0.1:{server.getsockname()[1]}/0")
        server.settimeout(60)
        client, _ = server.accept()
        with client:
            assert client.recv(1)
            process.send_signal(signal.SIGINT)
            assert ended(process) == (INTERRUPTED, "", "Interrupted.\n")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_has_seen_enough(
    started: Started, stored: RedisStorage, options: list[str]
) -> None:
    stored.add_proxies_bulk(make_proxies(stored.ensure_pool("shop"), 2000))
    process = started("proxy", "list", *options)
    assert process.stdout is not None
    # They come at once: the pipe is too small for the rest of the pool.
    lines = [process.stdout.readline() for _ in range(40)]
    assert process.poll() is None and b"active" in lines[39]
    process.stdout.close()
    process.stdout = None
    assert ended(process) == (BROKEN_PIPE, "", "")


def test_the_work_is_done_though_nobody_reads(started: Started, stored: RedisStorage) -> None:
    stored.add_proxies_bulk(make_proxies(stored.ensure_pool("shop"), 3))
    reading, writing = os.pipe()
    os.close(reading)
    process = started("pool", "delete", "shop", "--yes", stdout=writing)
    os.close(writing)
    assert ended(process)[::2] == (BROKEN_PIPE, "")
    assert stored.list_pools() == []


def test_a_disk_that_is_full(started: Started, stored: RedisStorage) -> None:
    stored.ensure_pool("shop")
    with open("/dev/full", "wb") as full:
        process = started("pool", "show", "shop", stdout=full)
    assert ended(process) == (1, "", "Error: [Errno 28] No space left on device\n")


def test_no_output_at_all(started: Started, stored: RedisStorage) -> None:
    process = started("pool", "create", "shop", stdout=None, preexec_fn=lambda: os.close(1))
    assert ended(process) == (0, "", "")
    assert stored.get_pool_by_name("shop") is not None


def test_no_input_at_all(started: Started, stored: RedisStorage) -> None:
    stored.ensure_pool("shop")
    closed = {"stdin": None, "preexec_fn": lambda: os.close(0)}
    code, out, err = ended(started("pool", "delete", "shop", **closed))
    assert (code, out) == (2, "") and "There is no terminal to answer at" in err
    code, out, err = ended(started("import", "-", "--pool", "shop", **closed))
    assert (code, out) == (3, "") and "no proxy could be read from -" in err


def test_an_encoding_without_the_letters(
    started: Started, stored: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.ensure_pool("東京")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    code, out, err = ended(started("pool", "list"))
    assert (code, err) == (0, "") and r"\u6771\u4eac" in out


def test_notes_of_several_blocks() -> None:
    with (
        pytest.raises(KeyboardInterrupt) as caught,
        manners.telling(lambda: "outer"),
        manners.telling(lambda: ""),
        manners.telling(lambda: "inner"),
    ):
        raise KeyboardInterrupt
    assert manners.notes_of(caught.value) == ["inner", "outer"]
