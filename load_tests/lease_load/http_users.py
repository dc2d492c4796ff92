"""The kinds of users of the HTTP service: as in ``users``, with a desk that speaks HTTP."""

from __future__ import annotations

from typing import Any

from locust import HttpUser

from .http_desk import HttpDesk
from .users import Burst, DyingWorker, LeaseUser, SlowHolder, SteadyScraper


class OverHttp(HttpUser):
    """Beside a kind of ``LeaseUser``: changes its desk."""

    abstract = True

    def __init__(self, environment: Any) -> None:
        self.host = environment.parsed_options.pharox_service
        super().__init__(environment)
        assert isinstance(self, LeaseUser)
        consumer = f"http {self.kind} {self.number}"
        options = self.session.options
        self.desk = HttpDesk(  # type: ignore[assignment]
            self.client, self.session.ledger, self.session.pool.id, options.lease_seconds, consumer
        )


class HttpScraper(OverHttp, SteadyScraper):
    """Acquires, holds a little, releases."""

    weight = SteadyScraper.weight


class HttpBurst(OverHttp, Burst):
    """Many leases, one by one, then silence."""

    weight = Burst.weight


class HttpSlowHolder(OverHttp, SlowHolder):
    """Holds a lease for about as long as it lasts, and sometimes longer."""

    weight = SlowHolder.weight


class HttpDyingWorker(OverHttp, DyingWorker):
    """Dies with its leases."""

    weight = DyingWorker.weight
