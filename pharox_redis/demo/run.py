"""The demo from start to end: :func:`main` is what ``pharox-redis demo`` calls.

Start the servers, import the proxy list, let the workers scrape, kill one of them, wait until its
leases are recovered, lease every proxy up to its limit once more, and judge what was written down.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pharox import LeaseStatus
from rich.console import Console

from pharox_redis import ProxyLease, RedisProxyManager, RedisStorage
from pharox_redis.demo.children import Child, ChildFailedError, Crew
from pharox_redis.demo.crash import HOLD_LEASES, HOLD_SECONDS, Crash
from pharox_redis.demo.prepare import POOL, check_health, import_proxies, lose_limits
from pharox_redis.demo.proxies import SPECS, write_list
from pharox_redis.demo.records import Journal, forwarded, read_lines, worker_log
from pharox_redis.demo.report import DEMO, Results, problems
from pharox_redis.demo.summary import show
from pharox_redis.demo.worker import JOBS, Lessee, Sabotage
from pharox_redis.embedded import EmbeddedServer
from pharox_redis.signals import sigterm_like_ctrl_c

THREADS = 3
START_TIMEOUT = 30.0
PATIENCE = 10.0  # seconds to finish what was begun: pages, leases, the killed worker's story


@dataclass(frozen=True)
class Options:
    """How one run of the demo is to be."""

    seconds: float = 8.0
    workers: int = 6
    sabotage: Sabotage | None = None


def main(seconds: float = 8.0, workers: int = 6) -> int:
    """Run the demo, print what happens and how it went, and return the exit code."""
    return run(Options(seconds, workers), Console())


def run(options: Options, console: Console) -> int:
    """Run the demo as the options say and return the exit code."""
    if options.workers < 2 or options.seconds <= 0:
        raise ValueError("the demo needs at least two workers, and time for them to work")
    try:
        with sigterm_like_ctrl_c(), tempfile.TemporaryDirectory(prefix="pharox-demo-") as folder:
            results = Demo(options, console, Path(folder)).run()
    except KeyboardInterrupt:
        console.print("interrupted; every process of the demo was ended", style="yellow")
        return 130
    except ChildFailedError as error:
        console.print(f"FAILED: {error}", style="bold red", markup=False)
        return 1
    found = problems(results)
    show(console, results, found)
    return 1 if found else 0


class Demo:
    """One run: the processes it has started and what it knows about them."""

    def __init__(self, options: Options, console: Console, folder: Path) -> None:
        self._options = options
        self._console = console
        self._folder = folder
        self._begin = time.monotonic()
        self._names = [f"worker-{number + 1}" for number in range(options.workers)]

    def run(self) -> Results:
        """Run it, and return what was collected once every process has ended."""
        with ExitStack() as stack:
            server = stack.enter_context(EmbeddedServer())
            self._say(f"Valkey is listening at {server.url}")
            crew = stack.enter_context(Crew())
            target = self._start_target(crew)
            ports = self._start_proxies(crew)
            storage = RedisStorage.from_url(server.url)
            stack.callback(storage.close)
            self._fill_pool(storage, ports, target)
            storage.ensure_consumer(DEMO)
            journal = stack.enter_context(Journal(self._journal(DEMO)))
            lessee = Lessee(RedisProxyManager(storage), POOL, DEMO, target, journal)
            limits = {port: spec.max_concurrency for port, spec in zip(ports, SPECS, strict=True)}
            results = Results(limits=limits)
            workers = self._start_workers(crew, server.url, target)
            self._scrape(workers, storage, lessee, results)
            self._look_at_the_end(storage, lessee, results)
        for name in (*self._names, DEMO):
            results.logs[name] = worker_log(name, read_lines(self._journal(name)))
        results.requests = forwarded(read_lines(self._journal("proxies")))
        return results

    def _say(self, text: str) -> None:
        elapsed = time.monotonic() - self._begin
        self._console.print(
            f"{elapsed:5.1f} s  {text}", markup=False, highlight=False, soft_wrap=True
        )

    def _journal(self, name: str) -> Path:
        return self._folder / f"{name}.jsonl"

    def _start_target(self, crew: Crew) -> str:
        child = crew.start("target", "target", {})
        port = json.loads(child.answer(START_TIMEOUT))["port"]
        self._say(f"web server to scrape: http://127.0.0.1:{port} (pid {child.pid})")
        return f"http://127.0.0.1:{port}"

    def _start_proxies(self, crew: Crew) -> list[int]:
        accounts = [(spec.user, spec.password) for spec in SPECS]
        config = {"journal": str(self._journal("proxies")), "credentials": accounts}
        child = crew.start("proxies", "proxies", config)
        ports: list[int] = json.loads(child.answer(START_TIMEOUT))["ports"]
        self._say(f"{len(ports)} forward proxies are listening (pid {child.pid})")
        return ports

    def _fill_pool(self, storage: RedisStorage, ports: list[int], target: str) -> None:
        path = self._folder / "proxies.csv"
        write_list(path, SPECS, ports)
        self._say(import_proxies(storage, path))
        if self._options.sabotage is Sabotage.LOST_LIMITS:
            lose_limits(storage)
        self._say(check_health(storage, f"{target}/health"))

    def _start_workers(self, crew: Crew, url: str, target: str) -> list[Child]:
        workers = [
            crew.start(name, "worker", self._worker_config(number, url, target))
            for number, name in enumerate(self._names)
        ]
        for worker in workers:
            worker.answer(START_TIMEOUT)
        self._say(f"{len(workers)} workers of {THREADS} threads scrape {self._options.seconds:g} s")
        return workers

    def _scrape(
        self, workers: list[Child], storage: RedisStorage, lessee: Lessee, results: Results
    ) -> None:
        *others, victim = workers
        cities = {port: spec.city for port, spec in zip(results.limits, SPECS, strict=True)}
        crash = Crash(victim, self._journal(victim.name), storage, lessee, cities, self._say)
        results.started = time.monotonic()
        for worker in workers:
            worker.send("go")
        self._watch(results.started + self._options.seconds, storage, crash, others)
        results.seconds = time.monotonic() - results.started
        for worker in others:
            worker.ask_to_end()
        for worker in others:
            if code := worker.end(PATIENCE):
                results.errors.append(f"{worker.name} ended with exit code {code}")
        results.ended = time.monotonic()
        patience = time.monotonic() + PATIENCE
        while not crash.over and time.monotonic() < patience:
            crash.step()
            time.sleep(crash.pause)
        results.killed = victim.name
        results.recovered, results.leased_again = crash.recovered, crash.leased_again
        results.errors += crash.errors

    def _worker_config(self, number: int, url: str, target: str) -> dict[str, Any]:
        options = self._options
        sabotaged = number == 0 and options.sabotage is not Sabotage.LOST_LIMITS
        return {
            "name": self._names[number],
            "journal": str(self._journal(self._names[number])),
            "storage": url,
            "pool": POOL,
            "target": target,
            "jobs": [(number + 2 * thread) % len(JOBS) for thread in range(THREADS)],
            "hold_after": options.seconds * 0.3 if number == options.workers - 1 else None,
            "hold_leases": HOLD_LEASES,
            "hold_seconds": HOLD_SECONDS,
            "sabotage": options.sabotage if sabotaged else None,
        }

    def _watch(
        self, until: float, storage: RedisStorage, crash: Crash, workers: list[Child]
    ) -> None:
        report_at = time.monotonic() + 1
        while (now := time.monotonic()) < until:
            crash.step()
            for worker in workers:
                if not worker.running:
                    raise ChildFailedError(f"{worker.name} ended early")
            if now >= report_at:
                report_at += 1
                stats = storage.get_pool_stats(POOL)
                if stats is not None:
                    self._say(
                        f"{stats.total_leases} leases on {stats.leased_proxies} proxies, "
                        f"{stats.available_proxies} proxies have room"
                    )
            time.sleep(crash.pause)

    def _look_at_the_end(self, storage: RedisStorage, lessee: Lessee, results: Results) -> None:
        stats = storage.get_pool_stats(POOL)
        active = sum(lease.status is LeaseStatus.ACTIVE for lease in storage.list_leases())
        results.leases_left = max(active, stats.total_leases if stats else 0)
        pool = storage.ensure_pool(POOL)
        proxies = storage.list_proxies(str(pool.id))
        results.used_left = {proxy.port: proxy.current_leases for proxy in proxies}
        self._say(f"the workers have ended; {results.leases_left} leases are left")
        most = sum(results.limits.values())
        leases: list[ProxyLease] = []
        while len(leases) <= most and (lease := lessee.acquire(JOBS[0], HOLD_SECONDS)):
            leases.append(lease)
        results.capacity = Counter(lease.proxy.port for lease in leases)
        for lease in leases:
            lessee.release(lease)
        self._say(f"leased everything there is once more: {len(leases)} of {most} leases")
