"""A storage on the embedded server alone; the other servers have their turn in the slow run."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
import redis

from pharox_redis import RedisStorage, Settings
from tests.support.invariants import check_invariants


@pytest.fixture
def embedded(valkey_url: str) -> Iterator[RedisStorage]:
    """Its keys are checked and removed when the test ends."""
    prefix = f"t{secrets.token_hex(5)}"
    with redis.Redis.from_url(valkey_url) as client:
        storage = RedisStorage(client, Settings(key_prefix=prefix))
        yield storage
        try:
            check_invariants(storage)
        finally:
            for key in list(client.scan_iter(match=f"{prefix}:*", count=1000)):
                client.unlink(key)
