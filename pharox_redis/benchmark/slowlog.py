"""Which script calls took how long: the server's SLOWLOG, read and emptied ten times a second.

The server's own clock around a call: what the machine did meanwhile with the server's process (on
two busy cores it may have been taken off for milliseconds) is in the figure, waiting in line before
the call is not.
"""

from __future__ import annotations

import threading
import time
from functools import cache
from types import TracebackType
from typing import Any, NamedTuple, Self

import redis

from pharox_redis.scripts import load, lua_root

_EVERY = 0.1  # seconds
_SETTINGS = ("slowlog-log-slower-than", "slowlog-max-len")


class SlowCall(NamedTuple):
    """A script call: when it was seen (``time.monotonic``), how long it took, which script."""

    seen: float
    ms: float
    script: str


class SlowLog:
    """Collects script calls longer than ``threshold_us`` inside a ``with`` block, in ``calls``.

    Changes two of the server's settings meanwhile. Raises redis-py's ``ResponseError`` on entering
    where that is forbidden.
    """

    def __init__(self, url: str, threshold_us: int) -> None:
        self.calls: list[SlowCall] = []
        self._client = redis.Redis.from_url(url)
        self._threshold = threshold_us
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        asked: Any = self._client
        self._before = {name: asked.config_get(name)[name] for name in _SETTINGS}
        for name, value in zip(_SETTINGS, (self._threshold, 1024), strict=True):
            asked.config_set(name, value)
        asked.slowlog_reset()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        for name, value in self._before.items():
            self._client.config_set(name, value)
        self._client.close()
        if self._error is not None and error is None:
            raise self._error

    def _watch(self) -> None:
        try:
            while not self._stop.wait(_EVERY):
                self._drain()
            self._drain()
        except BaseException as error:
            self._error = error

    def _drain(self) -> None:
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.slowlog_get(1024)
            pipeline.slowlog_reset()
            entries: Any = pipeline.execute()[0]
        now = time.monotonic()
        for entry in entries:
            script = _script(entry["command"])
            if script:
                self.calls.append(SlowCall(now, entry["duration"] / 1000, script))


def _script(command: bytes) -> str | None:
    """The library's script that a logged command calls."""
    words = command.decode("utf-8", "replace").split(" ", 2)
    return _names().get(words[1]) if words[0].upper() == "EVALSHA" else None


@cache
def _names() -> dict[str, str]:
    names = [file.stem for file in lua_root().glob("*.lua")]
    return {load(name).sha: name for name in names}
