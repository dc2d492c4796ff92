"""Where locust's users get their leases: the storage or the manager, timed, and told to the ledger.

Each call is one of locust's requests. Its type says by which way it went (``storage``, ``manager``
or ``batch``), its name what came of it: ``acquire`` or ``miss`` (nothing free: no failure),
``release``, ``sweep``, ``save``, ``delete``. An exception is a failure; the user goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pharox.models import Lease

from pharox_redis import RedisProxyManager, RedisStorage

from .ledger import Holding, Ledger
from .maintenance import Change, Maintenance
from .proxy_pool import any_filter, any_selector
from .rawkeys import milliseconds


@dataclass(frozen=True)
class Loan:
    """A lease a user has, and its entry in the ledger."""

    lease: Lease
    holding: Holding


@dataclass
class Request:
    """A call under way: what it will be called in the statistics, and whether it was answered."""

    name: str
    asked: float = 0.0
    answered: bool = False


class Desk:
    """One user's way to its leases."""

    def __init__(
        self,
        storage: RedisStorage,
        ledger: Ledger,
        pool: str,
        lease_seconds: float,
        consumer: str,
        fire: Callable[..., None],
    ) -> None:
        self._storage, self._ledger, self._fire = storage, ledger, fire
        self._manager = RedisProxyManager(storage)
        self._pool, self._seconds, self._consumer = pool, lease_seconds, consumer

    def acquire(self, kind: str = "storage") -> Loan | None:
        """A lease, or None for a miss or a failure."""
        call = self._storage.acquire_lease if kind == "storage" else self._manager.acquire_proxy
        loans: list[Loan] = []
        with self._asking(kind, 1) as request:
            lease = call(self._pool, self._consumer, self._seconds, any_filter(), any_selector())
            loans = self._granted(request, [lease] if lease else [])
        return loans[0] if loans else None

    def acquire_many(self, count: int) -> list[Loan]:
        """Up to so many leases of different proxies: in one call, where the storage has that."""
        batch = getattr(self._storage, "acquire_leases", None)
        if batch is None:
            one_by_one = (self.acquire() for _ in range(count))
            return [loan for loan in one_by_one if loan is not None]
        loans: list[Loan] = []
        with self._asking("batch", count) as request:
            leases = batch(
                self._pool,
                self._consumer,
                self._seconds,
                count=count,
                filters=any_filter(),
                selector=any_selector(),
                distinct=True,
            )
            loans = self._granted(request, leases)
        return loans

    def release(self, loan: Loan, kind: str = "storage") -> None:
        """Give a lease back, perhaps after its end."""
        call = self._storage.release_lease if kind == "storage" else self._manager.release_proxy
        self._give_back(kind, [loan], lambda: call(loan.lease))

    def release_many(self, loans: Sequence[Loan]) -> None:
        """Give many leases back: in one call, where the storage has that."""
        batch = getattr(self._storage, "release_leases", None)
        if batch is None:
            for loan in loans:
                self.release(loan)
        elif loans:
            self._give_back("batch", loans, lambda: batch([loan.lease for loan in loans]))

    def sweep(self) -> None:
        """End all leases that are over."""
        with self._timed("storage", Request("sweep")):
            self._ledger.counts["swept"] += self._storage.cleanup_expired_leases()

    def change(self, maintenance: Maintenance, change: Change) -> None:
        """Save a proxy, or delete one."""
        with self._ledger.under_way():
            before, after = self._server_time(), None
            maintenance.begin(change)
            request = Request("delete" if change.delete else "save")
            try:
                with self._timed("storage", request):
                    if change.delete:
                        self._storage.delete_proxy(change.proxy.id)
                    else:
                        self._storage.save_proxy(change.proxy)
                    request.answered = True
                if request.answered:
                    after = self._server_time()
            finally:
                if after is None:
                    maintenance.failed(change, before)
                else:
                    maintenance.done(change, before, after)

    def _server_time(self) -> int:
        return milliseconds(self._storage.client.time())

    def _granted(self, request: Request, leases: Sequence[Lease]) -> list[Loan]:
        request.answered = True
        request.name = "acquire" if leases else "miss"
        return [Loan(lease, self._ledger.granted(lease, request.asked)) for lease in leases]

    @contextmanager
    def _asking(self, kind: str, count: int) -> Iterator[Request]:
        """Around an acquire: if it ends without an answer, so many leases may have been granted."""
        request = Request("acquire")
        with self._ledger.under_way() as request.asked:
            try:
                with self._timed(kind, request):
                    yield request
            finally:
                if not request.answered:
                    self._ledger.unclear(count)

    def _give_back(self, kind: str, loans: Sequence[Loan], call: Callable[[], None]) -> None:
        request = Request("release", asked=time.monotonic())
        for loan in loans:
            loan.holding.release_asked = request.asked
        with self._timed(kind, request):
            call()
            request.answered = True
        if request.answered:
            done = time.monotonic()
            for loan in loans:
                loan.holding.release_done = done

    @contextmanager
    def _timed(self, kind: str, request: Request) -> Iterator[None]:
        """Tell locust of one call, and of its exception. One that is broken off is not told of."""
        error = None
        start = time.perf_counter()
        try:
            yield
        except Exception as exception:
            error = exception
        self._fire(
            request_type=kind,
            name=request.name,
            response_time=(time.perf_counter() - start) * 1000,
            response_length=0,
            exception=error,
            context={},
        )
