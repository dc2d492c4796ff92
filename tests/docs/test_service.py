"""docs/service.md: its tables name the settings, the endpoints and the problems that there are."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from pharox_redis.service.access import ROLE_OF_ROUTE
from pharox_redis.service.app import create_app
from pharox_redis.service.settings import ENV_PREFIX, ServiceSettings
from pharox_redis.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "service.md").read_text()


def section(title: str) -> str:
    return re.split(r"^## ", TEXT.split(f"\n## {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_every_setting_is_there_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"{ENV_PREFIX}URL", raising=False)
    told = dict(re.findall(r"^\| `([A-Z_.]+)` \| (?:`(.*?)`)? *\|", section("Settings"), re.M))
    there: dict[str, str] = {}
    for name, field in ServiceSettings.model_fields.items():
        value: Any = field.default
        if name == "storage":
            there["STORAGE__..."] = ""
            continue
        if name == "prefix":
            value = Settings().key_prefix
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        there[name.upper()] = "" if value in (None, ()) else str(value)
    assert told == there


def test_every_endpoint_is_there_with_its_role() -> None:
    told = {
        (method, path.partition("?")[0]): role
        for method, path, role in re.findall(
            r"^\| `([A-Z]+) (\S+)` \| *(\w*) *\|", section("By example"), re.M
        )
    }
    document = create_app(ServiceSettings(url=SecretStr("redis://127.0.0.1:1/0"))).openapi()
    there = {
        (method.upper(), path): operation.get(ROLE_OF_ROUTE, "")
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if path != "/metrics"  # see docs/observability.md
    }
    assert told == there


def test_every_problem_is_there() -> None:
    told = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", section("Errors")))
    sources = (ROOT / "pharox_redis" / "service").rglob("*.py")
    names = {
        name
        for path in sources
        for name in re.findall(r'\bname="([a-z]+(?:-[a-z]+)+)"', path.read_text())
    } - {"pharox-redis-sweeper"}
    assert told - {"application/problem+json"} == names - {"proxy-elsewhere"}


def test_the_snippets_can_be_read() -> None:
    snippets = dict(re.findall(r"```(ini|yaml)\n(.*?)```", TEXT, re.DOTALL))
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(snippets["ini"])
    assert "serve" in unit["Service"]["ExecStart"]
    service = yaml.safe_load(snippets["yaml"])["leases"]
    for name in service["environment"]:
        assert name.removeprefix(ENV_PREFIX).lower() in ServiceSettings.model_fields
