"""Servers and load for the measurements on a hot pool.

`own_cluster` makes a Cluster of embedded Valkeys, masters only. `Recorder` is a client that keeps
what the library sends, and `saturate` sends it again, with other lease ids, from many plain sockets
at once, each with one call on its way. A Python client that decodes leases needs more CPU than the
server; these sockets need a quarter of it, so that the server's core is what is short.

The figures are CPU seconds of the server's main thread (``used_cpu_*_main_thread`` of INFO cpu),
not seconds on the clock: other programs on the machine lengthen the latter. Commands, their
parsing, replies and the writes to the append-only file are in it; its fsync is another thread's.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import redis
from pharox.models import ProxyFilters

from pharox_redis import RedisStorage, Settings, new_lease_id
from pharox_redis.embedded import HOST, EmbeddedServer, EmbeddedServerError
from pharox_redis.keys import lease_tail

SLOTS = 16384
LEASE_S = 3600.0


def start_node() -> tuple[EmbeddedServer, int]:
    """A server that is to be a node, and the port for the nodes' own talk.

    That port is below those given to outgoing connections; should it be taken, so says the server.
    """
    for bus in random.sample(range(10_000, 20_000), 5):
        server = EmbeddedServer(
            {
                "cluster-enabled": True,
                "cluster-port": bus,
                # A node of a crowded machine may be silent for long, and no replica waits for that.
                "cluster-node-timeout": 15_000,
                "save": "",
            }
        )
        try:
            return server.start(), bus
        except EmbeddedServerError as failed:
            server.close()
            error = failed
    raise error


@contextlib.contextmanager
def own_cluster(masters: int, timeout_s: float = 20.0) -> Iterator[list[str]]:
    """A Cluster of that many masters with equal ranges of slots; the URL of each."""
    with contextlib.ExitStack() as stack:
        urls, clients, ports = [], [], []
        for number in range(masters):
            server, bus = start_node()
            stack.callback(server.close)
            client = stack.enter_context(redis.Redis.from_url(server.url, decode_responses=True))
            first, end = SLOTS * number // masters, SLOTS * (number + 1) // masters
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            urls.append(server.url)
            clients.append(client)
            ports.append((server.port, bus))
        for number, client in enumerate(clients):
            for port, bus in ports[number + 1 :]:
                client.execute_command("CLUSTER", "MEET", HOST, port, bus)
        deadline = time.monotonic() + timeout_s
        while any(not _whole(client, masters) for client in clients):
            if time.monotonic() > deadline:
                raise SystemExit(f"the nodes are no cluster after {timeout_s:.0f} s")
            time.sleep(0.05)
        yield urls


def _whole(client: redis.Redis, masters: int) -> bool:
    shards: Any = client.execute_command("CLUSTER", "SLOTS")
    info: Any = client.execute_command("CLUSTER", "INFO")
    text = info if isinstance(info, str) else "\n".join(f"{k}:{v}" for k, v in info.items())
    return len(shards) == masters and "cluster_state:ok" in text


class Recorder(redis.Redis):
    """A client that keeps the words of the last script call."""

    words: tuple[Any, ...] = ()

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """As redis-py's."""
        if args[0] == "EVALSHA":
            self.words = args
        return super().execute_command(*args, **options)


@dataclass(frozen=True)
class Target:
    """What a socket sends: the calls of one pool on one server, to be filled with lease ids."""

    port: int
    pool_id: UUID
    acquire: tuple[bytes, bytes]
    release: tuple[bytes, bytes]


def _encode(words: Sequence[Any], lease_id: str) -> tuple[bytes, bytes]:
    """A command in the protocol's form, in front of the lease id and behind it."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    whole = b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in encoded)
    before, _, behind = whole.partition(lease_id.encode())
    return before, behind


def target(
    url: str, settings: Settings, pool_name: str, pool_id: UUID, filters: ProxyFilters | None
) -> Target:
    """Record one acquire and one release of the library's on the server that has the pool.

    In a Cluster the directories may be on another node, so what they would say is told instead.
    """
    with Recorder.from_url(url) as client, RedisStorage(client, settings) as storage:
        context = storage._context
        context.pools.put(pool_name, context.pool_ref(pool_id))
        context.consumers.put("bench", str(UUID(int=1)))
        for _ in range(50):  # a filter that comes back gets its view
            lease_id = new_lease_id(pool_id)
            lease = storage.acquire_lease(pool_name, "bench", LEASE_S, filters, lease_id=lease_id)
            if lease is None:
                raise SystemExit("a free pool had no proxy to lease: figures would mean nothing")
            acquire = _encode(client.words, lease_tail(str(lease_id)))
            storage.release_lease(lease)
            release = _encode(client.words, lease_tail(str(lease_id)))
        return Target(client.connection_pool.connection_kwargs["port"], pool_id, acquire, release)


class Seen(NamedTuple):
    """What `saturate` saw."""

    hits: int
    misses: int
    seconds: float
    leases: list[tuple[Target, str]]
    """What was acquired and not released."""


def saturate(
    targets: Sequence[Target], calls: int, *, release: bool = True, sockets: int = 64
) -> Seen:
    """Acquire ``calls`` times, from many sockets at once, one call a socket.

    Each lease is released by the socket's next call, unless not ``release``.
    """
    hits = misses = begun = 0
    kept: list[tuple[Target, str]] = []
    poll = select.epoll()
    links: dict[int, tuple[socket.socket, Target]] = {}
    pending: dict[int, str | None] = {}  # the lease asked for; None while one is being released

    def ask(fd: int) -> None:
        link, goal = links[fd]
        lease_id = lease_tail(str(new_lease_id(goal.pool_id)))
        pending[fd] = lease_id
        link.sendall(lease_id.encode().join(goal.acquire))

    start = time.perf_counter()
    try:
        for number in range(min(sockets, calls)):
            goal = targets[number % len(targets)]
            link = socket.create_connection((HOST, goal.port))
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            links[link.fileno()] = link, goal
            poll.register(link, select.EPOLLIN)
        start = time.perf_counter()
        for fd in links:
            ask(fd)
            begun += 1
        while pending:
            for fd, _ in poll.poll():
                link, goal = links[fd]
                reply = link.recv(65536)
                if reply[:1] not in (b"*", b":"):
                    raise SystemExit(f"the server said {reply[:200]!r}")
                lease_id = pending[fd]
                if lease_id is not None:
                    if b"lease\r\n" not in reply[:40]:
                        misses += 1
                    else:
                        hits += 1
                        if release:
                            pending[fd] = None
                            link.sendall(lease_id.encode().join(goal.release))
                            continue
                        kept.append((goal, lease_id))
                if begun < calls:
                    ask(fd)
                    begun += 1
                else:
                    del pending[fd]
        return Seen(hits, misses, time.perf_counter() - start, kept)
    finally:
        for link, _ in links.values():
            link.close()
        poll.close()


def let_go(leases: Sequence[tuple[Target, str]]) -> None:
    """Release what `saturate` kept."""
    with contextlib.ExitStack() as stack:
        links: dict[int, socket.socket] = {}
        for goal, lease_id in leases:
            if goal.port not in links:
                links[goal.port] = stack.enter_context(socket.create_connection((HOST, goal.port)))
            links[goal.port].sendall(lease_id.encode().join(goal.release))
            links[goal.port].recv(4096)


class Usage(NamedTuple):
    """What a server has used since it was started."""

    main_thread_s: float
    """CPU of the thread that runs the commands."""
    process_s: float
    """CPU of all threads."""
    script_us: int
    """Time inside scripts, by the clock."""
    script_calls: int
    bytes_in: int
    bytes_out: int
    bytes_to_replicas: int
    bytes_in_file: int
    """Size of the append-only file; not a counter, a rewrite makes it smaller."""


def usage(client: redis.Redis) -> Usage:
    """Read the server's counters."""
    info: Any = client.info("everything")
    scripts = info.get("cmdstat_evalsha") or {"usec": 0, "calls": 0}
    return Usage(
        info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"],
        info["used_cpu_user"] + info["used_cpu_sys"],
        scripts["usec"],
        scripts["calls"],
        info["total_net_input_bytes"],
        info["total_net_output_bytes"],
        info["total_net_repl_output_bytes"],
        info.get("aof_current_size", 0),
    )


def used(before: Usage, after: Usage) -> Usage:
    """What was used between two readings."""
    return Usage(*(b - a for a, b in zip(before, after, strict=True)))
