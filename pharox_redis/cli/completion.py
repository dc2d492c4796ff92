"""Names of pools for the shell, from the server if it answers at once.

A shell waits while it completes. So there is half a second for everything, no second attempt, and
whatever goes wrong is no completion, without a word.
"""

from __future__ import annotations

import threading
from typing import Any

import typer

_SECONDS = 0.5

# A shell would take a name with any of these apart; such a pool is named by its id, or in quotes.
_APART = frozenset(" \"'`$&|;<>(){}[]*?!#~\\:=")


def complete_pool(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of pools that begin so."""
    # Before the clock runs: what is imported here takes a slow machine as long as that.
    from pharox_redis import storage  # noqa: F401

    found: list[str] = []
    # In a thread: a timeout for connecting does not hold for looking up the host's name.
    asking = threading.Thread(
        target=_ask, args=(ctx.params.get("url"), ctx.params.get("prefix"), found), daemon=True
    )
    asking.start()
    asking.join(_SECONDS)
    return [name for name in list(found) if name.startswith(incomplete)]


def _ask(url: Any, prefix: Any, found: list[str]) -> None:
    try:
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        from pharox_redis.cli.connection import DEFAULT_URL, settings_for
        from pharox_redis.storage import RedisStorage

        storage = RedisStorage.from_url(
            url or DEFAULT_URL,
            settings_for(prefix),
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        with storage:
            names = [pool.name for pool in storage.list_pools()]
    except Exception:
        return
    found += [name for name in names if name.isprintable() and _APART.isdisjoint(name)]
