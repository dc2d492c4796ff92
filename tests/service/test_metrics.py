"""The service's ``/metrics``, scraped from a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pharox import ProxyPool
from prometheus_client.parser import text_string_to_metric_families

from pharox_redis import StorageUnavailableError
from pharox_redis.embedded import EmbeddedServer
from pharox_redis.models import PoolFigures
from pharox_redis.recorders.pools import COUNTERS, GAUGES
from pharox_redis.service.api_keys import Role
from pharox_redis.service.metrics import Metrics
from pharox_redis.service.outcomes import AcquireOutcome, FailureOutcome, ReleaseOutcome
from tests.recorders.exposition import Samples, labels_of, read, value
from tests.service.scraping import OPENMETRICS, scrape, scrape_until
from tests.service.serving import Service, serving
from tests.support.builders import make_proxies
from tests.support.timetravel import expire_leases

P = "pharox_redis_"


@pytest.fixture
def running(valkey_url: str) -> Iterator[Service]:
    """A service of a test's own, with a pool ``pool`` of two proxies."""
    with serving(valkey_url) as made:
        fill(made)
        yield made
        for pool in made.storage.list_pools():
            made.storage.delete_pool(pool.id)


@pytest.fixture
def client(running: Service) -> Iterator[httpx.Client]:
    """A client of it."""
    with running.client() as made:
        yield made


def fill(service: Service) -> str:
    """Make the pool; its id."""
    pool = service.storage.ensure_pool("pool")
    service.storage.add_proxies_bulk(make_proxies(pool, 2))
    return str(pool.id)


def pool_id(service: Service) -> str:
    pool = service.storage.get_pool_by_name("pool")
    assert pool
    return str(pool.id)


def ask(client: httpx.Client, pool: str, **fields: Any) -> httpx.Response:
    """Ask for a lease."""
    return client.post("/v1/leases/", json={"pool_id": pool, "consumer_id": "c", **fields})


def acquires(found: Samples) -> dict[tuple[str, str, str], float]:
    """The counted acquires by pool, selector and outcome."""
    return {
        tuple(dict(labels)[name] for name in ("pool", "selector", "outcome")): number  # type: ignore[misc]
        for (name, labels), number in found.items()
        if name == P + "acquires_total"
    }


def test_leases_over_http_are_counted(client: httpx.Client, running: Service) -> None:
    pool = pool_id(running)
    first = ask(client, pool).json()
    assert ask(client, pool, strategy="round_robin").status_code == 201
    assert ask(client, pool).status_code == 409
    assert ask(client, str(uuid4())).status_code == 404
    assert ask(client, pool, ttl_seconds="long").status_code == 422
    assert client.post(f"/v1/leases/{first['id']}/release").status_code == 200
    assert client.post(f"/v1/leases/{uuid4()}/release").status_code == 404
    found = scrape(client)
    assert acquires(found) == {
        ("pool", "first_available", "granted"): 1,
        ("pool", "round_robin", "granted"): 1,
        ("pool", "first_available", "none"): 1,
    }
    took = {"pool": "pool", "outcome": "granted"}
    assert value(found, P + "acquire_seconds_count", **took) == 2
    seconds = value(found, P + "acquire_seconds_sum", **took)
    assert seconds and 0 < seconds < 20
    assert value(found, P + "releases_total", pool="pool") == 1
    assert value(found, P + "lease_held_seconds_count", pool="pool") == 1
    # And what stands in Redis.
    assert value(found, P + "up") == 1
    assert value(found, P + "pool_leases_held", pool="pool") == 1
    assert value(found, P + "pool_proxies_available", pool="pool") == 1
    assert value(found, P + "pool_proxies_active", pool="pool") == 2
    assert value(found, P + "pool_proxies_saturated", pool="pool") == 1
    assert value(found, P + "pool_acquired_total", pool="pool") == 2
    assert value(found, P + "pool_missed_total", pool="pool") == 1
    assert (value(found, "process_resident_memory_bytes") or 0) > 1e6


def test_requests_are_counted_by_template(client: httpx.Client, running: Service) -> None:
    pool = pool_id(running)
    for _ in range(3):
        assert client.get(f"/v1/pools/{pool}").status_code == 200
        assert client.get(f"/v1/pools/{uuid4()}").status_code == 404
    for number in range(50):
        client.get(f"/somewhere/{number}")
        client.request(("PROPFIND", "LOCK")[number % 2], "/v1/pools/")
    found = scrape(client)
    counted = {
        tuple(dict(labels)[name] for name in ("route", "method", "status")): number
        for (name, labels), number in found.items()
        if name == P + "http_requests_total"
    }
    assert counted == {
        ("/v1/pools/{pool_id}", "GET", "2xx"): 3,
        ("/v1/pools/{pool_id}", "GET", "4xx"): 3,
        ("unmatched", "GET", "4xx"): 50,
        ("/v1/pools/", "other", "4xx"): 50,
    }
    route = {"route": "/v1/pools/{pool_id}", "method": "GET"}
    assert value(found, P + "http_request_seconds_count", **route) == 6
    assert value(found, P + "http_requests_open") == 1, "this one"


def test_the_format_is_what_is_asked_for(client: httpx.Client) -> None:
    for accept, media_type in (
        ("", "text/plain"),
        ("text/html", "text/plain"),
        (OPENMETRICS, "application/openmetrics-text"),
        (f"{OPENMETRICS};q=0.75,text/plain;version=0.0.4;q=0.5", "application/openmetrics-text"),
    ):
        reply = client.get("/metrics", headers={"Accept": accept})
        assert reply.headers["Content-Type"].startswith(media_type)
        assert reply.text.endswith("# EOF\n") == (media_type != "text/plain")
        assert value(scrape(client, accept), P + "up") == 1


def test_sweeps_are_counted(valkey_url: str) -> None:
    with serving(valkey_url, sweep_seconds=0.02) as running, running.client() as client:
        fill(running)

        def swept(found: Samples) -> float:
            return value(found, P + "sweeps_total", outcome="done") or 0

        found = scrape_until(client, lambda found: swept(found) > 1)
        assert value(found, P + "swept_leases_total") == 0
        lease = running.storage.acquire_lease("pool", "c", 60)
        assert lease
        expire_leases(running.storage, [lease])
        scrape_until(client, lambda found: value(found, P + "swept_leases_total") == 1)
        reclaimed = {"pool": "pool"}
        found = scrape_until(
            client, lambda found: value(found, P + "pool_reclaimed_total", **reclaimed) == 1
        )
        assert value(found, P + "pool_leases_held", pool="pool") == 0


def test_redis_away_is_told_and_tells_nothing_old() -> None:
    with (
        EmbeddedServer() as server,
        serving(server.url) as running,
        running.client() as client,
    ):
        pool = fill(running)
        lease = ask(client, pool).json()
        assert value(scrape(client), P + "pool_leases_held", pool="pool") == 1
        server.stop()
        assert ask(client, pool).status_code == 503
        found = scrape_until(client, lambda found: value(found, P + "up") == 0)
        assert not [name for name, _ in found if name.startswith(P + "pool")]
        assert acquires(found)["pool", "first_available", "error"] == 1
        kind = {"kind": "StorageUnavailableError"}
        failures = value(found, P + "script_errors_total", **kind)
        assert failures and failures >= 2, "the acquire's, and the scrape's own"
        server.restart()
        assert client.post(f"/v1/leases/{lease['id']}/release").status_code == 200
        found = scrape_until(client, lambda found: value(found, P + "up") == 1)
        assert value(found, P + "pool_leases_held", pool="pool") == 0


def test_who_may_read_it(valkey_url: str) -> None:
    for is_open in (False, True):
        with serving(valkey_url, open_metrics=is_open) as running:
            with running.client(None) as nobody:
                assert nobody.get("/metrics").status_code == (200 if is_open else 401)
                assert nobody.get("/v1/pools/").status_code == 401
            with running.client(Role.READ) as prometheus:
                assert value(scrape(prometheus), P + "up") == 1


# Without a server: what one cannot be brought to.


def page_of(metrics: Metrics) -> Samples:
    page, _ = asyncio.run(metrics.page(""))
    return read(text_string_to_metric_families(page.decode()))


async def no_figures() -> list[PoolFigures]:
    return []


def test_five_thousand_pools_are_a_hundred_labels() -> None:
    async def many() -> list[PoolFigures]:
        fields = dict.fromkeys([figure.field for figure in (*GAUGES, *COUNTERS)], 1)
        at = datetime.now(UTC)
        return [
            PoolFigures(pool=ProxyPool(name=f"pool-{n:04}"), at=at, **fields) for n in range(5000)
        ]

    metrics = Metrics(many)
    for number in range(5000):
        name = f"pool-{number:04}"
        metrics.observe(AcquireOutcome(name, "least_used", "leased", 0.001))
        metrics.observe(ReleaseOutcome(name, "released", 0.001, 1.0))
    found = page_of(metrics)
    assert labels_of(found, "pool") == {f"pool-{n:04}" for n in range(100)} | {"other"}
    assert acquires(found)["other", "least_used", "granted"] == 4900
    assert value(found, P + "pool_proxies", pool="other") == 4900


@pytest.mark.parametrize("outcome", ["ended", "abandoned", "no_pool", "refused"])
def test_what_says_nothing_of_the_pool_is_not_an_acquire(outcome: Any) -> None:
    metrics = Metrics(no_figures)
    metrics.observe(AcquireOutcome("pool", "least_used", outcome, 0.001))
    metrics.observe(ReleaseOutcome("", "unknown", 0.001))
    assert labels_of(page_of(metrics), "pool") == set()


def test_failures_are_counted_by_kind() -> None:
    metrics = Metrics(no_figures)
    metrics.observe(FailureOutcome.of(StorageUnavailableError("a text with 192.0.2.1 in it")))
    found = page_of(metrics)
    assert value(found, P + "script_errors_total", kind="StorageUnavailableError") == 1


def test_scrapes_at_the_same_time_read_once() -> None:
    read = 0

    async def slowly() -> list[PoolFigures]:
        nonlocal read
        read += 1
        await asyncio.sleep(0.01)
        if read == 1:
            raise StorageUnavailableError("away")
        return []

    async def main() -> None:
        metrics = Metrics(slowly)
        pages = await asyncio.gather(*(metrics.page("") for _ in range(20)))
        assert read == 1
        assert all(b"pharox_redis_up 0.0" in page for page, _ in pages)
        metrics._figures_until = 0.0  # a second later
        pages = await asyncio.gather(*(metrics.page("") for _ in range(20)))
        assert read == 2
        assert all(b"pharox_redis_up 1.0" in page for page, _ in pages)

    asyncio.run(main())


def test_a_silent_server_holds_no_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> list[PoolFigures]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr("pharox_redis.service.metrics.FIGURES_TIMEOUT", 0.01)
    assert value(page_of(Metrics(never)), P + "up") == 0


def test_a_scrape_that_is_given_up_leaves_the_next_one_alone() -> None:
    started = asyncio.Event()
    calls = 0

    async def stuck_once() -> list[PoolFigures]:
        nonlocal calls
        calls += 1
        if calls == 1:
            started.set()
            await asyncio.Event().wait()
        return []

    async def main() -> None:
        metrics = Metrics(stuck_once)
        task = asyncio.create_task(metrics.page(""))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        page, _ = await metrics.page("")
        assert b"pharox_redis_up 1.0" in page

    asyncio.run(main())
