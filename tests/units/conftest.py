"""What flow tests share."""

from __future__ import annotations

import pytest

from pharox_redis.flows import Context
from tests.units.playing import make_context


@pytest.fixture
def ctx() -> Context:
    """Knows the pool and the consumer."""
    return make_context()
