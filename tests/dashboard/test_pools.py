"""The first page: rows, totals, sparklines, pools that come and go, hostile names."""

import pytest
from pharox.models import ProxyStatus
from playwright.sync_api import expect

from pharox_redis import RedisStorage
from pharox_redis.service.api_keys import Role
from tests.dashboard.browsing import Dashboard, add_pool, route
from tests.service.serving import KEYS
from tests.support.builders import make_proxies

READ = KEYS[Role.READ]


def test_figures_and_sparklines_follow_the_leases(
    dashboard: Dashboard, storage: RedisStorage
) -> None:
    shop = add_pool(storage, "shop", "Prices")
    storage.add_proxies_bulk(
        make_proxies(shop, 6) + make_proxies(shop, 2, status=ProxyStatus.BANNED)
    )
    other = add_pool(storage, "other")
    storage.add_proxies_bulk(make_proxies(other, 2))
    page = dashboard.open(READ)
    row = dashboard.pool("shop")
    expect(row).to_contain_text("Prices")
    expect(row).to_contain_text("6 available 0 saturated 2 inactive", use_inner_text=True)
    heads = dashboard.heads()
    assert (heads["Available"], heads["Leases"]) == ("80 %", "0")
    assert heads["Acquires / s"] in ("–", "0")  # unknown before the second reading
    dashboard.tick()
    assert dashboard.heads()["Acquires / s"] == "0"
    line = row.locator(".spark.acquired .line")
    flat = line.get_attribute("d")

    for _ in range(9):
        storage.acquire_lease("shop", "scraper", 60)
    dashboard.tick()
    expect(row).to_contain_text("0 available 6 saturated 2 inactive", use_inner_text=True)
    expect(row).to_contain_text("nothing free")
    expect(row.locator(".leases .value")).to_have_text("6")
    assert float(row.locator(".acquired .value").inner_text()) > 0
    assert float(row.locator(".missed .value").inner_text()) > 0
    assert line.get_attribute("d") != flat
    assert "leases, the last two minutes: 6 now, 6 at most" in (
        row.locator(".spark.leases").get_attribute("aria-label") or ""
    )
    heads = dashboard.heads()
    assert (heads["Available"], heads["Leases"]) == ("20 %", "6")
    assert float(heads["Acquires / s"]) > 0
    assert float(heads["Misses / s"]) > 0
    parts = row.locator(".parts i")
    assert [part.is_visible() for part in parts.all()] == [False, True, True]

    # Nothing more happens: the curve goes down again, and the peak stays in sight.
    before = line.get_attribute("d")
    dashboard.until(lambda: row.locator(".acquired .value").inner_text() == "0", most=1000)
    assert line.get_attribute("d") != before
    assert "peak 0" not in page.locator(".band .acquired .peak").inner_text()


def test_pools_come_and_go(dashboard: Dashboard, storage: RedisStorage) -> None:
    page = dashboard.open(READ)
    expect(page.get_by_role("heading", name="No pools yet")).to_be_visible()
    pools = [add_pool(storage, f"pool-{number}") for number in (10, 9)]
    dashboard.tick()
    links = page.get_by_role("table", name="Pools").get_by_role("link")
    expect(links).to_have_text(["pool-9", "pool-10"])
    expect(dashboard.pool("pool-9")).to_contain_text("empty")
    expect(page.get_by_label("Filter")).to_be_hidden()

    dashboard.pool("pool-9").get_by_role("link").click()
    expect(page.get_by_role("heading", name="pool-9")).to_be_visible()
    expect(page.get_by_text("No proxies in this pool yet")).to_be_visible()
    assert page.title() == "pool-9 · pharox-redis"
    storage.delete_pool(pools[1].id)
    dashboard.tick()
    expect(page.get_by_role("heading", name="No such pool")).to_be_visible()
    page.go_back()
    expect(links).to_have_text(["pool-10"])


def test_many_pools_are_filtered_and_sorted(dashboard: Dashboard, storage: RedisStorage) -> None:
    for number in range(12):
        pool = add_pool(storage, f"p{number}", ["even", "odd"][number % 2])
        storage.add_proxies_bulk(make_proxies(pool, 12))
        for _ in range(number):
            storage.acquire_lease(pool.name, "scraper", 60)
    page = dashboard.open(READ)
    links = page.get_by_role("table", name="Pools").get_by_role("link")
    expect(links).to_have_text([f"p{number}" for number in range(12)])
    page.get_by_role("button", name="Leases").click()
    expect(links).to_have_text([f"p{number}" for number in reversed(range(12))])
    page.get_by_label("Filter").fill("ODD")
    expect(links).to_have_text([f"p{number}" for number in (11, 9, 7, 5, 3, 1)])
    expect(page.get_by_text("6 of 12 pools shown")).to_be_visible()
    page.get_by_label("Filter").fill("nothing like it")
    expect(page.get_by_text("No pool matches")).to_be_visible()


@pytest.mark.parametrize(
    "name",
    [
        "<img src=x onerror=alert(1)>",
        "</a><script>document.title='taken'</script>",
        "\u202egnp.exe \u0645\u0631\u062d\u0628\u0627",
        "n" * 255,
        "a/b?c#d%zz '\"`${1}",
    ],
    ids=["img", "script", "bidi", "long", "signs"],
)
def test_hostile_names_are_text(dashboard: Dashboard, storage: RedisStorage, name: str) -> None:
    pool = add_pool(storage, name, name)
    fields = {"country": name[:60], "city": name, "isp": name, "source": name}
    storage.add_proxies_bulk(make_proxies(pool, 1, max_concurrency=2, **fields))
    storage.acquire_lease(name, name, 60)
    page = dashboard.open(KEYS[Role.ADMIN])
    link = page.get_by_role("table", name="Pools").get_by_role("link")
    expect(link).to_have_text(name)
    link.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(dashboard.rows()).to_have_count(1)
    assert dashboard.column("country")[0].startswith(name[:60])
    page.goto(f"{dashboard.url}/{route(pool.id, leases=True)}")
    expect(dashboard.rows()).to_have_count(1)
    assert dashboard.column("holder") == [name]
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_role("dialog")).to_contain_text(name)
    page.keyboard.press("Escape")
    assert page.locator("main img, main script, dialog script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
