"""Who may do what: each route says which role it needs, and a route that does not cannot be made.

The key is looked at before the body is read: a stranger cannot make the service parse anything.
With no keys configured everyone is ``anonymous`` with the role ``admin``; that only this machine
gets as far as here is what ``loopback`` sees to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from starlette.responses import Response

from pharox_redis.service.api_keys import Caller, KeyRing, Role
from pharox_redis.service.problems import Problem, responses

HEADER: Final = "X-API-Key"
ROLE_OF_ROUTE: Final = "x-required-role"
ANONYMOUS: Final = Caller("anonymous", Role.ADMIN)

# For the OpenAPI document only: by the time FastAPI looks at it the caller is known.
_scheme = Security(APIKeyHeader(name=HEADER, auto_error=False, scheme_name="ApiKey"))


def needs(role: Role, *statuses: int) -> dict[str, Any]:
    """What a route that needs a role, and may answer with these problems, is declared with."""
    return {
        "dependencies": [_scheme],
        "openapi_extra": {ROLE_OF_ROUTE: role.value},
        "responses": responses(401, 403, *statuses, 503),
    }


class GuardedRoute(APIRoute):
    """A route that is closed to callers without its role."""

    @property
    def role(self) -> Role:
        """The role it needs. Raises ``TypeError`` if it was declared without ``needs``."""
        declared = (self.openapi_extra or {}).get(ROLE_OF_ROUTE)
        if declared is None:
            raise TypeError(f"route {self.path} does not say which role it needs: use needs(...)")
        return Role(declared)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's, behind the look at the key."""
        role = self.role
        handle: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            admit(request, role)
            return await handle(request)

        return guarded


def admit(request: Request, role: Role) -> Caller:
    """Let a caller of this role in, and remember who it is.

    Raises ``Problem``: 401 without a key that is known, 403 if its role is not enough.
    """
    caller = _caller_of(request)
    if not caller.role.may(role):
        raise Problem(
            403, f"The key {caller.name!r} has the role {caller.role}; this needs {role}."
        )
    request.state.caller = caller
    return caller


def _caller_of(request: Request) -> Caller:
    keys: KeyRing = request.app.state.keys
    if not keys:
        return ANONYMOUS
    given = request.headers.getlist(HEADER)
    caller = keys.caller_of(given[0]) if len(given) == 1 else None
    if caller is None:
        raise Problem(
            401,
            f"No {HEADER} header with a valid key."
            if given
            else f"The {HEADER} header is missing.",
            headers={"WWW-Authenticate": f'ApiKey realm="pharox-redis", header="{HEADER}"'},
        )
    return caller


def caller(request: Request) -> Caller:
    """Who asks, in a route that was let in to."""
    found: Caller = request.state.caller
    return found
