"""The floor: one EVALSHA that does nothing, through redis-py as everybody uses it."""

from __future__ import annotations

from functools import partial

import redis

from pharox_redis.benchmark.bench import Work

SCRIPT = "return 1"


def evalsha(client: redis.Redis) -> Work:
    """Call a script that is already loaded."""
    sha = client.script_load(SCRIPT)
    return partial(client.evalsha, sha, 0)
