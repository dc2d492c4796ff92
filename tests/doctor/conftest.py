"""A busy pool on the embedded server, made once and put back as it was for each test; the other
servers have their turn in the slow run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from pharox_redis import RedisStorage, Settings
from tests.doctor.world import World

PREFIX = "doctor"


@pytest.fixture(scope="session")
def made(valkey_url: str) -> Iterator[tuple[World, Callable[[], None]]]:
    """A world, and what puts it back."""
    with redis.Redis.from_url(valkey_url) as client:
        world = World(RedisStorage(client, Settings(key_prefix=PREFIX, claim_seconds=60)))
        saved = [
            (key, client.pexpiretime(key), client.dump(key))
            for key in client.scan_iter(match=f"{PREFIX}:*", count=1000)
        ]

        def clear() -> None:
            keys = list(client.scan_iter(match=f"{PREFIX}:*", count=1000))
            if keys:
                client.unlink(*keys)

        def put_back() -> None:
            clear()
            with client.pipeline(transaction=False) as pipe:
                for key, until, value in saved:
                    pipe.restore(key, max(until, 0), value, absttl=until > 0)
                pipe.execute()

        yield world, put_back
        clear()


@pytest.fixture
def put_back(made: tuple[World, Callable[[], None]]) -> Callable[[], None]:
    """What makes the world as it was; also for the examples of one test."""
    return made[1]


@pytest.fixture
def world(made: tuple[World, Callable[[], None]]) -> World:
    """The world as it was made."""
    world, put_back = made
    put_back()
    return world
