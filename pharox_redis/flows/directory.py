"""Finding one's way: pool names, consumer names and proxy ids to pools.

Directory entries are hints. An entry that its pool does not confirm is void: what was broken off
between two steps of a create, rename or delete leaves at most such entries, and whoever wants the
name or the id next may take them over.
"""

from __future__ import annotations

from uuid import NAMESPACE_URL, UUID, uuid5

from pharox.models import Consumer

from pharox_redis.errors import CorruptRecordError
from pharox_redis.flows.base import Command, Context, Flow, PoolRef, checked, in_turns
from pharox_redis.keys import pool_of_tag
from pharox_redis.scripts import load

GET_POOL = load("get_pool")


def parse_tag(tag: str, where: str) -> UUID:
    """The pool id a directory entry names. Raises ``CorruptRecordError``."""
    try:
        return pool_of_tag(tag)
    except ValueError:
        raise CorruptRecordError(f"Directory entry {where} does not name a pool.") from None


def pool_by_name(ctx: Context, name: str, refresh: bool = False) -> Flow[PoolRef | None]:
    """The pool the cache, else the directory, has under a name; unconfirmed. A trip at most."""
    known = None if refresh else ctx.pools.get(name)
    if known is not None:
        return known
    tag = yield Command(("HGET", ctx.keys.pools(), name))
    if not tag:
        ctx.pools.drop(name)
        return None
    found = ctx.pool_ref(parse_tag(tag, f"of pool name {name!r}"))
    ctx.pools.put(name, found)
    return found


def all_pools(ctx: Context) -> Flow[list[tuple[str, PoolRef]]]:
    """Every (name, pool) of the directory, unconfirmed, and cached. One trip."""
    reply = yield Command(("HGETALL", ctx.keys.pools()))
    pairs = (
        list(reply.items())
        if isinstance(reply, dict)
        else list(zip(reply[::2], reply[1::2], strict=True))
    )

    def known(entry: tuple[str, str]) -> tuple[str, PoolRef]:
        name, tag = entry
        ref = ctx.pool_ref(parse_tag(tag, f"of pool name {name!r}"))
        ctx.pools.put(name, ref)
        return name, ref

    return (yield from in_turns(pairs, known))


def pool_of_proxy(ctx: Context, proxy_id: UUID | str) -> Flow[PoolRef | None]:
    """The pool that the directory names for a proxy; unconfirmed. One trip."""
    text = str(proxy_id)
    tag = yield Command(("HGET", ctx.keys.directory(text), text))
    return ctx.pool_ref(parse_tag(tag, f"of proxy {text}")) if tag else None


def consumer_id(ctx: Context, name: str) -> Flow[str]:
    """A consumer's id, made when first asked for: derived from prefix and name, so that it comes
    out the same should the directory be lost. No trip when cached, else one."""
    known = ctx.consumers.get(name)
    if known is None:
        known = yield from claim_consumer(
            ctx, name, uuid5(NAMESPACE_URL, f"pharox-redis:{ctx.keys.root}:consumer:{name}")
        )
    return known


def find_consumer(ctx: Context, name: str) -> Flow[UUID | None]:
    """The id of the consumer of this name, None if nobody has it. No trip when cached, else one."""
    known = ctx.consumers.get(name)
    if known is None:
        known = yield Command(("HGET", ctx.keys.consumers(), name))
        if known is None:
            return None
        ctx.consumers.put(name, known)
    return UUID(known)


def claim_consumer(ctx: Context, name: str, wanted: UUID) -> Flow[str]:
    """The id a name has, ``wanted`` if it had none. One trip."""
    key, stored = ctx.keys.consumers(), None
    while stored is None:
        # While a Cluster moves the directory's slot the two may be answered by two nodes, and the
        # look-up before the claim: then both once more.
        replies = yield [
            Command(("HSETNX", key, name, str(wanted))),
            Command(("HGET", key, name)),
        ]
        stored = checked(replies)[1]
    known: str = stored
    ctx.consumers.put(name, known)
    return known


def add_consumer(ctx: Context, consumer: Consumer) -> Flow[None]:
    """Register a consumer; a known name keeps its id, which is written into the model. One trip."""
    stored = yield from claim_consumer(ctx, consumer.name, consumer.id)
    consumer.id = UUID(stored)
    return None
