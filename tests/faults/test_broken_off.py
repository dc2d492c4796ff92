"""Operations that take several calls, broken off after any of them.

The flow is stepped and closed after k of its calls, for every k; then another storage does
something about the same names and ids. Whatever was left behind, that must work, the raw keys must
agree, and neither name nor id may stay blocked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
import redis
from pharox.exceptions import PoolNotFoundError, ProxyNotFoundError
from pharox.models import Proxy, ProxyPool

from pharox_redis.errors import PoolNameTakenError, ProxyPoolConflictError
from pharox_redis.flows import Context, Flow, pools, proxies
from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies
from tests.support.flavours import Maker
from tests.support.invariants import check_invariants, dump
from tests.support.own_servers import KINDS, own_server, storage_on
from tests.support.stepping import Stepped


@dataclass
class World:
    """Pool a (three proxies, one leased), pool q, and the ids that an operation is about."""

    first: AnyStorage
    other: AnyStorage
    pool: ProxyPool
    bystander: ProxyPool
    members: list[Proxy]
    newcomers: list[Proxy]

    def renamed(self, name: str) -> ProxyPool:
        return self.pool.model_copy(update={"name": name})


@pytest.fixture(scope="module")
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with own_server(request.param) as server:
        yield server.url


def make_world(client: redis.Redis, url: str, maker: Maker) -> World:
    client.flushall()
    # Chunks so short that saves and purges take several calls.
    first = maker.storage_on(url, client, chunk_ms=0.03)
    other = maker.storage_on(url, client)
    pool, bystander = ProxyPool(name="a"), ProxyPool(name="q")
    first.save_pool(pool)
    first.save_pool(bystander)
    members = make_proxies(pool, 3, country="DE")
    first.add_proxies_bulk(members)
    assert first.acquire_lease("a", "worker", 60) is not None
    assert other.get_pool_stats("a") is not None  # its caches know the pool
    return World(first, other, pool, bystander, members, make_proxies(pool, 3))


# -- what comes next, and what it may say ----------------------------------------------------------

Next = Callable[[World], object]


def allowing(*errors: type[Exception]) -> Callable[[Next], Next]:
    def wrap(action: Next) -> Next:
        def run(world: World) -> None:
            with contextlib.suppress(errors):
                action(world)

        run.__name__ = action.__name__
        return run

    return wrap


def save_again(world: World) -> None:
    """The same pool once more, as after a crash; a delete is finished first."""
    world.other.save_pool(world.pool)
    assert world.other.get_pool_by_name("a") == world.pool


@allowing(PoolNameTakenError)
def make_a(world: World) -> None:
    """Another pool of the name; it is refused only if the first one is there."""
    try:
        world.other.save_pool(ProxyPool(name="a"))
    except PoolNameTakenError:
        holder = world.other.get_pool_by_name("a")
        assert holder is not None and holder.id == world.pool.id
        raise


@allowing(PoolNameTakenError)
def make_b(world: World) -> None:
    try:
        world.other.save_pool(ProxyPool(name="b"))
    except PoolNameTakenError:
        holder = world.other.get_pool_by_name("b")
        assert holder is not None and holder.id == world.pool.id
        raise


def ensure_a(world: World) -> None:
    made = world.other.ensure_pool("a")
    assert world.other.get_pool(made.id).name == "a"


def ensure_b(world: World) -> None:
    made = world.other.ensure_pool("b")
    assert world.other.get_pool(made.id).name == "b"


@allowing(PoolNameTakenError)
def rename_bystander_to_a(world: World) -> None:
    world.other.save_pool(ProxyPool(id=world.bystander.id, name="a"))


def rename_to_b(world: World) -> None:
    world.other.save_pool(world.renamed("b"))


@allowing(PoolNotFoundError)
def delete(world: World) -> None:
    world.other.delete_pool(world.pool.id)


@allowing(PoolNotFoundError)
def save_members(world: World) -> None:
    assert world.other.add_proxies_bulk([*world.members, *world.newcomers]) == 6
    for proxy in [*world.members, *world.newcomers]:
        assert world.other.get_proxy(proxy.id).pool_id == world.pool.id


@allowing(ProxyPoolConflictError)
def save_elsewhere(world: World) -> None:
    """The newcomers' ids into pool q: refused only where pool a has one."""
    moved = [
        p.model_copy(update={"pool_id": world.bystander.id})
        for p in [*world.newcomers, *world.members]
    ]
    for proxy in moved:
        try:
            world.other.save_proxy(proxy)
        except ProxyPoolConflictError:
            assert world.other.get_proxy(proxy.id).pool_id == world.pool.id


def sweep(world: World) -> None:
    assert world.other.cleanup_expired_leases() == 0


def delete_members(world: World) -> None:
    for proxy in [*world.members, *world.newcomers]:
        try:
            world.other.delete_proxy(proxy.id)
        except ProxyNotFoundError:
            assert world.other.get_proxy_by_id(proxy.id) is None
    assert world.other.get_proxy_by_id(world.members[0].id) is None


# -- what is broken off ----------------------------------------------------------------------------


def create(world: World) -> Flow[None]:
    return pools.save_pool(world.first._context, world.pool)


def rename(world: World) -> Flow[None]:
    return pools.save_pool(world.first._context, world.renamed("b"))


def delete_pool(world: World) -> Flow[None]:
    return pools.delete_pool(world.first._context, world.pool.id)


def save_proxies(world: World) -> Flow[int]:
    """Six proxies, each in a call of its own."""
    changed = [p.model_copy(update={"country": "FR"}) for p in world.members]
    context = storage_on("", world.first.client, chunk_ms=0.001)._context
    return proxies.save_proxies(context, [*world.newcomers, *changed])


def delete_proxy(world: World) -> Flow[None]:
    return proxies.delete_proxy(world.first._context, world.members[0].id)


POOL_STEPS: list[Next] = [
    save_again,
    make_a,
    make_b,
    ensure_a,
    ensure_b,
    rename_bystander_to_a,
    rename_to_b,
    delete,
    save_members,
    save_elsewhere,
    sweep,
]
PROXY_STEPS: list[Next] = [save_members, save_elsewhere, delete_members, delete, sweep]
BROKEN: list[tuple[Callable[[World], Flow[object]], list[Next]]] = [
    (create, POOL_STEPS),
    (rename, POOL_STEPS),
    (delete_pool, POOL_STEPS),
    (save_proxies, PROXY_STEPS),
    (delete_proxy, PROXY_STEPS),
]


def usable(world: World, name: str, pool: ProxyPool) -> None:
    """Neither the name nor the id is blocked: both can be had again, by whatever way is offered."""
    storage, known = world.other, world.other.get_pool_by_name(name)
    if known is not None:
        storage.delete_pool(known.id)
    with contextlib.suppress(PoolNotFoundError):
        storage.delete_pool(pool.id)
    storage.save_pool(ProxyPool(id=pool.id, name=name))
    fresh = make_proxies(pool, 1)[0]
    again = world.members[1].model_copy(update={"pool_id": pool.id})
    if storage.get_proxy_by_id(again.id) is None:
        storage.save_proxy(again)
    storage.save_proxy(fresh)
    lease = storage.acquire_lease(name, "worker", 60)
    assert lease is not None
    storage.release_lease(lease)
    check_invariants(storage)
    storage.delete_pool(pool.id)
    assert storage.get_pool_by_name(name) is None


def nothing_remains(world: World) -> None:
    for known in world.other.list_pools():
        world.other.delete_pool(known.id)
    directories, left = dump(world.other)
    assert all(set(p.many) <= {"lease", "leases", "fence"} and not p.single for p in left.values())
    assert directories["pools"] == {}


def cases() -> list[object]:
    """All of them on Valkey; what is tested is Python's, so on Redis one for each operation."""
    return [
        pytest.param(kind, operation, action, id=f"{kind}-{operation.__name__}-{action.__name__}")
        for kind in KINDS
        for operation, actions in BROKEN
        for action in (actions if kind == "valkey" else actions[:1])
    ]


@pytest.mark.parametrize(("url", "operation", "following"), cases(), indirect=["url"])
def test_next_operation_recovers(
    url: str, operation: Callable[[World], Flow[object]], following: Next, maker: Maker
) -> None:
    with redis.Redis.from_url(url) as client:
        for broken_after in range(100):
            maker.dismiss()
            world = make_world(client, url, maker)
            if operation is create:
                world.first.delete_pool(world.pool.id)

            def make(_: Context, world: World = world) -> Flow[object]:
                return operation(world)

            flow = Stepped(world.first, make)
            while flow.steps < broken_after and not flow.over:
                flow.step()
            complete = flow.over
            if complete:
                assert flow.succeeded, flow.error
            else:
                flow.abandon()

            following(world)
            check_invariants(world.other)
            for storage in (world.first, world.other):  # stale caches, and fresh ones
                for name in ("a", "b"):
                    known = storage.get_pool_by_name(name)
                    figures = storage.get_pool_stats(name)
                    assert (known is None) == (figures is None)
            usable(world, "a", ProxyPool(id=world.pool.id, name="a"))
            usable(world, "b", ProxyPool(id=uuid4(), name="b"))
            nothing_remains(world)
            if complete:
                break
        else:
            raise AssertionError("the operation does not end")
        assert broken_after >= 3
