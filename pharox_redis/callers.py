"""Who is asking: a token for the calling thread or asyncio task.

A find holds its proxy for its caller (a claim), and the same caller's ``create_lease`` turns the
claim into the lease. Code that finds in one thread and creates in another (an executor between the
two) is served too: a process remembers which of its callers claimed a proxy, and lends the claim.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import threading
import time
import weakref
from collections import OrderedDict
from typing import Any

_REMEMBERED = 1024


class Callers:
    """Tokens of one storage's callers, and their latest claims. Safe to share among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._local = threading.local()
        self._tasks: weakref.WeakKeyDictionary[asyncio.Task[Any], str] = weakref.WeakKeyDictionary()
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._process = secrets.token_hex(6)
        self._numbers = itertools.count()
        self._claims: dict[str, OrderedDict[str, None]] = {}
        self._current: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def token(self) -> str:
        """The caller's token: its own per thread or task, another one in a forked process."""
        if os.getpid() != self._pid:
            with self._lock:
                if os.getpid() != self._pid:
                    self._begin()
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is None:
            known: str | None = getattr(self._local, "token", None)
            if known is None or not known.startswith(self._process):
                known = self._local.token = f"{self._process}-{next(self._numbers):x}"
            return known
        known = self._tasks.get(task)
        if known is None or not known.startswith(self._process):
            known = self._tasks[task] = f"{self._process}-{next(self._numbers):x}"
        return known

    def claimed(self, proxy_id: str, token: str) -> None:
        """Remember that ``token`` claimed a proxy, and no longer what it claimed before."""
        with self._lock:
            self._forget(token)
            self._claims.setdefault(proxy_id, OrderedDict())[token] = None
            self._current[token] = (proxy_id, time.monotonic())
            while len(self._current) > _REMEMBERED:
                self._forget(next(iter(self._current)))

    def open_claim(self, claim_seconds: float) -> str:
        """The caller's token if a claim of its own may not have lapsed yet, else ""."""
        if not self._current:
            return ""
        token = self.token()
        known = self._current.get(token)
        return token if known and time.monotonic() - known[1] <= claim_seconds + 1 else ""

    def _forget(self, token: str) -> None:
        known = self._current.pop(token, None)
        if known is not None:
            proxy_id = known[0]
            tokens = self._claims[proxy_id]
            del tokens[token]
            if not tokens:
                del self._claims[proxy_id]

    def claim_for(self, proxy_id: str) -> str:
        """The token whose claim a lease on this proxy may use: the caller's own, else one of this
        storage's callers'; it is forgotten here."""
        token = self.token()
        with self._lock:
            tokens = self._claims.get(proxy_id)
            if not tokens:
                return token
            used = token if token in tokens else next(reversed(tokens))
            self._forget(used)
            return used
