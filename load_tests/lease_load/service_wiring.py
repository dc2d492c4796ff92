"""Gives a run of the HTTP service its service: one that was named, or one of its own.

Comes after ``Wiring``, which has chosen the Redis server by then. Workers are told the address with
the other options, as they are told the server's.
"""

from __future__ import annotations

import os
from typing import Any

from locust.runners import WorkerRunner

from .options import from_namespace
from .service_process import ServiceProcess


class ServiceWiring:
    """The listeners that are about the service."""

    def __init__(self, environment: Any) -> None:
        self._process: ServiceProcess | None = None
        options = environment.parsed_options
        if not options.pharox_service and not isinstance(environment.runner, WorkerRunner):
            load = from_namespace(options)
            self._process = ServiceProcess(load.url, load.prefix)
            options.pharox_service = self._process.url
            environment.events.quit.add_listener(self._on_quit)

    @staticmethod
    def add_arguments(parser: Any) -> None:
        """Add ``--pharox-service`` to locust's parser."""
        parser.add_argument(
            "--pharox-service",
            default=os.environ.get("PHAROX_LOAD_SERVICE", ""),
            help="address of the HTTP service; one is started without it",
        )

    def _on_quit(self, **_: Any) -> None:
        assert self._process is not None
        self._process.close()
