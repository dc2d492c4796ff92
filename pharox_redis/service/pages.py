"""What a browser asks for: the dashboard, and the page with the API's documentation.

The dashboard's files (``dashboard/``) are read once, at the start; each has an ETag. Its policy
allows nothing but them and this service. The documentation is Swagger UI, which comes from a CDN:
its policy allows that one package, and that page may talk to this service only.
"""

from __future__ import annotations

import base64
import hashlib
import re
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
    "default-src 'none'; script-src {cdn} '{script}'; style-src {cdn} 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_SWAGGER: Final = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/"


class _File(NamedTuple):
    body: bytes
    headers: dict[str, str]


def add_dashboard(app: FastAPI) -> None:
    """Serve the dashboard's files: ``/`` and ``/dashboard/<file>``; without files nothing."""
    files = {
        path.name: _read(path)
        for path in sorted(DASHBOARD.glob("*"))
        if path.suffix in _KINDS and path.is_file()
    }

    async def serve(request: Request) -> Response:
        file = files[request.path_params.get("name", INDEX)]
        etags = request.headers.get("if-none-match", "")
        if file.headers["ETag"] in (each.strip() for each in etags.split(",")):
            return Response(status_code=304, headers=file.headers)
        return Response(file.body, headers=file.headers)

    for name in files:
        path = "/" if name == INDEX else f"/dashboard/{name}"

        async def one(request: Request, name: str = name) -> Response:
            request.path_params["name"] = name
            return await serve(request)

        app.router.routes.append(Route(path, one, methods=["GET"], include_in_schema=False))


def _read(path: Path) -> _File:
    body = path.read_bytes()
    headers = {
        "Content-Type": _KINDS[path.suffix],
        "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        # Kept, but asked for each time: an upgrade shows at once.
        "Cache-Control": "no-cache",
        "Content-Security-Policy": DASHBOARD_POLICY,
    }
    return _File(body, headers)


def add_docs(app: FastAPI, openapi_url: str) -> None:
    """Serve Swagger UI at ``/docs``."""
    page = get_swagger_ui_html(
        # Relative, so that it works below whatever path a proxy in front puts it.
        openapi_url=openapi_url.lstrip("/"),
        title="pharox-redis",
        swagger_js_url=f"{_SWAGGER}swagger-ui-bundle.js",
        swagger_css_url=f"{_SWAGGER}swagger-ui.css",
        swagger_favicon_url="dashboard/favicon.svg",
    )
    body = bytes(page.body)
    (script,) = re.findall(rb"<script>(.*?)</script>", body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    policy = _DOCS_POLICY.format(cdn=_SWAGGER, script=f"sha256-{digest}")

    async def docs(_: Request) -> Response:
        headers = {"Content-Security-Policy": policy}
        return Response(body, headers=headers, media_type="text/html")

    app.router.routes.append(Route("/docs", docs, methods=["GET"], include_in_schema=False))
