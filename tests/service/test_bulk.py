"""Many proxies in one request, a JSON object a line."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pharox_redis.service.app import create_app
from pharox_redis.service.ndjson import Line, lines
from pharox_redis.service.routes.bulk import _Bulk
from tests.service.serving import Service, ndjson, problem, serving, settings_for

NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def service(valkey_url: str) -> Iterator[Service]:
    """A service with a small limit of lines."""
    with serving(valkey_url, max_line_bytes=300, max_bulk_bytes=70_000) as running:
        yield running


def row(number: int, **values: Any) -> dict[str, Any]:
    return {"host": f"192.0.{number >> 8}.{number & 255}", "port": 80, **values}


def send(admin: httpx.Client, pool_id: str, content: bytes) -> httpx.Response:
    return admin.post(f"/v1/pools/{pool_id}/proxies/bulk", content=content, headers=NDJSON)


def test_lines_become_proxies(admin: httpx.Client, service: Service) -> None:
    pool_id = service.pool(0)
    rows = [row(number, country="AR", max_concurrency=1) for number in range(450)]
    reply = send(admin, pool_id, ndjson(*rows))
    assert reply.status_code == 200
    assert reply.json() == {"added": 450, "updated": 0, "failed": 0, "errors": []}
    stored = service.storage.list_proxies(pool_id)
    assert [str(proxy.host) for proxy in stored] == [row["host"] for row in rows]
    assert {(proxy.country, proxy.max_concurrency) for proxy in stored} == {("AR", 1)}

    # Sent once more, after one of them was banned.
    service.storage.set_proxy_status(stored[0].id, "banned")  # type: ignore[arg-type]
    again = send(admin, pool_id, ndjson(*rows, row(999)))
    assert again.json() == {"added": 1, "updated": 450, "failed": 0, "errors": []}
    assert service.storage.get_proxy(stored[0].id).status == "banned"
    assert len(service.storage.list_proxies(pool_id)) == 451


def test_what_is_wrong_with_lines_is_told_by_number(admin: httpx.Client, service: Service) -> None:
    pool_id = service.pool(0)
    secret = "s3cret-passw0rd"
    reply = send(
        admin,
        pool_id,
        ndjson(
            row(1),
            b"",
            b"not json",
            row(2, username="u"),
            row(3, port=0),
            b'{"host": "192.0.2.9", "port": 80, "password": "' + secret.encode() + b'", "x": 1}',
            b"x" * 301,
            row(4),
            b"\r",
            json.dumps(row(5)).encode() + b"\r",
            b"\xff",
        )[:-1],
    )
    assert reply.status_code == 200
    result = reply.json()
    assert (result["added"], result["failed"]) == (3, 6)
    assert [error["line"] for error in result["errors"]] == [3, 4, 5, 6, 7, 11]
    details = [error["detail"] for error in result["errors"]]
    assert details[0] == details[5] == "it is not JSON"
    assert details[2].startswith("port: ")
    assert "300" in details[4]
    assert secret not in reply.text
    assert len(service.storage.list_proxies(pool_id)) == 3


def test_no_more_than_a_hundred_errors_are_told(admin: httpx.Client, service: Service) -> None:
    result = send(admin, service.pool(0), b"x\n" * 500).json()
    assert (result["added"], result["failed"], len(result["errors"])) == (0, 500, 100)


def test_the_same_proxy_twice_in_a_body_is_one(admin: httpx.Client, service: Service) -> None:
    pool_id = service.pool(0)
    result = send(admin, pool_id, ndjson(row(1, city="a"), row(1, city="b"))).json()
    assert (result["added"], result["updated"], result["failed"]) == (1, 0, 0)
    (proxy,) = service.storage.list_proxies(pool_id)
    assert proxy.city == "b"


@pytest.mark.parametrize("kind", ["application/json", "text/csv", ""])
def test_another_media_type_is_415(admin: httpx.Client, service: Service, kind: str) -> None:
    path = f"/v1/pools/{service.pool(0)}/proxies/bulk"
    reply = admin.post(path, content=ndjson(row(1)), headers={"content-type": kind})
    assert "application/x-ndjson" in problem(reply, 415).detail


def test_an_unknown_pool_is_404(admin: httpx.Client) -> None:
    problem(send(admin, str(uuid.uuid4()), ndjson(row(1))), 404)


def test_a_body_that_gets_too_long_tells_what_was_added(
    admin: httpx.Client, service: Service
) -> None:
    pool_id = service.pool(0)

    async def endless() -> httpx.Response:
        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, 3_000, 100):
                yield ndjson(*(row(number) for number in range(start, start + 100)))
                while start == 1_000 and not service.storage.list_proxies(pool_id):
                    await asyncio.sleep(0.01)

        async with service.async_client() as client:
            path = f"/v1/pools/{pool_id}/proxies/bulk"
            return await client.post(path, content=chunks(), headers=NDJSON)

    document = problem(asyncio.run(endless()), 413)
    there = len(service.storage.list_proxies(pool_id))
    assert 0 < there < 3_000
    assert f"{there:,} proxies were added" in document.detail


def test_proxies_are_written_while_the_rest_is_still_to_come(service: Service) -> None:
    pool_id = service.pool(0)

    async def slowly() -> httpx.Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield ndjson(*(row(number) for number in range(200)))
            async with asyncio.timeout(10):
                while not service.storage.list_proxies(pool_id):
                    await asyncio.sleep(0.01)
            yield ndjson(row(200))

        async with service.async_client() as client:
            path = f"/v1/pools/{pool_id}/proxies/bulk"
            return await client.post(path, content=chunks(), headers=NDJSON)

    assert asyncio.run(slowly()).json()["added"] == 201


def test_a_client_that_goes_away_in_the_middle_is_no_error(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    pool_id = service.pool(0)

    async def broken_off() -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield ndjson(*(row(number) for number in range(250)))
            async with asyncio.timeout(10):
                while not service.storage.list_proxies(pool_id):
                    await asyncio.sleep(0.01)
            raise ConnectionAbortedError

        async with service.async_client() as client:
            path = f"/v1/pools/{pool_id}/proxies/bulk"
            await client.post(path, content=chunks(), headers=NDJSON)

    with pytest.raises(ConnectionAbortedError):
        asyncio.run(broken_off())
    with service.client() as admin:
        assert admin.get("/healthz").status_code == 200
    # What was under way when the client went is still written.
    deadline = time.monotonic() + 30
    while (count := len(service.storage.list_proxies(pool_id))) not in (200, 250):
        assert time.monotonic() < deadline, count
        time.sleep(0.01)
    assert "Traceback" not in caplog.text


@given(st.binary(max_size=60).map(lambda b: b.replace(b"\x01", b"\n")), st.data())
def test_lines_do_not_depend_on_how_they_come(body: bytes, data: st.DataObject) -> None:
    """Whatever the chunks, the lines are those of the whole body."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    chunks = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    longest = data.draw(st.integers(1, 20))

    async def read() -> list[tuple[int, bytes | None]]:
        async def stream() -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk

        return [(line.number, line.text) async for line in lines(stream(), longest)]

    expected = [
        (number, text if len(text) <= longest else None)
        for number, text in enumerate(body.split(b"\n"), 1)
        if text.strip() or len(text) > longest
    ]
    assert asyncio.run(read()) == expected


def test_lines_that_are_wrong_keep_nobody_waiting() -> None:
    """All of a body may be refused without a trip; others have their turn all the same."""

    async def turns_meanwhile() -> int:
        bulk, turns = (
            _Bulk(
                create_app(settings_for("redis://127.0.0.1:1/0", "p")).state.service, uuid.uuid4()
            ),
            0,
        )

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(others())
        for number in range(5_000):
            await bulk.take(Line(number, b"x"))
        task.cancel()
        return turns

    assert asyncio.run(turns_meanwhile()) >= 25
