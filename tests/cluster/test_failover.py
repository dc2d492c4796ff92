"""A master that dies under load, and whose replica the cluster promotes by itself.

From the kill to the promotion callers may be told ``StorageUnavailableError``, and nothing else: no
other exception, and no answer that is not true. Then the same storage objects go on.

Replication is asynchronous, so the promoted replica may lack what the dead master acknowledged
last; ``test_lost_leases.py`` measures that. Here it is only allowed for in the dead master's pools.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from pharox_redis import RedisStorage, Settings, StorageUnavailableError
from pharox_redis.embedded import HOST
from pharox_redis.keys import Keys
from tests.cluster.crew import Crew, Flavour, wait_until
from tests.cluster.fleet import FILTERS, Fleet, on_node
from tests.support.builders import make_proxies
from tests.support.clusters import Cluster

pytestmark = pytest.mark.xdist_group("cluster")

on_each_kind = pytest.mark.parametrize(
    "cluster", ["valkey", pytest.param("redis", marks=pytest.mark.slow)], indirect=True
)


def longest_wait(client: Any, nodes: int) -> float:
    """Seconds after which a call has an end, by what the client is told: as many attempts as it
    makes, each of which may ask every node for the topology and wait as long as it waits for
    one to be connected and to answer."""
    if hasattr(client, "connection_kwargs"):  # asyncio
        options, retries = client.connection_kwargs, client.retry.get_retries()
    else:
        options, retries = client.nodes_manager.connection_kwargs, client.retry.get_retries()
    once = options.get("socket_timeout") or 5.0
    return float((1 + retries) * (1 + nodes) * 2 * once)


@on_each_kind
def test_killed_master(cluster: Cluster, mode: Flavour, prefix: str, capsys: Any) -> None:
    victim, *others = cluster.masters()
    heir = cluster.replica_of(victim)
    with Fleet(cluster.url, mode, prefix) as fleet:
        fleet.tight("lost, tight", on_node(cluster, victim))
        fleet.roomy("lost, roomy", on_node(cluster, victim))
        for number, node in enumerate(others):
            fleet.roomy(f"kept {number}", on_node(cluster, node))
        lost, kept = ["lost, tight", "lost, roomy"], ["kept 0", "kept 1"]
        fleet.begin(3, lost, filters=FILTERS)
        for name in kept:
            fleet.begin(1, [name], filters=FILTERS)
        fleet.begin_clerks(["lost, roomy"], fan_out=False, forgetful=True)
        fleet.begin_clerks(["kept 0"], forgetful=True)
        fleet.proceed()

        before, killed = Counter(fleet.ledger.acquired), time.monotonic()
        cluster.kill(victim)
        cluster.wait_for_promotion(heir)
        outage = time.monotonic() - killed
        promoted = Counter(fleet.ledger.acquired)
        ledger = fleet.ledger
        wait_until(
            lambda: all(ledger.acquired[name] >= promoted[name] + 3 for name in fleet.pools),
            lambda: f"not all go on: {promoted} became {ledger.acquired}; {ledger.errors[:3]}",
        )
        on = time.monotonic() - killed
        fleet.stop()

        kinds = Counter(type(each.error).__name__ for each in ledger.trouble)
        listed = {lease.id for lease in fleet.crew.list_leases()}
        certain = {
            lease.id: lease.pool_name
            for lease in ledger.held.values()
            if lease.id not in ledger.unsure
        }
        missing = {id for id in certain if id not in listed}
        with capsys.disabled():
            print(
                f"\nmaster killed, {cluster.kind}, {mode}: promoted after {outage:.1f} s, all pools"
                f" go on after {on:.1f} s; leases during the outage: "
                + ", ".join(f"{name}: {promoted[name] - before[name]}" for name in fleet.pools)
                + f"; calls that ended with an error: {dict(kinds)}, the longest after "
                f"{ledger.longest():.1f} s; leases kept by their workers and missing: "
                f"{len(missing)} of {len(certain)}"
            )
        assert ledger.errors == [], "\n".join(ledger.errors[:5])
        assert ledger.trouble, "nobody noticed: the master was not in use"
        assert ledger.longest() < longest_wait(fleet.crew.face.raw.client, len(cluster.nodes))
        assert {certain[id] for id in missing} <= set(lost)
        # A lease that was lost may have been given to somebody else while it was in use.
        assert [each for each in ledger.over if not each.startswith("lost")] == []
        fleet.check()

        cluster.restart(victim)
        cluster.wait_until_whole()
        assert cluster.replica_of(heir) is victim
        for name in fleet.pools:
            assert fleet.crew.get_pool_stats(name).total_proxies == len(fleet.proxies[name])
        assert fleet.crew.acquire_lease("lost, roomy", "late", 60) is not None
        fleet.check()


@on_each_kind
def test_scripts_are_not_there(cluster: Cluster, mode: Flavour, prefix: str) -> None:
    """Scripts are cached by the server that ran them. A promoted replica has none, nor has one that
    came back, and nobody notices."""
    heir = None
    with Fleet(cluster.url, mode, prefix) as fleet:
        master = cluster.masters()[0]
        fleet.roomy("pool", on_node(cluster, master))
        assert fleet.crew.acquire_lease("pool", "consumer", 60) is not None
        heir = cluster.replica_of(master)
        heir.ask("SCRIPT", "FLUSH")
        cluster.promote(heir)
        lease = fleet.crew.acquire_lease("pool", "consumer", 60)
        assert lease is not None
        assert int(heir.info("memory")["number_of_cached_scripts"]) > 0
        for node in cluster.masters():
            node.ask("SCRIPT", "FLUSH")
        assert lease.id in {lease.id for lease in fleet.crew.list_leases()}
        assert fleet.crew.cleanup_expired_leases() == 0
        fleet.crew.release_lease(lease)
        assert len(fleet.crew.list_leases()) == 1
    cluster.wait_until_whole()


@pytest.mark.parametrize("cluster", ["valkey"], indirect=True)
def test_url_names_a_node_that_is_down(cluster: Cluster, mode: Flavour, prefix: str) -> None:
    """A storage made while one of the URL's nodes is down asks the next; and one made while its
    pool's master is down and not yet replaced works as soon as it is."""
    settings = Settings(key_prefix=prefix)
    with RedisStorage.from_url(cluster.url, settings) as storage:
        pool = storage.ensure_pool("pool")
        storage.add_proxies_bulk(make_proxies(pool, 3))
    victim = cluster.master_of(Keys(prefix).pool(pool.id))
    heir, other = cluster.replica_of(victim), next(n for n in cluster.masters() if n is not victim)
    url = f"redis+cluster://{HOST}:{victim.port},{HOST}:{other.port}"
    cluster.kill(victim)
    with Crew(mode, url, settings) as crew:
        deadline = time.monotonic() + 60
        lease = None
        while lease is None:
            try:
                lease = crew.acquire_lease("pool", "consumer", 60)
                assert lease is not None, "there is something free"
            except StorageUnavailableError:
                assert time.monotonic() < deadline
        cluster.wait_for_promotion(heir)
        assert len(crew.list_leases()) == 1
    with Crew(mode, url, settings) as crew:
        assert crew.get_lease(lease.id) is not None
    cluster.restart(victim)
    cluster.wait_until_whole()
