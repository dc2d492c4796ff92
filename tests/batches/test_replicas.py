"""Batches with ``min_replicas``, on a primary and a replica."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from pharox_redis import NotReplicatedError
from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies
from tests.support.flavours import Maker, before_each_trip
from tests.support.invariants import check_invariants
from tests.support.own_servers import connect, own_server

SERVER = {"appendonly": "no", "save": "", "repl-diskless-sync-delay": "0"}


class Pair:
    """A storage on a primary, and its replica."""

    def __init__(self, storage: AnyStorage, replica: redis.Redis) -> None:
        self.storage, self.replica = storage, replica
        storage.add_proxies_bulk(make_proxies(storage.ensure_pool("pool"), 250))
        self.primary: Any = storage.client
        options = self.primary.connection_pool.connection_kwargs
        replica.execute_command("REPLICAOF", options["host"], options["port"])
        # Something to wait for: a replica that attaches later counts, too.
        self.primary.set("x", 1)
        assert self.primary.execute_command("WAIT", 1, 10_000) == 1
        storage.release_leases(storage.acquire_leases("pool", "c", 60, 5))

    def part(self) -> None:
        self.replica.execute_command("REPLICAOF", "NO", "ONE")


@pytest.fixture
def pair(maker: Maker) -> Iterator[Pair]:
    with own_server("valkey", SERVER) as primary, own_server("valkey", SERVER) as replica:
        client = connect(replica.url)
        storage = maker.storage_on(primary.url, min_replicas=1, replica_timeout=1.0)
        yield Pair(storage, client)
        check_invariants(storage)
        client.close()


def test_all_are_on_the_replica(pair: Pair) -> None:
    leases = pair.storage.acquire_leases("pool", "c", 60, 250)
    assert len(leases) == 250
    found = {key.rsplit(b":", 1)[1] for key in pair.replica.scan_iter("*:lease:*", count=1000)}
    ended = 5
    assert len(found) == 250 + ended


def test_none_is_given_that_is_not_there(pair: Pair) -> None:
    pair.part()
    with pytest.raises(NotReplicatedError, match="and 9 more were confirmed by 0 of 1"):
        pair.storage.acquire_leases("pool", "c", 60, 10)
    assert pair.storage.list_leases() == []


def test_those_before_are_given(pair: Pair) -> None:
    calls: list[str] = []

    def part(what: str) -> None:
        calls.append(what)
        if calls.count("EVALSHA") == 2:
            pair.part()

    before_each_trip(pair.storage, part)
    leases = pair.storage.acquire_leases("pool", "c", 60, 250)
    assert 0 < len(leases) <= 100
    assert {lease.id for lease in pair.storage.list_leases()} == {lease.id for lease in leases}
