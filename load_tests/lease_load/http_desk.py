"""Where users of the HTTP service get their leases: by its own endpoints, timed by locust.

The requests are locust's own; here they are named as the others are (``acquire``, ``miss``,
``release``), so that one table tells both. Some acquires carry an ``Idempotency-Key``, and some of
those are sent twice: the second answer must be the lease of the first.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from pharox.models import Lease

from .desk import Loan
from .ledger import Ledger
from .proxy_pool import any_filter, any_selector

REPEATED = 0.3
"""Of the acquires with a key."""


class HttpDesk:
    """One user's way to its leases, with the methods of ``Desk`` that scrapers call."""

    def __init__(
        self, client: Any, ledger: Ledger, pool_id: UUID, lease_seconds: float, consumer: str
    ) -> None:
        self._client, self._ledger = client, ledger
        self._pool_id, self._seconds, self._consumer = str(pool_id), lease_seconds, consumer

    def acquire(self, kind: str = "storage") -> Loan | None:
        """A lease, or None for a miss or a failure. Of kind "manager": with a key."""
        key = str(uuid4()) if kind == "manager" else None
        body = self._request()
        with self._ledger.under_way() as asked:
            lease = self._ask(body, key)
            if lease is None:
                return None
            loan = Loan(lease, self._ledger.granted(lease, asked))
        if key is not None and random.random() < REPEATED:
            self._ask_again(body, key, lease)
        return loan

    def acquire_many(self, count: int) -> list[Loan]:
        """Up to so many leases, one by one, until there is none."""
        found = []
        while len(found) < count and (loan := self.acquire()) is not None:
            found.append(loan)
        return found

    def release(self, loan: Loan, kind: str = "storage") -> None:
        """Give a lease back, perhaps after its end."""
        holding = loan.holding
        holding.release_asked = time.monotonic()
        path = f"/v1/leases/{loan.lease.id}/release"
        with self._client.post(path, name="release", catch_response=True) as response:
            if response.status_code == 200 and response.json()["status"] == "released":
                holding.release_done = time.monotonic()
                response.success()
            else:
                response.failure(f"release was answered {response.status_code}")

    def release_many(self, loans: Sequence[Loan]) -> None:
        """Give them back one by one."""
        for loan in loans:
            self.release(loan)

    def _request(self) -> dict[str, Any]:
        filters = any_filter()
        return {
            "pool_id": self._pool_id,
            "consumer_id": self._consumer,
            "ttl_seconds": self._seconds,
            "strategy": any_selector().value,
            **({"filters": filters.model_dump(exclude_none=True)} if filters else {}),
        }

    def _ask(self, body: dict[str, Any], key: str | None) -> Lease | None:
        with self._post(body, key) as response:
            if response.status_code == 201:
                response.success()
                return _lease(response.json())
            if response.status_code == 409:
                response.request_meta["name"] = "miss"
                response.success()
                return None
            # A 503, or no answer at all: the lease may have been granted.
            self._ledger.unclear()
            response.failure(f"acquire was answered {response.status_code}")
            return None

    def _ask_again(self, body: dict[str, Any], key: str, lease: Lease) -> None:
        with self._post(body, key) as response:
            again = response.json()["id"] if response.status_code in (200, 201) else None
            if again == str(lease.id):
                response.success()
            else:
                response.failure(f"the same key brought {response.status_code}, lease {again}")

    def _post(self, body: dict[str, Any], key: str | None) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._client.post(
            "/v1/leases/", json=body, headers=headers, name="acquire", catch_response=True
        )


def _lease(data: dict[str, Any]) -> Lease:
    """The lease of a reply; what ``url`` its proxy has is the scrapers' business."""
    return Lease.model_validate({name: data[name] for name in Lease.model_fields if name in data})
