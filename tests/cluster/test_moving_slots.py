"""Slots that move to another master under those who use their pools.

Valkey 9 moves a slot *atomically*: it is copied beside the running service, and handed over at
once. Callers meet MOVED and nothing else. The *classic* way, which every cluster knows, moves key
by key: for a while some of a pool's keys are here and some there. A command for one key is sent
there (ASK); a script, which needs many, refuses with TRYAGAIN until all are in one place, and
callers get ``StorageUnavailableError`` if that takes longer than the client tries. It must never
take a key that is not there for one that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.crew import CALM, Flavour
from tests.cluster.fleet import FILTERS, Fleet, in_slot
from tests.support.clusters import Cluster, Node

pytestmark = pytest.mark.xdist_group("cluster")
NODE_TIMEOUT = CALM


def keys_in(node: Node, slot: int) -> int:
    return int(node.ask("CLUSTER", "COUNTKEYSINSLOT", slot))


def two_masters(cluster: Cluster, slot: int) -> tuple[Node, Node]:
    """The slot's owner and another master."""
    owner = cluster.owner_of(slot)
    return owner, next(node for node in cluster.masters() if node is not owner)


@pytest.fixture
def fleet(cluster: Cluster, mode: Flavour, prefix: str) -> Iterator[Fleet]:
    """Workers and clerks on two pools of one slot."""
    with Fleet(cluster.url, mode, prefix) as fleet:
        slot = cluster.slot_of(fleet.key(fleet.tight("tight")))
        fleet.roomy("roomy", in_slot(cluster, slot))
        fleet.begin(3, ["tight", "roomy"], filters=FILTERS)
        fleet.begin(1, ["tight", "roomy"], filters=FILTERS, stock=True)
        fleet.begin_clerks(["tight", "roomy"])
        yield fleet


def end(fleet: Fleet, capsys: Any, what: str) -> None:
    fleet.stop()
    ledger = fleet.ledger
    with capsys.disabled():
        print(
            f"\n{what}, {fleet.crew.flavour}: {sum(ledger.acquired.values())} leases, "
            f"{len(ledger.trouble)} calls found the storage unavailable"
            f" (the longest after {ledger.longest():.2f} s)"
        )
    fleet.judge()


def moved_atomically(fleet: Fleet, cluster: Cluster, times: int) -> None:
    slot = cluster.slot_of(fleet.key(fleet.pools["tight"]))
    here, there = two_masters(cluster, slot)
    fleet.proceed()
    for _ in range(times):
        cluster.move_atomically(slot, there)
        here, there = there, here
        fleet.proceed()


@pytest.mark.parametrize("cluster", ["valkey"], indirect=True)
def test_atomically(fleet: Fleet, cluster: Cluster, capsys: Any) -> None:
    """Nobody notices."""
    moved_atomically(fleet, cluster, 4)
    end(fleet, capsys, "slot moved 4 times, atomically")
    assert fleet.ledger.trouble == []


def moved_key_by_key(fleet: Fleet, cluster: Cluster, times: int, steps: int) -> None:
    slot = cluster.slot_of(fleet.key(fleet.pools["tight"]))
    here, there = two_masters(cluster, slot)
    fleet.proceed()
    for _ in range(times):
        cluster.begin_move(slot, there)
        fleet.proceed(2)
        some = keys_in(here, slot) // steps
        for _ in range(steps - 1):
            assert cluster.move_some(slot, some) == some
            fleet.proceed(2)
        while cluster.move_some(slot, 1000):
            pass
        cluster.finish_move(slot, there)
        here, there = there, here
        fleet.proceed()


@pytest.mark.parametrize(
    "cluster", ["valkey", pytest.param("redis", marks=pytest.mark.slow)], indirect=True
)
def test_key_by_key(fleet: Fleet, cluster: Cluster, capsys: Any) -> None:
    moved_key_by_key(fleet, cluster, 2, 3)
    end(fleet, capsys, f"slot moved 2 times, key by key ({cluster.kind})")


@pytest.mark.slow
def test_long(fleet: Fleet, cluster: Cluster, capsys: Any) -> None:
    """To and fro for long, in small steps; on Valkey both ways in turns."""
    for _ in range(3):
        moved_key_by_key(fleet, cluster, 2, 8)
        if cluster.kind == "valkey":
            moved_atomically(fleet, cluster, 10)
    end(fleet, capsys, f"slot moved to and fro for long ({cluster.kind})")
