"""A bench on the embedded server: the small profile, and an end that leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from pharox_redis.benchmark.bench import SMALL, Bench
from pharox_redis.benchmark.place import clean


class Quiet:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.rounds = 0

    def status(self, text: str) -> None:
        self.said.append(text)

    def advance(self) -> None:
        self.rounds += 1


@pytest.fixture
def bench(valkey_url: str) -> Iterator[Bench]:
    with redis.Redis.from_url(valkey_url) as client:
        made = Bench(client, valkey_url, SMALL, Quiet())
        yield made
        clean(valkey_url, made.prefix)
        assert list(client.scan_iter(match=f"*{made.prefix}*")) == []
