"""What the figures were measured on: the machine, and the version of everything that took part."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "pharox-redis",
    "pharox",
    "redis",
    "hiredis",
    "pydantic",
    "py-redis-semaphore",
    "SQLAlchemy",
    "psycopg",
)


def environment(client: Any, where: str, postgres: str | None = None) -> dict[str, str]:
    """Names and values for the header of a report, in its order.

    ``where`` says which server it is, ``postgres`` is the version of the other one. There is no
    address and no name of a host in it: results are published.
    """
    found = {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory()}",
        "system": f"{platform.system()} {platform.release()}",
        "server": f"{_server(client)}, {where}",
    }
    if postgres is not None:
        found["PostgreSQL"] = postgres
    found["Python"] = f"{platform.python_implementation()} {platform.python_version()}"
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _server(client: Any) -> str:
    info = client.info("server")
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return model[1] if model else platform.processor() or platform.machine()


def _memory() -> str:
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{size / 2**30:.0f} GiB"
