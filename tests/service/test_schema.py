"""Requests made up from the service's own OpenAPI document: none makes it fail, and each reply is
one that the document promises."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pharox_redis.service.api_keys import Role
from pharox_redis.service.app import create_app
from tests.service.serving import Service, headers_of, serving, settings_for

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

document = create_app(settings_for("redis://127.0.0.1:1/0", "p")).openapi()
schema = schemathesis.openapi.from_dict(document)


@pytest.fixture(scope="module")
def service(valkey_url: str) -> Iterator[Service]:
    """A service that made-up requests may fill and empty."""
    with serving(valkey_url) as running:
        yield running


@pytest.fixture(scope="module")
def known(service: Service) -> dict[str, str]:
    """Ids of what exists, so that made-up requests also meet something."""
    pool_id = service.pool(2, max_concurrency=None)
    with service.client() as admin:
        proxy = admin.get(f"/v1/pools/{pool_id}/proxies/").json()[0]
        lease = admin.post("/v1/leases/", json={"pool_id": pool_id, "consumer_id": "c"}).json()
    return {"pool_id": pool_id, "proxy_id": proxy["id"], "lease_id": lease["id"]}


@schemathesis.serializer("application/x-ndjson")
def as_it_is(context: Any, value: Any) -> Any:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def one_in_two(value: object) -> bool:
    """By the value, the same in every run."""
    return crc32(repr(value).encode()) % 2 == 0


def call(case: Any, service: Service, known: dict[str, str]) -> None:
    # Every second request is about what exists.
    if case.path_parameters and one_in_two(case.path_parameters):
        for name in case.path_parameters:
            case.path_parameters[name] = known.get(name, case.path_parameters[name])
    if isinstance(case.body, dict) and "pool_id" in case.body and one_in_two(case.body):
        case.body["pool_id"] = known["pool_id"]
    if case.method == "DELETE" and case.path_parameters == {"pool_id": known["pool_id"]}:
        case.path_parameters["pool_id"] = str(uuid.uuid4())
    case.headers = {**(case.headers or {}), **headers_of(Role.ADMIN)}
    response = case.call(base_url=service.url)
    case.validate_response(response, checks=CHECKS)


def examples(number: int) -> Any:
    return settings(
        max_examples=number,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )


@schema.parametrize()
@examples(6)
def test_no_request_makes_it_fail(case: Any, service: Service, known: dict[str, str]) -> None:
    call(case, service, known)


@pytest.mark.slow
@schema.parametrize()
@examples(300)
def test_no_request_makes_it_fail_for_long(
    case: Any, service: Service, known: dict[str, str]
) -> None:
    call(case, service, known)


def test_the_document_has_every_error() -> None:
    """Each operation that needs a key says so, and that it answers with problem documents."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path in ("/healthz", "/readyz"):
                continue
            place = f"{method} {path}"
            assert operation["security"] == [{"ApiKey": []}], place
            for status, reply in operation["responses"].items():
                if int(status) >= 400:
                    assert list(reply["content"]) == ["application/problem+json"], place
            assert {"401", "403", "503"} <= operation["responses"].keys(), place
