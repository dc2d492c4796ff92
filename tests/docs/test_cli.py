"""docs/cli.md has every command, argument and option of the command line, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from pharox_redis.cli import exits
from pharox_redis.cli.commands import app

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
FOR_ALL = {"--url", "--prefix", "--json", "--help"}


def commands() -> Iterator[tuple[str, Any]]:
    def walk(command: Any, words: str) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "commands"):
            yield words.strip(), command
            return
        for name, each in command.commands.items():
            yield from walk(each, f"{words} {name}")

    return walk(typer.main.get_command(app), "")


COMMANDS = dict(commands())


def sections() -> dict[str, str]:
    """The page's parts by their headings, in order; a group's heading has no text of its own."""
    parts = re.split(r"^##+ (.*)\n", PAGE, flags=re.MULTILINE)[1:]
    return {name: text for name, text in zip(parts[::2], parts[1::2], strict=True) if text.strip()}


def test_every_command_has_its_section() -> None:
    first, *rest = sections()
    assert first == "What holds for all commands"
    assert sorted(rest) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_has_every_option(name: str) -> None:
    text = re.sub(r"```.*?```", "", sections()[name], flags=re.DOTALL)
    options, arguments = set[str](), set[str]()
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "argument":
            arguments.add(parameter.metavar or parameter.name.upper())
        else:
            options.add(max(parameter.opts, key=len))
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    assert options - said <= FOR_ALL
    assert said <= options
    for argument in arguments:
        assert argument.strip("[].") in text


def test_options_for_all_are_told_once() -> None:
    text = sections()["What holds for all commands"]
    assert all(f"`{option}" in text for option in FOR_ALL)
    for name, command in COMMANDS.items():
        options = {option for each in command.params for option in each.opts}
        if name not in ("demo", "bench", "serve"):
            assert FOR_ALL - {"--help"} <= options, name


def test_exit_codes() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, flags=re.MULTILINE)}
    assert told == {value for value in vars(exits).values() if isinstance(value, int)}
