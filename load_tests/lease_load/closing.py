"""The end of a run: wait until what was left has expired, sweep, and look at every key.

Written as a generator of steps, so that the blocking and the asyncio script close alike. A step is
a list of commands (its replies are sent back), or one of the words below.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from .judge import Judge
from .ledger import PAGE, Ledger
from .rawkeys import PoolKeys, milliseconds, text

KEYS, SWEEP, FIGURES = "keys", "sweep", "figures"
"""Words for: the names of all keys of the pool; a sweep; the pool's figures."""

MARGIN_MS = 50
Steps = Generator[Any, Any, None]


def server_time() -> Generator[Any, Any, int]:
    """The server's clock in ms."""
    (reply,) = yield [("TIME",)]
    return milliseconds(reply)


def audit(keys: PoolKeys, ledger: Ledger) -> Generator[Any, Any, int]:
    """Audit what is over. The server's clock, read before the records."""
    now = yield from server_time()
    due = ledger.due(now)
    for start in range(0, len(due), PAGE):
        page = due[start : start + PAGE]
        (records,) = yield [("MGET", *(keys.record(holding.lease_id) for holding in page))]
        ledger.audit(page, text(records), now)
    return now


def close(keys: PoolKeys, judge: Judge, retention_ms: int) -> Steps:
    """Judge the end of a run. All users have ended and all last reports are in."""
    ledger = Ledger(retention_ms)
    now = yield from server_time()
    dump = yield from keys.dump((yield KEYS))
    judge.judge_rest(dump, now)
    ledger.take_over(judge.left)
    ends = [*(h.expires for h in ledger.open.values()), *map(int, dump.expiry.values())]
    if ends:
        yield max(0, max(ends) - now + MARGIN_MS) / 1000
    ledger.counts["swept"] += yield SWEEP
    now = yield from audit(keys, ledger)
    judge.take("closing", ledger.report(now, last=False))
    judge.settle(float("inf"))
    dump = yield from keys.dump((yield KEYS))
    judge.judge_end(dump, (yield FIGURES))
    judge.judge_counts(ledger)
