"""A longer profile: half an hour in stages, to be given after the locustfile.

    locust -f load_tests/locustfile.py,load_tests/stages.py --headless --html build/load/report.html

Warm up, work, a peak that is more than the pool was made for, a quiet time in which what the peak
left must go away, and work again. ``--pharox-minutes`` makes all of it shorter or longer,
``--pharox-peak`` higher or lower.
"""

from __future__ import annotations

import os
from typing import Any

from locust import LoadTestShape, events

STAGES = ((0.10, 0.25), (0.30, 0.50), (0.20, 1.00), (0.15, 0.10), (0.25, 0.50))
"""Shares of the time, and of the peak's users."""


def add_arguments(parser: Any, **_: Any) -> None:
    """Add what the profile can be told to locust's command line."""
    for name, default, help_text in (
        ("minutes", 30.0, "how long the stages take together"),
        ("peak", 120.0, "users at the peak"),
    ):
        parser.add_argument(
            f"--pharox-{name}",
            type=float,
            default=float(os.environ.get(f"PHAROX_LOAD_{name.upper()}", default)),
            help=f"{help_text} (default: {default:g})",
        )


events.init_command_line_parser.add_listener(add_arguments)


class Stages(LoadTestShape):
    """The number of users by the time that has passed."""

    def tick(self) -> tuple[int, float] | None:
        """Users, and how many of them begin a second; None when it is over."""
        assert self.runner is not None
        options = self.runner.environment.parsed_options
        assert options is not None
        passed = self.get_run_time() / (60 * options.pharox_minutes)
        for share, users in STAGES:
            if passed < share:
                return max(2, round(users * options.pharox_peak)), 10.0
            passed -= share
        return None
