"""Reads the access rules out of docs/security.md: what is tested is what people paste."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import redis

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
PASSWORD = "CHANGE-ME"
ROLES = ("scraper", "operator", "dashboard", "figures")


class Rule(NamedTuple):
    """One ``ACL SETUSER`` line: the user and the rules after its name."""

    user: str
    rules: tuple[str, ...]


def lines_under(heading: str) -> list[Rule]:
    """The ``ACL SETUSER`` lines in the code blocks under a heading, as a shell would split them."""
    text = DOCUMENT.read_text(encoding="utf-8")
    (section,) = re.findall(rf"^###+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.M)
    found = []
    for block in re.findall(r"^```text\n(.*?)^```", section, re.DOTALL | re.M):
        for line in block.splitlines():
            acl, setuser, user, *rules = shlex.split(line)
            assert (acl, setuser) == ("ACL", "SETUSER"), line
            found.append(Rule(user, tuple(rules)))
    assert found, heading
    return found


def rules_of(role: str) -> list[str]:
    """All rules of a role, in order."""
    lines = lines_under(role)
    assert {line.user for line in lines} == {role}
    return [rule for line in lines for rule in line.rules]


def selector_of(role: str) -> str:
    """The rules in parentheses, as one; "" if there are none."""
    found = re.findall(r"\([^)]*\)", " ".join(rules_of(role)))
    assert len(found) <= 1
    return found[0] if found else ""


def commands_of(role: str) -> set[str]:
    """The commands a role is given, in lower case: ``get``, ``config|get``."""
    words = " ".join(rules_of(role)).replace("(", " ").replace(")", " ").split()
    return {word[1:] for word in words if word.startswith("+")}


def patterns_of(role: str) -> list[str]:
    """The key patterns of a role outside its parentheses, ``~`` and ``%R~`` with them."""
    words = re.sub(r"\([^)]*\)", " ", " ".join(rules_of(role))).split()
    return [word for word in words if word.startswith(("~", "%"))]


def set_user(admin: redis.Redis, role: str, without: str = "", *more: str) -> None:
    """Make the role's user as the document says, but for one command or pattern."""
    words = []
    for rule in rules_of(role):
        opening, bare, closing = re.fullmatch(r"(\(?)(.*?)(\)?)", rule).groups()
        if bare == without:
            bare = ""
        if bare or opening or closing:
            words.append(f"{opening}{bare}{closing}")
    admin.execute_command("ACL", "SETUSER", role, *words, *more)


def url_of(url: str, role: str) -> str:
    """A server's URL with a role's user."""
    return url.replace("://", f"://{role}:{PASSWORD}@", 1)
