"""What browsers get: the dashboard's files, the documentation, and headers that fence them in."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import httpx
import pytest

from pharox_redis.service import pages
from pharox_redis.service.api_keys import Role
from pharox_redis.service.app import create_app
from tests.service.serving import Service, headers_of, listening, problem, settings_for

FILES = {
    "index.html": ("text/html; charset=utf-8", "<!doctype html><title>p</title>"),
    "dashboard.css": ("text/css; charset=utf-8", "p { color: red }"),
    "dashboard.js": ("text/javascript; charset=utf-8", "'use strict'"),
    "favicon.svg": ("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
}


@pytest.fixture
def dashboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files in place of the dashboard's."""
    for name, (_, text) in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "notes.txt").write_text("not for browsers")
    monkeypatch.setattr(pages, "DASHBOARD", tmp_path)
    return tmp_path


def test_files_are_served_without_a_key(dashboard: Path) -> None:
    app = create_app(settings_for("redis://127.0.0.1:1/0", "p"))
    with listening(app) as url, httpx.Client(base_url=url) as client:
        for name, (kind, text) in FILES.items():
            path = "/" if name == "index.html" else f"/dashboard/{name}"
            reply = client.get(path)
            assert (reply.status_code, reply.text) == (200, text)
            assert reply.headers["content-type"] == kind
            assert reply.headers["cache-control"] == "no-cache"
            policy = reply.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'")
            assert "unsafe" not in policy and "http" not in policy

            etag = reply.headers["etag"]
            again = client.get(path, headers={"If-None-Match": f'"other", {etag}'})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == etag
            assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
            assert client.head(path).status_code == 200
        for path in (
            "/dashboard/notes.txt",
            "/dashboard/../app.py",
            "/dashboard/%2e%2e/app.py",
            "/dashboard/",
            "/dashboard/index.html",
        ):
            assert client.get(path).status_code == 404


def test_it_can_be_left_out(dashboard: Path) -> None:
    settings = settings_for("redis://127.0.0.1:1/0", "p", dashboard=False, docs=False)
    with listening(create_app(settings)) as url, httpx.Client(base_url=url) as client:
        for path in ("/", "/dashboard/dashboard.js", "/docs", "/openapi.json"):
            problem(client.get(path), 404)


def test_replies_are_fenced_in(service: Service) -> None:
    with httpx.Client(base_url=service.url, headers=headers_of(Role.READ)) as client:
        for path in ("/v1/pools/", "/nothing", "/healthz", "/openapi.json", "/v1/pools/x"):
            headers = client.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cache-control"] == "no-store"
            assert headers["content-security-policy"].startswith("default-src 'none';")
            assert "access-control-allow-origin" not in headers


def test_the_documentation_runs_nothing_but_swagger_ui(service: Service) -> None:
    reply = httpx.get(f"{service.url}/docs")
    policy = reply.headers["content-security-policy"]
    (script,) = re.findall(r"<script>(.*?)</script>", reply.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    script_sources = re.search(r"script-src ([^;]*)", policy)
    assert script_sources and "unsafe" not in script_sources[1]
    assert "connect-src 'self'" in policy and "http" not in policy
    assert not re.search(r"(https?:)?//", reply.text.replace(script, ""))
    for name in re.findall(r"(?:href|src)=\"(docs/[^\"]+)\"", reply.text):
        assert httpx.get(f"{service.url}/{name}").status_code == 200
