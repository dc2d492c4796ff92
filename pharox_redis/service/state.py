"""What the routes share: one object in ``app.state``, made when the application starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from fastapi import Depends, Request

from pharox_redis import AsyncRedisStorage
from pharox_redis.service.acquiring import Desk
from pharox_redis.service.api_keys import Caller
from pharox_redis.service.outcomes import Observer
from pharox_redis.service.pool_names import PoolNames
from pharox_redis.service.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Service:
    """Settings, storage, and what is built on it."""

    settings: ServiceSettings
    storage: AsyncRedisStorage
    names: PoolNames
    desk: Desk
    observers: list[Observer]


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    found: Service = request.app.state.service
    return found


def caller_of(request: Request) -> Caller:
    """Who asks; the route has let it in."""
    found: Caller = request.state.caller
    return found


TheService: TypeAlias = Annotated[Service, Depends(service_of)]
TheCaller: TypeAlias = Annotated[Caller, Depends(caller_of)]
