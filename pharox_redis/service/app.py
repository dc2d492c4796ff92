"""Puts the service together: ``create_app``, and ``app`` for servers that want a name.

``uvicorn pharox_redis.service.app:app --workers 4`` works: ``app`` is made when it is first asked
for, from the environment, in each worker.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware import Middleware

from pharox_redis import AsyncRedisStorage
from pharox_redis.service import pages, problems
from pharox_redis.service.acquiring import Desk
from pharox_redis.service.api_keys import KeyRing
from pharox_redis.service.headers import SecurityHeaders
from pharox_redis.service.limits import BodyLimits
from pharox_redis.service.loopback import LoopbackOnly
from pharox_redis.service.mishaps import Mishaps
from pharox_redis.service.outcomes import Observer
from pharox_redis.service.pool_names import PoolNames
from pharox_redis.service.routes import bulk, health, leases, overview, pools, proxies
from pharox_redis.service.settings import ServiceSettings
from pharox_redis.service.state import Service
from pharox_redis.service.sweeper import Sweeper

OPENAPI_URL = "/openapi.json"
_DESCRIPTION = """
Pools of proxies, and leases of them, for clients in any language. Send your key as `X-API-Key`.

Errors are problem documents (RFC 9457). Lists are pages: `limit` and `after` in, a `Link` header
with `rel="next"` out.
"""


def create_app(
    settings: ServiceSettings | None = None,
    storage: AsyncRedisStorage | None = None,
    *,
    observers: Iterable[Observer] = (),
) -> FastAPI:
    """The application, of settings (by default the environment's).

    A ``storage`` that is given stays its owner's to close. ``observers`` hear of each outcome.
    Raises ``pydantic.ValidationError`` for settings that make no sense. Connects when first used.
    """
    settings = settings or ServiceSettings()
    used = storage or AsyncRedisStorage.from_url(
        settings.url.get_secret_value(), settings.storage, **settings.client_options
    )
    names = PoolNames(used)
    service = Service(settings, used, names, Desk(used, names), list(observers))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeper = Sweeper(used, settings.sweep_seconds, service.observers)
        sweeper.start()
        try:
            yield
        finally:
            await sweeper.stop()
            if storage is None:
                await used.aclose()

    app = FastAPI(
        title="pharox-redis",
        description=_DESCRIPTION,
        version=version("pharox-redis"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI_URL if settings.docs else None,
        # A redirect would go where the Host header says, perhaps without TLS, with the key.
        redirect_slashes=False,
        middleware=_middleware(settings),
    )
    app.state.service = service
    app.state.keys = KeyRing(settings.api_keys)
    problems.install(app)
    for module in (health, overview, pools, bulk, proxies, leases):
        app.include_router(module.router)
    if settings.docs:
        pages.add_docs(app, OPENAPI_URL)
    if settings.dashboard:
        pages.add_dashboard(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # as FastAPI documents it
    return app


def _middleware(settings: ServiceSettings) -> list[Middleware]:
    """From the outermost to the innermost."""
    guard = [] if settings.api_keys else [Middleware(LoopbackOnly)]
    limits = Middleware(
        BodyLimits,
        largest=settings.max_body_bytes,
        largest_bulk=settings.max_bulk_bytes,
        pause_seconds=settings.body_seconds,
    )
    return [Middleware(SecurityHeaders), Middleware(Mishaps), *guard, limits]


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(problems.schemas())
        app.openapi_schema = document
    return app.openapi_schema


def __getattr__(name: str) -> Any:
    if name == "app":
        app = create_app()
        globals()["app"] = app
        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
