"""Clients that acquire and release over HTTP until they are told to stop, and keep books."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import httpx

from pharox_redis.service.api_keys import Role
from tests.service.serving import headers_of

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout)


class Crowd:
    """What its clients were told, all together."""

    def __init__(self, url: str, pool_id: str, *, clients: int = 12) -> None:
        self._url, self._pool_id, self._clients = url, pool_id, clients
        self.counts: Counter[str] = Counter()
        """granted, released, missed, refused (503), unsent, unanswered."""
        self.held: set[str] = set()
        """Leases that were granted, and not given back for certain."""
        self.unsure: set[str] = set()
        """Those among them whose release was not answered."""
        self.refusals: list[tuple[httpx.Response, float]] = []
        """Replies of 503, with the seconds they took."""
        self._stopping = asyncio.Event()
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Crowd:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        for number in range(self._clients):
            self._group.create_task(self._work(number))
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self._stopping.set()
        await self._group.__aexit__(*exc)

    async def until(self, name: str, more: int, seconds: float = 30.0) -> None:
        """Wait until a count has risen by so much."""
        wanted = self.counts[name] + more
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: self.counts[name] >= wanted)

    async def _count(self, name: str) -> None:
        async with self._changed:
            self.counts[name] += 1
            self._changed.notify_all()

    async def _work(self, number: int) -> None:
        async with httpx.AsyncClient(
            base_url=self._url, headers=headers_of(Role.LEASE), timeout=20, verify=False
        ) as client:
            while not self._stopping.is_set():
                if not await self._round(client, f"client {number}"):
                    # Away or full; a moment, as people are told to.
                    await asyncio.sleep(0.02)

    async def _round(self, client: httpx.AsyncClient, consumer: str) -> bool:
        body = {"pool_id": self._pool_id, "consumer_id": consumer, "ttl_seconds": 600}
        reply = await self._post(client, "/v1/leases/", body)
        if reply is None:
            return False
        if reply.status_code == 409:
            await self._count("missed")
            return False
        assert reply.status_code == 201, reply.text
        lease = str(reply.json()["id"])
        self.held.add(lease)
        await self._count("granted")
        await asyncio.sleep(0.005)
        while True:
            reply = await self._post(client, f"/v1/leases/{lease}/release", {})
            if reply is not None:
                assert reply.status_code == 200, reply.text
                self.held.discard(lease)
                await self._count("released")
                return True
            self.unsure.add(lease)
            if self._stopping.is_set():
                return False
            await asyncio.sleep(0.02)

    async def _post(self, client: httpx.AsyncClient, path: str, body: Any) -> httpx.Response | None:
        """The reply, None for 503 and for none."""
        started = time.monotonic()
        try:
            reply = await client.post(path, json=body)
        except NEVER_SENT:
            await self._count("unsent")
            return None
        except httpx.TransportError:
            await self._count("unanswered")
            return None
        if reply.status_code == 503:
            self.refusals.append((reply, time.monotonic() - started))
            await self._count("refused")
            return None
        return reply
