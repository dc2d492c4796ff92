"""Whatever goes wrong, as a problem document (RFC 9457): ``application/problem+json``.

A document has ``type``, ``title``, ``status`` and ``detail``. The type is ``about:blank`` where the
status says it all, else ``urn:pharox-redis:problem:<name>``, for programs to tell problems apart. A
request that is not valid has ``errors``, each with a JSON pointer or the parameter's name, and
never what was given: that may be a password.

Only what pharox_redis says in its own errors reaches a client, and only of kinds that are about the
request. Anything else is "an error of the service", and stands in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pharox.exceptions import PharoxError, PoolNotFoundError, ProxyNotFoundError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from pharox_redis.errors import (
    InvalidProxyError,
    NotReplicatedError,
    PoolNameTakenError,
    PredicateScanLimitError,
    ProxyPoolConflictError,
    StorageFullError,
    StorageUnavailableError,
)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 1
_MOST_ERRORS: Final = 50

logger = logging.getLogger("pharox_redis.service")


class FieldError(BaseModel):
    """One thing that is wrong with a request."""

    pointer: str | None = Field(None, description="Where in the body, as a JSON pointer.")
    parameter: str | None = Field(None, description="Which parameter or header.")
    detail: str


class ProblemDocument(BaseModel):
    """A problem, as clients see it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


class Problem(HTTPException):
    """Ends a request with a problem document. (FastAPI lets an ``HTTPException`` through where it
    takes anything else, raised while it reads a body, for a bad body.)"""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        name: str | None = None,
        title: str | None = None,
        errors: list[FieldError] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.document = ProblemDocument(
            type=f"urn:pharox-redis:problem:{name}" if name else "about:blank",
            title=title or HTTPStatus(status).phrase,
            status=status,
            detail=detail,
            errors=errors,
        )

    def response(self) -> Response:
        """The reply."""
        return JSONResponse(
            self.document.model_dump(exclude_none=True),
            status_code=self.document.status,
            headers=self.headers,
            media_type=MEDIA_TYPE,
        )


def no_pool(pool_id: object) -> Problem:
    """There is no such pool."""
    return Problem(404, f"There is no pool {pool_id}.", name="no-such-pool", title="No such pool")


def no_proxy(proxy_id: object) -> Problem:
    """There is no such proxy, in this pool."""
    return Problem(
        404,
        f"There is no proxy {proxy_id} in this pool.",
        name="no-such-proxy",
        title="No such proxy",
    )


def no_lease(lease_id: object) -> Problem:
    """There is no such lease, or not any more."""
    return Problem(
        404,
        f"There is no lease {lease_id}, or it ended so long ago that it is forgotten.",
        name="no-such-lease",
        title="No such lease",
    )


def bad_parameter(name: str, detail: str) -> Problem:
    """A parameter or header cannot be used."""
    return invalid([FieldError(parameter=name, detail=detail)])


def invalid(errors: list[FieldError]) -> Problem:
    """The request is not valid."""
    shown = errors[:_MOST_ERRORS]
    first = shown[0]
    place = first.pointer or first.parameter
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem(
        422,
        f"{place}: {first.detail}{more}" if place else f"{first.detail}{more}",
        name="invalid-request",
        title="The request is not valid",
        errors=shown,
    )


def of_validation(error: RequestValidationError) -> Problem:
    """The problem of what FastAPI and pydantic refuse."""
    found = []
    for each in error.errors():
        place, *path = [str(part) for part in each["loc"]] or ["body"]
        detail = str(each["msg"]).removeprefix("Value error, ")
        if each["type"] == "json_invalid":
            path, detail = [], "it is not JSON"
        if place == "body":
            pointer = "#" + "".join(
                "/" + part.replace("~", "~0").replace("/", "~1") for part in path
            )
            found.append(FieldError(pointer=pointer, detail=detail))
        else:
            found.append(FieldError(parameter=".".join(path) or place, detail=detail))
    return invalid(found)


def of_storage(error: PharoxError) -> Problem:
    """The problem of what the storage raised."""
    retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    match error:
        case PoolNotFoundError():
            return Problem(
                404, "The pool does not exist.", name="no-such-pool", title="No such pool"
            )
        case ProxyNotFoundError():
            return Problem(
                404, "The proxy does not exist.", name="no-such-proxy", title="No such proxy"
            )
        case PoolNameTakenError():
            return Problem(
                409,
                "Another pool has this name.",
                name="pool-name-taken",
                title="The name is taken",
            )
        case ProxyPoolConflictError():
            return Problem(409, str(error), name="proxy-elsewhere", title="In another pool")
        case InvalidProxyError():
            return invalid([FieldError(pointer="#", detail="a value of it cannot be stored")])
        case NotReplicatedError():
            return Problem(
                503,
                "Too few replicas confirmed the lease in time; it was not given. Try again.",
                name="not-replicated",
                headers=retry,
            )
        case StorageUnavailableError():
            return Problem(
                503,
                "The Redis server behind this service does not answer now. Try again.",
                name="storage-unavailable",
                headers=retry,
            )
        case StorageFullError():
            return Problem(
                503,
                "The memory of the Redis server behind this service is full: nothing was changed. "
                "Releases still work.",
                name="storage-full",
                headers=retry,
            )
        case PredicateScanLimitError():
            return Problem(503, str(error), headers=retry)
    return internal()


def internal() -> Problem:
    """Nothing the client did."""
    return Problem(500, "An error of the service; its log says more.")


def install(app: FastAPI) -> None:
    """Let an application answer with problem documents, whatever is raised."""

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def validation(_: Request, error: RequestValidationError) -> Response:
        return of_validation(error).response()

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        detail = {
            400: "The body cannot be read.",
            404: "There is nothing here. (Paths of lists end in a slash.)",
            405: "The path does not take this method.",
        }.get(error.status_code, str(error.detail))
        return Problem(error.status_code, detail, headers=error.headers).response()

    @app.exception_handler(PharoxError)
    async def storage(request: Request, error: PharoxError) -> Response:
        found = of_storage(error)
        if found.document.status == 500:
            raise error  # see ``mishaps``
        if found.document.status == 503:
            logger.warning("%s %s: %s", request.method, request.url.path, error)
        return found.response()


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: these statuses come with a problem document."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for status in statuses
    }


def schemas() -> dict[str, Any]:
    """The schemas that ``responses`` refers to, for the OpenAPI document."""
    schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), "ProblemDocument": schema}
