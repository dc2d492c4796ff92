"""Health checks: their results, their records, the latency that ranks a proxy.

"Latest" is last appended, not greatest ``checked_at``. A record id is stored once.
"""

from __future__ import annotations

from uuid import UUID

from pharox.exceptions import ProxyNotFoundError
from pharox.models import HealthCheckResult, Proxy, ProxyHealthRecord, ProxyStatus

from pharox_redis.codec import (
    decode_health,
    decode_proxy,
    health_result,
    reachable_latency,
    to_micros,
)
from pharox_redis.flows.base import Command, Context, Flow, in_turns
from pharox_redis.flows.directory import pool_of_proxy
from pharox_redis.scripts import load

ADD_HEALTH = load("add_health")


def apply_result(ctx: Context, result: HealthCheckResult) -> Flow[Proxy | None]:
    """Give a proxy the status a check found, and keep the record. Two trips. None if unknown."""
    record = ProxyHealthRecord(
        proxy_id=result.proxy_id,
        checked_at=result.checked_at,
        reachable=result.status in (ProxyStatus.ACTIVE, ProxyStatus.SLOW),
        latency_ms=result.latency_ms,
        protocol=result.protocol,
        status_after=result.status,
        error=result.error_message,
    )
    try:
        return (yield from _add(ctx, record, result.status.value, to_micros(result.checked_at)))
    except ProxyNotFoundError:
        return None


def save_record(ctx: Context, record: ProxyHealthRecord) -> Flow[None]:
    """Keep a record. Two trips. Raises ``ProxyNotFoundError``."""
    yield from _add(ctx, record, "", "")


def list_records(ctx: Context, proxy_id: UUID, limit: int) -> Flow[list[ProxyHealthRecord]]:
    """A proxy's records, newest first; [] for an unknown proxy. Two trips."""
    ref = yield from pool_of_proxy(ctx, proxy_id)
    if ref is None or limit <= 0:
        return []
    key = ctx.keys.health(ref.id, str(proxy_id))
    entries = yield Command(("LRANGE", key, 0, limit - 1))
    return (yield from in_turns(entries, lambda entry: decode_health(entry, proxy_id)))


def last_result(ctx: Context, proxy_id: UUID) -> Flow[HealthCheckResult | None]:
    """What the last record says, None if there is none. Two trips."""
    records = yield from list_records(ctx, proxy_id, 1)
    return health_result(records[0]) if records else None


def _add(
    ctx: Context, record: ProxyHealthRecord, status: str, checked_us: int | str
) -> Flow[Proxy]:
    proxy_id = str(record.proxy_id)
    ref = yield from pool_of_proxy(ctx, proxy_id)
    if ref is None:
        raise ProxyNotFoundError(f"Proxy with ID {proxy_id} not found.")
    document, fields, leases = yield ADD_HEALTH(
        ref.key,
        proxy_id=proxy_id,
        record_id=str(record.id),
        document=record.model_dump_json(exclude={"id"}),
        latency=reachable_latency(record),
        bound=ctx.settings.health_history,
        status=status,
        checked_us=checked_us,
    )
    return decode_proxy(ctx.proxy_model, ref.id, proxy_id, document, fields, leases)
