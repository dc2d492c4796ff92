"""The README's Python runs, and what it says about defaults is so."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pharox
import pytest

from pharox_redis import RedisStorage, Settings
from pharox_redis.embedded import EmbeddedServer
from tests.support.builders import make_proxies

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_quickstart_runs_and_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    quickstart = blocks()[0]
    exec(compile(quickstart, "README.md", "exec"), {})
    promised = re.findall(r"print\(.*\)  # ([^:\s]+(?::[^ :]+)*)", quickstart)
    assert capsys.readouterr().out.split() == promised == ["http://192.0.2.1:8080", "10"]


def test_further_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The blocks on acquire_lease, batches and asyncio, in the place of the quickstart's."""
    code = [compile(block, "README.md", "exec") for block in blocks()[1:4]]
    with EmbeddedServer() as server, RedisStorage.from_url(server.url) as storage:
        pool = storage.ensure_pool("latam")
        storage.add_proxies_bulk(make_proxies(pool, 2, country="BR", host="192.0.2.9"))
        scope: dict[str, Any] = {
            "ProxyFilters": pharox.ProxyFilters,
            "storage": storage,
        }
        exec(code[0], scope)
        assert scope["lease"] is not None
        exec(code[1], scope)
        assert len(scope["leases"]) == 2
        assert capsys.readouterr().out.splitlines()[2:] == ["2 released"]
        exec(code[2], scope)
        asyncio.run(scope["main"](server.url))
        assert capsys.readouterr().out.startswith("http://192.0.2.9:")
        assert storage.list_leases() == []


def test_settings_shown_are_the_defaults() -> None:
    (settings_block,) = [block for block in blocks() if "settings = Settings(" in block]
    scope: dict[str, object] = {}
    exec(compile(settings_block, "README.md", "exec"), scope)
    assert scope["settings"] == Settings()
    assert all(f"    {name}=" in settings_block for name in Settings.model_fields)
