"""Workers that use one storage at the same time, blocking or for asyncio, from the same body.

A body is a coroutine function. On asyncio it runs as it stands, in a task, on a loop in a thread of
its own. Over the blocking storage every method is wrapped into a coroutine that never waits, so the
same body runs from its beginning to its end in the thread that drives it, one thread a worker. So
the test itself, which moves slots and kills nodes meanwhile, is always plain blocking code.

`Ledger` is what workers know of their leases without asking the library: how often each proxy is
held at the moment (a lower bound of its load: noted after the acquire, taken off before the
release), which leases were acknowledged and not given back, and what went wrong.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self
from uuid import UUID

from pharox.manager import ProxyManager
from pharox.models import Lease, Proxy, ProxyFilters, ProxyPool

from pharox_redis import (
    AsyncRedisProxyManager,
    AsyncRedisStorage,
    RedisProxyManager,
    RedisStorage,
    Settings,
    StorageUnavailableError,
)

Flavour = Literal["blocking", "asyncio"]
FLAVOURS: tuple[Flavour, ...] = ("blocking", "asyncio")

Body = Callable[..., Coroutine[Any, Any, Any]]

PATIENCE = 60.0
"""Seconds after which a worker that should be done, or a call that should return, hangs."""

CALM = 6_000
"""A cluster's node timeout in ms where nodes must not be taken for dead."""

BACKOFF = 0.02
"""Seconds a worker waits before it tries again, as a caller would; a refused connection is told
at once, and the test's machine has other things to do."""


class Awaited:
    """A blocking object whose methods are awaited, and never wait."""

    def __init__(self, blocking: Any) -> None:
        self._blocking = blocking

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._blocking, name)

        async def call(*args: Any, **options: Any) -> Any:
            return method(*args, **options)

        return call


@dataclass
class Face:
    """A storage and its managers as bodies see them: everything is awaited."""

    flavour: Flavour
    raw: Any
    storage: Any
    manager: Any

    @classmethod
    def of(cls, flavour: Flavour, url: str, settings: Settings, **options: Any) -> Self:
        if flavour == "asyncio":
            storage = AsyncRedisStorage.from_url(url, settings, **options)
            return cls(flavour, storage, storage, AsyncRedisProxyManager(storage))
        blocking = RedisStorage.from_url(url, settings, **options)
        manager = RedisProxyManager(blocking)
        return cls(flavour, blocking, Awaited(blocking), Awaited(manager))

    async def acquire_stock(
        self, pool: str, consumer: str, seconds: float, filters: ProxyFilters | None
    ) -> Lease | None:
        """As pharox's own manager: find, then create. For asyncio there is none: by its steps."""
        if self.flavour == "blocking":
            return ProxyManager(self.raw).acquire_proxy(pool, consumer, seconds, filters)
        await self.storage.cleanup_expired_leases()
        proxy = await self.storage.find_available_proxy(pool, filters)
        if proxy is None:
            return None
        lease: Lease = await self.storage.create_lease(proxy, consumer, seconds)
        return lease

    async def rest(self) -> None:
        """Wait as a caller that was told to try again later."""
        if self.flavour == "asyncio":
            await asyncio.sleep(BACKOFF)
        else:
            time.sleep(BACKOFF)

    async def close(self) -> None:
        if self.flavour == "asyncio":
            await self.raw.aclose()
        else:
            self.raw.close()


class Crew:
    """One storage, and those who work on it; a ``with`` block ends them and closes it."""

    def __init__(
        self, flavour: Flavour, url: str, settings: Settings | None = None, **options: Any
    ) -> None:
        self.flavour = flavour
        self._loop = asyncio.new_event_loop() if flavour == "asyncio" else None
        self._threads: list[threading.Thread] = []
        self._jobs: list[Future[Any]] = []
        self._end: list[Callable[[], None]] = []
        if self._loop is not None:
            self._loop_thread = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._loop_thread.start()
        self.face = Face.of(flavour, url, settings or Settings(), **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        try:
            for end in self._end:
                end()
            if kind is None:
                self.join()
        finally:
            try:
                self.call(lambda face: face.close())
            finally:
                self._stop_loop()

    def on_exit(self, end: Callable[[], None]) -> None:
        """Have something called that makes workers come to their end."""
        self._end.append(end)

    def begin(self, body: Body, *args: Any) -> Future[Any]:
        """Have a body done beside the test; `join` waits for it and raises what it raised."""
        if self._loop is not None:
            job = asyncio.run_coroutine_threadsafe(body(self.face, *args), self._loop)
        else:
            job = Future()
            thread = threading.Thread(target=_drive_into, args=(job, body(self.face, *args)))
            thread.daemon = True  # one that hangs must not keep the tests from ending
            thread.start()
            self._threads.append(thread)
        self._jobs.append(job)
        return job

    def join(self) -> None:
        """Wait for all that was begun."""
        jobs, self._jobs = self._jobs, []
        for job in jobs:
            job.result(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        self._threads.clear()

    def call(self, body: Body, *args: Any) -> Any:
        """Do a body now, and return what it returns."""
        if self._loop is None:
            return drive(body(self.face, *args))
        return asyncio.run_coroutine_threadsafe(body(self.face, *args), self._loop).result(PATIENCE)

    def __getattr__(self, name: str) -> Any:
        """A method of the storage, as a plain blocking call in either flavour."""
        if name.startswith("_"):
            raise AttributeError(name)

        async def body(face: Face, args: Any, options: Any) -> Any:
            return await getattr(face.storage, name)(*args, **options)

        return lambda *args, **options: self.call(body, args, options)

    def _stop_loop(self) -> None:
        if self._loop is None:
            return
        loop = self._loop

        async def cancel_the_rest() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(cancel_the_rest(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        self._loop_thread.join(PATIENCE)
        loop.close()


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits."""
    try:
        waits_for = coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError(f"a blocking body waits for {waits_for!r}")


def _drive_into(job: Future[Any], coroutine: Coroutine[Any, Any, Any]) -> None:
    try:
        job.set_result(drive(coroutine))
    except BaseException as error:
        job.set_exception(error)


class Trouble(NamedTuple):
    """A ``StorageUnavailableError`` somebody met."""

    pool: str
    what: str
    seconds: float
    error: StorageUnavailableError


@dataclass
class Ledger:
    """What everybody knows together; see the module's docstring."""

    limits: dict[UUID, int | None] = field(default_factory=dict)
    stopped: bool = False
    held: dict[UUID, Lease] = field(default_factory=dict)
    granted: dict[UUID, Lease] = field(default_factory=dict)
    unsure: set[UUID] = field(default_factory=set)
    acquired: Counter[str] = field(default_factory=Counter)
    misses: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    trouble: list[Trouble] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    _loads: Counter[UUID] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stop(self) -> None:
        self.stopped = True

    def know(self, proxies: list[Proxy]) -> None:
        self.limits.update((proxy.id, proxy.max_concurrency) for proxy in proxies)

    def took(self, pool: str, lease: Lease) -> None:
        with self._lock:
            self.acquired[pool] += 1
            if lease.id in self.granted:
                self.errors.append(f"lease {lease.id} was granted twice")
            self.granted[lease.id] = self.held[lease.id] = lease
            self._loads[lease.proxy_id] += 1
            load, limit = self._loads[lease.proxy_id], self.limits[lease.proxy_id]
            if limit is not None and load > limit:
                self.over.append(f"{pool}: {lease.proxy_id} has {load} leases of {limit}")

    def gives(self, lease: Lease) -> None:
        """Right before the release."""
        with self._lock:
            self._loads[lease.proxy_id] -= 1
            self.unsure.add(lease.id)

    def gave(self, lease: Lease) -> None:
        """After it was acknowledged."""
        with self._lock:
            self.unsure.discard(lease.id)
            self.held.pop(lease.id, None)

    def wrong(self, text: str) -> None:
        """Note an answer that is not right."""
        with self._lock:
            self.errors.append(text)

    def miss(self, pool: str) -> None:
        with self._lock:
            self.misses[pool] += 1

    def tried(self, name: str) -> None:
        """Somebody has come to the end of a call, with or without an answer."""
        with self._lock:
            self.calls[name] += 1

    async def attempt(
        self, pool: str, what: str, operation: Coroutine[Any, Any, Any]
    ) -> tuple[bool, Any]:
        """Whether it came to an answer, and the answer. What is raised is noted, by its kind."""
        begun = time.monotonic()
        try:
            return True, await operation
        except StorageUnavailableError as error:
            with self._lock:
                self.trouble.append(Trouble(pool, what, time.monotonic() - begun, error))
        except Exception as error:
            where = traceback.format_exc(limit=-4)
            self.wrong(f"{what} on {pool}: {type(error).__name__}: {error}\n{where}")
        return False, None

    def longest(self) -> float:
        """Seconds the longest call took that ended with ``StorageUnavailableError``."""
        return max((each.seconds for each in self.trouble), default=0.0)


@dataclass(frozen=True)
class Job:
    """What a worker does: `roomy` pools have more proxies than all workers can hold, so that
    nothing free is a wrong answer there."""

    pools: tuple[str, ...]
    roomy: frozenset[str] = frozenset()
    filters: ProxyFilters | None = None
    stock: bool = False
    lease_seconds: float = 120.0


async def lease_and_release(face: Face, ledger: Ledger, name: str, job: Job) -> None:
    """Acquire and release until told to stop, up to two leases at once. What is held then is kept,
    so that there is something to compare the storage with."""
    dice = random.Random(name)
    while not ledger.stopped:
        held: list[tuple[str, Lease]] = []
        for _ in range(dice.randint(1, 2)):
            pool = dice.choice(job.pools)
            make = face.acquire_stock if job.stock else face.manager.acquire_proxy
            done, lease = await ledger.attempt(
                pool, "acquire", make(pool, name, job.lease_seconds, job.filters)
            )
            ledger.tried(name)
            if not done:
                await face.rest()
            elif lease is not None:
                ledger.took(pool, lease)
                held.append((pool, lease))
            else:
                ledger.miss(pool)
                if pool in job.roomy:
                    ledger.wrong(f"nothing is free in {pool}, it says")
        if ledger.stopped:
            return
        for pool, lease in held:
            ledger.gives(lease)
            done = False
            while not done:
                release = face.manager.release_proxy(lease)
                done, _ = await ledger.attempt(pool, "release", release)
                ledger.tried(name)
                if done:
                    ledger.gave(lease)
                elif ledger.stopped:
                    break
                else:
                    await face.rest()


def wait_until(reached: Callable[[], bool], what: Callable[[], str]) -> None:
    """Poll until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, what()
        time.sleep(0.005)


def proceed(ledger: Ledger, workers: int, calls: int) -> None:
    """Wait until every worker has come some calls further, with answers or with errors."""
    wait_until(lambda: len(ledger.calls) == workers, lambda: f"not begun: {ledger.calls}")
    before = Counter(ledger.calls)
    wait_until(
        lambda: all(ledger.calls[name] >= before[name] + calls for name in before),
        lambda: f"somebody hangs: {before} became {ledger.calls}; {ledger.errors[:3]}",
    )


def pool_named(name: str, fits: Callable[[ProxyPool], bool]) -> ProxyPool:
    """A pool whose id, and with it its slot, is to one's liking."""
    while True:
        pool = ProxyPool(name=name)
        if fits(pool):
            return pool
