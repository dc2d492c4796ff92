"""One run in one of locust's processes: the storage all its users share, ledger and judge."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event
from pharox.exceptions import PharoxError
from redis import RedisError

from pharox_redis import RedisStorage, Settings

from .closing import audit, close
from .desk import Desk
from .judge import Judge
from .ledger import Ledger
from .maintenance import Maintenance
from .mix import Mix
from .options import LoadOptions
from .performing import Performer
from .proxy_pool import proxies
from .rawkeys import PoolKeys

PERIOD = 1.0
"""Seconds between two audits, and between two looks."""

SAMPLE = 200
"""Proxies a look takes."""


class Session:
    """A run, as one process takes part in it.

    ``leads``: the process prepares the pool and judges (locust's master, or the only process).
    """

    def __init__(self, options: LoadOptions, leads: bool) -> None:
        self.options = options
        self.mix = Mix(options)
        self.storage = RedisStorage.from_url(options.url, Settings(key_prefix=options.prefix))
        self.retention_ms = self.storage.settings.retention_ms
        self.ledger = Ledger(self.retention_ms)
        self.judge = Judge() if leads else None
        if leads:
            self._fill_pool()
        pool = self.storage.get_pool_by_name(options.pool)
        if pool is None:
            raise RuntimeError(f"there is no pool {options.pool!r}: has the master filled it?")
        self.pool = pool
        self.keys = PoolKeys(options.prefix, pool.id)
        self._performer = Performer(self.storage, self.keys, options.pool)
        self._maintenance: Maintenance | None = None
        self._over = Event()
        self._rounds: list[Any] = []
        self.pending: list[dict[str, Any]] = []
        """A worker's reports that are not with the master yet."""

    def _fill_pool(self) -> None:
        old = self.storage.get_pool_by_name(self.options.pool)
        if old is not None:
            self.storage.delete_pool(old.id)
        pool = self.storage.ensure_pool(self.options.pool)
        filled = proxies(pool.id, self.options)
        self.storage.add_proxies_bulk(filled)
        assert self.judge is not None
        for proxy in filled:
            self.judge.limits.change(str(proxy.id), proxy.max_concurrency or 0, 0, 0)
            self.judge.statuses[str(proxy.id)] = proxy.status.value

    # -- for users -----------------------------------------------------------------------------

    def desk(self, consumer: str, fire: Callable[..., None]) -> Desk:
        """A user's way to its leases."""
        options = self.options
        return Desk(self.storage, self.ledger, options.pool, options.lease_seconds, consumer, fire)

    def maintenance(self) -> Maintenance:
        """The maintainer's books; made when they are first asked for."""
        if self._maintenance is None:
            self._maintenance = Maintenance(
                self.pool.id, self.storage.list_proxies(self.pool.id), self.options, self.ledger
            )
        return self._maintenance

    # -- for the listeners ---------------------------------------------------------------------

    def every_period(self, what: Callable[[], None]) -> None:
        """Do something each second until :meth:`end_rounds`."""

        def rounds() -> None:
            while not self._over.wait(PERIOD):
                try:
                    what()
                except (RedisError, PharoxError) as error:
                    # As users do: what is due stays due. The end of a run may not fail.
                    logging.warning("a look at the pool failed: %s", error)

        self._rounds.append(gevent.spawn(rounds))

    def end_rounds(self) -> None:
        """End what is done each second, and wait for it."""
        self._over.set()
        gevent.joinall(self._rounds, raise_error=True)

    def report(self, last: bool = False) -> dict[str, Any]:
        """Audit what is over, and report it."""
        return self.ledger.report(self._performer.perform(audit(self.keys, self.ledger)), last)

    def look(self) -> None:
        """Have the judge look at some proxies."""
        assert self.judge is not None
        self.judge.take_look(*self._performer.perform(self.keys.look(SAMPLE)))

    def close(self) -> None:
        """Judge the end of the run; nobody is at work any more."""
        assert self.judge is not None
        self._performer.perform(close(self.keys, self.judge, self.retention_ms))

    def clean_up(self) -> None:
        """Delete the pool."""
        self.storage.delete_pool(self.pool.id)
