"""Leases after they were granted: release, sweep, look-up, lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from pharox.exceptions import PharoxError
from pharox.models import Lease, PoolStatsSnapshot

from pharox_redis.codec import decode_lease, decode_stats
from pharox_redis.errors import StorageAccessError
from pharox_redis.flows.base import Command, Context, Flow, PoolRef, checked, in_turns
from pharox_redis.flows.confirming import RELEASE
from pharox_redis.flows.directory import all_pools, parse_tag
from pharox_redis.flows.pools import parse_uuid
from pharox_redis.flows.proxies import retire_proxy
from pharox_redis.keys import lease_prefix, lease_tail
from pharox_redis.scripts import Call, load

END_LEASE = load("end_lease")
GET_LEASE = load("get_lease")
LIST_LEASES = load("list_leases")
SWEEP = load("sweep")

_PAGE = 200


class Released(NamedTuple):
    """What a release brought: whether it ended the lease, and the figures if they were wanted."""

    ended: bool
    stats: PoolStatsSnapshot | None


def release(ctx: Context, lease: Lease, want_stats: bool = False) -> Flow[Released]:
    """End a lease. One trip. Unknown and ended leases are left as they are."""
    text = str(lease.id)
    refs = [] if lease.pool_id is None else [ctx.pool_ref(lease.pool_id)]
    if not (refs and text.startswith(refs[0].prefix)):
        refs = yield from _pools_of_lease(ctx, text)
    result = Released(False, None)
    for ref in refs:
        ended, figures = yield RELEASE(
            ref.key,
            lease_id=lease_tail(text),
            proxy_id=str(lease.proxy_id),
            retention_ms=ctx.retention_ms,
            want_stats="1" if want_stats else "",
            void="",
        )
        stats = decode_stats(lease.pool_name or "", figures) if figures else None
        result = Released(bool(ended), stats)
        if ended:
            break
    return result


def sweep_all(ctx: Context) -> Flow[int]:
    """End every lease that is over, in every pool; how many leases that were.

    One trip for all pools this client knows, with the directory; one more for those it did not.
    Retired proxies that nobody holds any more are deleted on the way.
    An error of one pool is raised after all others were swept.
    """
    known = {ref.id: ref for _, ref in ctx.pools.items()}
    first: list[Call | Command] = [Command(("HVALS", ctx.keys.pools()))]
    first += [SWEEP(ref.key, limits=ctx.limits) for ref in known.values()]
    tags, *replies = yield first
    if isinstance(tags, PharoxError):
        raise tags
    swept = dict(zip(known.values(), replies, strict=True))
    fresh = [
        ctx.pool_ref(pool_id)
        for pool_id in {parse_tag(tag, "of a pool name") for tag in tags}
        if pool_id not in known
    ]
    if fresh:
        yield from all_pools(ctx)
        more = yield [SWEEP(ref.key, limits=ctx.limits) for ref in fresh]
        swept.update(zip(fresh, more, strict=True))
    total, failed = 0, list[PharoxError]()
    while swept:
        left: list[PoolRef] = []
        for ref, reply in swept.items():
            if isinstance(reply, PharoxError):
                failed.append(reply)
                continue
            ended, unfinished, *free = reply
            total += ended
            try:
                yield from _delete_retired(ctx, ref, free)
            except PharoxError as error:
                failed.append(error)
            if unfinished:
                left.append(ref)
        more = (yield [SWEEP(ref.key, limits=ctx.limits) for ref in left]) if left else []
        swept = dict(zip(left, more, strict=True))
    if failed:
        raise failed[0]
    return total


def _delete_retired(ctx: Context, ref: PoolRef, ids: Sequence[str]) -> Flow[None]:
    """Finish what `retire` began. A scraper may sweep, but not change the directory: it leaves that
    to others, and must not hide a proxy that it cannot delete."""
    for proxy_id in ids:
        try:
            # Whether we may: it removes nothing, so that it needs no memory either.
            yield Command(("HDEL", ctx.keys.directory(proxy_id), ""))
        except StorageAccessError:
            return None
        yield from retire_proxy(ctx, ref, proxy_id, only="retired")
    return None


def get_lease(ctx: Context, lease_id: UUID | str) -> Flow[Lease | None]:
    """A lease while its record lives. One trip when its pool is cached, else two."""
    known = parse_uuid(lease_id)
    if known is None:
        return None
    text = str(known)
    for ref in (yield from _pools_of_lease(ctx, text)):
        reply = yield GET_LEASE(ref.key, lease_id=lease_tail(text))
        if reply:
            _, *row, name = reply
            found: Lease = decode_lease(Lease, ref.id, name, text, *row)
            return found
    return None


def end_lease(ctx: Context, lease_id: UUID | str) -> Flow[Lease | None]:
    """Release a lease by its id alone; the lease as it is then, None if it is unknown.

    One trip when its pool is cached, else two. A lease that is over is left as it is.
    """
    known = parse_uuid(lease_id)
    if known is None:
        return None
    text = str(known)
    for ref in (yield from _pools_of_lease(ctx, text)):
        reply = yield END_LEASE(ref.key, lease_id=lease_tail(text), retention_ms=ctx.retention_ms)
        if reply:
            _, *row, name = reply
            found: Lease = decode_lease(Lease, ref.id, name, text, *row)
            return found
    return None


def list_leases(ctx: Context, consumer_id: UUID | str | None) -> Flow[list[Lease]]:
    """The active leases of all pools, or one consumer's leases with the ended ones in retention.

    A trip per 200 leases and pool.
    """
    consumer = ""
    if consumer_id is not None:
        known = parse_uuid(consumer_id)
        if known is None:
            return []
        consumer = str(known)
    refs = {ref.id: ref for _, ref in (yield from all_pools(ctx))}
    found: list[Lease] = []
    todo = [(ref, "") for ref in refs.values()]
    while todo:
        pages = yield [
            LIST_LEASES(ref.key, **{"from": origin}, consumer=consumer, limit=_PAGE)
            for ref, origin in todo
        ]
        read = [(ref, page) for (ref, _), page in zip(todo, checked(pages), strict=True)]
        found += yield from in_turns(
            ((ref, name, row) for ref, (_, name, *rows) in read for row in rows),
            lambda each: decode_row(*each),
        )
        todo = [(ref, page[0]) for ref, page in read if page[0]]
    return found


def decode_row(ref: PoolRef, name: str, row: Sequence[Any]) -> Lease:
    """A lease from a row of ``list_leases``."""
    tail, *rest = row
    found: Lease = decode_lease(Lease, ref.id, name, ref.lease_id(tail), *rest)
    return found


def _pools_of_lease(ctx: Context, lease_id: str) -> Flow[list[PoolRef]]:
    """The pools whose lease ids begin as this one: of the cache, else of the directory."""
    known = {ref for _, ref in ctx.pools.items() if lease_id.startswith(ref.prefix)}
    if not known:
        entries = yield from all_pools(ctx)
        known = {ref for _, ref in entries if lease_id.startswith(ref.prefix)}
    return list(known)


def pools_of_leases(ctx: Context, held: Sequence[Lease]) -> Flow[list[tuple[PoolRef, Lease]]]:
    """The pools that leases belong to by their ids, as pairs. A trip at most, for all of them."""

    def by_prefix(refs: Iterable[PoolRef]) -> dict[str, set[PoolRef]]:
        found: dict[str, set[PoolRef]] = {}
        for ref in refs:
            found.setdefault(ref.prefix, set()).add(ref)
        return found

    known = by_prefix(ref for _, ref in ctx.pools.items())
    size = len(lease_prefix(UUID(int=0)))
    texts = [(str(lease.id)[:size], lease) for lease in held]
    if any(prefix not in known for prefix, _ in texts):
        entries = yield from all_pools(ctx)
        known = {**by_prefix(ref for _, ref in entries), **known}
    return [(ref, lease) for prefix, lease in texts for ref in known.get(prefix, ())]
