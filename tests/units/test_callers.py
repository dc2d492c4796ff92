"""Tokens of threads and tasks, and who may use whose claim."""

from __future__ import annotations

import asyncio
import gc
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from pharox.models import ProxyPool

from pharox_redis.callers import _REMEMBERED, Callers
from tests.support.builders import make_proxies, make_proxy

POOL = ProxyPool(name="pool")


def test_a_thread_keeps_its_token() -> None:
    callers = Callers()
    assert callers.token() == callers.token()
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", callers.token())


def test_each_thread_has_its_own() -> None:
    callers, barrier = Callers(), Barrier(8)

    def work(_: int) -> set[str]:
        barrier.wait(10)
        return {callers.token() for _ in range(50)}

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert all(len(tokens) == 1 for tokens in found)
    assert len(set.union(*found)) == 8


def test_each_task_has_its_own() -> None:
    callers = Callers()

    async def work() -> set[str]:
        first = callers.token()
        await asyncio.sleep(0)
        return {first, callers.token()}

    async def main() -> list[set[str]]:
        return [{callers.token()}, *await asyncio.gather(*(work() for _ in range(8)))]

    found = asyncio.run(main())
    assert all(len(tokens) == 1 for tokens in found)
    assert len(set.union(*found, {callers.token()})) == 10


def test_ended_tasks_are_forgotten() -> None:
    callers = Callers()

    async def work() -> None:
        callers.token()

    async def main() -> None:
        await asyncio.gather(*(work() for _ in range(50)))

    asyncio.run(main())
    gc.collect()
    assert len(callers._tasks) == 0


def test_two_storages_do_not_share_tokens() -> None:
    assert Callers().token() != Callers().token()


def test_after_a_fork_nothing_is_shared_and_no_lock_is_held() -> None:
    code = """
import os
from pharox.models import Proxy
from uuid import uuid4
from pharox_redis.callers import Callers

callers, proxy = Callers(), Proxy(host="192.0.2.1", port=1, protocol="http", pool_id=uuid4())
before = callers.token()
callers.claimed(before, proxy.pool_id, proxy)
read, write = os.pipe()
callers._lock.acquire()  # as if another thread were inside just now
child = os.fork()
if child == 0:
    os.write(write, f"{callers.token()} {callers.claim_for(proxy)}".encode())
    os._exit(0)
callers._lock.release()
os.waitpid(child, 0)
token, lent = os.read(read, 1000).decode().split()
assert callers.token() == before
assert token.split("-")[0] != before.split("-")[0], (token, before)
assert lent == token, "the child must not use the parent's claim"
assert callers.claim_for(proxy) == before
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_callers_own_claim_comes_first() -> None:
    callers, proxy = Callers(), make_proxy(POOL)
    own = callers.token()
    callers.claimed(own, POOL.id, proxy)
    callers.claimed("other", POOL.id, proxy)
    assert callers.claim_for(proxy) == own
    callers.used(own, POOL.id, proxy.id)
    assert callers.claim_for(proxy) == "other", "it holds the model that find returned"
    callers.used("other", POOL.id, proxy.id)
    assert callers.claim_for(proxy) == own, "none is left: back to one's own token"


def test_a_claim_is_lent_only_for_the_model_it_came_with() -> None:
    callers, proxy = Callers(), make_proxy(POOL)
    callers.claimed("other", POOL.id, proxy)
    assert callers.claim_for(proxy.model_copy()) == callers.token()
    assert callers.claim_for(proxy) == "other"


def test_a_new_claim_replaces_the_last_of_its_pool() -> None:
    callers, elsewhere = Callers(), ProxyPool(name="elsewhere")
    one, two, third = make_proxy(POOL), make_proxy(POOL), make_proxy(elsewhere)
    callers.claimed("other", POOL.id, one)
    callers.claimed("other", elsewhere.id, third)
    callers.claimed("other", POOL.id, two)
    assert callers.claim_for(one) == callers.token()
    assert callers.claim_for(two) == callers.claim_for(third) == "other"


def test_what_is_remembered_is_bounded() -> None:
    callers, proxies = Callers(), make_proxies(POOL, _REMEMBERED + 10)
    for number, proxy in enumerate(proxies):
        callers.claimed(f"token-{number}", POOL.id, proxy)
    assert len(callers._claims) == _REMEMBERED
    assert callers.claim_for(proxies[0]) == callers.token()
    assert callers.claim_for(proxies[20]) == "token-20"


def test_a_claim_is_open_until_it_is_used_or_lapsed(monkeypatch: pytest.MonkeyPatch) -> None:
    callers, now, proxy = Callers(), [1000.0], make_proxy(POOL)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    own = callers.token()
    assert callers.open_claim(POOL.id, 5) == ""
    callers.claimed("other", POOL.id, proxy)
    assert callers.open_claim(POOL.id, 5) == "", "another's"
    callers.claimed(own, POOL.id, proxy)
    assert callers.open_claim(POOL.id, 5) == own
    assert callers.open_claim(ProxyPool(name="elsewhere").id, 5) == ""
    now[0] += 5
    assert callers.open_claim(POOL.id, 5) == own, "the server may still have it"
    now[0] += 2
    assert callers.open_claim(POOL.id, 5) == ""
    callers.claimed(own, POOL.id, proxy)
    assert callers.open_claim(POOL.id, 5) == own
    callers.used(own, POOL.id, make_proxy(POOL).id)
    assert callers.open_claim(POOL.id, 5) == own, "that was another proxy"
    callers.used(own, POOL.id, proxy.id)
    assert callers.open_claim(POOL.id, 5) == ""
    callers.asking(own, POOL.id)
    assert callers.open_claim(POOL.id, 5) == own, "its find may have claimed something"
    callers.has_none(own, POOL.id)
    assert callers.open_claim(POOL.id, 5) == ""


def test_an_open_claim_is_the_threads_own() -> None:
    callers = Callers()
    callers.claimed(callers.token(), POOL.id, make_proxy(POOL))
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(callers.open_claim, POOL.id, 60).result() == ""
    assert callers.open_claim(POOL.id, 60) == callers.token()
