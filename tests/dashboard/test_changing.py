"""What an administrator may do, and that nobody else may."""

from uuid import UUID

from fastapi import FastAPI
from pharox.models import LeaseStatus, ProxyStatus
from playwright.sync_api import expect

from pharox_redis import RedisStorage
from pharox_redis.service.api_keys import ApiKey, KeyRing, Role, digest_of
from tests.dashboard.browsing import Dashboard, Opener, add_pool, route
from tests.service.serving import KEYS, Service
from tests.support.builders import make_proxies

ADMIN = KEYS[Role.ADMIN]


def status_of(storage: RedisStorage, proxy_id: UUID) -> ProxyStatus:
    return storage.get_proxy(proxy_id).status


def test_ban_and_unban(dashboard: Dashboard, storage: RedisStorage) -> None:
    pool = add_pool(storage, "shop")
    proxy, other = made = make_proxies(pool, 2)
    storage.add_proxies_bulk(made)
    page = dashboard.open(ADMIN, route(pool.id))
    ban = page.get_by_role("button", name=f"Ban {proxy.host}:{proxy.port}", exact=True)
    dialog = page.get_by_role("dialog")

    for no in ("Escape", "Enter"):  # Cancel has the focus
        ban.click()
        expect(dialog).to_contain_text(f"Ban {proxy.host}:{proxy.port}?")
        page.keyboard.press(no)
        expect(dialog).to_be_hidden()
        expect(ban).to_be_focused()
        assert status_of(storage, proxy.id) is ProxyStatus.ACTIVE

    ban.click()
    dialog.get_by_role("button", name="Ban").click()
    expect(page.get_by_role("status").filter(has_text="is banned")).to_be_visible()
    assert status_of(storage, proxy.id) is ProxyStatus.BANNED
    assert status_of(storage, other.id) is ProxyStatus.ACTIVE
    assert dashboard.column("status") == ["banned", "active"]
    dashboard.tick()
    expect(page.locator(".band")).to_contain_text("1 inactive")

    page.get_by_role("button", name="Unban").click()
    expect(page.get_by_role("status").filter(has_text="active again")).to_be_visible()
    assert status_of(storage, proxy.id) is ProxyStatus.ACTIVE
    assert dashboard.column("status") == ["active", "active"]


def test_release(dashboard: Dashboard, storage: RedisStorage) -> None:
    pool = add_pool(storage, "shop")
    storage.add_proxies_bulk(make_proxies(pool, 2))
    first = storage.acquire_lease("shop", "scraper-1", 60)
    second = storage.acquire_lease("shop", "scraper-2", 3000)
    assert first is not None and second is not None
    assert first.proxy is not None
    page = dashboard.open(ADMIN, route(pool.id, leases=True))
    expect(dashboard.rows()).to_have_count(2)
    assert dashboard.column("holder") == ["scraper-1", "scraper-2"]
    assert dashboard.column("proxy")[0] == f"{first.proxy.host}:{first.proxy.port}"
    before = dashboard.column("left")
    # It counts down, by the clock of the server: the page's goes as fast as we like.
    dashboard.until(lambda: dashboard.column("left") < before, most=1000)

    page.get_by_role("button", name="Release the lease of scraper-1").click()
    page.get_by_role("dialog").get_by_role("button", name="Release").click()
    expect(page.get_by_role("status").filter(has_text="is released")).to_be_visible()
    expect(dashboard.rows()).to_have_count(1)
    ended = storage.get_lease(first.id)
    held = storage.get_lease(second.id)
    assert ended is not None and ended.status is LeaseStatus.RELEASED
    assert held is not None and held.status is LeaseStatus.ACTIVE
    dashboard.tick(3)
    assert dashboard.column("holder") == ["scraper-2"]

    storage.release_lease(second)
    dashboard.until(lambda: page.get_by_text("Nobody holds a proxy").is_visible())


def test_others_have_no_buttons_and_no_right(
    opener: Opener, site: Service, storage: RedisStorage
) -> None:
    pool = add_pool(storage, "shop")
    (proxy,) = made = make_proxies(pool, 1, max_concurrency=2)
    storage.add_proxies_bulk(made)
    lease = storage.acquire_lease("shop", "scraper", 60)
    assert lease is not None
    for role in (Role.READ, Role.LEASE):
        dashboard = opener(site)
        page = dashboard.open(KEYS[role], route(pool.id))
        expect(dashboard.rows()).to_have_count(1)
        assert page.locator(".rows button").count() == 0
        path = f"/v1/pools/{pool.id}/proxies/{proxy.id}"
        answer = page.evaluate(
            """async ([path, key]) => (await fetch(path, {
              method: "PATCH", body: '{"status": "banned"}',
              headers: { "X-API-Key": key, "Content-Type": "application/json" },
            })).status""",
            [path, KEYS[role]],
        )
        assert answer == 403
        page.goto(f"{site.url}/{route(pool.id, leases=True)}")
        expect(dashboard.rows()).to_have_count(1)
        assert page.locator(".rows button").count() == 0
    assert status_of(storage, proxy.id) is ProxyStatus.ACTIVE


def test_a_key_that_is_admin_no_more_is_told_so(
    opener: Opener, keyed: tuple[Service, FastAPI]
) -> None:
    service, app = keyed
    pool = add_pool(service.storage, "shop")
    (proxy,) = made = make_proxies(pool, 1)
    service.storage.add_proxies_bulk(made)
    dashboard = opener(service)
    page = dashboard.open(ADMIN, route(pool.id))
    expect(dashboard.rows()).to_have_count(1)
    app.state.keys = KeyRing([ApiKey("ops", Role.READ, digest_of(ADMIN))])
    page.get_by_role("button", name="Ban").click()
    page.get_by_role("dialog").get_by_role("button", name="Ban").click()
    expect(page.locator(".toast.failed")).to_contain_text("is as it was")
    assert status_of(service.storage, proxy.id) is ProxyStatus.ACTIVE
    assert dashboard.column("status") == ["active"]
