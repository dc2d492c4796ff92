"""Every kind of damage: planted by raw commands, found, told by its kind, mended, and gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pharox.models import Proxy

import pharox_redis
from pharox_redis import RedisStorage
from pharox_redis.doctor import KINDS, Level
from pharox_redis.drivers import SyncDriver
from pharox_redis.flows import Context
from pharox_redis.flows.auditing import audit_proxies
from pharox_redis.scripts import lua_root
from tests.doctor.damages import DAMAGES, Damage
from tests.doctor.world import World, examine, kinds, told
from tests.scripts.raw import snapshot
from tests.support.invariants import check_invariants

each_damage = pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))


def found_and_mended(world: World, damage: Damage) -> None:
    storage = world.storage
    damage.plant(world)
    before = snapshot(storage.client, storage.settings.key_prefix)
    found = examine(storage)
    assert damage.kind in kinds(found), told(found)
    assert found.standing
    assert snapshot(storage.client, storage.settings.key_prefix) == before, "a check wrote"
    mended = examine(storage, repair=True)
    assert damage.kind in kinds(mended), told(mended)
    if damage.remedy is None:
        assert mended.standing == 0, told(mended)
    else:
        damage.remedy(world)
        examine(storage, repair=True)
    check_invariants(storage)
    again = examine(storage)
    assert kinds(again) == set(), told(again)


@each_damage
def test_found_and_mended(world: World, damage: Damage) -> None:
    found_and_mended(world, damage)


@pytest.mark.slow
@each_damage
def test_found_and_mended_on_every_server(storage: RedisStorage, damage: Damage) -> None:
    found_and_mended(World(storage), damage)


def test_a_healthy_world_is_told_healthy(world: World) -> None:
    for repair in (False, True):
        before = snapshot(world.client, "doctor")
        found = examine(world.storage, repair=repair)
        assert found.findings == [], told(found)
        assert snapshot(world.client, "doctor") == before


# Told of what is no damage; tested by themselves.
OTHERWISE = {"pool-deleting", "unswept", "void-name", "void-entry"}


def test_every_kind_is_planted() -> None:
    assert {damage.kind for damage in DAMAGES.values()} == KINDS.keys() - OTHERWISE
    assert all(KINDS[kind].level is Level.INFO for kind in OTHERWISE)


def test_every_kind_is_told_by_somebody_and_has_words() -> None:
    text = "".join(path.read_text() for path in lua_root().rglob("*.lua"))
    flows = Path(pharox_redis.__file__).parent
    text += (flows / "flows" / "auditing.py").read_text()
    text += (flows / "doctor" / "data_checks.py").read_text()
    said = set(re.findall(r"tell(?:_more)?\('([a-z-]+)'|Found\(\s*\"([a-z-]+)\"", text))
    said = {lua or python for lua, python in said}
    said |= set(re.findall(r"'(wrong-view)' or '(view-lost)'", text)[0])
    assert said == KINDS.keys()
    for kind, (_, wrong, todo) in KINDS.items():
        assert wrong.endswith(".") and todo.endswith("."), kind


def test_a_new_number_is_found_in_one_step(world: World) -> None:
    """Also where the counter is lost, and thousands are numbered from one on."""
    with world.client.pipeline() as pipe:
        pipe.zadd(world.at("proxies"), {f"x{number}": number for number in range(1, 3000)})
        pipe.hdel(world.key, "seq")
        pipe.hdel(world.proxy(world.free), "seq")
        pipe.zrem(world.at("proxies"), str(world.free.id))
        pipe.config_resetstat()
        pipe.execute()
    context, items = Context(world.storage.settings, Proxy), [f"={world.free.id}"]
    ref = context.pool_ref(world.pool.id)
    found = SyncDriver(world.client).run(audit_proxies(context, ref, items, True))
    assert {each.kind for each in found} >= {"not-listed"}
    calls = world.client.info("commandstats").get("cmdstat_zcount", {"calls": 0})["calls"]
    assert calls < 20
    assert world.client.zscore(world.at("proxies"), str(world.free.id)) == 3000
    assert world.client.hget(world.key, "seq") == b"3000"
