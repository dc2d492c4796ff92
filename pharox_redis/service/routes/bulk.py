"""``/v1/pools/{pool_id}/proxies/bulk``: many proxies in one request, a JSON object a line."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pharox.exceptions import PharoxError, PoolNotFoundError
from pydantic import Field, ValidationError
from starlette.requests import ClientDisconnect

from pharox_redis.service.access import GuardedRoute, needs
from pharox_redis.service.adding import add_proxies
from pharox_redis.service.api_keys import Role
from pharox_redis.service.limits import BULK_PATH_END
from pharox_redis.service.mishaps import log_storage
from pharox_redis.service.ndjson import MEDIA_TYPES, Line, lines
from pharox_redis.service.problems import Problem, no_pool, of_storage
from pharox_redis.service.state import Service, TheService
from pharox_redis.service.wire.base import Outgoing
from pharox_redis.service.wire.proxies import ProxyIn

router = APIRouter(prefix="/v1/pools/{pool_id}", tags=["proxies"], route_class=GuardedRoute)

AT_ONCE: Final = 200
MOST_ERRORS: Final = 100


class LineError(Outgoing):
    """A line that was passed over."""

    line: Annotated[int, Field(description="From 1.")]
    detail: str


class BulkOut(Outgoing):
    """What became of the lines."""

    added: Annotated[int, Field(description="Proxies that were new.")]
    updated: Annotated[int, Field(description="Proxies that were there already.")]
    failed: Annotated[int, Field(description="Lines that were passed over.")]
    errors: Annotated[list[LineError], Field(description="The first hundred of these.")]


_declared = needs(Role.ADMIN, 404, 413, 415, 422)
_declared["openapi_extra"] |= {
    "requestBody": {
        "required": True,
        "content": {
            MEDIA_TYPES[0]: {
                "schema": {
                    "type": "string",
                    "description": "A proxy a line, as one that is added alone.",
                }
            }
        },
    }
}


@router.post(BULK_PATH_END, response_model=BulkOut, **_declared)
async def add_many(pool_id: UUID, request: Request, service: TheService) -> BulkOut | Response:
    """Add proxies while they come in, some hundred at a time. A line that is not a proxy is told in
    the reply and does not stop the rest. Proxies are known as those added alone are, so a request
    that broke off can be sent again whole."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise Problem(415, f"The body is {MEDIA_TYPES[0]}: a JSON object a line.")
    await service.names.name_of(pool_id, refresh=True)
    bulk = _Bulk(service, pool_id)
    try:
        async for line in lines(request.stream(), service.settings.max_line_bytes):
            await bulk.take(line)
        await bulk.write()
    except ClientDisconnect:
        return Response(status_code=499)  # nobody reads it; what was written stays
    except PoolNotFoundError:
        raise no_pool(pool_id) from None
    except (Problem, PharoxError) as error:
        service.failed(error)
        ended = bulk.ended_by(error)
        if isinstance(error, PharoxError):
            log_storage(request, error, ended)
        raise ended from error
    return bulk.result()


class _Bulk:
    def __init__(self, service: Service, pool_id: UUID) -> None:
        self._storage = service.storage
        self._longest = service.settings.max_line_bytes
        self._pool_id = pool_id
        self._todo: list[ProxyIn] = []
        self._counts = {True: 0, False: 0}
        self._failed = 0
        self._errors: list[LineError] = []

    async def take(self, line: Line) -> None:
        if line.text is None:
            await self._refuse(line.number, f"it is longer than {self._longest:,} bytes")
            return
        try:
            self._todo.append(ProxyIn.model_validate_json(line.text))
        except ValidationError as error:
            await self._refuse(line.number, _reason(error))
            return
        if len(self._todo) == AT_ONCE:
            await self.write()

    async def write(self) -> None:
        todo, self._todo = self._todo, []
        if todo:
            for each in await add_proxies(self._storage, self._pool_id, todo):
                self._counts[each.new] += 1

    async def _refuse(self, number: int, detail: str) -> None:
        self._failed += 1
        if self._failed % AT_ONCE == 0:
            await asyncio.sleep(0)  # nothing else lets others have their turn here
        if len(self._errors) < MOST_ERRORS:
            self._errors.append(LineError(line=number, detail=detail))

    def ended_by(self, error: Problem | PharoxError) -> Problem:
        """The error, with what was done before it."""
        problem = error if isinstance(error, Problem) else of_storage(error)
        document = problem.document
        detail = (
            f"{document.detail} Before that, {self._counts[True]:,} proxies were added and "
            f"{self._counts[False]:,} updated; the request can be sent again whole."
        )
        again = Problem(document.status, detail, title=document.title, headers=problem.headers)
        again.document = document.model_copy(update={"detail": detail})
        return again

    def result(self) -> BulkOut:
        return BulkOut(
            added=self._counts[True],
            updated=self._counts[False],
            failed=self._failed,
            errors=self._errors,
        )


def _reason(error: ValidationError) -> str:
    """What is wrong with a line, without what it says."""
    first: Any = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return "it is not JSON"
    field = ".".join(str(part) for part in first["loc"])
    detail = str(first["msg"]).removeprefix("Value error, ")
    return f"{field}: {detail}" if field else detail
