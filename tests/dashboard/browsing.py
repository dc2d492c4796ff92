"""A dashboard in a browser: opened with a key, moved on in time, and watched for what must not be.

Time in a page goes as it does, and faster where a test moves it: nobody waits for a refresh.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from typing import Any
from uuid import UUID

from pharox.models import ProxyPool
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, expect

from pharox_redis import RedisStorage

CHROMIUM = os.environ.get("PHAROX_REDIS_TEST_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
KEY_ITEM = "pharox-redis.key"
# What Chromium itself says of an answer that is an error, or of none: not the page's mistake.
_OF_THE_NETWORK = re.compile(
    r"Failed to load resource: (the server responded with a status of (401|403|404|503) |net::ERR_)"
)
_WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sample }) =>
  window.violations.push(`${violatedDirective} ${blockedURI} ${sample}`));
"""


class Dashboard:
    """One page, at one service."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.wrong: list[str] = []
        context.add_init_script(_WATCH)
        context.on("request", lambda request: self.requests.append(request))
        context.on("weberror", lambda error: self.wrong.append(f"error: {error.error}"))
        context.on("console", self._said)
        self.context = context
        self.page = context.new_page()
        self.page.clock.install()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _OF_THE_NETWORK.match(message.text):
            self.wrong.append(f"{message.type}: {message.text}")

    def open(self, key: str | None = None, at: str = "") -> Page:
        """Open the page, with a key in its session already, at a route (``#/...``)."""
        if key is not None:
            self.context.add_init_script(
                f"if (!sessionStorage.getItem('opened')) {{"
                f"sessionStorage.setItem('opened', '1');"
                f"sessionStorage.setItem('{KEY_ITEM}', {key!r}); }}"
            )
        self.page.goto(f"{self.url}/{at}")
        return self.page

    def tick(self, times: int = 1) -> None:
        """Let the page read the overview so many times more."""
        for _ in range(times):
            with self.page.expect_response("**/v1/overview"):
                self.page.clock.run_for(1000)
        # What the reply brings is drawn in the next frame.
        self.page.clock.run_for(50)

    def scroll_to(self, top: int) -> None:
        """Scroll the page, and have it draw what is there."""
        self.page.evaluate(
            """(top) => new Promise((seen) => {
              addEventListener("scroll", seen, { once: true });
              scrollTo(0, top);
            }).then(() => null)""",
            top,
        )
        self.page.clock.run_for(50)

    def until(self, seen: Callable[[], Any], most: int = 30) -> None:
        """Tick until ``seen()`` is true."""
        for _ in range(most):
            if seen():
                return
            self.tick()
        raise AssertionError("it never came about")

    def violations(self) -> list[str]:
        found: list[str] = self.page.evaluate("window.violations ?? []")
        return found

    def check(self) -> None:
        """Nothing went wrong that a person would not see: errors, violations, other origins."""
        if not self.page.is_closed():
            self.wrong += [f"violation: {each}" for each in self.violations()]
        elsewhere = {r.url for r in self.requests if not r.url.startswith(f"{self.url}/")}
        assert not elsewhere, f"the page asked elsewhere: {elsewhere}"
        assert not self.wrong, self.wrong

    # -- what is on the page -------------------------------------------------------------------

    def pool(self, name: str) -> Any:
        """A pool's row on the first page."""
        return (
            self.page.get_by_role("table", name="Pools")
            .get_by_role("row")
            .filter(has=self.page.get_by_role("link", name=name, exact=True))
        )

    def heads(self) -> dict[str, str]:
        """The figures on top: Available, Leases, Acquires / s, Misses / s."""
        metrics = self.page.locator(".band .metric").all()
        return {
            each.locator(".label").inner_text(): each.locator(".value").inner_text()
            for each in metrics
        }

    def column(self, name: str) -> list[str]:
        """The texts of a column, of the rows that are elements now, from top to bottom."""
        cells = self.page.locator(f".view:not([hidden]) .rows .c-{name}")
        return [text.strip() for text in cells.all_text_contents()]

    def rows(self) -> Any:
        return self.page.locator(".view:not([hidden]) .rows .row")

    def shown(self) -> Any:
        """The line that says how many rows there are."""
        return self.page.locator(".view:not([hidden]) .shown")


Opener = Callable[..., Dashboard]


def add_pool(storage: RedisStorage, name: str, description: str | None = None) -> ProxyPool:
    pool = ProxyPool(name=name, description=description)
    storage.add_pool(pool)
    return pool


def route(pool_id: UUID, leases: bool = False) -> str:
    return f"#/pools/{pool_id}{'/leases' if leases else ''}"


expect.set_options(timeout=20_000)
