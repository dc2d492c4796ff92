"""What a fail-over can lose, measured: acknowledged leases that the promoted replica does not have.

Replication is asynchronous, so a master acknowledges what its replica may never see. To make that
happen on purpose the replica is stopped and its link cut: what the master does from then on stays
with it, and dies with it. With ``min_replicas`` a lease is only given once that many replicas have
it.

The same is measured as it comes, too: a master killed in the middle of its work, with the replica
as far behind as it happens to be.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pharox_redis import NotReplicatedError, StorageUnavailableError, new_lease_id
from tests.cluster.crew import Face, Flavour, Ledger, wait_until
from tests.cluster.fleet import Fleet, on_node
from tests.support.builders import make_proxies
from tests.support.clusters import Cluster, Node

pytestmark = pytest.mark.xdist_group("cluster")

on_each_kind = pytest.mark.parametrize(
    "cluster", ["valkey", pytest.param("redis", marks=pytest.mark.slow)], indirect=True
)
REPLICATED, NOT_REPLICATED = 40, 40
"""Leases asked for while the replica is in step, and while it is not."""
HOARDERS = 4


def fleet_on(
    cluster: Cluster, mode: Flavour, prefix: str, min_replicas: int, timeout: float, count: int
) -> tuple[Fleet, Node]:
    """One pool with proxies for everybody, and the master it is on."""
    master = cluster.masters()[0]
    settings = {"min_replicas": min_replicas, "replica_timeout": timeout}
    fleet = Fleet(cluster.url, mode, prefix, settings=settings)
    pool = fleet.tight("pool", on_node(cluster, master))
    proxies = make_proxies(pool, count)
    fleet.judge_storage.add_proxies_bulk(proxies)
    fleet.ledger.know(proxies)
    return fleet, master


def missing_leases(fleet: Fleet) -> set[Any]:
    """Acknowledged leases that are not there."""
    return set(fleet.ledger.granted) - {lease.id for lease in fleet.crew.list_leases()}


async def ask_for(face: Face, ledger: Ledger, name: str, count: int) -> None:
    for _ in range(count):
        done, lease = await ledger.attempt(
            "pool", "acquire", face.manager.acquire_proxy("pool", name, 300)
        )
        if done:
            ledger.took("pool", lease)


def cut_off(cluster: Cluster, master: Node, replica: Node) -> None:
    """From here on nothing comes to the replica: stopped alone, it would still find what was sent
    to it when it goes on."""
    cluster.pause(replica)
    assert int(master.ask("CLIENT", "KILL", "TYPE", "REPLICA")) == 1


@on_each_kind
def test_measured(cluster: Cluster, mode: Flavour, prefix: str, capsys: Any) -> None:
    said = []
    for min_replicas in (0, 1):
        fleet, master = fleet_on(cluster, mode, f"{prefix}{min_replicas}", min_replicas, 0.1, 200)
        with fleet:
            replica, ledger = cluster.replica_of(master), fleet.ledger
            fleet.crew.call(ask_for, ledger, "before", REPLICATED)
            assert not ledger.trouble and len(ledger.granted) == REPLICATED
            wait_until(lambda r=replica, m=master: in_step(m, r), lambda: "not in step")

            cut_off(cluster, master, replica)
            own_id = new_lease_id(fleet.pools["pool"].id)
            for number in range(HOARDERS):
                share = NOT_REPLICATED // HOARDERS
                fleet.crew.begin(ask_for, ledger, f"while {number}", share)
            fleet.crew.join()
            assert ledger.errors == []
            refused = len(ledger.trouble)
            assert {type(each.error) for each in ledger.trouble} <= {NotReplicatedError}
            assert refused == (NOT_REPLICATED if min_replicas else 0)
            if min_replicas:
                with pytest.raises(NotReplicatedError):
                    fleet.crew.acquire_lease("pool", "own", 300, lease_id=own_id)
                # What was refused was taken back; the lease with the caller's own id was not.
                assert fleet.crew.get_pool_stats("pool").total_leases == REPLICATED + 1

            cluster.kill(master)
            cluster.resume(replica)
            cluster.wait_for_promotion(replica)
            missing = missing_after_failover(fleet)
            given = len(ledger.granted)
            said.append(
                f"min_replicas={min_replicas}: {len(missing)} of {given} acknowledged leases "
                f"missing after the fail-over, {refused} refused"
            )
            cluster.restart(master)
            cluster.wait_until_whole()
            assert len(missing) == (0 if min_replicas else NOT_REPLICATED)
            # Nothing that was refused is leased for ever, and the pool goes on.
            stats = fleet.crew.get_pool_stats("pool")
            assert stats.total_leases == given - len(missing)
            if min_replicas:
                lease = again(fleet, own_id)
                assert lease.id == own_id
                assert fleet.crew.get_lease(own_id).released_at is None
            else:
                assert fleet.crew.acquire_lease("pool", "after", 300) is not None
            fleet.check()
    with capsys.disabled():
        print(f"\nreplica cut off, {cluster.kind}, {mode}: " + "; ".join(said))


def in_step(master: Node, replica: Node) -> bool:
    """Whether the replica has all the master has written."""
    names = ("master_repl_offset", "slave_repl_offset")
    written, had = (
        node.info("replication")[name] for node, name in zip((master, replica), names, strict=True)
    )
    return int(had) >= int(written)


def missing_after_failover(fleet: Fleet) -> set[Any]:
    """The client may need a moment to find the new master."""
    found: list[set[Any]] = []

    def asked() -> bool:
        try:
            found.append(missing_leases(fleet))
        except StorageUnavailableError:
            return False
        return True

    wait_until(asked, lambda: "still unavailable after the promotion")
    return found[0]


def again(fleet: Fleet, lease_id: Any) -> Any:
    """Ask until enough replicas have it."""
    found: list[Any] = []

    def asked() -> bool:
        try:
            found.append(fleet.crew.acquire_lease("pool", "own", 300, lease_id=lease_id))
        except StorageUnavailableError:
            return False
        return True

    wait_until(asked, lambda: "not given, though there is a replica again")
    return found[0]


async def hoard(face: Face, ledger: Ledger, name: str) -> None:
    """Take leases and keep them."""
    while not ledger.stopped:
        done, lease = await ledger.attempt(
            "pool", "acquire", face.manager.acquire_proxy("pool", name, 300)
        )
        ledger.tried(name)
        if not done:
            await face.rest()
        elif lease is None:
            return  # everything is taken: enough for what is measured
        else:
            ledger.took("pool", lease)


@on_each_kind
@pytest.mark.parametrize("min_replicas", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "mode", ["asyncio", pytest.param("blocking", marks=pytest.mark.slow)], indirect=True
)
def test_as_it_comes(
    cluster: Cluster, mode: Flavour, prefix: str, min_replicas: int, capsys: Any
) -> None:
    fleet, master = fleet_on(cluster, mode, prefix, min_replicas, 1.0, 2000)
    with fleet:
        replica, ledger = cluster.replica_of(master), fleet.ledger
        for number in range(HOARDERS):
            fleet.crew.begin(hoard, ledger, f"hoarder {number}")
        wait_until(lambda: len(ledger.granted) > 150, lambda: f"too slow: {ledger.errors[:3]}")
        cluster.kill(master)
        at_the_kill = set(ledger.granted)
        cluster.wait_for_promotion(replica)
        ledger.stop()
        fleet.crew.join()
        missing = missing_after_failover(fleet)
        kinds = Counter(type(each.error).__name__ for each in ledger.trouble)
        stats = fleet.judge_storage.get_pool_stats("pool")
        nobodys = stats.total_leases - (len(ledger.granted) - len(missing))
        with capsys.disabled():
            print(
                f"\nmaster killed under load, {cluster.kind}, {mode}: min_replicas={min_replicas}: "
                f"{len(missing)} of {len(at_the_kill)} acknowledged leases missing after the "
                f"fail-over; calls that ended with an error: {dict(kinds)}, "
                f"leases of theirs that nobody has until their expiry: {nobodys}"
            )
        assert ledger.errors == [], "\n".join(ledger.errors[:3])
        assert nobodys <= len(ledger.trouble)
        if min_replicas:
            assert missing == set()
            assert ledger.over == []
        fleet.check()
    cluster.restart(master)
    cluster.wait_until_whole()
