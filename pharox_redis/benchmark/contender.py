"""One process of a crowd: it takes and returns as fast as it can, and writes down what it held.

All processes of a crowd go from round to round together, by a barrier, each round with another
contender. In the last rounds, which are not timed, they keep what they have for a moment: holds
that end as soon as they have begun would hardly ever overlap, limits or not.

A hold is noted from after it was acquired to before it is released, so that two holds of one thing
that overlap in the notes overlapped in fact. Times are ``time.monotonic``, one clock for all
processes of a machine.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Barrier
from typing import Any

from pharox.manager import ProxyManager
from pharox.models import Lease

from pharox_redis import RedisProxyManager, RedisStorage, Settings
from pharox_redis.benchmark.peers.locks import lock_name, make_lock
from pharox_redis.benchmark.peers.managers import CONSUMER, DURATION, FILTERS
from pharox_redis.connecting import connect
from pharox_redis.errors import without_quotations

OURS, PHAROX, LOCK = "RedisProxyManager", "pharox's ProxyManager", "redis-py Lock"
PATIENCE = 60.0
"""Seconds to wait for the others before a crowd is given up."""

_KEPT_ERRORS = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What every process of a crowd does: ``rounds`` times each contender, ``seconds`` long, and
    then once more each, keeping things for ``hold`` seconds."""

    url: str
    prefix: str
    pool: str
    things: int
    contenders: tuple[str, ...]
    rounds: int
    seconds: float
    hold: float = 0.002

    def schedule(self) -> list[tuple[str, float]]:
        """The rounds in order: (whose turn it is, how long things are kept)."""
        timed = [(name, 0.0) for _ in range(self.rounds) for name in self.contenders]
        return timed + [(name, self.hold) for name in self.contenders]


@dataclass(slots=True)
class Round:
    """What one process did in one round. ``holds`` are (what was held, from, to)."""

    contender: str
    hold: float = 0.0
    began: float = 0.0
    ended: float = 0.0
    misses: int = 0
    errors: int = 0
    messages: list[str] = field(default_factory=list)
    holds: list[tuple[str, float, float]] = field(default_factory=list)


class Contender:
    """Something to acquire (None: there is nothing) and to release; ``name`` says what it is."""

    def __init__(
        self,
        acquire: Callable[[], Any],
        release: Callable[[Any], object],
        name: Callable[[Any], str],
    ) -> None:
        self.acquire = acquire
        self.release = release
        self.name = name


def managed(manager: ProxyManager, pool: str) -> Contender:
    """Leases of a manager."""

    def name(lease: Lease) -> str:
        return str(lease.proxy_id)

    return Contender(
        lambda: manager.acquire_proxy(pool, CONSUMER, DURATION, FILTERS),
        manager.release_proxy,
        name,
    )


def locked(client: Any, prefix: str, count: int) -> Contender:
    """The first of some locks, in random order, that is free."""
    locks = [make_lock(client, lock_name(prefix, number)) for number in range(count)]

    def acquire() -> Any:
        return next((lock for lock in random.sample(locks, count) if lock.acquire()), None)

    return Contender(acquire, lambda lock: lock.release(), lambda lock: str(lock.name))


def play(contender: Contender, done: Round, seconds: float) -> None:
    """Take and return for so long; what is held then is returned. A miss is tried again at once."""
    done.began = now = time.monotonic()
    until = now + seconds
    while now < until:
        try:
            held = contender.acquire()
            got = now = time.monotonic()
            if held is None:
                done.misses += 1
                continue
            if done.hold:
                time.sleep(done.hold)
            done.holds.append((contender.name(held), got, time.monotonic()))
            contender.release(held)
        except Exception as error:
            done.errors += 1
            if len(done.messages) < _KEPT_ERRORS:
                text = without_quotations(str(error))
                done.messages.append(f"{type(error).__name__}: {text}")
        now = time.monotonic()
    done.ended = now


def contend(plan: Plan, barrier: Barrier, results: Connection) -> None:
    """Be a process of a crowd: send all rounds when done, or the text of what went wrong."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        results.send(_rounds(plan, barrier))
    except threading.BrokenBarrierError:
        results.send("another process gave up")
    except Exception as error:
        results.send(f"{type(error).__name__}: {without_quotations(str(error))}")
        barrier.abort()
    finally:
        results.close()


def _end_with_parent() -> None:
    """A parent that was killed cannot end its children."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _rounds(plan: Plan, barrier: Barrier) -> list[Round]:
    client: Any = connect(plan.url)
    try:
        storage = RedisStorage(client, Settings(key_prefix=plan.prefix))
        known = {
            OURS: managed(RedisProxyManager(storage), plan.pool),
            PHAROX: managed(ProxyManager(storage), plan.pool),
            LOCK: locked(client, plan.prefix, plan.things),
        }
        rounds = [Round(name, hold) for name, hold in plan.schedule()]
        for done in rounds:
            barrier.wait(PATIENCE)
            play(known[done.contender], done, plan.seconds)
        barrier.wait(PATIENCE)
        return rounds
    finally:
        client.close()
