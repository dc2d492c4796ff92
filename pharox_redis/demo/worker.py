"""A worker of the demo: a process that scrapes pages through leased proxies.

Its threads take turns at leasing a proxy, fetching one to three pages through it with httpx, and
giving it back; the kind of proxy they ask for (their *job*) differs between threads and workers.
Each step is written to the worker's journal. One worker is told to end its rounds early, take a
few short leases, say so, and go on using them until it is killed.

Run as a process: reads its configuration, prints ``ready``, starts at the line ``go`` and ends,
with everything given back, when its standard input closes.
"""

from __future__ import annotations

import random
import ssl
import sys
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
from pharox import Proxy, ProxyFilters, SelectorStrategy

from pharox_redis import ProxyLease, RedisProxyManager, RedisStorage
from pharox_redis.demo.children import announce, read_config, watch_stdin
from pharox_redis.demo.proxies import LEASE_HEADER
from pharox_redis.demo.records import Journal

LEASE_SECONDS = 30
_TLS = ssl.create_default_context()  # unused by http pages, but costly to make for each client


@dataclass(frozen=True)
class Job:
    """A kind of proxy to ask for."""

    name: str
    selector: SelectorStrategy
    filters: ProxyFilters | None


JOBS = (
    Job("any proxy, first available", SelectorStrategy.FIRST_AVAILABLE, None),
    Job("country DE, least used", SelectorStrategy.LEAST_USED, ProxyFilters(country="DE")),
    Job(
        "any of FR and ES, round robin",
        SelectorStrategy.ROUND_ROBIN,
        ProxyFilters(any_of=[ProxyFilters(country="FR"), ProxyFilters(country="ES")]),
    ),
    Job(
        "500 km around Prague, lowest latency",
        SelectorStrategy.LOWEST_LATENCY,
        ProxyFilters(latitude=50.08, longitude=14.44, radius_km=500),
    ),
    Job("ASN 64501, least used", SelectorStrategy.LEAST_USED, ProxyFilters(asn=64501)),
    Job("any proxy, round robin", SelectorStrategy.ROUND_ROBIN, None),
)


class Sabotage(StrEnum):
    """Ways to break the rules on purpose, for the tests of the demo's checks."""

    UNLEASED_FETCH = "unleased-fetch"
    SHARED_LEASE = "shared-lease"
    LEAKED_LEASE = "leaked-lease"
    LOST_LIMITS = "lost-limits"


def fetch(proxy: Proxy, lease_id: str, target: str, pages: int) -> None:
    """Fetch pages through a proxy, and make sure that they came through it."""
    account = proxy.credentials
    with httpx.Client(
        proxy=httpx.Proxy(
            f"http://{proxy.host}:{proxy.port}",
            auth=(account.user, account.password) if account else None,
        ),
        headers={LEASE_HEADER: lease_id},
        timeout=10,
        trust_env=False,
        verify=_TLS,
    ) as client:
        for _ in range(pages):
            answer = client.get(f"{target}/page/{random.randrange(1000)}").raise_for_status()
            through = answer.json()["proxy_port"]
            if through != proxy.port:
                raise RuntimeError(f"leased proxy :{proxy.port}, page came through :{through}")


class Lessee:
    """Acquires, uses and releases leases, and writes each step to the journal."""

    def __init__(
        self, manager: RedisProxyManager, pool: str, name: str, target: str, journal: Journal
    ) -> None:
        self._manager = manager
        self._pool = pool
        self._name = name
        self._target = target
        self._journal = journal

    def acquire(self, job: Job, seconds: int) -> ProxyLease | None:
        """Lease a proxy."""
        asked = time.monotonic()
        lease = self._manager.acquire_proxy(
            self._pool, self._name, seconds, filters=job.filters, selector=job.selector
        )
        got = time.monotonic()
        if lease is None:
            self._journal.write("miss", job=job.name)
            return None
        self._journal.write(
            "acquire",
            lease=str(lease.id),
            job=job.name,
            port=lease.proxy.port,
            asked=asked,
            got=got,
            ttl=seconds,
        )
        if job.filters is not None and not job.filters.matches(lease.proxy):
            self.error(f"asked for {job.name}, got proxy :{lease.proxy.port}")
        return lease

    def use(self, lease: ProxyLease, pages: int) -> None:
        """Fetch pages through a leased proxy."""
        fetch(lease.proxy, str(lease.id), self._target, pages)
        for _ in range(pages):
            self._journal.write("fetch", lease=str(lease.id))

    def release(self, lease: ProxyLease) -> None:
        """Give a lease back."""
        at = time.monotonic()
        self._manager.release_proxy(lease)
        took = (time.monotonic() - at) * 1000
        self._journal.write("release", lease=str(lease.id), at=at, ms=took)

    def error(self, text: str) -> None:
        """Write down what went wrong."""
        self._journal.write("error", text=text)


def rounds(lessee: Lessee, job: Job, stop: threading.Event, sabotage: Sabotage | None) -> None:
    """Lease, fetch and give back until told to stop."""
    while not stop.is_set():
        try:
            lease = lessee.acquire(job, LEASE_SECONDS)
            if lease is None:
                stop.wait(random.uniform(0.005, 0.020))
                continue
            try:
                if sabotage is Sabotage.SHARED_LEASE:
                    other = threading.Thread(target=lessee.use, args=(lease, 3))
                    other.start()
                    lessee.use(lease, 3)
                    other.join()
                lessee.use(lease, random.randint(1, 3))
            finally:
                if sabotage is not Sabotage.LEAKED_LEASE:
                    lessee.release(lease)
            if sabotage is Sabotage.UNLEASED_FETCH:
                lessee.use(lease, 1)
        except Exception as error:
            lessee.error(f"{type(error).__name__}: {error}")
            stop.wait(0.1)
        if sabotage is Sabotage.LEAKED_LEASE:
            return


def hold(lessee: Lessee, leases: int, seconds: int, stop: threading.Event) -> None:
    """Take short leases, say so, and use them until killed; never give them back."""
    begin = time.monotonic()
    held: list[ProxyLease] = []
    while len(held) < leases and time.monotonic() < begin + seconds / 4:
        lease = lessee.acquire(JOBS[-1], seconds)
        if lease is None:
            time.sleep(0.005)
        else:
            held.append(lease)
    announce(f"holding {len(held)}")
    while held and time.monotonic() < begin + seconds / 2:
        for lease in held:
            lessee.use(lease, 1)
    stop.wait()


def work(config: dict[str, Any], journal: Journal) -> None:
    """Do the work of one process."""
    stop = threading.Event()
    storage = RedisStorage.from_url(config["storage"])
    try:
        storage.ensure_consumer(config["name"])
        lessee = Lessee(
            RedisProxyManager(storage), config["pool"], config["name"], config["target"], journal
        )
        announce("ready")
        if sys.stdin.readline().strip() != "go":
            return
        watch_stdin(stop.set)
        rounds_over = threading.Event() if config["hold_after"] is not None else stop
        sabotage = Sabotage(config["sabotage"]) if config["sabotage"] else None
        threads = [
            threading.Thread(target=rounds, args=(lessee, JOBS[number], rounds_over, sabotage))
            for number in config["jobs"]
        ]
        for thread in threads:
            thread.start()
        if rounds_over is not stop:
            stop.wait(config["hold_after"])
            rounds_over.set()
        for thread in threads:
            thread.join()
        if rounds_over is not stop and not stop.is_set():
            hold(lessee, config["hold_leases"], config["hold_seconds"], stop)
        stop.wait()
    finally:
        storage.close()


def main() -> None:
    """Run a worker's process."""
    config = read_config()
    with Journal(Path(config["journal"])) as journal:
        work(config, journal)


if __name__ == "__main__":
    main()
