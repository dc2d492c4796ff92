"""Storages that find their server by Sentinel, and follow it when it is lost.

Servers and sentinels have passwords, each their own, with characters that mean something in a URL.
As in a cluster, callers may be told ``StorageUnavailableError`` from the kill on until the
sentinels have agreed, and nothing else; what was acknowledged last may be lost.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from pharox_redis import StorageAccessError
from tests.cluster.crew import Flavour, wait_until
from tests.cluster.fleet import FILTERS, Fleet
from tests.support.clusters import KINDS, Kind
from tests.support.sentinels import Sentinels

pytestmark = pytest.mark.xdist_group("cluster")

PASSWORD, SENTINEL_PASSWORD = "s3rver/:@%?", "s3ntinel#&=+ "


PARAMS = [pytest.param(kind, marks=[pytest.mark.slow] * (kind != "valkey")) for kind in KINDS]


def started(kind: Kind) -> Sentinels:
    return Sentinels(kind, password=PASSWORD, sentinel_password=SENTINEL_PASSWORD)


@pytest.fixture(params=PARAMS)
def sentinels(request: pytest.FixtureRequest) -> Iterator[Sentinels]:
    """To be spoilt by one test: to make them whole again takes longer than to start others."""
    with started(request.param) as sentinels:
        yield sentinels


@pytest.fixture(scope="module", params=PARAMS)
def shared(request: pytest.FixtureRequest) -> Iterator[Sentinels]:
    """To be left whole."""
    with started(request.param) as sentinels:
        yield sentinels


def url_of(sentinels: Sentinels) -> str:
    return f"{sentinels.url}?sentinel_password={quote(SENTINEL_PASSWORD, safe='')}"


def test_killed_primary(sentinels: Sentinels, mode: Flavour, prefix: str, capsys: Any) -> None:
    with Fleet(url_of(sentinels), mode, prefix) as fleet:
        fleet.tight("tight")
        fleet.roomy("roomy")
        fleet.begin(3, ["tight", "roomy"], filters=FILTERS)
        fleet.begin(1, ["tight", "roomy"], filters=FILTERS, stock=True)
        fleet.begin_clerks(["roomy"], forgetful=True)
        fleet.proceed()
        ledger, heir = fleet.ledger, sentinels.replica
        heir.ask("SCRIPT", "FLUSH")  # what it may have cached of an earlier life as a primary

        killed = time.monotonic()
        sentinels.kill_primary()
        sentinels.wait_for_failover()
        outage, promoted = time.monotonic() - killed, Counter(ledger.acquired)
        wait_until(
            lambda: all(ledger.acquired[name] >= promoted[name] + 3 for name in fleet.pools),
            lambda: f"not all go on: {promoted} became {ledger.acquired}; {ledger.errors[:3]}",
        )
        on = time.monotonic() - killed
        fleet.stop()
        kinds = Counter(type(each.error).__name__ for each in ledger.trouble)
        with capsys.disabled():
            print(
                f"\nprimary killed, {sentinels.kind}, {mode}: sentinels agreed after {outage:.1f} "
                f"s, leases again after {on:.1f} s; calls that ended with an error: {dict(kinds)}, "
                f"the longest after {ledger.longest():.1f} s"
            )
        assert ledger.errors == [], "\n".join(ledger.errors[:5])
        assert ledger.trouble, "nobody noticed"
        assert int(heir.info("memory")["number_of_cached_scripts"]) > 0
        assert sentinels.primary is heir
        fleet.check()


@pytest.mark.slow
def test_old_primary_comes_back(sentinels: Sentinels, mode: Flavour, prefix: str) -> None:
    """It still thinks it is the primary; the sentinels know better, and nobody is led astray."""
    with Fleet(url_of(sentinels), mode, prefix) as fleet:
        fleet.roomy("roomy")
        lost = sentinels.primary
        assert fleet.crew.acquire_lease("roomy", "early", 60) is not None
        sentinels.kill_primary()
        sentinels.wait_for_failover()
        before = len(fleet.crew.list_leases())
        lost.start()
        assert fleet.crew.acquire_lease("roomy", "late", 60) is not None
        assert len(fleet.crew.list_leases()) == before + 1
        sentinels.wait_until_whole()
        assert fleet.crew.acquire_lease("roomy", "late", 60) is not None
        fleet.check()


def test_a_sentinel_is_down(shared: Sentinels, mode: Flavour, prefix: str) -> None:
    """The first sentinel of the URL does not run: the next is asked."""
    first = shared.sentinels[0]
    first.kill()
    try:
        with Fleet(url_of(shared), mode, prefix) as fleet:
            fleet.roomy("roomy")
            assert fleet.crew.acquire_lease("roomy", "consumer", 60) is not None
    finally:
        first.start()
        shared.wait_until_whole()


def test_wrong_password(shared: Sentinels, mode: Flavour, prefix: str) -> None:
    """Not retryable, so it is not called unavailable."""
    url = url_of(shared).replace(quote(PASSWORD, safe=""), "wrong")
    with pytest.raises(StorageAccessError), Fleet(url, mode, prefix) as fleet:
        fleet.crew.list_pools()
