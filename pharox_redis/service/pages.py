"""What a browser asks for: the dashboard, and the page with the API's documentation.

The dashboard's files (``dashboard/``) are read once, at the start; each has an ETag. Its policy
allows nothing but them and this service. The documentation is Swagger UI, as the package
``fastapi_offline`` brings it along: people type API keys there, and nothing of that page comes from
elsewhere either.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, NamedTuple

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response
from starlette.routing import Route

DASHBOARD: Final = Path(__file__).parent / "dashboard"
INDEX: Final = "index.html"
_KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
DASHBOARD_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_DOCS_POLICY: Final = (
    "default-src 'none'; script-src 'self' '{script}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_SWAGGER: Final = ("swagger-ui-bundle.js", "swagger-ui.css")


class _File(NamedTuple):
    body: bytes
    headers: dict[str, str]


def add_dashboard(app: FastAPI) -> None:
    """Serve the dashboard's files: ``/`` and ``/dashboard/<file>``; without files nothing."""
    for path in sorted(DASHBOARD.glob("*")):
        if path.suffix in _KINDS and path.is_file():
            _serve(app, "/" if path.name == INDEX else f"/dashboard/{path.name}", _read(path))


def _serve(app: FastAPI, path: str, file: _File) -> None:
    async def serve(request: Request) -> Response:
        etags = request.headers.get("if-none-match", "")
        if file.headers["ETag"] in (each.strip() for each in etags.split(",")):
            return Response(status_code=304, headers=file.headers)
        return Response(file.body, headers=file.headers)

    app.router.routes.append(Route(path, serve, methods=["GET"], include_in_schema=False))


def _read(path: Traversable) -> _File:
    body = path.read_bytes()
    headers = {
        "Content-Type": _KINDS[Path(path.name).suffix],
        "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        # Kept, but asked for each time: an upgrade shows at once.
        "Cache-Control": "no-cache",
        "Content-Security-Policy": DASHBOARD_POLICY,
    }
    return _File(body, headers)


def add_docs(app: FastAPI, openapi_url: str) -> None:
    """Serve Swagger UI at ``/docs``, and its files below."""
    for name in _SWAGGER:
        _serve(app, f"/docs/{name}", _read(files("fastapi_offline") / "static" / name))
    page = get_swagger_ui_html(
        # Relative, so that it works below whatever path a proxy in front puts it.
        openapi_url=openapi_url.lstrip("/"),
        title="pharox-redis",
        swagger_js_url=f"docs/{_SWAGGER[0]}",
        swagger_css_url=f"docs/{_SWAGGER[1]}",
        swagger_favicon_url="dashboard/favicon.svg",
    )
    body = bytes(page.body)
    (script,) = re.findall(rb"<script>(.*?)</script>", body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    policy = _DOCS_POLICY.format(script=f"sha256-{digest}")

    async def docs(_: Request) -> Response:
        headers = {"Content-Security-Policy": policy}
        return Response(body, headers=headers, media_type="text/html")

    app.router.routes.append(Route("/docs", docs, methods=["GET"], include_in_schema=False))
