"""The bench on each target."""

from __future__ import annotations

import pytest

from pharox_redis import RedisStorage
from tests.scripts.raw import Bench


@pytest.fixture
def bench(storage: RedisStorage) -> Bench:
    """A seeded pool; its invariants are checked when the test ends."""
    return Bench(storage)
