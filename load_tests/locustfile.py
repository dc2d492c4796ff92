"""Locust's entry: leases under load, with the invariants checked while it runs and at the end.

    locust -f load_tests/locustfile.py --headless -u 40 -r 20 -t 1m --html build/load/report.html

runs on an embedded server; ``--host redis://...`` (or ``--pharox-url``) names another one. The run
fails, exit code 1, if a proxy had more leases than its limit or a lease was lost or stuck.
docs/load-testing.md says what users do, what is checked, and how to run it on several machines.
"""

from __future__ import annotations

from lease_load import wiring
from lease_load.users import Burst, DyingWorker, Maintainer, SlowHolder, SteadyScraper
from locust import events

wiring.install(events)

__all__ = ["Burst", "DyingWorker", "Maintainer", "SlowHolder", "SteadyScraper"]
