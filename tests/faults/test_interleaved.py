"""Two operations on the same names and ids at once, in every order of their calls.

Both flows are stepped by one thread; every order that changes sides at most twice is tried (the
slow run: four times), with both carried through, and with one process killed when the other is done
or a step later. Whatever the order: an operation that reports success has had its effect or was
overtaken by the other, the raw keys agree (a pool is found by its name, a proxy by its id), and one
of the two may be told why it lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from pharox.exceptions import PharoxError
from pharox.models import Proxy, ProxyPool

from pharox_redis.flows import Flow, leases, leasing, pools, proxies
from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies
from tests.support.flavours import Maker
from tests.support.invariants import check_invariants
from tests.support.own_servers import own_server
from tests.support.stepping import Stepped, interleave, schedules


@dataclass
class World:
    """Pool a with two proxies and a lease, pool q empty, and models of what may be made."""

    storages: tuple[AnyStorage, AnyStorage]
    a: ProxyPool
    q: ProxyPool
    members: list[Proxy]
    fresh: Proxy
    others: tuple[ProxyPool, ProxyPool] = field(
        default_factory=lambda: (ProxyPool(name="new"), ProxyPool(name="new"))
    )


Part = Callable[[World, AnyStorage], Flow[Any]]


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    with own_server("valkey", {"appendonly": "no"}) as server:
        made = redis.Redis.from_url(server.url)
        yield made
        made.close()


def make_world(client: redis.Redis, maker: Maker) -> World:
    client.flushall()
    maker.dismiss()
    one, two = maker.storage_on("", client), maker.storage_on("", client)
    a, q = ProxyPool(name="a"), ProxyPool(name="q")
    one.save_pool(a)
    one.save_pool(q)
    members = make_proxies(a, 2)
    one.add_proxies_bulk(members)
    assert one.acquire_lease("a", "worker", 60) is not None
    assert two.get_pool_stats("a") is not None
    return World((one, two), a, q, members, make_proxies(a, 1)[0])


def save_pool(pool: Callable[[World], ProxyPool]) -> Part:
    return lambda world, storage: pools.save_pool(storage._context, pool(world))


def named(name: str, which: str = "a") -> Part:
    return save_pool(lambda world: getattr(world, which).model_copy(update={"name": name}))


def save_proxy(which: Callable[[World], Proxy], to: str = "a") -> Part:
    def part(world: World, storage: AnyStorage) -> Flow[Any]:
        given = which(world).model_copy(update={"pool_id": getattr(world, to).id})
        return proxies.save_proxies(storage._context, [given])

    return part


def member(world: World) -> Proxy:
    return world.members[0]


def fresh(world: World) -> Proxy:
    return world.fresh


def delete_pool(world: World, storage: AnyStorage) -> Flow[Any]:
    return pools.delete_pool(storage._context, world.a.id)


def delete_member(world: World, storage: AnyStorage) -> Flow[Any]:
    return proxies.delete_proxy(storage._context, world.members[0].id)


def delete_fresh(world: World, storage: AnyStorage) -> Flow[Any]:
    return proxies.delete_proxy(storage._context, world.fresh.id)


def ensure_new(world: World, storage: AnyStorage) -> Flow[Any]:
    return pools.ensure_pool(storage._context, "new")


def acquire(world: World, storage: AnyStorage) -> Flow[Any]:
    return leasing.acquire(storage._context, "a", "worker", 60, None, None, None)


def sweep(world: World, storage: AnyStorage) -> Flow[Any]:
    return leases.sweep_all(storage._context)


create_one = save_pool(lambda world: world.others[0])
create_two = save_pool(lambda world: world.others[1])

PAIRS: dict[str, tuple[Part, Part]] = {
    "create-create": (create_one, create_two),
    "create-create-same-id": (create_one, create_one),
    "ensure-ensure": (ensure_new, ensure_new),
    "create-ensure": (create_one, ensure_new),
    "rename-create": (named("new"), create_one),
    "rename-away-create": (named("b"), save_pool(lambda world: ProxyPool(name="a"))),
    "rename-rename-to-one-name": (named("b"), named("b", "q")),
    "rename-rename-of-one-pool": (named("b"), named("c")),
    "rename-and-save-under-old-name": (named("b"), named("a")),
    "delete-save-pool": (delete_pool, named("a")),
    "delete-rename": (delete_pool, named("b")),
    "delete-delete-pool": (delete_pool, delete_pool),
    "delete-pool-create-of-its-name": (delete_pool, save_pool(lambda world: ProxyPool(name="a"))),
    "delete-pool-save-member": (delete_pool, save_proxy(member)),
    "delete-pool-save-new-proxy": (delete_pool, save_proxy(fresh)),
    "delete-pool-save-member-elsewhere": (delete_pool, save_proxy(member, "q")),
    "delete-pool-delete-proxy": (delete_pool, delete_member),
    "delete-pool-acquire": (delete_pool, acquire),
    "delete-save-proxy": (delete_member, save_proxy(member)),
    "delete-save-new-proxy": (delete_fresh, save_proxy(fresh)),
    "delete-save-proxy-elsewhere": (delete_member, save_proxy(member, "q")),
    "delete-delete-proxy": (delete_member, delete_member),
    "delete-proxy-sweep": (delete_member, sweep),
    "save-save-one-pool": (save_proxy(fresh), save_proxy(fresh)),
    "save-save-two-pools": (save_proxy(fresh), save_proxy(fresh, "q")),
}


def agree(world: World, pair: str, flows: tuple[Stepped, Stepped]) -> None:
    one, two = world.storages
    check_invariants(one)
    names = [pool.name for pool in one.list_pools()]
    assert len(names) == len(set(names))
    # Whoever was told of success is found, unless the other could undo it.
    if pair in ("create-create", "rename-create", "rename-rename-to-one-name"):
        assert not (flows[0].succeeded and flows[1].succeeded), "both have the name"
    if pair.startswith(("create-create", "ensure", "create-ensure")):
        assert two.ensure_pool("new").id == one.ensure_pool("new").id
    if pair.startswith("rename-and-save"):
        assert len(names) == 2, "a pool is lost by its name"
    if pair == "save-save-two-pools":
        assert not (flows[0].succeeded and flows[1].succeeded), "one id in two pools"
    for storage in world.storages:  # every pool that exists works under its name
        for known in one.list_pools():
            stats = storage.get_pool_stats(known.name)
            assert stats is not None, f"{known.name} is lost"
    for proxy in [*world.members, world.fresh]:
        for pool in one.list_pools():
            listed = [p.id for p in one.list_proxies(pool.id)]
            if proxy.id in listed:
                assert one.get_proxy(proxy.id).pool_id == pool.id


SWITCHES = pytest.mark.parametrize("switches", [2, pytest.param(4, marks=pytest.mark.slow)])


@pytest.mark.async_in_slow("the calls and their order are the flows', whichever driver sends them")
@SWITCHES
@pytest.mark.parametrize("pair", PAIRS)
def test_in_every_order(client: redis.Redis, maker: Maker, pair: str, switches: int) -> None:
    try_all_orders(client, maker, pair, None, switches)


@pytest.mark.blocking_only("what a killed process has left is the same whichever driver it had")
@SWITCHES
@pytest.mark.parametrize("after", [1, pytest.param(0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("pair", PAIRS)
def test_in_every_order_and_one_is_killed(
    client: redis.Redis, maker: Maker, pair: str, after: int, switches: int
) -> None:
    try_all_orders(client, maker, pair, after, switches)


def try_all_orders(
    client: redis.Redis, maker: Maker, pair: str, after: int | None, switches: int
) -> None:
    tried, wrong = 0, list[str]()

    def run(choices: list[int]) -> list[int]:
        world = make_world(client, maker)
        one, two = world.storages
        flows = (
            Stepped(one, lambda _: PAIRS[pair][0](world, one)),
            Stepped(two, lambda _: PAIRS[pair][1](world, two)),
        )
        made = interleave(*flows, choices, kill_after=after)
        try:
            agree(world, pair, flows)
            # Afterwards the names and ids can be had again.
            for pool in one.list_pools():
                one.delete_pool(pool.id)
            with suppress(PharoxError):  # finishes a delete that was broken off
                one.delete_pool(world.a.id)
            one.save_pool(world.a)
            one.save_proxy(world.members[1])
            assert one.acquire_lease("a", "worker", 60) is not None
            one.ensure_pool("new")
            check_invariants(one)
        except (AssertionError, PharoxError) as error:
            outcome = [
                type(f.error).__name__ if f.error else "killed" if f.killed else "done"
                for f in flows
            ]
            wrong.append(f"{''.join(map(str, made))} ({', '.join(outcome)}): {error!s:.200}")
        return made

    for _ in schedules(run, switches):
        tried += 1
        assert tried < 3_000
    assert tried > 3
    assert not wrong, f"{len(wrong)} of {tried} orders:\n" + "\n".join(wrong[:5])
