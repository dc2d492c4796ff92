"""The proxies of a pool: ten thousand of them, filters, sorting, refreshes."""

from collections.abc import Iterator
from ipaddress import ip_address
from random import Random

import pytest
from pharox.models import ProxyStatus
from playwright.sync_api import CDPSession, expect

from pharox_redis import RedisStorage
from pharox_redis.service.api_keys import Role
from tests.dashboard.browsing import Dashboard, Opener, add_pool, route
from tests.service.serving import KEYS, Service, serving
from tests.support.builders import make_proxies, make_proxy

ADMIN = KEYS[Role.ADMIN]
COUNTRIES = ("AR", "BR", "CL", None)
STATUSES = (ProxyStatus.ACTIVE,) * 5 + (ProxyStatus.BANNED, ProxyStatus.INACTIVE, ProxyStatus.SLOW)


@pytest.fixture(scope="module")
def crowded(valkey_url: str) -> Iterator[Service]:
    """A service with one pool, of 10,000."""
    with serving(valkey_url) as service:
        fill(service.storage)
        yield service


def fill(storage: RedisStorage) -> None:
    chance = Random(10_000)
    pool = add_pool(storage, "crowd")
    storage.add_proxies_bulk(
        [
            make_proxy(
                pool,
                host=f"198.51.100.{number % 250 + 1}",
                port=2000 + number,
                country=chance.choice(COUNTRIES),
                status=chance.choice(STATUSES),
                max_concurrency=chance.choice((1, 2, 5)),
            )
            for number in range(10_000)
        ]
    )
    for _ in range(3):
        storage.acquire_leases("crowd", "scraper", 300, 150)


def counts(session: CDPSession) -> dict[str, float]:
    """What the renderer holds, garbage collected."""
    session.send("HeapProfiler.collectGarbage")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return {each["name"]: each["value"] for each in metrics}


def test_ten_thousand(opener: Opener, crowded: Service) -> None:
    dashboard = opener(crowded)
    (crowd,) = crowded.storage.list_pools()
    page = dashboard.open(ADMIN, route(crowd.id))
    stored = crowded.storage.list_proxies(str(crowd.id))
    expect(dashboard.shown()).to_have_text("10,000 proxies")
    table = page.get_by_role("table", name="Proxies")
    expect(table).to_have_attribute("aria-rowcount", "10001")
    assert dashboard.rows().count() < 60

    # In the service's order at first; sorted, as Python sorts.
    addresses = [f"{proxy.host}:{proxy.port}" for proxy in stored]
    assert dashboard.column("address") == addresses[: dashboard.rows().count()]
    by_address = sorted(stored, key=lambda proxy: (ip_address(str(proxy.host)), proxy.port))
    page.get_by_role("button", name="Address").click()
    assert dashboard.column("address")[:10] == [f"{p.host}:{p.port}" for p in by_address[:10]]
    page.get_by_role("button", name="Load / limit").click()  # the most first
    loads = sorted((p.current_leases / (p.max_concurrency or 1) for p in stored), reverse=True)
    shown = [text.split(" / ") for text in dashboard.column("load")]
    assert [int(a) / int(b) for a, b in shown] == loads[: len(shown)]

    # To the end, and every row on the way is drawn when it is in sight.
    page.get_by_role("button", name="Address").click()
    dashboard.scroll_to(10**6)
    assert dashboard.column("address")[-1] == "{0.host}:{0.port}".format(by_address[-1])
    assert dashboard.rows().count() < 60
    dashboard.scroll_to(0)

    # Filters, alone and together.
    banned = [p for p in stored if p.status is ProxyStatus.BANNED]
    page.get_by_label("Status").select_option("banned")
    expect(dashboard.shown()).to_have_text(f"{len(banned):,} of 10,000 proxies")
    page.get_by_label("Country").select_option("BR")
    both = [p for p in banned if p.country == "BR"]
    expect(dashboard.shown()).to_have_text(f"{len(both):,} of 10,000 proxies")
    page.get_by_role("searchbox", name="Find").fill(".100.7:")
    found = [p for p in both if str(p.host) == "198.51.100.7"]
    expect(dashboard.shown()).to_have_text(f"{len(found):,} of 10,000 proxies")
    assert set(dashboard.column("status")) <= {"banned"}
    page.get_by_role("searchbox", name="Find").fill("")
    page.get_by_label("Status").select_option("Any")
    page.get_by_label("Country").select_option("none")
    nowhere = sum(p.country is None for p in stored)
    expect(dashboard.shown()).to_have_text(f"{nowhere:,} of 10,000 proxies")
    page.get_by_label("Country").select_option("Any")
    page.get_by_label("Leased only").check()
    leased = sum(p.current_leases > 0 for p in stored)
    expect(dashboard.shown()).to_have_text(f"{leased:,} of 10,000 proxies")


def test_refreshes_leave_nothing_behind(opener: Opener, crowded: Service) -> None:
    dashboard = opener(crowded)
    (crowd,) = crowded.storage.list_pools()
    page = dashboard.open(ADMIN, route(crowd.id))
    expect(dashboard.shown()).to_have_text("10,000 proxies")
    session = dashboard.context.new_cdp_session(page)
    session.send("Performance.enable")
    first = page.locator(".proxies .rows .row").first.element_handle()
    dashboard.tick(3)
    before = counts(session)
    asked = len(dashboard.requests)
    dashboard.tick(20)
    after = counts(session)
    pages = [r for r in dashboard.requests[asked:] if "/proxies/?" in r.url]
    assert 5 <= len(pages) <= 25  # of a thousand each: about one a second, not ten
    assert after["Nodes"] <= before["Nodes"] * 1.02 + 20
    assert after["JSEventListeners"] <= before["JSEventListeners"]
    assert after["JSHeapUsedSize"] < before["JSHeapUsedSize"] * 1.2 + 2e6
    # The same elements still, with other texts.
    assert page.evaluate("node => node.isConnected && node.ariaRowIndex === '2'", first)


def test_rows_follow_what_happens(dashboard: Dashboard, storage: RedisStorage) -> None:
    pool = add_pool(storage, "shop")
    one, two, three = made = make_proxies(pool, 3, max_concurrency=2)
    storage.add_proxies_bulk(made)
    page = dashboard.open(ADMIN, route(pool.id))
    expect(dashboard.rows()).to_have_count(3)
    assert dashboard.column("load") == ["0 / 2"] * 3

    lease = storage.acquire_lease("shop", "scraper", 60)
    assert lease is not None
    dashboard.until(lambda: sorted(dashboard.column("load")) == ["0 / 2", "0 / 2", "1 / 2"])
    page.get_by_label("Leased only").check()
    expect(dashboard.rows()).to_have_count(1)
    page.get_by_label("Leased only").uncheck()
    storage.release_lease(lease)
    dashboard.until(lambda: dashboard.column("load") == ["0 / 2"] * 3)

    storage.delete_proxy(two.id)
    four = make_proxy(pool, max_concurrency=None)
    storage.add_proxy(four)
    left = [f"{proxy.host}:{proxy.port}" for proxy in (one, three, four)]
    dashboard.until(lambda: dashboard.column("address") == left)
    assert dashboard.column("load") == ["0 / 2", "0 / 2", "0 / ∞"]
    page.get_by_role("searchbox", name="Find").fill("no such host")
    expect(page.get_by_text("No proxy matches the filter.")).to_be_visible()
