"""``/v1/leases/``: acquire, look at, release."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from pharox.exceptions import PoolNotFoundError, ProxyNotFoundError
from pharox.models import Lease, LeaseStatus, Proxy
from starlette.responses import JSONResponse

from pharox_redis import IdempotencyConflictError, ProxyLease, StorageFullError
from pharox_redis.errors import CorruptRecordError, StorageUnavailableError
from pharox_redis.service.access import GuardedRoute, needs
from pharox_redis.service.acquiring import (
    ClientGone,
    HandOver,
    Idempotency,
    Watch,
    idempotency_key,
)
from pharox_redis.service.api_keys import Role
from pharox_redis.service.limits import LARGEST_PAGE, LONGEST_KEY_HEADER
from pharox_redis.service.mishaps import log_storage
from pharox_redis.service.outcomes import (
    AWAY,
    AcquireOutcome,
    AcquireResult,
    ReleaseOutcome,
    ReleaseResult,
    tell,
)
from pharox_redis.service.paging import PAGED, STORAGE_PAGE, After, Limit, name_next
from pharox_redis.service.problems import (
    FieldError,
    Problem,
    bad_parameter,
    invalid,
    no_lease,
    no_pool,
)
from pharox_redis.service.state import Service, TheCaller, TheService
from pharox_redis.service.wire.leases import HeldLeaseOut, LeaseIn, LeaseOut

router = APIRouter(prefix="/v1/leases", tags=["leases"], route_class=GuardedRoute)


# Made anew each time: an exception that is kept grows by a traceback with each raise, and keeps the
# requests in its frames.
def _nothing_free() -> Problem:
    return Problem(
        409,
        "No proxy of the pool that matches is free now.",
        name="nothing-free",
        title="Nothing is free",
    )


def _damaged() -> Problem:
    return Problem(
        503,
        "A proxy's record is damaged; run pharox-redis doctor --repair.",
        name="record-damaged",
        title="A record is damaged",
    )


def _other_body() -> Problem:
    return Problem(
        422,
        "The Idempotency-Key was used for another request; a new request needs a new key.",
        name="idempotency-conflict",
        title="The key was used before",
    )


_ENDED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": LeaseOut, "description": "The lease of an Idempotency-Key, which has ended."}
}


@router.post(
    "/",
    status_code=201,
    response_model=LeaseOut,
    **needs(Role.LEASE, 404, 409, 413, 422, also=_ENDED),
)
async def acquire(
    wanted: LeaseIn,
    request: Request,
    service: TheService,
    caller: TheCaller,
    idempotency_key_header: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=LONGEST_KEY_HEADER,
            pattern="^[!-~]([ -~]*[!-~])?$",
            description="A request that is repeated with the same key gets the same lease.",
        ),
    ] = None,
) -> Response:
    """Lease the best free match; 409 if nothing is free.

    With an ``Idempotency-Key`` a repeated request gets the lease of the first one: 201 while it is
    active, 200 when it has ended. 422 if the body is another than the first one's.
    """
    longest = service.settings.max_ttl_seconds
    if wanted.ttl_seconds > longest:
        raise invalid(
            [FieldError(pointer="#/ttl_seconds", detail=f"this service allows {longest:g} at most")]
        )
    once = None
    if idempotency_key_header is not None:
        once = Idempotency(
            idempotency_key(caller.name, idempotency_key_header),
            wanted.fingerprint,
            service.settings.idempotency_seconds,
        )
    counted = _Counted(service, wanted)
    # With an Idempotency-Key the lease stays for whoever asks again.
    watch = Watch(request, service.desk.give_back) if once is None else None
    try:
        work = service.desk.acquire(wanted, once)
        lease = await (watch.over(work) if watch else work)
        if lease is None:
            raise _nothing_free()
    except BaseException as error:
        counted.failed(error)
        if watch:
            await watch.close()
        if isinstance(error, ClientGone):
            return Response(status_code=499)  # nobody reads it
        if isinstance(error, IdempotencyConflictError):
            raise _other_body() from None
        raise
    try:
        shown = LeaseOut.of(lease, await _proxy_of(service, lease), secret=True)
        content = shown.model_dump(mode="json")
    except BaseException as error:
        counted.failed(error)
        if watch:
            await watch.close()
            await service.desk.give_back(lease)
        if isinstance(error, CorruptRecordError):
            # It is first in line, so that every acquire meets it until somebody mends it.
            damaged = _damaged()
            log_storage(request, error, damaged)
            raise damaged from None
        raise
    if watch is None:
        active = lease.status is LeaseStatus.ACTIVE
        counted.done("leased" if active else "ended")
        return JSONResponse(content, status_code=201 if active else 200)

    async def undo() -> None:
        counted.done("abandoned")
        await service.desk.give_back(lease)

    return HandOver(content, watch, undo, lambda: counted.done("leased"), status_code=201)


@router.get("/", **needs(Role.READ, 404, 422, also=PAGED))
async def list_leases(
    request: Request,
    response: Response,
    service: TheService,
    pool_id: Annotated[UUID, Query(description="The pool whose leases are wanted.")],
    limit: Limit = LARGEST_PAGE,
    after: After = "",
) -> list[HeldLeaseOut]:
    """The active leases of a pool, soonest to end first, with the names of their holders."""
    held: list[Lease] = []
    while True:
        size = min(STORAGE_PAGE, limit - len(held))
        try:
            page = await service.storage.page_leases(pool_id, after=after, limit=size)
        except PoolNotFoundError:
            raise no_pool(pool_id) from None
        except ValueError:
            raise bad_parameter("after", "it is not one of this list's") from None
        held += page.leases
        after = page.next
        if not after or len(held) >= limit:
            break
    names = await service.storage.consumer_names({lease.consumer_id for lease in held})
    name_next(request, response, after)
    return [HeldLeaseOut.of(lease, names.get(lease.consumer_id)) for lease in held]


@router.get("/{lease_id}", **needs(Role.READ, 404, 422))
async def get_lease(lease_id: UUID, service: TheService, caller: TheCaller) -> LeaseOut:
    """A lease, while it is active and for a while after. A key that may only read does not get the
    proxy's URL."""
    lease = await service.storage.get_lease(lease_id)
    if lease is None:
        raise no_lease(lease_id)
    proxy = await _proxy_of(service, lease)
    return LeaseOut.of(lease, proxy, secret=caller.role.may(Role.LEASE))


@router.post("/{lease_id}/release", **needs(Role.LEASE, 404, 422))
async def release(lease_id: UUID, service: TheService) -> LeaseOut:
    """End a lease. One that has ended stays as it is."""
    started = time.monotonic()
    outcome: ReleaseResult = "unknown"
    lease = None
    try:
        lease = await service.storage.end_lease(lease_id)
        outcome = "unknown" if lease is None else "released"
    except BaseException as error:
        outcome = "unavailable" if isinstance(error, AWAY) else "error"
        raise
    finally:
        pool = (lease.pool_name or "") if lease else ""
        held = None
        if lease and lease.released_at:
            held = (lease.released_at - lease.acquired_at).total_seconds()
        seconds = time.monotonic() - started
        tell(service.observers, ReleaseOutcome(pool, outcome, seconds, held))
    if lease is None:
        raise no_lease(lease_id)
    return LeaseOut.of(lease)


async def _proxy_of(service: Service, lease: Lease) -> Proxy | None:
    """The proxy of an active lease; None of one that has ended, or if it is deleted."""
    if lease.status is not LeaseStatus.ACTIVE:
        return None
    try:
        if isinstance(lease, ProxyLease):
            return lease.proxy
        return await service.storage.get_proxy(lease.proxy_id)
    except ProxyNotFoundError:
        return None


class _Counted:
    """Tells the observers how an acquire ended."""

    def __init__(self, service: Service, wanted: LeaseIn) -> None:
        self._service = service
        self._wanted = wanted
        self._started = time.monotonic()

    def done(self, outcome: AcquireResult) -> None:
        pool = self._service.names.known(self._wanted.pool_id)
        seconds = time.monotonic() - self._started
        found = AcquireOutcome(pool, self._wanted.strategy.value, outcome, seconds)
        tell(self._service.observers, found)

    def failed(self, error: BaseException) -> None:
        match error:
            case Problem(status_code=409):
                self.done("none")
            case Problem():
                self.done("no_pool")
            case ClientGone() | asyncio.CancelledError():
                self.done("abandoned")
            case IdempotencyConflictError():
                self.done("refused")
            case StorageUnavailableError() | StorageFullError():
                self.done("unavailable")
            case _:
                self.done("error")
