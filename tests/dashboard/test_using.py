"""How it is used: by keyboard, on a phone, light and dark, without motion, and with Redis away."""

import re

from pharox.models import ProxyStatus
from playwright.sync_api import expect

from pharox_redis import RedisStorage
from pharox_redis.embedded import EmbeddedServer
from pharox_redis.service.api_keys import Role
from tests.dashboard.browsing import Dashboard, Opener, add_pool, route
from tests.service.serving import KEYS, Service, serving
from tests.support.builders import make_proxies

ADMIN = KEYS[Role.ADMIN]


def test_by_keyboard_alone(dashboard: Dashboard, storage: RedisStorage) -> None:
    pool = add_pool(storage, "shop")
    made = make_proxies(pool, 200)
    storage.add_proxies_bulk(made)
    page = dashboard.open()
    press = page.keyboard.press
    focused = page.locator(":focus")

    def tab_to(name: str | re.Pattern[str]) -> None:
        for _ in range(20):
            press("Tab")
            if focused.count() and re.search(name, page.evaluate(
                "(document.activeElement.ariaLabel || document.activeElement.textContent || '')"
            )):  # fmt: skip
                return
        raise AssertionError(f"no way to {name}")

    expect(page.get_by_label("Key of this lease service")).to_be_focused()
    page.keyboard.type(ADMIN)
    press("Enter")
    expect(dashboard.pool("shop")).to_be_visible()
    tab_to("^shop$")
    press("Enter")
    expect(page.get_by_role("heading", name="shop")).to_be_focused()
    expect(dashboard.shown()).to_have_text("200 proxies")
    tab_to("^Ban ")
    # One button of the list is on the way of Tab; arrows go on from it.
    assert page.locator(".rows button[tabindex='0']").count() == 1
    press("End")
    expect(focused).to_have_accessible_name(f"Ban {made[-1].host}:{made[-1].port}")
    expect(focused).to_be_in_viewport()
    press("Home")
    press("ArrowDown")
    press("ArrowDown")
    expect(focused).to_have_accessible_name(f"Ban {made[2].host}:{made[2].port}")
    expect(focused).to_be_in_viewport()
    dashboard.tick(3)
    expect(focused).to_have_accessible_name(f"Ban {made[2].host}:{made[2].port}")
    press("Enter")
    expect(focused).to_have_text("Cancel")
    press("Tab")
    press("Enter")
    expect(focused).to_have_accessible_name(f"Unban {made[2].host}:{made[2].port}")
    assert storage.get_proxy(made[2].id).status is ProxyStatus.BANNED
    press("Shift+Tab")
    press("Tab")
    expect(focused).to_have_accessible_name(f"Unban {made[2].host}:{made[2].port}")


def test_light_and_dark(opener: Opener, site: Service) -> None:
    def ground(dashboard: Dashboard) -> int:
        colour = dashboard.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)))

    dashboard = opener(site, color_scheme="dark")
    page = dashboard.open()
    dark = ground(dashboard)
    page.emulate_media(color_scheme="light")
    light = ground(dashboard)
    assert dark < 150 and light > 650

    page.get_by_role("button", name="Switch to the dark theme").click()
    assert ground(dashboard) == dark
    page.reload()
    assert ground(dashboard) == dark
    page.get_by_role("button", name="Switch to the light theme").click()
    assert ground(dashboard) == light
    # That is the system's choice: it is followed again.
    assert page.evaluate("localStorage.length") == 0
    page.emulate_media(color_scheme="dark")
    assert ground(dashboard) == dark


def test_on_a_phone_and_without_motion(
    opener: Opener, site: Service, storage: RedisStorage
) -> None:
    pool = add_pool(storage, "a-rather-long-name-of-a-pool" * 3)
    storage.add_proxies_bulk(make_proxies(pool, 100))
    storage.acquire_leases(pool.name, "scraper-with-a-long-name" * 5, 60, 50)
    phone = {"viewport": {"width": 360, "height": 740}, "reduced_motion": "reduce"}
    dashboard = opener(site, **phone)
    page = dashboard.open(ADMIN)
    expect(dashboard.pool(pool.name)).to_be_visible()
    for at in (route(pool.id), route(pool.id, leases=True), "#/"):
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate("document.getAnimations().length") == 0
        page.goto(f"{site.url}/{at}")
        if at != "#/":
            expect(page.locator(".view:not([hidden]) .rows button").first).to_be_visible()
            # Nothing of a row is cut off or over another.
            assert page.evaluate(
                """() => [...document.querySelectorAll('.view:not([hidden]) .rows .row')].every(
                  (row) => row.scrollHeight <= row.clientHeight + 1)"""
            )


def test_redis_away_and_back(opener: Opener) -> None:
    with EmbeddedServer() as server, serving(server.url, server_timeout=0.2) as service:
        pool = add_pool(service.storage, "shop")
        service.storage.add_proxies_bulk(make_proxies(pool, 3))
        dashboard = opener(service)
        page = dashboard.open(ADMIN)
        banner = page.get_by_role("alert")
        expect(dashboard.pool("shop")).to_contain_text("3 available")
        assert banner.count() == 0

        server.kill()
        dashboard.tick()
        expect(banner).to_contain_text("Since ")
        expect(banner).to_contain_text("The page goes on by itself.")
        expect(dashboard.pool("shop")).to_contain_text("3 available")  # the last that was read
        expect(page.get_by_role("banner")).to_contain_text("no answer")
        since = banner.inner_text()
        page.clock.run_for(5000)
        assert banner.inner_text() == since
        # A page that is opened meanwhile waits, too.
        other = opener(service)
        other.open(ADMIN)
        expect(other.page.get_by_role("alert")).to_contain_text("Since ")

        server.restart()
        for each in (dashboard, other):
            for _ in range(20):
                each.page.clock.run_for(3000)
                if each.pool("shop").count() and not each.page.get_by_role("alert").count():
                    break
                each.page.wait_for_load_state("networkidle")
            expect(each.page.get_by_role("alert")).to_have_count(0)
            expect(each.page.get_by_role("banner")).to_contain_text("live")
            expect(each.pool("shop")).to_contain_text("3 available")


def test_no_network(dashboard: Dashboard, storage: RedisStorage) -> None:
    add_pool(storage, "shop")
    page = dashboard.open(ADMIN)
    expect(dashboard.pool("shop")).to_be_visible()
    dashboard.context.set_offline(True)
    page.clock.run_for(1500)
    expect(page.get_by_role("alert")).to_contain_text("No answer from the service.")
    dashboard.context.set_offline(False)
    page.clock.run_for(3000)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_tab_that_nobody_sees_asks_rarely(dashboard: Dashboard, storage: RedisStorage) -> None:
    add_pool(storage, "shop")
    page = dashboard.open(ADMIN)
    expect(dashboard.pool("shop")).to_be_visible()
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, writable: true })")
    dashboard.tick()
    asked = len(dashboard.requests)
    page.clock.run_for(10_000)
    assert len(dashboard.requests) == asked
    with page.expect_response("**/v1/overview"):
        page.evaluate(
            "document.hidden = false; document.dispatchEvent(new Event('visibilitychange'))"
        )
    dashboard.tick()
