"""Which servers and flavours a test meets in the normal run, and which only in the slow one.

Every test has all its combinations of server and flavour, and `make test` and `make slow` run each
of them between them. What a server may do differently is in its commands and its Lua, what a
flavour may do differently is in the driver; hardly a fault needs a certain server *and* a certain
flavour. So the normal run pairs them: each test runs on each server once, and in each flavour.

==========  ========  =======
server      blocking  asyncio
==========  ========  =======
fakeredis   normal    slow
Valkey      slow      normal
Redis       normal    slow
==========  ========  =======

All of `tests/aio` counts as asyncio. Another test that has one flavour only runs on every server in
the normal run, but for those of single scripts on fakeredis: there the normal run has the tests of
all that is made of the scripts.

For pytest-xdist, tests that are in no group are put into groups of neighbours. The scheduler's work
grows with the square of the number of groups, and a module's fixtures are made in one process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pytest

NORMAL = {("fake", "blocking"), ("valkey", "async"), ("redis", "blocking")}
SERVERS = {server for server, _ in NORMAL}
# The first are about scripts and keys, which a storage is only there to make; in aio a blocking one
# looks on.
ONE_FLAVOUR = ("tests/scripts/", "tests/docs/", "tests/aio/", "tests/doctor/")
NEIGHBOURS = 16


def has_both(test: pytest.Item) -> bool:
    """Whether a test that can be run in both flavours is."""
    return not (test.get_closest_marker("blocking_only") or test.nodeid.startswith(ONE_FLAVOUR))


def mark_slow(items: Iterable[pytest.Item], targets: Sequence[str]) -> None:
    """Mark what the normal run leaves out. Without a Redis, Valkey has both flavours there."""
    normal = NORMAL if "redis" in targets else {*NORMAL, ("valkey", "blocking")}
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        server = next(
            (each for each in params.values() if isinstance(each, str) and each in SERVERS), None
        )
        flavour = params.get("flavour") or params.get("maker")
        if item.get_closest_marker("async_in_slow"):
            left_out = flavour == "async"
        elif server is None:
            continue
        elif item.nodeid.startswith("tests/aio/"):
            left_out = (server, "async") not in normal
        elif flavour and has_both(item):
            left_out = (server, flavour) not in normal
        else:
            left_out = server == "fake" and item.nodeid.startswith("tests/scripts/")
        if left_out:
            item.add_marker(pytest.mark.slow)


def put_into_groups(items: list[pytest.Item]) -> None:
    """Give each test an ``xdist_group``. Those that have one already come first: they are the
    longest, and the small ones even out at the end."""
    known: Counter[str] = Counter()
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
    for item in items:
        if item.get_closest_marker("xdist_group") is not None:
            continue
        path = item.nodeid.partition("::")[0]
        part = 0 if _shares_fixtures(item) else known[path] // NEIGHBOURS
        known[path] += 1
        item.add_marker(pytest.mark.xdist_group(f"{path} {part}"))


def _shares_fixtures(item: pytest.Item) -> bool:
    """Whether a test has fixtures of its module."""
    known = item._fixtureinfo.name2fixturedefs
    return any(found[-1].scope == "module" for found in known.values())
