"""How much a client may send, and how slowly.

A body that says how long it is and is too long is refused at once, any other when it gets too long:
no more of it than the limit is ever held. Nothing of a body is read before somebody wants it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pharox_redis.service.problems import Problem

LARGEST_PAGE: Final = 1_000
LONGEST_NAME: Final = 200
LONGEST_TEXT: Final = 2_000
LONGEST_KEY_HEADER: Final = 255
BULK_PATH_END: Final = "/proxies/bulk"


class BodyLimits:
    """ASGI middleware. A bulk of proxies has a limit of its own: it is streamed."""

    def __init__(
        self, app: ASGIApp, *, largest: int, largest_bulk: int, pause_seconds: float
    ) -> None:
        self.app = app
        self._largest = largest
        self._largest_bulk = largest_bulk
        self._pause_seconds = pause_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request (ASGI)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        bulk = scope["method"] == "POST" and scope["path"].endswith(BULK_PATH_END)
        limit = self._largest_bulk if bulk else self._largest
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
            await too_large(limit).response()(scope, receive, send)
            return
        seen, ended = 0, False

        async def limited() -> Message:
            nonlocal seen, ended
            if ended:  # whoever waits now waits for the client to go away
                return await receive()
            try:
                async with asyncio.timeout(self._pause_seconds):
                    message = await receive()
            except TimeoutError:
                raise Problem(
                    408,
                    f"Nothing of the body came for {self._pause_seconds:g} seconds.",
                    headers={"Connection": "close"},
                ) from None
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                ended = not message.get("more_body", False)
                if seen > limit:
                    raise too_large(limit)
            return message

        await self.app(scope, limited, send)


def too_large(limit: int) -> Problem:
    """The body is too long. The connection ends: what is still to come is not waited for."""
    return Problem(
        413, f"The body is longer than {limit:,} bytes.", headers={"Connection": "close"}
    )
