"""A proxy whose record is damaged is of no use: a repair lets no acquire pick it any more."""

from __future__ import annotations

import pytest
from pharox.models import LeaseStatus, SelectorStrategy

from pharox_redis import CorruptRecordError, ProxyLease
from tests.doctor.world import World, examine, kinds, told
from tests.scripts.raw import snapshot
from tests.support.builders import make_proxy
from tests.support.invariants import check_invariants

LOST = pytest.mark.parametrize(
    ("left", "kind"),
    [(None, "document-lost"), ("{", "proxy-unreadable")],
    ids=["lost", "unreadable"],
)


def _damage(world: World, key: str, left: str | None) -> None:
    if left is None:
        world.client.delete(key)
    else:
        world.client.set(key, left)


@LOST
def test_it_is_taken_out_of_use_and_its_leases_go_on(
    world: World, left: str | None, kind: str
) -> None:
    storage = world.storage
    pool = storage.ensure_pool("other pool")
    proxy, healthy = make_proxy(pool, max_concurrency=2), make_proxy(pool, max_concurrency=None)
    storage.add_proxies_bulk([proxy, healthy])
    held = storage.acquire_lease("other pool", "consumer", 600)
    assert held is not None and held.proxy_id == proxy.id
    key = f"{world.keys.pool(pool.id)}:doc:{proxy.id}"
    kept = world.client.get(key)
    _damage(world, key, left)
    met = storage.acquire_lease("other pool", "consumer", 600)
    assert isinstance(met, ProxyLease) and met.proxy_id == proxy.id
    with pytest.raises(CorruptRecordError) as raised:
        _ = met.proxy
    assert raised.value.pool_id == pool.id
    storage.release_lease(met)

    assert kinds(examine(storage)) == {kind}
    found = examine(storage, repair=True)
    assert kinds(found) == {kind} and found.standing == 1, told(found)
    assert found.findings[0].examples[0].endswith("it is out of use now")
    assert "proxy delete ID" in found.findings[0].todo

    for selector in SelectorStrategy:
        lease = storage.acquire_lease("other pool", "consumer", 600, None, selector)
        assert isinstance(lease, ProxyLease) and lease.proxy.id == healthy.id
    assert storage.get_lease(held.id).status is LeaseStatus.ACTIVE
    before = snapshot(world.client, storage.settings.key_prefix)
    again = examine(storage, repair=True)
    assert kinds(again) == {kind} and again.standing == 1, told(again)
    assert snapshot(world.client, storage.settings.key_prefix) == before, "mended twice"

    # Whoever has the document still can put it back; else it is deleted.
    world.client.set(key, kept)
    assert storage.get_proxy(proxy.id).status == "inactive"
    check_invariants(storage)
    _damage(world, key, left)
    storage.delete_proxy(proxy.id)
    assert kinds(examine(storage)) == set()
    check_invariants(storage)
