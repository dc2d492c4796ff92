"""The directories' slots on the move: each is one key, so nothing is ever out of reach.

While the slot's key is still here, when it is there already (ASK) and when the slot has changed
hands (MOVED), every operation that looks something up gives the same answers as at any time, also
to several callers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pharox.models import Consumer, Proxy, ProxyPool

from pharox_redis import RedisStorage, Settings
from pharox_redis.keys import Keys
from tests.cluster.crew import CALM, Crew, Face, Flavour, Ledger, proceed
from tests.support.builders import make_proxies, make_proxy
from tests.support.clusters import Cluster
from tests.support.invariants import check_invariants

pytestmark = pytest.mark.xdist_group("cluster")
NODE_TIMEOUT = CALM

WORKERS = 3
DIRECTORIES: dict[str, Callable[[Keys, Proxy], str]] = {
    "pools": lambda keys, proxy: keys.pools(),
    "consumers": lambda keys, proxy: keys.consumers(),
    "proxies": lambda keys, proxy: keys.directory(str(proxy.id)),
}


async def look_up(
    face: Face, ledger: Ledger, me: str, pool: ProxyPool, proxies: list[Proxy]
) -> None:
    """Use every directory, again and again: read, claim, release."""
    storage, number, known = face.storage, 0, proxies[0]
    while not ledger.stopped:
        number += 1
        consumer, name = Consumer(name=f"{me} {number}"), f"{me}'s pool {number}"
        # Its entry is in the same bucket as that of the proxy which is looked for.
        text = str(make_proxy(pool).id)[:-3] + str(known.id)[-3:]
        mine = Proxy.model_validate({**make_proxy(pool).model_dump(), "id": text})

        async def ask(
            what: str, operation: Any, right: Callable[[Any], bool] = lambda it: it is None
        ) -> None:
            done, answer = await ledger.attempt("directory", what, operation)
            ledger.tried(me)
            if not done:
                await face.rest()
            elif not right(answer):
                ledger.wrong(f"{what} says {answer!r}")

        await ask("by name", storage.get_pool_by_name("pool"), lambda it: it == pool)
        await ask("nobody", storage.get_pool_by_name("nobody"))
        await ask("list_pools", storage.list_pools(), lambda it: pool in it)
        await ask("add_consumer", storage.add_consumer(consumer))
        await ask(
            "ensure_consumer",
            storage.ensure_consumer(consumer.name),
            lambda it, consumer=consumer: it == consumer.id,
        )
        await ask("by id", storage.get_proxy(known.id), lambda it: it.id == known.id)
        await ask("save", storage.save_proxy(mine))
        await ask("saved", storage.get_proxy_by_id(mine.id), lambda it: it is not None)
        await ask("delete", storage.delete_proxy(mine.id))
        await ask("deleted", storage.get_proxy_by_id(mine.id))
        made = ProxyPool(name=name)
        await ask("save_pool", storage.save_pool(made))
        await ask(
            "made",
            storage.get_pool_by_name(name),
            lambda it, made=made: it == made,
        )
        await ask("delete_pool", storage.delete_pool(made.id))


@pytest.mark.parametrize("directory", DIRECTORIES)
@pytest.mark.parametrize(
    "cluster", ["valkey", pytest.param("redis", marks=pytest.mark.slow)], indirect=True
)
def test_moved(cluster: Cluster, mode: Flavour, prefix: str, directory: str, capsys: Any) -> None:
    settings, keys = Settings(key_prefix=prefix), Keys(prefix)
    with (
        RedisStorage.from_url(cluster.url, settings) as storage,
        Crew(mode, cluster.url, settings) as crew,
    ):
        pool = storage.ensure_pool("pool")
        proxies = make_proxies(pool, 3)
        storage.add_proxies_bulk(proxies)
        ledger = Ledger()
        crew.on_exit(ledger.stop)
        for number in range(WORKERS):
            crew.begin(look_up, ledger, f"worker {number}", pool, proxies)
        proceed(ledger, WORKERS, 14)

        key = DIRECTORIES[directory](keys, proxies[0])
        slot, here = cluster.slot_of(key), cluster.master_of(key)
        there = next(node for node in cluster.masters() if node is not here)
        for source, target in ((here, there), (there, here)):
            cluster.begin_move(slot, target)
            proceed(ledger, WORKERS, 14)
            while cluster.move_some(slot, 1000):
                pass
            proceed(ledger, WORKERS, 14)
            # What was made on the source meanwhile, if a directory was empty for a moment.
            while cluster.move_some(slot, 1000):
                pass
            cluster.finish_move(slot, target)
            proceed(ledger, WORKERS, 14)
            assert cluster.owner_of(slot) is target is not source
        ledger.stop()
        crew.join()
        with capsys.disabled():
            print(
                f"\n{directory} moved, {cluster.kind}, {mode}: {sum(ledger.calls.values())} calls, "
                f"{len(ledger.trouble)} found the storage unavailable"
            )
        assert ledger.errors == [], "\n".join(ledger.errors[:5])
        assert ledger.trouble == []
        check_invariants(storage)
