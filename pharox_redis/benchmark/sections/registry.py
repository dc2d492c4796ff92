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
from pharox_redis.benchmark.sections.live_views import live_views
from pharox_redis.benchmark.sections.memory import memory
from pharox_redis.benchmark.sections.misses import misses
from pharox_redis.benchmark.sections.new_filter import new_filter
from pharox_redis.benchmark.sections.pairs import pairs
from pharox_redis.benchmark.sections.past_leases import past_leases
from pharox_redis.benchmark.sections.pauses import pauses
from pharox_redis.benchmark.sections.server_time import server_time
from pharox_redis.benchmark.sections.sizes import sizes


@dataclass(frozen=True, slots=True)
class Entry:
    """A section by the name that ``--only`` takes, and what it is about."""

    name: str
    title: str
    measure: Section


# The big pools come last: what a server does in the background after a million deletes (rewriting
# its log, freeing memory) takes a core from whatever is measured beside it.
SECTIONS: tuple[Entry, ...] = (
    Entry("pairs", "pairs of one client", pairs),
    Entry("contention", "processes that contend for proxies", contention),
    Entry("server-time", "server time of a pair", server_time),
    Entry("asyncio", "tasks of one process", asyncio_tasks),
    Entry("batch", "batches", batch),
    Entry("latency", "how long a call takes", latency),
    Entry("memory", "memory", memory),
    Entry("live-views", "server time by live views", live_views),
    Entry("misses", "server time of a miss", misses),
    Entry("sizes", "server time by the size of the pool", sizes),
    Entry("client-sizes", "pairs by the size of the pool", client_sizes),
    Entry("new-filter", "a filter's first answer", new_filter),
    Entry("past-leases", "server time by past leases", past_leases),
    Entry("pauses", "the longest script call, the longest PING", pauses),
)
