"""The dashboard of a real service before the embedded server, in a real Chromium.

All of these tests run in one process (``xdist_group``), with one browser and one service. Without
Chromium only ``test_there_is_a_browser`` is left of them: it fails where ``CI`` is set, and is
skipped with the reason on somebody's machine.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, sync_playwright

from pharox_redis import RedisStorage
from pharox_redis.service.app import create_app
from pharox_redis.service.settings import ENV_PREFIX
from tests.dashboard.browsing import ARGUMENTS, CHROMIUM, Dashboard, Opener
from tests.service.serving import Service, listening, serving, settings_for
from tests.support.invariants import check_invariants


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if CHROMIUM is None:
        left_out = [item for item in items if "browser" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        if item.nodeid.startswith("tests/dashboard/"):
            item.add_marker(pytest.mark.xdist_group("dashboard"))


@pytest.fixture(autouse=True, scope="package")
def _no_environment() -> Iterator[None]:
    """Settings are a test's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(ENV_PREFIX):
                patch.delenv(name)
        yield


# Of the package, not the session: while it runs, the thread has a running event loop, and other
# tests want to run their own. The package is one by its __init__.py; without, the session is meant.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def site(valkey_url: str) -> Iterator[Service]:
    """A service with a key of each role."""
    with serving(valkey_url) as running:
        yield running


@pytest.fixture
def keyed(valkey_url: str) -> Iterator[tuple[Service, FastAPI]]:
    """A service whose keys a test may change, and the application to change them in."""
    settings = settings_for(valkey_url, f"s{secrets.token_hex(5)}")
    app = create_app(settings)
    with RedisStorage.from_url(valkey_url, settings.storage) as storage, listening(app) as url:
        yield Service(url, storage, []), app


@pytest.fixture
def storage(site: Service) -> Iterator[RedisStorage]:
    """The storage that the service serves; it has no pools at the beginning."""
    yield site.storage
    check_invariants(site.storage)
    for pool in site.storage.list_pools():
        site.storage.delete_pool(pool.id)


@pytest.fixture
def opener(browser: Browser) -> Iterator[Opener]:
    """Makes dashboards: ``opener(service, **options of the browser's context)``."""
    with ExitStack() as stack:

        def make(service: Service, **options: Any) -> Dashboard:
            options = {"viewport": {"width": 1280, "height": 800}, **options}
            context = stack.enter_context(browser.new_context(**options))
            dashboard = Dashboard(context, service.url)
            made.append(dashboard)
            return dashboard

        made: list[Dashboard] = []
        yield make
        for dashboard in made:
            dashboard.check()


@pytest.fixture
def dashboard(opener: Opener, site: Service, storage: RedisStorage) -> Dashboard:
    """A page, not opened yet, of the service with keys; ``storage`` is behind it."""
    return opener(site)
