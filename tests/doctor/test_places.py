"""The doctor on a Cluster and behind sentinels; and a big pool in bounded steps."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from pharox.models import SelectorStrategy
from typer.testing import CliRunner

from pharox_redis import RedisStorage, Settings
from pharox_redis.cli.commands import app
from pharox_redis.keys import Keys
from tests.doctor.world import GERMAN, examine, kinds, told
from tests.support.builders import make_proxies
from tests.support.clusters import KINDS, Cluster, Kind
from tests.support.invariants import check_invariants
from tests.support.own_servers import own_server

POOLS = 12


def run(url: str, *words: str) -> tuple[int, Any]:
    """The command's exit code and document."""
    result = CliRunner().invoke(
        app, ["doctor", "--json", "--url", url, "--prefix", "doctor", *words]
    )
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.slow
@pytest.mark.xdist_group("cluster")
@pytest.mark.parametrize("kind", KINDS)
def test_every_master_of_a_cluster(kind: Kind) -> None:
    with (
        Cluster(kind) as cluster,
        RedisStorage.from_url(cluster.url, Settings(key_prefix="doctor")) as storage,
    ):
        cluster.wait_until_whole()
        keys = Keys("doctor")
        pools = [storage.ensure_pool(f"pool {number}") for number in range(POOLS)]
        for pool in pools:
            storage.add_proxies_bulk(make_proxies(pool, 3))
            assert storage.acquire_lease(pool.name, "consumer", 600) is not None
        assert len({cluster.master_of(keys.pool(pool.id)).port for pool in pools}) > 1
        code, found = run(cluster.url)
        assert (code, found["pools"], found["proxies"]) == (0, POOLS, 3 * POOLS)
        nodes = {each["where"] for each in found["findings"] if each["kind"] == "clock"}
        assert len(nodes) == len(cluster.masters())
        for pool in pools:
            storage.client.delete(keys.expiry(pool.id))
            storage.client.set(f"{keys.pool(pool.id)}:view:f9", "x")
        storage.client.hdel(keys.pools(), "pool 3")
        code, found = run(cluster.url)
        assert code == 5
        assert {each["where"] for each in found["findings"] if each["kind"] == "wrong-hold"} == {
            pool.name for pool in pools
        }
        assert run(cluster.url, "--repair")[0] == 0
        check_invariants(storage)
        assert run(cluster.url)[0] == 0


@pytest.mark.slow
def test_a_big_pool_is_looked_at_in_short_steps() -> None:
    with own_server("valkey") as server, redis.Redis.from_url(server.url) as client:
        storage = RedisStorage(client, Settings(key_prefix="doctor"))
        pool = storage.ensure_pool("pool")
        storage.add_proxies_bulk(make_proxies(pool, 100_000, country="DE"))
        for selector in SelectorStrategy:
            for filters in (None, GERMAN) * 3:
                storage.acquire_lease("pool", "consumer", 600, filters, selector)
        storage.acquire_leases("pool", "consumer", 600, 5000)
        client.delete(Keys("doctor").expiry(pool.id))
        client.config_resetstat()
        mended = examine(storage, repair=True)
        assert mended.standing == 0, told(mended)
        (found,) = (each for each in mended.findings if each.kind == "wrong-hold")
        assert found.count > 5000
        calls = client.info("commandstats")["cmdstat_evalsha"]
        # Wall time of a machine that others use, too: a chunk is 2 ms of the processor's.
        assert calls["usec_per_call"] < 20_000
        assert kinds(examine(storage)) == set()
