"""Drivers perform what flows yield; they are the only code that talks to a client.

A *link* (``links.py``, ``async_links.py``) is one way to reach the data: a single server, which may
be the master that Sentinel names, or a Cluster. It sends commands and nothing else. A *driver*
(``blocking.py``, ``asynchronous.py``) runs a flow over a link: it decodes replies, falls back from
EVALSHA to EVAL, turns redis-py's exceptions into this library's, and lets time pass. Both drivers
share ``replies.py``.
"""

from pharox_redis.drivers.asynchronous import AsyncDriver
from pharox_redis.drivers.blocking import SyncDriver
from pharox_redis.drivers.replies import (
    CLIENT_ERRORS,
    check_version,
    command_of,
    fallback_of,
    text,
)

__all__ = [
    "CLIENT_ERRORS",
    "AsyncDriver",
    "SyncDriver",
    "check_version",
    "command_of",
    "fallback_of",
    "text",
]
