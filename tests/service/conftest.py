"""The service under test, on the embedded server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest

from pharox_redis.service.api_keys import Role
from pharox_redis.service.settings import ENV_PREFIX
from tests.service.serving import Service, serving


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are a test's own."""
    for name in os.environ:
        if name.startswith(ENV_PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def service(valkey_url: str) -> Iterator[Service]:
    """A service with a key of each role, shared by a module's tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(ENV_PREFIX):
                patch.delenv(name)
        with serving(valkey_url) as running:
            yield running


@pytest.fixture
def admin(service: Service) -> Iterator[httpx.Client]:
    """A client with the role admin."""
    with service.client(Role.ADMIN) as client:
        yield client


@pytest.fixture
def leaser(service: Service) -> Iterator[httpx.Client]:
    """A client with the role lease."""
    with service.client(Role.LEASE) as client:
        yield client


@pytest.fixture
def reader(service: Service) -> Iterator[httpx.Client]:
    """A client with the role read."""
    with service.client(Role.READ) as client:
        yield client
