"""What the maintainer changes about the proxies, and what it believes of them.

One maintainer is at work in a run: a save overwrites a proxy's whole model, so two of them would
undo each other's changes, and nobody could say which limit was in force when. It changes a status,
raises or lowers a limit, adds a proxy, or deletes one, leases and all; the pool's size and the
share of proxies that are not active stay near where they began.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from pharox.models import Proxy, ProxyStatus

from .ledger import UNSURE, Ledger
from .options import LoadOptions
from .proxy_pool import proxy as new_proxy


@dataclass(frozen=True)
class Change:
    """A proxy as it is to be saved, or one to be deleted."""

    proxy: Proxy
    delete: bool = False


class Maintenance:
    """Plans changes and keeps the books about them, in the ledger of its process."""

    def __init__(
        self, pool_id: UUID, proxies: Iterable[Proxy], options: LoadOptions, ledger: Ledger
    ) -> None:
        self._pool_id, self._options, self._ledger = pool_id, options, ledger
        self._proxies = list(proxies)
        self._number = options.proxies
        self.statuses = {str(proxy.id): proxy.status.value for proxy in self._proxies}
        ledger.statuses = self.statuses

    def plan(self) -> Change:
        """The next change."""
        size, few = len(self._proxies), max(1, self._options.proxies // 10)
        chosen = random.choice(self._proxies)
        match random.choice(("status", "limit", "size")):
            case "status":
                idle = [proxy for proxy in self._proxies if proxy.status != ProxyStatus.ACTIVE]
                if len(idle) >= few or (idle and random.random() < 0.5):
                    return Change(_with(random.choice(idle), status=ProxyStatus.ACTIVE))
                return Change(_with(chosen, status=ProxyStatus.INACTIVE))
            case "limit":
                limit = random.randint(1, self._options.limit + 1)
                return Change(_with(chosen, max_concurrency=limit))
            case _ if size > self._options.proxies and size > 1:
                return Change(chosen, delete=True)
            case _:
                self._number += 1
                limit = random.randint(1, self._options.limit)
                return Change(new_proxy(self._pool_id, self._number, limit))

    def begin(self, change: Change) -> None:
        """The change is about to be made; from here on it may have been."""
        key = str(change.proxy.id)
        self.statuses[key] = UNSURE
        if change.delete:
            self._ledger.deleting(key)

    def done(self, change: Change, before: int, after: int) -> None:
        """The change was made between two readings of the server's clock, in ms."""
        key = str(change.proxy.id)
        self._forget(key)
        if change.delete:
            del self.statuses[key]
            return
        self._proxies.append(change.proxy)
        self.statuses[key] = change.proxy.status.value
        self._ledger.changed(key, change.proxy.max_concurrency or 0, before, after)

    def failed(self, change: Change, before: int) -> None:
        """Nobody knows whether the change was made: the proxy is not touched again.

        Its limit may be the new one, so the higher of the two counts.
        """
        key = str(change.proxy.id)
        old = next((proxy for proxy in self._proxies if str(proxy.id) == key), None)
        self._forget(key)
        if not change.delete:
            limits = [proxy.max_concurrency or 0 for proxy in (change.proxy, old) if proxy]
            self._ledger.changed(key, max(limits), before, before)

    def _forget(self, key: str) -> None:
        self._proxies = [proxy for proxy in self._proxies if str(proxy.id) != key]


def _with(proxy: Proxy, **values: object) -> Proxy:
    return proxy.model_copy(update=values)
