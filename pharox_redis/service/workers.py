"""Several workers, one ``/metrics``: prometheus-client's multiprocess mode.

With ``PROMETHEUS_MULTIPROC_DIR`` in the environment each process keeps what it counts in files of
that directory, one a kind and process, and whoever is scraped reads all of them. The variable must
be there before prometheus-client is imported, so the process that starts the workers sets it
(``shared_directory``). Files of workers that are gone stay: what they counted did happen. Only what
is true now (gauges, processes) is told of the living.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_FILE_OF = re.compile(r"_(\d+)\.db")

logger = logging.getLogger("pharox_redis.service")


@contextmanager
def shared_directory(count: int) -> Iterator[None]:
    """Around the start of workers: a directory for what they count, in the environment that they
    inherit; deleted afterwards. Nothing for a single worker, or if the user has named one."""
    if count < 2 or VARIABLE in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="pharox-redis-metrics-") as directory:
        os.environ[VARIABLE] = directory
        try:
            yield
        finally:
            os.environ.pop(VARIABLE, None)


def share(registry: CollectorRegistry) -> bool:
    """Whether this process shares what it counts with others; then the registry reads it all.

    Raises ``OSError`` if the directory cannot be made.
    """
    if not values.ValueClass._multiprocess:
        if multiprocessing.parent_process() is not None:
            logger.warning(
                "This process has siblings, perhaps, and /metrics counts for itself alone: "
                f"`pharox-redis serve --workers` adds workers up, and so does {VARIABLE} (an empty "
                "directory) in the environment of any other server."
            )
        return False
    directory = Path(os.environ[VARIABLE])
    directory.mkdir(parents=True, exist_ok=True)
    # First, for it clears away what the dead left before that is read.
    registry.register(_Living(directory))
    MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]
    return True


def leave() -> None:
    """At the end of a worker: what was true of it is true no longer."""
    if values.ValueClass._multiprocess and VARIABLE in os.environ:
        _mark_dead(os.getpid(), os.environ[VARIABLE])


class _Living(Collector):
    """What the workers cost that run now, by ``pid``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        """The process metrics of all living workers."""
        found: dict[str, Metric] = {}
        for pid in self._pids():
            if not _runs(pid):
                _mark_dead(pid, str(self._directory))
                continue
            for one in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                whole = found.setdefault(one.name, Metric(one.name, one.documentation, one.type))
                for sample in one.samples:
                    labels = {**sample.labels, "pid": str(pid)}
                    whole.add_sample(sample.name, labels, sample.value)
        yield from found.values()

    def describe(self) -> list[Metric]:
        """No names: nothing else in this registry is called so."""
        return []

    def _pids(self) -> list[int]:
        names = (_FILE_OF.search(path.name) for path in self._directory.glob("*.db"))
        return sorted({int(name[1]) for name in names if name})


_mark_dead: Callable[[int, str], None] = mark_process_dead


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
