"""Without API keys only this machine is served.

``pharox-redis serve`` does not bind anything else then. Another server (``uvicorn --host 0.0.0.0``)
does not ask, so each request is looked at: where it came from, and where to.

A page in a browser on this machine is not trusted either. One that has its name resolve to
127.0.0.1 (DNS rebinding) sends that name as ``Host``; one that posts across origins sends its own
as ``Origin``. Both are refused.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pharox_redis.service.problems import Problem

_OPEN: Final = ("/healthz", "/readyz")


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine for everyone who asks there."""
    bare = host.strip("[]").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        address = ip_address(bare)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


class LoopbackOnly:
    """ASGI middleware: refuses what does not come from, and go to, this machine."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request (ASGI)."""
        why = _objection(scope) if scope["type"] == "http" else None
        if why is None:
            await self.app(scope, receive, send)
            return
        problem = Problem(
            403,
            f"{why} No API key is configured, so this service answers programs on its own machine "
            "only. Set PHAROX_REDIS_API_KEYS; `pharox-redis serve --new-key NAME --role ROLE` "
            "makes one.",
            name="no-keys",
            title="Only for this machine",
        )
        await problem.response()(scope, receive, send)


def _objection(scope: Scope) -> str | None:
    if scope["path"] in _OPEN:
        return None
    for name, end in (("came from", scope.get("client")), ("was sent to", scope.get("server"))):
        # A Unix socket has no port, and is this machine's.
        if end is not None and end[1] is not None and not is_loopback(str(end[0])):
            return f"The request {name} another address than a loopback one."
    headers = Headers(scope=scope)
    if not is_loopback(_host_of(f"//{headers.get('host', '')}")):
        return "The Host header does not name this machine."
    origin = headers.get("origin")
    if origin is not None and not is_loopback(_host_of(origin)):
        return "The request is a page's of another origin."
    return None


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
