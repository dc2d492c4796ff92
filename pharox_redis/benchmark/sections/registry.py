"""The sections in the order of the table.

A section is a function that takes a bench and yields rows, each with its budget. To add one, write
its module and put it into ``SECTIONS``: the command line, the report and the documents' table find
it there.
"""

from __future__ import annotations

from dataclasses import dataclass

from pharox_redis.benchmark.bench import Section
from pharox_redis.benchmark.sections.asyncio_tasks import asyncio_tasks
from pharox_redis.benchmark.sections.batch import batch
from pharox_redis.benchmark.sections.client_sizes import client_sizes
from pharox_redis.benchmark.sections.contention import contention
from pharox_redis.benchmark.sections.latency import latency
from pharox_redis.benchmark.sections.pairs import pairs
from pharox_redis.benchmark.sections.server_time import server_time


@dataclass(frozen=True, slots=True)
class Entry:
    """A section by the name that ``--only`` takes, and what it is about."""

    name: str
    title: str
    measure: Section


SECTIONS: tuple[Entry, ...] = (
    Entry("pairs", "pairs of one client", pairs),
    Entry("contention", "processes that contend for proxies", contention),
    Entry("server-time", "server time of a pair", server_time),
    # Here, in this order: sizes, past-leases, misses, live-views, new-filter, pauses.
    Entry("asyncio", "tasks of one process", asyncio_tasks),
    Entry("batch", "batches", batch),
    # Here: memory.
    Entry("latency", "how long a call takes", latency),
    Entry("client-sizes", "pairs by the size of the pool", client_sizes),
)
