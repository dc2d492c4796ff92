"""How long the server is busy with one script call, and how long others wait meanwhile."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import redis
from pharox.models import ProxyPool

from pharox_redis import RedisStorage
from pharox_redis.benchmark.bench import Bench, proxies
from pharox_redis.benchmark.children import child, stand_back
from pharox_redis.benchmark.rows import Budget, Limit, Row
from pharox_redis.benchmark.serverside import own_pool
from pharox_redis.benchmark.slowlog import SlowCall, SlowLog
from pharox_redis.flows.base import Flow
from pharox_redis.flows.leases import SWEEP

SECTION = "pauses"
_SLICE = 2_000  # proxies saved at once
_DELETED = 100  # proxies deleted for each slice, while others fill
_IDLE = 1.0  # seconds after which a filler's view may go, so that there is always one to fill
_REWRITE = "auto-aof-rewrite-percentage"
_TINY = "swap_entry"
"""A script of two commands: how long it took at most is what the machine adds to any script."""

_BUSY = "scheduling on the machine's cores is in it"


class Span(NamedTuple):
    """A piece of a run."""

    start: float
    stop: float


def pauses(bench: Bench) -> Iterator[Row]:
    """The longest script call and the longest PING of another client, at the largest size.

    A run is a part of a pool's load, as much of its delete, and, in the full pool, a while in which
    many workers ask for new filters, and proxies are saved and deleted. Its figures are maxima; the
    row has the median over the runs. Who does all that gives way to the server and to who pings:
    the clients of a fleet are on other machines.
    """
    size = bench.profile.sizes[-1]
    storage = bench.storage(view_idle_seconds=_IDLE)
    forks = _forks(bench)
    slow: SlowLog | None = SlowLog(bench.url, min(1000, size // 100))
    with ExitStack() as stack:
        try:
            assert slow is not None
            stack.enter_context(slow)
            stack.enter_context(_no_forks(bench))
        except redis.ResponseError:
            slow = None
        pinger = stack.enter_context(child("ping", url=bench.url))
        # A thread can stand back without taking the whole program with it.
        work = stack.enter_context(ThreadPoolExecutor(1, initializer=stand_back))
        kinds = work.submit(_work, bench, storage).result()
        pings: list[tuple[float, float, float]] = pinger.result()
    yield _script_row(slow.calls if slow else None, kinds, size)
    yield _ping_row(bench, pings, kinds, size, forks)


@contextmanager
def _no_forks(bench: Bench) -> Iterator[None]:
    """Keep the server from rewriting its append-only file meanwhile: it forks for that, and a fork
    of a gigabyte stops it for tens of milliseconds, whoever wrote what into it."""
    asked: Any = bench.client
    before = asked.config_get(_REWRITE)[_REWRITE]
    asked.config_set(_REWRITE, 0)
    try:
        yield
    finally:
        asked.config_set(_REWRITE, before)


def _work(bench: Bench, storage: RedisStorage) -> dict[str, list[Span]]:
    """Load a pool, fill views in it, delete it: when each part of a run was."""
    runs = range(bench.profile.long_runs)
    with own_pool(bench, storage, "pauses", 0) as pool:
        loads = [_load(bench, storage, pool, run) for run in runs]
        fills = [_fill(bench, storage, pool, run) for run in runs]
        bench.reporter.status(f"deleting {bench.profile.sizes[-1]:,} proxies with their pool")
        start = time.monotonic()
    deletes = _parts(Span(start, time.monotonic()), len(runs))
    return {"load": loads, "fill": fills, "delete": deletes}


def _load(bench: Bench, storage: RedisStorage, pool: ProxyPool, run: int) -> Span:
    size, runs = bench.profile.sizes[-1], bench.profile.long_runs
    begin, end = size * run // runs, size * (run + 1) // runs
    start = time.monotonic()
    for at in range(begin, end, _SLICE):
        bench.reporter.status(f"loading {at:,} of {size:,} proxies, measuring pauses")
        storage.add_proxies_bulk(list(proxies(pool, at, min(end, at + _SLICE))))
    bench.reporter.advance()
    return Span(start, time.monotonic())


def _fill(bench: Bench, storage: RedisStorage, pool: ProxyPool, run: int) -> Span:
    """Twenty rounds' time of filling, with saves and deletes beside it."""
    size, workers = bench.profile.sizes[-1], bench.profile.fillers
    bench.reporter.status(f"run {run + 1}: {workers} workers ask for new filters")
    seconds = 20 * bench.profile.round_seconds
    with child(
        "fill",
        url=bench.url,
        prefix=bench.prefix,
        pool=pool.name,
        workers=workers,
        idle_seconds=_IDLE,
    ) as filler:
        start = time.monotonic()
        while time.monotonic() < start + seconds:
            more = list(proxies(pool, size, size + min(size, _SLICE)))
            storage.add_proxies_bulk(more)
            for proxy in more[:_DELETED]:
                storage.delete_proxy(proxy.id)
            storage._run(_sweep(storage, pool))
        span = Span(start, time.monotonic())
        told: Any = filler.result()
    if told["errors"]:
        raise RuntimeError(f"workers that fill had errors: {told['errors']}")
    bench.reporter.advance()
    return span


def _sweep(storage: RedisStorage, pool: ProxyPool) -> Flow[None]:
    # This pool only: a sweep drops views that were idle, and other pools' are not ours to drop.
    yield SWEEP(storage._context.pool_ref(pool.id).key, limits=storage._context.limits)


def _parts(span: Span, count: int) -> list[Span]:
    width = (span.stop - span.start) / count
    return [Span(span.start + n * width, span.start + (n + 1) * width) for n in range(count)]


class Sample(NamedTuple):
    """The longest of something in a window of time."""

    window: Span
    ms: float


def _longest(samples: Sequence[Sample], span: Span) -> float:
    """The longest of the windows that are in a span, if only in part."""
    inside = [
        ms for window, ms in samples if window.start <= span.stop and window.stop >= span.start
    ]
    return max(inside, default=0.0)


def _windows(pings: Sequence[tuple[float, float]]) -> list[Sample]:
    """Pings, each with the moment its window ended: where the last one ended it began. It is longer
    than it was meant to be where who pings had to wait for a core."""
    starts = [-math.inf, *(seen for seen, _ in pings)]
    return [Sample(Span(start, seen), ms) for start, (seen, ms) in zip(starts, pings, strict=False)]


def _looks(calls: Sequence[SlowCall]) -> list[Sample]:
    """Calls, which are seen up to a tenth of a second late."""
    return [Sample(Span(call.seen - 0.1, call.seen), call.ms) for call in calls]


def _of_runs(
    samples: Sequence[Sample], kinds: dict[str, list[Span]]
) -> tuple[float, dict[str, float]]:
    """The median over the runs of the longest, and by kind."""
    longest = {kind: [_longest(samples, span) for span in spans] for kind, spans in kinds.items()}
    figure = statistics.median(max(run) for run in zip(*longest.values(), strict=True))
    return figure, {f"ms, {kind}": statistics.median(runs) for kind, runs in longest.items()}


def _script_row(calls: list[SlowCall] | None, kinds: dict[str, list[Span]], size: int) -> Row:
    what, budget = f"the longest script call at {size:,} proxies", Budget(Limit.AT_MOST, 5)
    if calls is None:
        return Row(SECTION, what, None, "ms", budget, "CONFIG is forbidden on this server")
    figure, details = _of_runs(_looks(calls), kinds)
    if not figure:
        return Row(SECTION, what, None, "ms", budget, "no call was long enough to be logged")
    scripts: dict[str, float] = {}
    for call in calls:
        scripts[call.script] = max(scripts.get(call.script, 0), call.ms)
    worst = max(scripts, key=lambda name: scripts[name])
    runs = len(kinds["load"])
    alone, _ = _of_runs(_looks([call for call in calls if call.script == _TINY]), kinds)
    return Row(
        SECTION,
        what,
        figure,
        "ms",
        budget,
        f"median of {runs} runs of load, filling and delete; {_BUSY}: "
        f"{_TINY}, which is over in microseconds, took up to {alone:.1f} ms; "
        f"the longest of all runs: {worst}, {scripts[worst]:.1f} ms",
        {
            **details,
            f"ms, {_TINY}": alone,
            **{f"ms at most, {name}": ms for name, ms in scripts.items()},
        },
    )


def _ping_row(
    bench: Bench,
    pings: list[tuple[float, float, float]],
    kinds: dict[str, list[Span]],
    size: int,
    forks: int,
) -> Row:
    figure, details = _of_runs(_windows([(seen, ms) for seen, ms, _ in pings]), kinds)
    alone, _ = _of_runs(_windows([(seen, ms) for seen, _, ms in pings]), kinds)
    forked, fork_ms = _forks(bench) - forks, bench.client.info("stats")["latest_fork_usec"] / 1000
    note = f"beside it, {bench.profile.fillers} workers filling; {_BUSY}: "
    note += f"a sleep of 0.5 ms took up to {alone:.1f} ms"
    if forked:
        note += f"; the server forked {forked} times, the last for"
        note += f" {fork_ms:.1f} ms"
    else:
        note += "; the server did not fork"
    return Row(
        SECTION,
        f"the longest PING of another client at {size:,} proxies",
        figure,
        "ms",
        Budget(Limit.AT_MOST, 10),
        note,
        {**details, "ms, a sleep of 0.5 ms": alone, "forks": float(forked)},
    )


def _forks(bench: Bench) -> int:
    return int(bench.client.info("stats")["total_forks"])
