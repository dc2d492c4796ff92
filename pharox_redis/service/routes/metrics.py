"""``/metrics``, for Prometheus. It answers while Redis is away."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import PlainTextResponse, Response

from pharox_redis.service.access import GuardedRoute, needs
from pharox_redis.service.api_keys import Role
from pharox_redis.service.state import TheService


def router_of(open_to_all: bool) -> APIRouter:
    """The route, for keys that may read, or for everybody."""
    router = APIRouter(tags=["health"], route_class=APIRoute if open_to_all else GuardedRoute)
    declared = {} if open_to_all else needs(Role.READ)

    @router.get("/metrics", response_class=PlainTextResponse, **declared)
    async def metrics(request: Request, service: TheService) -> Response:
        """What the service and the pools do, as Prometheus' text or, if asked for, OpenMetrics."""
        page, content_type = await service.metrics.page(request.headers.get("accept", ""))
        return Response(page, headers={"Content-Type": content_type})

    return router
