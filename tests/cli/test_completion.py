"""What a shell is told to complete: commands, options, and pools from the server."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pharox_redis import RedisStorage
from pharox_redis.cli.commands import app

Completed = Callable[..., list[str]]


@pytest.fixture
def completed(
    valkey_url: str, prefix: str, stored: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> Completed:
    """What bash is offered for the last word of a line."""
    monkeypatch.setenv("PHAROX_REDIS_URL", valkey_url)
    monkeypatch.setenv("PHAROX_REDIS_PREFIX", prefix)

    def complete(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        monkeypatch.setenv("_PHAROX_REDIS_COMPLETE", "complete_bash")
        result = CliRunner().invoke(app, prog_name="pharox-redis")
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout.split("\n")[:-1] if result.stdout.strip() else []

    return complete


def test_commands_and_options(completed: Completed) -> None:
    assert completed("pharox-redis po") == ["pool"]
    assert {"list", "show", "rename", "delete"} <= set(completed("pharox-redis pool "))
    assert completed("pharox-redis pool delete --y") == ["--yes"]
    assert completed("pharox-redis proxy list --status b") == ["banned"]


@pytest.mark.parametrize(
    "line", ["pool show ", "pool delete --yes ", "proxy list --pool ", "stats --pool "]
)
def test_pools(completed: Completed, stored: RedisStorage, line: str) -> None:
    for name in ("latam", "la-2", "europe", "東京", "two words", "$(reboot)", "a\nb", "a;b"):
        stored.ensure_pool(name)
    assert completed(f"pharox-redis {line}") == ["europe", "la-2", "latam", "東京"]
    assert completed(f"pharox-redis {line}la") == ["la-2", "latam"]


def test_the_server_of_the_line_counts(
    completed: Completed, stored: RedisStorage, valkey_url: str, prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    stored.ensure_pool("latam")
    monkeypatch.setenv("PHAROX_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("PHAROX_REDIS_PREFIX", "elsewhere")
    line = f"pharox-redis pool show --url {valkey_url} --prefix {prefix} "
    assert completed(line) == ["latam"]


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1/0", "nonsense", "redis+cluster://127.0.0.1:1"]
)
def test_a_server_that_is_away_is_nothing_to_complete(
    completed: Completed, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("PHAROX_REDIS_URL", url)
    assert completed("pharox-redis pool show ") == []


def test_a_server_that_is_silent_is_not_waited_for(
    completed: Completed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PHAROX_REDIS_URL", f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        began = time.monotonic()
        assert completed("pharox-redis pool show ") == []
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    result = CliRunner().invoke(app, ["--show-completion", shell], prog_name="pharox-redis")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "_PHAROX_REDIS_COMPLETE" in result.stdout and "pharox-redis" in result.stdout


def test_bash_completes(stored: RedisStorage, valkey_url: str, prefix: str, tmp_path: Path) -> None:
    """The script, in the shell it is for."""
    bash = shutil.which("bash")
    assert bash
    stored.ensure_pool("latam")
    command = tmp_path / "pharox-redis"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pharox_redis "$@"\n')
    command.chmod(0o755)
    code = (
        'eval "$(pharox-redis --show-completion bash)"; '
        "COMP_WORDS=(pharox-redis pool show lat); COMP_CWORD=3; "
        '_pharox_redis_completion pharox-redis; echo "${COMPREPLY[@]}"'
    )
    result = subprocess.run(
        [bash, "--norc", "-c", code], capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PHAROX_REDIS_URL": valkey_url,
             "PHAROX_REDIS_PREFIX": prefix, "PYTHONPATH": str(Path(__file__).parents[2]),
             "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )  # fmt: skip
    assert (result.stdout, result.stderr) == ("latam\n", "")
