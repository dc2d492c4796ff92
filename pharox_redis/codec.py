"""Between pharox's models and what stands in Redis: the only place that knows both.

A proxy is stored in two parts. Its hash holds what scripts look at: the seven fields that filters
may ask for, status, limit, last check. Its document is JSON with the rest of the model (host, port,
credentials, the fields of a subclass), without defaults. A text too long for a compact hash
stands there as a digest, which is all that equality needs, and whole in the document. Document
fields that the reader's model does not know are kept when it saves.

Times are integers: microseconds for a proxy's last check, milliseconds for leases. Naive datetimes
are UTC; what is returned is UTC.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pharox.models import (
    HealthCheckResult,
    Lease,
    LeaseStatus,
    PoolStatsSnapshot,
    Proxy,
    ProxyHealthRecord,
    ProxyPool,
)
from pydantic import ValidationError

from pharox_redis.errors import CorruptRecordError, InvalidProxyError
from pharox_redis.models import PoolFigures, ProxyLease, construct_lease, uuid_of
from pharox_redis.privacy import Undecoded, with_private_credentials

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# The order of `raw` in lua/includes/read_proxy.lua; the filters' programs name these places.
INDEXED = ("source", "country", "city", "isp", "asn", "latitude", "longitude")
_KINDS: tuple[Callable[[str], Any], ...] = (str, str, str, str, int, float, float)
STATUS, LIMIT, CHECKED, REVISION = 7, 8, 9, 10
_LONGEST_TEXT = 56
# What pydantic writes for SecretStr and SecretBytes.
_MASK = '"**********"'
_HELD_APART = {"id", "pool_id", "status", "checked_at", "max_concurrency", "current_leases"}


def as_utc(moment: datetime) -> datetime:
    """The same moment in UTC; a naive one is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def to_micros(moment: datetime) -> int:
    """Microseconds since the epoch. Raises ``InvalidProxyError`` if UTC has no such moment."""
    try:
        return (as_utc(moment) - EPOCH) // _MICROSECOND
    except OverflowError:
        raise InvalidProxyError(
            f"checked_at {moment} is outside the years 1 to 9999 UTC."
        ) from None


def from_micros(value: int) -> datetime:
    """The UTC moment of microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=value)


def from_millis(value: int) -> datetime:
    """The UTC moment of milliseconds since the epoch."""
    return EPOCH + timedelta(milliseconds=value)


def index_text(value: str) -> str:
    """A text as the hash has it: itself, or a digest when it is long or looks like one."""
    if len(value.encode()) <= _LONGEST_TEXT and not value.startswith("#"):
        return value
    return "#" + hashlib.sha256(value.encode()).hexdigest()[:40]


# -- proxies ---------------------------------------------------------------------------------------


def encode_proxy(proxy: Proxy) -> tuple[list[str], dict[str, Any]]:
    """What ``save_proxies`` takes of a proxy after id and revision, but for the document: that
    comes as a dict, so that unknown fields of a stored one can be merged in.

    Raises ``InvalidProxyError`` if a value cannot be stored.
    """
    excluded = set(_HELD_APART) | set(type(proxy).model_computed_fields)
    columns: list[str] = []
    try:
        for name in INDEXED:
            value = getattr(proxy, name)
            if value is None or value == "":
                columns.append("")
                excluded.update(() if value == "" else (name,))
                continue
            if isinstance(value, float):
                if not math.isfinite(value):
                    raise InvalidProxyError(f"Proxy {proxy.id}: {name} is {value}, not a number.")
                text = repr(value)
            else:
                plain = str.__str__(value) if isinstance(value, str) else str(value)
                text = index_text(plain)
                if text != plain:
                    columns.append(text)
                    continue
            columns.append(text)
            excluded.add(name)
        columns.append(str(getattr(proxy.status, "value", proxy.status)))
        columns.append("" if proxy.max_concurrency is None else str(proxy.max_concurrency))
        columns.append(str(to_micros(proxy.checked_at)))
        document = proxy.model_dump(
            mode="json", exclude=excluded, exclude_defaults=True, by_alias=False
        )
        text = json.dumps(document, ensure_ascii=False)
        text.encode()
        if _MASK in text:
            raise InvalidProxyError(
                f"Proxy {proxy.id}: a secret would be stored masked; give its field a "
                "field_serializer that tells its value."
            )
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        if isinstance(error, InvalidProxyError):
            raise
        # The error may quote the value, which may be a password: only its kind is told.
        raise InvalidProxyError(
            f"Proxy {proxy.id} cannot be stored: {type(error).__name__} in one of its fields."
        ) from None
    return columns, document


def merge_document(document: dict[str, Any], stored: str | None, model: type[Proxy]) -> str:
    """The document's JSON, with the fields of the stored one that ``model`` does not know."""
    merged = dict(document)
    if stored:
        try:
            known = json.loads(stored)
        except ValueError:
            known = {}
        if not isinstance(known, dict) or model.model_config.get("extra") == "allow":
            known = {}
        for name, value in known.items():
            if name not in model.model_fields:
                merged.setdefault(name, value)
    return json.dumps(merged, ensure_ascii=False, separators=(",", ":"))


def decode_proxy(
    model: type[Proxy],
    pool_id: UUID,
    proxy_id: str,
    document: str | None,
    fields: Sequence[str | None],
    leases: int,
) -> Proxy:
    """A proxy from its parts. Raises ``CorruptRecordError`` naming proxy and field."""
    data = _document(document, f"Proxy {proxy_id} of pool {pool_id}", pool_id)
    if model.model_config.get("extra") != "allow":
        data = {name: value for name, value in data.items() if name in model.model_fields}
    data["id"], data["pool_id"], data["current_leases"] = UUID(proxy_id), pool_id, leases
    data["status"], field = fields[STATUS], "max_concurrency"
    try:
        limit = fields[LIMIT]
        data[field] = None if limit is None else int(limit)
        for field, kind, text in zip(INDEXED, _KINDS, fields, strict=False):
            if text is None:
                data.setdefault(field, None)
            elif not text.startswith("#"):
                data[field] = kind(text)
        field = "checked_at"
        data[field] = from_micros(int(fields[CHECKED] or ""))
        return with_private_credentials(model.model_validate(data, by_name=True, strict=False))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise CorruptRecordError(
                f"Proxy {proxy_id} of pool {pool_id}: field {field!r} is missing; a field that "
                f"{model.__qualname__} adds needs a default for proxies saved without it.",
                pool_id=pool_id,
            ) from None
    except (ValueError, OverflowError):
        pass
    raise CorruptRecordError(
        f"Proxy {proxy_id} of pool {pool_id}: field {field!r} cannot be read.", pool_id=pool_id
    )


def _document(text: str | None, record: str, pool_id: UUID) -> dict[str, Any]:
    try:
        data = json.loads(text or "")
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise CorruptRecordError(
            f"{record}: its document is missing or is not JSON.", pool_id=pool_id
        )
    return data


# -- leases ----------------------------------------------------------------------------------------


def decode_lease(
    kind: type[Lease],
    pool_id: UUID,
    pool_name: str,
    lease_id: str,
    proxy_id: str,
    consumer: str,
    acquired: int,
    expires: int,
    released: int | str,
) -> Any:
    """A lease from a script's reply. Our scripts wrote these values: they are not validated."""
    over = released != ""
    try:
        return construct_lease(
            kind,
            {
                "id": UUID(lease_id),
                "proxy_id": uuid_of(proxy_id),
                "consumer_id": uuid_of(consumer),
                "pool_id": pool_id,
                "pool_name": pool_name,
                "status": LeaseStatus.RELEASED if over else LeaseStatus.ACTIVE,
                "acquired_at": from_millis(acquired),
                "expires_at": from_millis(expires),
                "released_at": from_millis(int(released)) if over else None,
            },
        )
    except (ValueError, OverflowError, TypeError):
        raise CorruptRecordError(f"Lease {lease_id} of pool {pool_id} cannot be read.") from None


def decode_granted(
    model: type[Proxy], pool_id: UUID, pool_name: str, row: Sequence[Any]
) -> ProxyLease:
    """The lease, and the proxy to be decoded when asked for, of what ``acquire_many`` tells of it;
    ``acquire`` has the same without the id."""
    lease_id, acquired, expires, released, consumer, proxy_id, document, fields, leases = row
    lease: ProxyLease = decode_lease(
        ProxyLease, pool_id, pool_name, lease_id, proxy_id, consumer, acquired, expires, released
    )
    if fields:
        lease._decode = Undecoded(decode_proxy, model, pool_id, proxy_id, document, fields, leases)
    return lease


# -- pools, figures, health ------------------------------------------------------------------------


def encode_pool(pool: ProxyPool) -> str:
    """A pool's model as JSON without id and name."""
    return pool.model_dump_json(exclude={"id", "name"}, exclude_defaults=True)


def decode_pool(pool_id: UUID, name: str, document: str | None) -> ProxyPool:
    """A pool. Raises ``CorruptRecordError``."""
    try:
        return ProxyPool.model_validate(
            {**_document(document, f"Pool {pool_id}", pool_id), "id": pool_id, "name": name}
        )
    except ValidationError:
        raise CorruptRecordError(f"Pool {pool_id}: its document cannot be read.") from None


def decode_stats(pool_name: str, figures: Sequence[int]) -> PoolStatsSnapshot:
    """A pool's figures, dated now by this machine's clock. Raises ``CorruptRecordError``."""
    total, active, available, leased, leases = figures
    try:
        return PoolStatsSnapshot(
            pool_name=pool_name,
            total_proxies=total,
            active_proxies=active,
            available_proxies=available,
            leased_proxies=leased,
            total_leases=leases,
        )
    except ValidationError:
        raise CorruptRecordError(
            f"Pool {pool_name!r}: its keys disagree, they add up to {total} proxies, {active} "
            f"active, {available} available, {leased} leased, {leases} leases."
        ) from None


def decode_figures(pool_id: UUID, reply: Sequence[Any]) -> PoolFigures:
    """A pool with its figures. Raises ``CorruptRecordError``."""
    name, document, at, figures, views, acquired, missed, reclaimed = reply
    total, active, available, leased, leases = figures
    return PoolFigures(
        pool=decode_pool(pool_id, name, document),
        at=from_millis(at),
        total_proxies=total,
        active_proxies=active,
        available_proxies=available,
        saturated_proxies=max(0, active - available),
        leased_proxies=leased,
        total_leases=leases,
        views=views,
        acquired=acquired,
        missed=missed,
        reclaimed=reclaimed,
    )


def reachable_latency(record: ProxyHealthRecord) -> str:
    """What ``add_health`` takes as latency: ms, or "" if the record does not rank the proxy."""
    if not record.reachable or record.latency_ms is None:
        return ""
    return str(record.latency_ms)


def decode_health(entry: str, proxy_id: UUID) -> ProxyHealthRecord:
    """A record of a proxy's history: ``id status_before json``. Raises ``CorruptRecordError``."""
    try:
        record_id, before, text = entry.split(" ", 2)
        record = ProxyHealthRecord.model_validate_json(text)
        update: dict[str, Any] = {"id": UUID(record_id), "checked_at": as_utc(record.checked_at)}
        if before != "-":
            update["status_before"] = type(record.status_after)(before)
    except (ValueError, OverflowError):
        raise CorruptRecordError(f"Health record of proxy {proxy_id} cannot be read.") from None
    return record.model_copy(update=update)


def health_result(record: ProxyHealthRecord) -> HealthCheckResult:
    """A record as the result that pharox's ``get_last_health_result`` returns."""
    return HealthCheckResult(
        proxy_id=record.proxy_id,
        status=record.status_after,
        latency_ms=record.latency_ms or 0,
        protocol=record.protocol,
        checked_at=record.checked_at,
        error_message=record.error,
    )
