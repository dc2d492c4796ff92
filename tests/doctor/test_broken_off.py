"""A repair that meets full memory, or is killed at any step: what was mended is mended whole, no
lease is lost, and the next repair does the rest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
import redis

from pharox_redis import RedisStorage, Settings
from pharox_redis.doctor import DataChecks, Diagnosis, Level
from tests.doctor.damages import DAMAGES
from tests.doctor.world import World, examine, kinds, told
from tests.support.invariants import check_invariants
from tests.support.own_servers import KINDS, own_server

# Damage of each kind that lets the others be.
SEVERAL = (
    *("expiry lost", "index lost", "extra lost", "idle lost", "f0 lost", "not listed"),
    *("revision lost", "claim not noted", "no directory entry", "no name"),
    *("strange in a view", "used names no view", "hold without an end", "holds of no proxy"),
)


def damage(world: World) -> None:
    for name in SEVERAL:
        DAMAGES[name].plant(world)


class Killed(BaseException):
    """Ends a repair as a killed process would end."""


def repair_until(world: World, steps: int) -> bool:
    """A repair that is ended behind that many steps; whether it came to its end before."""
    checks = DataChecks(
        world.client, world.storage.settings, Diagnosis(), repair=True, second_look=0.001
    )
    perform, left = checks._driver._perform, steps

    def performed(step: object) -> object:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        return perform(step)  # type: ignore[arg-type]

    checks._driver._perform = performed  # type: ignore[method-assign,assignment]
    with suppress(Killed):
        checks.check_all()
        return True
    return False


def test_killed_at_any_step(world: World, put_back: Callable[[], None]) -> None:
    leases = {lease.id for lease in world.storage.list_leases()}
    steps, over = 0, False
    while not over:
        put_back()
        damage(world)
        over = repair_until(world, steps)
        # What was not reached yet is as it was; the leases are there by their records.
        assert all(
            lease is not None and lease.released_at is None
            for lease in map(world.storage.get_lease, leases)
        )
        mended = examine(world.storage, repair=True)
        assert mended.standing == 0, told(mended)
        check_invariants(world.storage)
        assert {lease.id for lease in world.storage.list_leases()} == leases
        steps += 3
    assert steps > 20


@pytest.mark.parametrize("kind", KINDS)
def test_full_memory(kind: str) -> None:
    with own_server(kind) as server, redis.Redis.from_url(server.url) as client:
        world = World(RedisStorage(client, Settings(key_prefix="doctor", claim_seconds=60)))
        leases = {lease.id for lease in world.storage.list_leases()}
        damage(world)
        client.config_set("maxmemory", 1)
        full = examine(world.storage, repair=True)
        told_full = {found.kind: found for found in full.findings}["memory-full"]
        assert told_full.level is Level.REQUIRED and full.standing > 1
        for lease_id in leases:
            lease = world.storage.get_lease(lease_id)
            assert lease is not None and lease.released_at is None
        client.config_set("maxmemory", 0)
        mended = examine(world.storage, repair=True)
        assert mended.standing == 0, told(mended)
        check_invariants(world.storage)
        assert kinds(examine(world.storage)) == set()
        assert {lease.id for lease in world.storage.list_leases()} == leases
