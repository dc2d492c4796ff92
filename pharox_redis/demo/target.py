"""The web server that the demo scrapes.

A page takes 5 to 30 ms and says through which proxy port the request reached it. The port comes
from a header that the forward proxies set, so a page fetched past them says none.

Run as a process: prints ``{"port": ...}`` when it is ready, ends when its standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import random

from aiohttp import web

from pharox_redis.demo.children import announce, stdin_closed

PORT_HEADER = "X-Demo-Proxy-Port"
LOOPBACK = "127.0.0.1"
_FILLER = "All work and no play makes a dull page. " * 40


async def page(request: web.Request) -> web.Response:
    """Answer one page after a delay as real pages have it."""
    await asyncio.sleep(random.uniform(0.005, 0.030))
    port = request.headers.get(PORT_HEADER)
    return web.json_response(
        {
            "page": request.match_info["number"],
            "proxy_port": int(port) if port else None,
            "text": _FILLER,
        }
    )


async def health(_request: web.Request) -> web.Response:
    """Answer at once: what the health checks of the proxies fetch."""
    return web.Response(text="ok")


async def serve() -> None:
    """Serve until standard input closes."""
    app = web.Application()
    app.add_routes([web.get("/page/{number}", page), web.get("/health", health)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        announce(json.dumps({"port": runner.addresses[0][1]}))
        await stdin_closed()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
