"""Counts requests, as ASGI middleware: by the template of the route, never by the path."""

from __future__ import annotations

import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pharox_redis.service.metrics import Metrics

UNMATCHED: Final = "unmatched"
"""The route of requests that no route is for."""

OTHER_METHOD: Final = "other"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class CountedRequests:
    """Tells ``Metrics`` of each request: how it was answered, and how long that took."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, gone, answered = 0, False, False

        async def sending(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not message.get("more_body", False):
                answered = True
            await send(message)

        async def receiving() -> Message:
            nonlocal gone
            message = await receive()
            # Also said after the answer.
            if message["type"] == "http.disconnect" and not answered:
                gone = True
            return message

        began = time.perf_counter()
        try:
            with self._metrics.requests_open.track_inprogress():
                await self._app(scope, receiving, sending)
        except Exception:
            status = status or 500  # what the server makes of it
            raise
        finally:
            # The router leaves here which route it was.
            route = getattr(scope.get("route"), "path", UNMATCHED)
            method = scope["method"] if scope["method"] in _METHODS else OTHER_METHOD
            seconds = time.perf_counter() - began
            self._metrics.observe_request(route, method, 0 if gone else status, seconds)
