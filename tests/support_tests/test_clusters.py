"""The clusters, pairs and sentinels that other tests stand on do what they say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.clusters import KINDS, Cluster, Kind, Pair, poll
from tests.support.sentinels import Sentinels

ROOT = Path(__file__).parents[2]
# One process of xdist for all: a cluster is six servers, and elections are about time.
pytestmark = pytest.mark.xdist_group("clusters")


# How a cluster is made is the same for both kinds; Redis takes its turn in the slow run.
EACH = [pytest.param(kind, marks=[pytest.mark.slow] * (kind != "valkey")) for kind in KINDS]


@pytest.fixture(scope="module", params=EACH)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with Cluster(request.param) as cluster:
        yield cluster


def test_it_is_whole(cluster: Cluster) -> None:
    client = cluster.client()
    for number in range(50):
        client.set(f"key-{number}", number)
    assert cluster.masters() == cluster.nodes[:3]
    for node in cluster.masters():
        replica = cluster.replica_of(node)
        assert cluster.replicas_of(node) == [replica]
        assert cluster.node_client(replica).info("replication")["master_port"] == node.port
    master = cluster.master_of("key-1")
    assert cluster.node_client(master).get("key-1") == b"1"
    assert f"127.0.0.1:{master.port}" in cluster.url.removeprefix("redis+cluster://").split(",")


def test_a_killed_master_is_replaced(cluster: Cluster) -> None:
    client = cluster.client()
    client.set("{fail}", "over")
    master = cluster.master_of("{fail}")
    replica = cluster.replica_of(master)
    cluster.node_client(master).wait(1, 5000)
    cluster.kill(master)
    assert not master.running and cluster.master_of("{fail}") is master
    cluster.wait_for_promotion(replica)
    assert cluster.master_of("{fail}") is replica
    assert client.get("{fail}") == b"over"
    cluster.restart(master)
    cluster.wait_until_whole()
    assert cluster.replica_of(replica) is master
    cluster.promote(master)
    assert cluster.master_of("{fail}") is master
    cluster.wait_until_whole()


def test_a_paused_node_does_nothing_until_it_is_resumed(cluster: Cluster) -> None:
    master = cluster.masters()[0]
    replica = cluster.replica_of(master)
    cluster.pause(replica)
    with pytest.raises(redis.TimeoutError):
        cluster.node_client(replica, socket_timeout=0.2).ping()
    assert cluster.replicas_of(master) == []
    with pytest.raises(AssertionError):
        cluster.wait_until_whole()
    cluster.resume(replica)
    cluster.wait_until_whole()


def test_a_slot_moves_key_by_key(cluster: Cluster) -> None:
    client = cluster.client()
    keys = [f"{{classic}}:{number}" for number in range(5)]
    client.mset(dict.fromkeys(keys, "x"))
    slot = cluster.slot_of(keys[0])
    source = cluster.owner_of(slot)
    target = next(node for node in cluster.masters() if node is not source)

    cluster.begin_move(slot, target)
    cluster.move_keys(slot, keys[:1])
    assert cluster.move_some(slot, 2) == 2
    assert cluster.owner_of(slot) is source
    with pytest.raises(redis.exceptions.AskError):
        cluster.node_client(source).get(keys[0])
    assert cluster.move_some(slot, 10) == 2
    assert cluster.move_some(slot, 10) == 0
    cluster.finish_move(slot, target)

    assert cluster.owner_of(slot) is target
    with pytest.raises(redis.exceptions.MovedError):
        cluster.node_client(source).get(keys[0])
    assert client.mget(keys) == [b"x"] * 5
    cluster.wait_until_whole()


@pytest.mark.parametrize("cluster", ["valkey"], indirect=True)
def test_a_slot_moves_at_once(cluster: Cluster) -> None:
    client = cluster.client()
    client.set("{atomic}", "x")
    slot = cluster.slot_of("{atomic}")
    source = cluster.owner_of(slot)
    target = next(node for node in cluster.masters() if node is not source)
    cluster.move_atomically(slot, target)
    assert cluster.owner_of(slot) is target
    cluster.move_atomically(slot, source)
    assert cluster.owner_of(slot) is source
    assert client.get("{atomic}") == b"x"
    cluster.wait_until_whole()


@pytest.mark.parametrize("kind", EACH)
def test_a_cluster_with_a_password(kind: Kind) -> None:
    with Cluster(kind, masters=2, replicas=0, password='p "@\\/') as cluster:
        client = cluster.client()
        client.set("{k}", "x")
        source = cluster.master_of("{k}")
        target = next(node for node in cluster.masters() if node is not source)
        slot = cluster.slot_of("{k}")
        cluster.begin_move(slot, target)
        cluster.move_some(slot, 1)
        cluster.finish_move(slot, target)
        assert client.get("{k}") == b"x"
        with (
            redis.Redis(port=target.port, retry=Retry(NoBackoff(), 0)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()


@pytest.mark.parametrize("kind", EACH)
def test_a_pair(kind: Kind) -> None:
    with Pair(kind, password="secret") as pair:
        with redis.Redis.from_url(pair.url) as client:
            client.set("k", "x")
            assert client.wait(1, 5000) == 1
        pair.kill_primary()
        pair.promote()
        assert pair.replica.ask("GET", "k") == "x"
        assert pair.replica.ask("SET", "k", "y")


@pytest.mark.parametrize("kind", EACH)
def test_sentinels_fail_over(kind: Kind) -> None:
    with Sentinels(kind, password="pw @", sentinel_password="other") as sentinels:
        first, second = sentinels.primary, sentinels.replica
        client = sentinels.client()
        client.set("k", "x")
        client.wait(1, 5000)
        sentinels.kill_primary()
        sentinels.wait_for_failover()
        assert (sentinels.primary, sentinels.replica) == (second, first)
        assert sentinels.client().get("k") == b"x"


@pytest.mark.parametrize("kind", EACH)
def test_nothing_is_left_when_the_program_is_killed(kind: Kind) -> None:
    program = f"""
        import sys
        from tests.support.clusters import Cluster
        cluster = Cluster({kind!r}, masters=1, replicas=1)
        cluster.start()
        cluster.pause(cluster.nodes[1])
        print(cluster.nodes[0]._root, *(node.pid for node in cluster.nodes), flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        directory, *pids = process.stdout.readline().split()
        assert len(pids) == 2 and Path(directory).exists()
        os.kill(process.pid, signal.SIGKILL)
        poll(lambda: ",".join(filter(_alive, pids)), 10, "ended")
        poll(lambda: directory if Path(directory).exists() else "", 10, "deleted")


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(AssertionError, match="no-such-directive"):
        Cluster("valkey", masters=1, replicas=0, config={"no-such-directive": "1"}).__enter__()


def _alive(pid: str) -> bool:
    """Whether a process is there that is not only waiting for its parent to look."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
