"""A primary, its replica and the three sentinels that watch them, on the loopback interface.

The servers are those of `tests.support.clusters`, with their guards. The sentinels run from the
same binary, with ``--sentinel``. The data servers and the sentinels may have passwords, each their
own.

Sentinels take their time, and the deadlines here allow for it: they tell each other of themselves
every two seconds and ask a healthy replica how it is every ten; a former primary that comes back is
made a replica after some ten seconds; and one that was kept from running for two seconds trusts its
clock no more and does nothing for half a minute (TILT).
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import redis

from pharox_redis.embedded import HOST
from pharox_redis.server import recommended_config
from tests.support.clusters import Group, Kind, Server, poll, quoted, replication_flaw

__all__ = ["Sentinels"]

_QUORUM: Final = 2
_TIMEOUT: Final = 60.0  # seconds


class Sentinels(Group):
    """One primary, one replica and three sentinels, ended with the ``with`` block.

    Args:
        kind: Whose binary runs.
        service: The name the sentinels know the pair by.
        password: What clients of the data servers have to say.
        sentinel_password: What clients of the sentinels have to say.
        down_after: Milliseconds a server may be silent before a sentinel thinks it is down.
    """

    def __init__(
        self,
        kind: Kind = "valkey",
        *,
        service: str = "service",
        password: str | None = None,
        sentinel_password: str | None = None,
        down_after: int = 1000,
    ) -> None:
        super().__init__(kind)
        self.service = service
        self.password = password
        self.sentinel_password = sentinel_password
        self._down_after = down_after
        directives = {**recommended_config(), "save": "", "repl-diskless-sync-delay": "0"}
        if password is not None:
            directives["masterauth"] = quoted(password)
        # By whoever is the primary now; `wait_for_failover` exchanges them.
        self._primary, self._replica = (
            Server(kind, self._root, name, directives, password=password)
            for name in ("first", "second")
        )
        self.sentinels: list[Server] = []
        self._servers = [self._primary, self._replica]

    @property
    def url(self) -> str:
        """``redis+sentinel://`` with the data servers' password and the sentinels' addresses."""
        credentials = f":{quote(self.password, safe='')}@" if self.password else ""
        addresses = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{credentials}{addresses}/{self.service}/0"

    @property
    def primary(self) -> Server:
        """The server that is the primary, as of the start or the last `wait_for_failover`."""
        return self._primary

    @property
    def replica(self) -> Server:
        """The other one."""
        return self._replica

    def start(self) -> None:
        """Start all five and wait until the sentinels know everybody.

        Raises:
            AssertionError: That did not come about in time.
        """
        self._start_all([self._primary, self._replica])
        # Before the sentinels: they ask the primary for its replicas at once, and then only every
        # ten seconds.
        self._replica.ask("REPLICAOF", HOST, self._primary.port)
        poll(self._pair_flaw, _TIMEOUT, "linked")
        self.sentinels = [
            Server(
                self.kind,
                self._root,
                f"sentinel-{number}",
                self._sentinel_config(),
                password=self.sentinel_password,
                sentinel=True,
            )
            for number in range(3)
        ]
        self._servers += self.sentinels
        self._start_all(self.sentinels)
        self.wait_until_whole()

    def client(self, **options: Any) -> redis.Redis:
        """Make a client of the server that is the primary now; it is closed with the others."""
        client = self._primary.client(**options)
        self._clients.append(client)
        return client

    def kill_primary(self) -> None:
        """End the primary as a crash would."""
        self._primary.kill()

    def fail_over(self) -> None:
        """Have a sentinel exchange primary and replica, which must both run, and wait for it."""

        def missing() -> str:
            # Refused, with an error, while the replica looks out of step to that sentinel or a
            # fail-over is under way; and one that was begun may come to nothing. So ask again.
            if self._replica.info("replication")["role"] == "master":
                return ""
            self.sentinels[0].ask("SENTINEL", "FAILOVER", self.service)
            return "the replica is none yet"

        poll(missing, _TIMEOUT, "made the replica a primary")
        self.wait_for_failover()

    def wait_for_failover(self, timeout: float = _TIMEOUT) -> None:
        """Wait until the replica is the primary and every sentinel that runs says so.

        Raises:
            AssertionError: That did not happen in time.
        """
        heir = self._replica

        def missing() -> str:
            role = heir.info("replication")["role"]
            if role != "master":
                return f"{heir.port} is a {role}"
            for sentinel in self.sentinels:
                if sentinel.running and not sentinel.paused:
                    state = self._state(sentinel)
                    if int(state["port"]) != heir.port:
                        return f"{sentinel.port} says {state}"
            return ""

        poll(missing, timeout, f"failed over to {heir!r}")
        self._primary, self._replica = heir, self._primary

    def wait_until_whole(self, timeout: float = _TIMEOUT) -> None:
        """Wait until the replica is in step and the sentinels know it, the primary and each other.

        Raises:
            AssertionError: That did not happen in time.
        """

        def missing() -> str:
            if flaw := self._pair_flaw():
                return flaw
            for sentinel in self.sentinels:
                state = self._state(sentinel)
                whole = (
                    int(state["port"]) == self._primary.port
                    and state["flags"] == "master"
                    and self._replica_flags(sentinel) == ["slave"]
                    and int(state["num-other-sentinels"]) == len(self.sentinels) - 1
                )
                if not whole:
                    return f"{sentinel.port} says {state}"
            return ""

        poll(missing, timeout, "whole")

    def _sentinel_config(self) -> dict[str, str]:
        name = self.service
        config = {
            f"sentinel monitor {name}": f"{HOST} {self._primary.port} {_QUORUM}",
            f"sentinel down-after-milliseconds {name}": str(self._down_after),
            # After a fail-over that came to nothing the next attempt waits for twice this.
            f"sentinel failover-timeout {name}": "3000",
            f"sentinel parallel-syncs {name}": "1",
        }
        if self.password is not None:
            config[f"sentinel auth-pass {name}"] = quoted(self.password)
        if self.sentinel_password is not None:
            config["sentinel sentinel-pass"] = quoted(self.sentinel_password)
        return config

    def _state(self, sentinel: Server) -> dict[str, str]:
        """What a sentinel says of the primary."""
        return _mapping(sentinel.ask("SENTINEL", "MASTER", self.service))

    def _replica_flags(self, sentinel: Server) -> list[str]:
        """What a sentinel says of each replica."""
        replicas = sentinel.ask("SENTINEL", "REPLICAS", self.service)
        return [_mapping(reply)["flags"] for reply in replicas]

    def _pair_flaw(self) -> str:
        return replication_flaw(self._primary, False, 1) or replication_flaw(self._replica, True, 0)


def _mapping(reply: Any) -> dict[str, str]:
    """Read a reply that is a map in the newer protocol and a flat list in the older."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
