"""Who is asking: a token for the calling thread or asyncio task, and what it has claimed.

A find holds its proxy for its caller (a claim), and the same caller's ``create_lease`` turns the
claim into the lease. Code that finds in one thread and creates in another (an executor between the
two) is served too: the claim can be used by whoever passes the very model that find returned.
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
from typing import Any, NamedTuple
from uuid import UUID

from pharox.models import Proxy

_REMEMBERED = 1024
_SOME_PROXY = UUID(int=0)


class Claim(NamedTuple):
    """What a caller holds in a pool: the proxy, the model it was given (its id()), since when."""

    proxy_id: UUID
    model: int
    since: float


class Callers:
    """Tokens of one storage's callers, and their latest claims. Safe to share among threads."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        # All anew in a forked child: a lock may have been held by a thread that is not there.
        self._lock = threading.Lock()
        self._local = threading.local()
        self._tasks: weakref.WeakKeyDictionary[asyncio.Task[Any], str] = weakref.WeakKeyDictionary()
        self._process = secrets.token_hex(6)
        self._numbers = itertools.count()
        self._claims: OrderedDict[tuple[str, UUID], Claim] = OrderedDict()
        self._pid = os.getpid()

    def token(self) -> str:
        """The caller's token: its own per thread or task, another one in a forked process."""
        if os.getpid() != self._pid:
            self._begin()
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is None:
            known: str | None = getattr(self._local, "token", None)
            if known is None:
                known = self._local.token = self._new_token()
            return known
        known = self._tasks.get(task)
        if known is None:
            known = self._tasks[task] = self._new_token()
        return known

    def _new_token(self) -> str:
        return f"{self._process}-{next(self._numbers):x}"

    def asking(self, token: str, pool_id: UUID) -> None:
        """Remember that ``token`` may be about to claim some proxy."""
        self._remember(token, pool_id, Claim(_SOME_PROXY, 0, time.monotonic()))

    def claimed(self, token: str, pool_id: UUID, proxy: Proxy) -> None:
        """Remember that ``token`` claimed a proxy, and no longer what it claimed there before."""
        self._remember(token, pool_id, Claim(proxy.id, id(proxy), time.monotonic()))

    def _remember(self, token: str, pool_id: UUID, claim: Claim) -> None:
        with self._lock:
            self._claims[token, pool_id] = claim
            self._claims.move_to_end((token, pool_id))
            if len(self._claims) > _REMEMBERED:
                self._claims.popitem(last=False)

    def claim_for(self, proxy: Proxy) -> str:
        """The token whose claim a lease on this proxy may use: the caller's own, or that of
        another caller who was given this very model."""
        token = self.token()
        with self._lock:
            known = self._claims.get((token, proxy.pool_id))
            if known is not None and known.proxy_id == proxy.id:
                return token
            for (other, _), claim in reversed(self._claims.items()):
                if claim.proxy_id == proxy.id and claim.model == id(proxy):
                    return other
        return token

    def used(self, token: str, pool_id: UUID, proxy_id: UUID) -> None:
        """Forget a claim that has become a lease; one on another proxy goes on."""
        with self._lock:
            known = self._claims.get((token, pool_id))
            if known is not None and known.proxy_id == proxy_id:
                del self._claims[token, pool_id]

    def has_none(self, token: str, pool_id: UUID) -> None:
        """Forget what ``token`` has claimed or was about to: a find brought nothing."""
        with self._lock:
            self._claims.pop((token, pool_id), None)

    def open_claim(self, pool_id: UUID, claim_seconds: float) -> str:
        """The caller's token if a claim of its own in this pool may still hold, else ""."""
        if not self._claims:
            return ""
        token = self.token()
        known = self._claims.get((token, pool_id))
        return token if known and time.monotonic() - known.since <= claim_seconds + 1 else ""
