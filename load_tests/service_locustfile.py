"""Locust's entry for the HTTP service: the same mix, but leases are taken and returned over HTTP.

    locust -f load_tests/service_locustfile.py --headless -u 40 -r 20 -t 1m

starts an embedded server and a service of its own; ``--host redis://...`` names another server, and
``--pharox-service http://...`` a service that runs on it (and does not sweep:
``PHAROX_REDIS_SWEEP_SECONDS=0``). The run fails as locustfile.py's does; the judge reads the
server's own records, whichever way leases were taken.
"""

from __future__ import annotations

from lease_load import wiring
from lease_load.http_users import HttpBurst, HttpDyingWorker, HttpScraper, HttpSlowHolder
from lease_load.service_wiring import ServiceWiring
from lease_load.users import Maintainer
from locust import events

wiring.install(events)
events.init_command_line_parser.add_listener(
    lambda parser, **_: ServiceWiring.add_arguments(parser)
)
events.init.add_listener(lambda environment, **_: ServiceWiring(environment))

__all__ = ["HttpBurst", "HttpDyingWorker", "HttpScraper", "HttpSlowHolder", "Maintainer"]
