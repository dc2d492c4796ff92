"""The ways into the command line, in processes of their own."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from pharox_redis import __version__
from pharox_redis.cli.commands import app

HIDE = "import sys; sys.modules[{0!r}] = None; sys.argv = ['pharox-redis', 'stats']; "
MODULE = "import runpy; runpy.run_module('pharox_redis', run_name='__main__')"
SCRIPT = "from pharox_redis.cli.app import main; main()"


def python(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1"},
    )


def test_the_module_is_the_command() -> None:
    result = python("-m", "pharox_redis", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Usage: pharox-redis " in result.stdout
    assert all(name in result.stdout for name in ("import", "stats", "demo"))


@pytest.mark.parametrize("missing", ["typer", "rich", "durationpy"])
@pytest.mark.parametrize("way", [MODULE, SCRIPT])
def test_without_the_extra_it_says_how_to_install_it(missing: str, way: str) -> None:
    result = python("-c", HIDE.format(missing) + way)
    assert (result.returncode, result.stdout) == (1, "")
    assert "pip install 'pharox-redis[cli]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_other_missing_modules_are_not_blamed_on_the_extra() -> None:
    result = python("-c", HIDE.format("pharox") + SCRIPT)
    assert result.returncode != 0
    assert "pharox-redis[cli]" not in result.stderr


def test_importing_lists_needs_no_redis_client() -> None:
    code = (
        "import sys, types; sys.modules['redis'] = None; "
        "package = types.ModuleType('pharox_redis'); package.__path__ = [sys.argv[1]]; "
        "sys.modules['pharox_redis'] = package; import pharox_redis.importing"
    )
    import pharox_redis

    result = python("-c", code, pharox_redis.__path__[0])
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("args", [["nonsense"], ["stats", "--nonsense"], ["stats", "extra"]])
def test_usage_errors_are_exit_code_2(args: list[str]) -> None:
    assert CliRunner().invoke(app, args).exit_code == 2


def test_a_wrong_choice_is_said_in_plain_words() -> None:
    result = CliRunner().invoke(app, ["proxy", "list", "--status", "bogus"])
    assert result.exit_code == 2
    assert "'bogus' is not one of 'active'" in result.stderr
    assert "Value error" not in result.stderr


def test_the_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"pharox-redis {__version__}\n")


@pytest.mark.parametrize("code", [0, 1])
def test_the_demo_exits_with_its_result(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    seen: list[tuple[float, int]] = []

    def main(seconds: float, workers: int) -> int:
        seen.append((seconds, workers))
        return code

    monkeypatch.setattr("pharox_redis.demo.run.main", main)
    result = CliRunner().invoke(app, ["demo", "--seconds", "2.5", "--workers", "3"])
    assert (result.exit_code, seen) == (code, [(2.5, 3)])


def test_the_demo_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lacking:
        """An interpreter in which the demo's own imports fail."""

        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == "pharox_redis.demo.run":
                raise ModuleNotFoundError("No module named 'needed'", name="needed")

    monkeypatch.delitem(sys.modules, "pharox_redis.demo.run", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Lacking, *sys.meta_path])
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 1
    assert "The demo needs needed" in result.stderr
    assert "pip install 'pharox-redis[demo]'" in result.stderr
