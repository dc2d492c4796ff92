"""Every kind of damage: planted by raw commands, found, told by its kind, mended, and gone."""

from __future__ import annotations

import pytest

from pharox_redis import RedisStorage
from tests.doctor.damages import DAMAGES, Damage
from tests.doctor.world import World, examine, kinds, told
from tests.scripts.raw import snapshot
from tests.support.invariants import check_invariants

each_damage = pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))


def found_and_mended(storage: RedisStorage, damage: Damage) -> None:
    world = World(storage)
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
def test_found_and_mended(embedded: RedisStorage, damage: Damage) -> None:
    found_and_mended(embedded, damage)


@pytest.mark.slow
@each_damage
def test_found_and_mended_on_every_server(storage: RedisStorage, damage: Damage) -> None:
    found_and_mended(storage, damage)
