"""What all flows share: the steps they yield, and the state of one storage's client side."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from pharox.exceptions import PharoxError
from pharox.models import Proxy

from pharox_redis.callers import Callers
from pharox_redis.keys import Keys, lease_prefix, pool_tag
from pharox_redis.scripts import Call, Value
from pharox_redis.settings import Settings

logger = logging.getLogger("pharox_redis")

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class Command(NamedTuple):
    """A plain command, its name first."""

    args: tuple[Value, ...]

    def __repr__(self) -> str:
        # Without the values: they are the users'.
        return f"Command({' '.join(map(str, self.args[:2]))}, {len(self.args)} words)"


class Pause(NamedTuple):
    """Let this many seconds pass."""

    seconds: float


BREATH = Pause(0)
"""Let other tasks of the event loop run: between two spells of work that take no I/O."""


class OnMaster(NamedTuple):
    """Commands for one connection to the master that has a key, in one trip. Of the replies, one
    that failed is an exception."""

    key: str
    commands: tuple[Command, ...]


Step = Call | Command | Pause | OnMaster | list[Call | Command]
Flow = Generator[Step, Any, T]


class Interrupted(BaseException):
    """Thrown into a flow whose caller is gone (cancelled). The step under way may or may not have
    been performed. A flow that must not end there yields what is still to be done; it ends by
    letting this pass."""


def to_the_end(flow: Flow[T]) -> Flow[T]:
    """A flow that carries on though its caller is gone; an interrupted step is done once more."""
    interrupted: Interrupted | None = None
    try:
        step = next(flow)
        while True:
            try:
                reply = yield step
            except Interrupted as error:
                interrupted = error
            except PharoxError as error:
                step = flow.throw(error)
            else:
                step = flow.send(reply)
    except StopIteration as stop:
        if interrupted is not None:
            raise interrupted from None
        result: T = stop.value
        return result


class PoolRef(NamedTuple):
    """A pool as a client knows it; its key decides whether that still holds. ``prefix`` begins the
    ids of its leases."""

    id: UUID
    key: str
    prefix: str

    def lease_id(self, tail: str) -> str:
        """The id of one of its leases."""
        return f"{self.prefix}-{tail}"


class Bounded(Generic[K, V]):
    """A dict that forgets its oldest entries beyond a bound. Safe to share among threads."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._lock = threading.Lock()
        _all_bounded.add(self)
        self._items: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, or None."""
        return self._items.get(key)

    def put(self, key: K, value: V) -> None:
        """Set a value; the oldest entry goes if there are too many."""
        with self._lock:
            self._items[key] = value
            self._items.move_to_end(key)
            if len(self._items) > self._bound:
                self._items.popitem(last=False)

    def drop(self, key: K) -> None:
        """Forget a key, known or not."""
        with self._lock:
            self._items.pop(key, None)

    def items(self) -> list[tuple[K, V]]:
        """A copy of what is known."""
        with self._lock:
            return list(self._items.items())


_all_bounded: weakref.WeakSet[Bounded[Any, Any]] = weakref.WeakSet()


def _new_locks() -> None:
    """In a forked child a lock may be held for ever by a thread that is not there."""
    for bounded in list(_all_bounded):
        bounded._lock = threading.Lock()


os.register_at_fork(after_in_child=_new_locks)


class Context:
    """One storage's settings and what its client side remembers. No I/O."""

    def __init__(self, settings: Settings, proxy_model: type[Proxy]) -> None:
        if not (isinstance(proxy_model, type) and issubclass(proxy_model, Proxy)):
            raise TypeError(
                f"proxy_model must be a subclass of pharox's Proxy, not {proxy_model!r}."
            )
        self.settings = settings
        self.keys = Keys(settings.key_prefix)
        self.proxy_model = proxy_model
        # What every call sends, worked out once.
        self.limits = settings.limits
        self.retention_ms = settings.retention_ms
        self.chunk_us = settings.chunk_us
        self.claim_ms = round(settings.claim_seconds * 1000)
        self._refs: Bounded[UUID, PoolRef] = Bounded(10_000)
        self.callers = Callers()
        self.pools: Bounded[str, PoolRef] = Bounded(10_000)
        self.consumers: Bounded[str, str] = Bounded(10_000)
        # Names by id, of consumers that others named.
        self.holders: Bounded[str, str] = Bounded(10_000)
        self.warned: Bounded[str, bool] = Bounded(1_000)
        self._filters: Bounded[tuple[str, str, str], tuple[float, float]] = Bounded(10_000)

    def pool_ref(self, pool_id: UUID) -> PoolRef:
        """A pool's id with what derives from it."""
        known = self._refs.get(pool_id)
        if known is None:
            known = PoolRef(pool_id, self.keys.pool(pool_id), lease_prefix(pool_id))
            self._refs.put(pool_id, known)
        return known

    def tag(self, pool_id: UUID) -> str:
        """What directories say of a pool."""
        return pool_tag(pool_id)

    def hints(self, pool: PoolRef, selector: str, digest: str) -> str:
        """``s`` if this client has asked for the filter within the views' idle time, ``t`` if its
        view's use is to be noted (a few times per idle time)."""
        if not digest:
            return ""
        key, now, idle = (
            (pool.key, selector, digest),
            time.monotonic(),
            self.settings.view_idle_seconds,
        )
        seen, touched = self._filters.get(key) or (float("-inf"), float("-inf"))
        if now - seen < idle / 8 and now - touched < idle / 8:
            return "s"
        hints = "s" if now - seen < idle else ""
        if now - touched >= idle / 8:
            hints, touched = hints + "t", now
        self._filters.put(key, (now, touched))
        return hints

    def warn_once(self, name: str, message: str) -> None:
        """Log a warning, once for a name."""
        if self.warned.get(name) is None:
            self.warned.put(name, True)
            logger.warning(message)


def checked(replies: Iterable[Any]) -> list[Any]:
    """The replies of a list of steps, raising the first that is an error."""
    found = list(replies)
    for reply in found:
        if isinstance(reply, PharoxError):
            raise reply
    return found


AT_ONCE = 50
"""Models decoded or encoded between two breaths: some two milliseconds of work."""


def in_turns(items: Iterable[K], work: Callable[[K], V]) -> Flow[list[V]]:
    """``work`` of each item, with a breath after every ``AT_ONCE``."""
    todo, done = iter(items), list[V]()
    while chunk := [work(item) for item in islice(todo, AT_ONCE)]:
        done += chunk
        if len(chunk) == AT_ONCE:
            yield BREATH
    return done


def in_chunks(items: list[V], size: int) -> Iterator[list[V]]:
    """The items, ``size`` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
