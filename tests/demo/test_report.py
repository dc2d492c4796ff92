"""The checks behind the exit code: a sound run passes, and each planted failure is named."""

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from pharox_redis.demo.records import EXPIRY_MARGIN, Forwarded, LeaseRecord, WorkerLog
from pharox_redis.demo.report import DEMO, Results, peak, peaks, problems
from pharox_redis.demo.summary import percentile, show

ANN, BOB, VICTIM = "worker-1", "worker-2", "worker-3"


def lease(name: str, worker: str, port: int, got: float, until: float | None) -> LeaseRecord:
    return LeaseRecord(
        lease=name,
        worker=worker,
        job="any proxy",
        port=port,
        asked=got - 0.001,
        got=got,
        ttl=30 if until else 2,
        released=until,
        release_ms=None if until is None else 0.5,
    )


def request(name: str | None, port: int, start: float, end: float) -> Forwarded:
    return Forwarded(port=port, lease=name, start=start, end=end, status=200)


def log(*leases: LeaseRecord, misses: int = 0) -> WorkerLog:
    return WorkerLog(
        leases={item.lease: item for item in leases},
        misses={"any proxy": misses} if misses else {},
        fetches={item.lease: 1 for item in leases},
    )


def sound_run() -> Results:
    """Two workers share port 2 and take turns on port 1; a third is killed with a lease."""
    return Results(
        limits={1: 1, 2: 2},
        logs={
            ANN: log(lease("a1", ANN, 1, 10.0, 10.4), lease("a2", ANN, 2, 10.5, 10.9), misses=3),
            BOB: log(lease("b1", BOB, 1, 10.4, 10.8), lease("b2", BOB, 2, 10.81, 11.0)),
            VICTIM: log(lease("v1", VICTIM, 2, 11.0, None)),
            DEMO: log(lease("d1", DEMO, 2, 14.0, 14.1)),
        },
        requests=[
            request("health", 1, 9.0, 9.1),
            request("a1", 1, 10.1, 10.2),
            request("a2", 2, 10.6, 10.85),
            request("b1", 1, 10.5, 10.6),
            request("b2", 2, 10.82, 10.9),
            request("v1", 2, 11.1, 11.2),
            request("d1", 2, 14.0, 14.05),
        ],
        started=9.9,
        seconds=3.0,
        ended=13.0,
        killed=VICTIM,
        recovered={"v1"},
        leased_again={2},
        leases_left=0,
        used_left={1: 0, 2: 0},
        capacity={1: 1, 2: 2},
    )


def test_a_sound_run_passes() -> None:
    results = sound_run()
    assert problems(results) == []
    assert peaks(results) == {1: (1, 1), 2: (2, 2)}
    assert [item.lease for item in results.abandoned] == ["v1"]


def too_many_requests(results: Results) -> None:
    results.requests.append(request("a1", 1, 10.15, 10.3))


def too_many_leases(results: Results) -> None:
    results.logs[BOB].leases["b3"] = lease("b3", BOB, 1, 10.1, 10.3)


def a_proxy_that_is_not_on_the_list(results: Results) -> None:
    results.logs[BOB].leases["b3"] = lease("b3", BOB, 3, 10.1, 10.3)


def leased_before_the_dead_workers_lease_expired(results: Results) -> None:
    for name in ("b3", "b4"):
        results.logs[BOB].leases[name] = lease(name, BOB, 2, 12.5, 12.6)


def request_without_a_lease(results: Results) -> None:
    results.requests.append(request(None, 2, 12.0, 12.1))


def request_with_an_invented_lease(results: Results) -> None:
    results.requests.append(request("nobody's", 2, 12.0, 12.1))


def request_through_another_proxy(results: Results) -> None:
    results.requests.append(request("a2", 1, 10.85, 10.9))


def request_before_the_lease(results: Results) -> None:
    results.requests.append(request("a2", 2, 10.4, 10.51))


def request_after_the_release(results: Results) -> None:
    results.requests.append(request("a2", 2, 11.3, 11.4))


def request_after_the_expiry(results: Results) -> None:
    results.requests.append(request("v1", 2, 13.1, 13.2))


def one_lease_used_twice_at_once(results: Results) -> None:
    results.requests.append(request("a2", 2, 10.61, 10.7))


def refused_request(results: Results) -> None:
    results.requests[-1] = replace(results.requests[-1], status=502)


def page_fetched_beside_the_proxy(results: Results) -> None:
    results.logs[ANN].fetches["a1"] = 2


def nothing_fetched(results: Results) -> None:
    for worker_log in results.logs.values():
        worker_log.fetches.clear()


def lease_never_given_back(results: Results) -> None:
    leases = results.logs[BOB].leases
    leases["b2"] = replace(leases["b2"], released=None, release_ms=None)


def victim_without_leases(results: Results) -> None:
    results.logs[VICTIM] = WorkerLog()
    results.requests = [item for item in results.requests if item.lease != "v1"]


def victim_without_a_log(results: Results) -> None:
    victim_without_leases(results)
    del results.logs[VICTIM]


def lease_not_recovered(results: Results) -> None:
    results.recovered.clear()


def proxy_not_leased_again(results: Results) -> None:
    results.leased_again.clear()


def lease_left(results: Results) -> None:
    results.leases_left = 1


def proxy_still_counts_a_lease(results: Results) -> None:
    results.used_left[2] = 1


def proxy_without_its_full_capacity(results: Results) -> None:
    results.capacity[2] = 1


def proxy_with_more_than_its_capacity(results: Results) -> None:
    results.capacity[1] = 2


def proxy_that_cannot_be_leased(results: Results) -> None:
    del results.capacity[1]


def error_of_a_worker(results: Results) -> None:
    results.logs[ANN].errors.append("worker-1: ReadTimeout")


def error_of_the_demo(results: Results) -> None:
    results.errors.append("worker-1 ended with exit code 1")


PLANTED: list[tuple[Callable[[Results], None], str]] = [
    (too_many_requests, "proxy :1 served 2 requests at once, its limit is 1"),
    (too_many_leases, "proxy :1 was leased 2 times at once, its limit is 1"),
    (a_proxy_that_is_not_on_the_list, "proxy :3 was leased 1 times at once, its limit is 0"),
    (leased_before_the_dead_workers_lease_expired, "proxy :2 was leased 3 times at once"),
    (request_without_a_lease, "1 requests went through a proxy without a lease"),
    (request_with_an_invented_lease, "1 requests went through a proxy without a lease"),
    (request_through_another_proxy, "1 requests went through a proxy without a lease"),
    (request_before_the_lease, "1 requests went through a proxy without a lease"),
    (request_after_the_release, "1 requests went through a proxy without a lease"),
    (request_after_the_expiry, "1 requests went through a proxy without a lease"),
    (one_lease_used_twice_at_once, "1 leases were used by two fetches at once"),
    (refused_request, "1 requests were not answered with a page"),
    (page_fetched_beside_the_proxy, "1 leases fetched pages that their proxy has not seen"),
    (nothing_fetched, "no page was fetched"),
    (lease_never_given_back, "1 leases were never given back"),
    (victim_without_leases, "worker-3 held no lease when it was killed"),
    (victim_without_a_log, "worker-3 held no lease when it was killed"),
    (lease_not_recovered, "1 leases of worker-3 were not recovered"),
    (proxy_not_leased_again, "proxy :2 could not be leased again"),
    (lease_left, "1 leases were still active at the end"),
    (proxy_still_counts_a_lease, "proxy :2 still counted 1 leases at the end"),
    (proxy_without_its_full_capacity, "proxy :2 could be leased 1 times at the end, not 2"),
    (proxy_with_more_than_its_capacity, "proxy :1 could be leased 2 times at the end, not 1"),
    (proxy_that_cannot_be_leased, "proxy :1 could be leased 0 times at the end, not 1"),
    (error_of_a_worker, "error: worker-1: ReadTimeout"),
    (error_of_the_demo, "error: worker-1 ended with exit code 1"),
]


@pytest.mark.parametrize(
    ("plant", "complaint"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED]
)
def test_a_planted_failure_is_named(plant: Callable[[Results], None], complaint: str) -> None:
    results = sound_run()
    plant(results)
    found = problems(results)
    assert any(text.startswith(complaint) for text in found), found


def test_health_checks_before_the_start_need_no_lease() -> None:
    results = sound_run()
    results.requests.append(request(None, 1, 9.2, 9.3))
    assert problems(results) == []


def test_the_leases_of_the_count_at_the_end_are_no_concurrency() -> None:
    results = sound_run()
    results.logs[DEMO].leases["d2"] = lease("d2", DEMO, 1, 20.0, 21.0)
    results.logs[DEMO].leases["d3"] = lease("d3", DEMO, 1, 20.0, 21.0)
    assert peaks(results)[1] == (1, 1)


def test_a_lease_ends_with_its_release_or_its_expiry() -> None:
    assert lease("x", ANN, 1, 10.0, 10.4).end == 10.4
    assert replace(lease("x", ANN, 1, 10.0, 99.0), ttl=2).end == 9.999 + 2 - EXPIRY_MARGIN
    assert lease("x", ANN, 1, 10.0, None).end == 9.999 + 2 - EXPIRY_MARGIN


@pytest.mark.parametrize(
    ("intervals", "most"),
    [
        ([], 0),
        ([(1, 2)], 1),
        ([(1, 2), (2, 3)], 1),
        ([(1, 3), (2, 4), (3, 5)], 2),
        ([(1, 9), (2, 3), (4, 5), (4, 6)], 3),
        ([(2, 1), (2, 2)], 0),
    ],
)
def test_peak(intervals: list[tuple[float, float]], most: int) -> None:
    assert peak(intervals) == most


def test_percentile() -> None:
    assert percentile([], 0.5) == 0
    assert percentile([7.0], 0.99) == 7
    assert percentile([float(value) for value in range(100, 0, -1)], 0.5) == 50
    assert percentile([float(value) for value in range(1, 101)], 0.99) == 99


def printed(results: Results) -> str:
    text = io.StringIO()
    show(Console(file=text, width=120), results, problems(results))
    return text.getvalue()


def test_the_summary_of_a_sound_run() -> None:
    text = printed(sound_run())
    assert "2 proxies, none over its limit" in text
    assert "OK: no limit exceeded, no lease lost" in text
    numbers = {
        cells[0].strip(): cells[1].strip()
        for line in text.splitlines()
        if len(cells := line.strip("│").split("│")) == 2
    }
    assert numbers["leases abandoned / recovered"] == "1 / 1"
    assert numbers["misses (nothing free)"] == "3"
    assert numbers["pages fetched through proxies"] == "5"
    assert numbers["errors"] == "0"


def test_the_summary_of_a_failed_run() -> None:
    results = sound_run()
    too_many_requests(results)
    results.errors += [f"number {number}" for number in range(30)]
    text = printed(results)
    assert "2 proxies, 1 over its limit" in text
    assert "FAILED: error: number 0" in text
    assert "more" in text
    assert "OK" not in text


def test_the_table_shows_the_busiest_of_many_proxies() -> None:
    results = sound_run()
    results.limits |= dict.fromkeys(range(100, 140), 1)
    text = printed(results)
    assert ":1 " in text
    assert ":139" not in text
    assert "42 proxies" in text
