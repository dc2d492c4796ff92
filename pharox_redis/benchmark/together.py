"""Many of the library's operations at once, for what a benchmark needs a lot of.

An operation is a flow: a generator that yields its steps. ``together`` takes the next step of each
of many flows, has the driver send them in one pipeline, and gives each flow its reply. What the
server runs and keeps is what it would have had from as many callers; only the trips are fewer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import redis
from pharox.exceptions import PharoxError
from pharox.models import ProxyFilters, ProxyPool

from pharox_redis import ProxyLease, RedisStorage
from pharox_redis.flows import leases, leasing
from pharox_redis.flows.base import Command, Flow, Pause
from pharox_redis.scripts import Call

T = TypeVar("T")
Steps = dict[int, Call | Command]

AT_ONCE = 250
"""Operations in one pipeline: enough that trips cost little, and their replies fit in buffers."""

_THREADS = 2  # one waits for the server while the other packs and parses
_LONG = 3600.0


def together(flows: Sequence[Flow[T]]) -> Flow[list[T]]:
    """The results of many flows, their steps sent together.

    For flows whose steps are single calls, as those of leases are once names are cached. An error
    of one flow ends all.
    """
    done: dict[int, T] = {}
    todo: list[tuple[int, object]] = [(place, _START) for place in range(len(flows))]
    while todo:
        steps, pause, idle = Steps(), 0.0, list[tuple[int, object]]()
        for place, reply in todo:
            try:
                step = _resume(flows[place], reply)
            except StopIteration as stop:
                done[place] = stop.value
                continue
            if isinstance(step, Pause):
                pause = max(pause, step.seconds)
                idle.append((place, None))
            elif isinstance(step, (Call, Command)):
                steps[place] = step
            else:
                raise TypeError(f"together cannot perform {type(step).__name__}")
        replies = (yield list(steps.values())) if steps else []
        if pause:
            yield Pause(pause)
        todo = [*zip(steps, replies, strict=True), *idle]
    return [done[place] for place in range(len(flows))]


_START = object()


def _resume(flow: Flow[T], reply: object) -> object:
    if reply is _START:
        return next(flow)
    if isinstance(reply, PharoxError):
        return flow.throw(reply)
    return flow.send(reply)


def pair(
    storage: RedisStorage, pool: ProxyPool, consumer: str, filters: ProxyFilters | None = None
) -> Flow[None]:
    """Take a lease and give it back."""
    lease = yield from _acquire(storage, pool, consumer, filters)
    if lease is None:
        raise RuntimeError(f"pool {pool.name} had no free proxy: the figures would mean nothing")
    yield from leases.release(storage._context, lease)


def many_pairs(storage: RedisStorage, pool: ProxyPool, consumers: Sequence[str], size: int) -> None:
    """A pair for each of these consumers' names, in a pool of ``size`` free proxies."""
    for name in set(consumers):
        storage.ensure_consumer(name)
    storage._run(pair(storage, pool, consumers[0]))  # fills the caches that flows look into
    at_once = max(1, min(AT_ONCE, size // (2 * _THREADS)))
    rest = iter(consumers[1:])
    batches = iter(lambda: list(islice(rest, at_once)), [])

    def work(names: list[str]) -> None:
        storage._run(together([pair(storage, pool, name) for name in names]))

    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(work, batches):
            pass


@contextmanager
def exhausted(
    storage: RedisStorage, pool: ProxyPool, filters: ProxyFilters | None, consumers: int = 1
) -> Iterator[list[ProxyLease]]:
    """Every proxy that matches, leased: nothing of the filter is free inside. All are released at
    the end; so the filter's view has been filled to its end then, which it otherwise is only as far
    as somebody needed it."""
    names = [f"hoarder-{n}" for n in range(consumers)]
    for name in names:
        storage.ensure_consumer(name)
    held: list[ProxyLease] = []

    def ask(number: int) -> Flow[ProxyLease | None]:
        return _acquire(storage, pool, names[number % consumers], filters)

    try:
        # One alone tells whether anything is left, and fills the caches that flows look into.
        while first := storage._run(ask(len(held))):
            held.append(first)
            more = range(len(held), len(held) + AT_ONCE if len(held) > 2 else 0)
            flows = [ask(number) for number in more]
            held += [lease for lease in storage._run(together(flows)) if lease is not None]
        yield held
    finally:
        for start in range(0, len(held), AT_ONCE):
            batch = held[start : start + AT_ONCE]
            storage._run(together([leases.release(storage._context, lease) for lease in batch]))


def _acquire(
    storage: RedisStorage, pool: ProxyPool, consumer: str, filters: ProxyFilters | None
) -> Flow[ProxyLease | None]:
    acquired = yield from leasing.acquire(
        storage._context, pool.name, consumer, _LONG, filters, None, None
    )
    return acquired.lease


def unlink_below(client: redis.Redis, key: str) -> int:
    """Remove every key that begins with a pool's, and how many those were: what a deleted pool
    leaves until its TTL."""
    removed, found = 0, client.scan_iter(match=f"{key}*", count=1000)
    while keys := list(islice(found, 500)):
        removed += int(client.unlink(*keys))
    return removed
