"""``pharox-redis bench``: its options, and what it says where it cannot run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pharox_redis.benchmark.bench import FULL, SMALL
from pharox_redis.benchmark.run import Options
from pharox_redis.cli.commands import app


@pytest.mark.parametrize("code", [0, 1, 130])
def test_it_exits_with_the_runs_result(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    seen: list[Options] = []

    def main(options: Options) -> int:
        seen.append(options)
        return code

    monkeypatch.setattr("pharox_redis.benchmark.run.main", main)
    line = (
        "bench --url redis://h --postgres-url postgresql://p --profile small --only pairs "
        "--only batch --out results --strict"
    )
    assert CliRunner().invoke(app, line.split()).exit_code == code
    assert CliRunner().invoke(app, ["bench"]).exit_code == code
    assert seen == [
        Options(
            "redis://h", "postgresql://p", SMALL, ["pairs", "batch"], Path("results"), strict=True
        ),
        Options(None, None, FULL, [], None, strict=False),
    ]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--only", "nonsense"], "no section 'nonsense'"),
        (["--profile", "huge"], "huge"),
        (["--out", __file__], "is a file"),
    ],
)
def test_mistakes_are_exit_code_2(args: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["bench", *args])
    assert result.exit_code == 2
    assert said in result.stderr and "Traceback" not in result.stderr


def test_a_server_that_is_not_there_is_exit_code_1() -> None:
    result = CliRunner().invoke(app, ["bench", "--url", "redis://:geheim@127.0.0.1:1/0"])
    assert result.exit_code == 1
    assert "refused" in result.stderr and "geheim" not in result.stderr


@pytest.mark.parametrize("name", ["matplotlib", "redis_semaphore"])
def test_it_says_what_it_needs(name: str) -> None:
    code = (
        f"import sys; sys.modules[{name!r}] = None; sys.argv = ['pharox-redis', 'bench']; "
        "from pharox_redis.cli.app import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert f"The benchmark needs {name}" in result.stderr
    assert "pip install 'pharox-redis[bench]'" in result.stderr
    assert "Traceback" not in result.stderr
