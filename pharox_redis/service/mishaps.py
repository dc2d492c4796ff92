"""The last resort: what nobody expected becomes a 500, and a log entry without values.

The message of an error may quote what it was about, which may be a password; so its kind and the
places in the code are logged, and no more.
"""

from __future__ import annotations

import logging
import traceback

from pharox.exceptions import PharoxError
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pharox_redis.service.problems import Problem, internal

logger = logging.getLogger("pharox_redis.service")


def log_mishap(method: str, path: str, error: BaseException) -> None:
    """Log an error of ours, without its message."""
    places = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    logger.error("%s %s: %s\n%s", method, path, type(error).__name__, places)


def log_storage(request: Request, error: PharoxError, problem: Problem) -> None:
    """Log what the storage raised, if the client was not at fault: a line, or as a mishap."""
    path = request.scope["path"]
    if problem.document.type == "about:blank":
        log_mishap(request.method, path, error)
    elif problem.status_code >= 500:
        logger.warning("%s %s: %s", request.method, path, error)


class Mishaps:
    """ASGI middleware: the outermost that answers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request (ASGI)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except Exception as error:
            log_mishap(scope["method"], scope["path"], error)
            if not started:
                await internal().response()(scope, receive, send)
