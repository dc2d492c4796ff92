"""What the server is asked, and what is made of its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from pharox_redis import Settings
from pharox_redis.doctor import Diagnosis, Finding, Level, ServerChecks
from pharox_redis.doctor.rights import LEASING, OPERATING
from pharox_redis.doctor.server_checks import (
    check_clients,
    check_memory,
    check_persistence,
    check_replication,
    judge_clock,
    judge_latency,
)
from tests.security.rules import commands_of, set_user, url_of
from tests.support.own_servers import KINDS, own_server


class Said:
    """Collects what a check says."""

    def __init__(self) -> None:
        self.findings: dict[str, Finding] = {}

    def __call__(self, kind: str, level: Level, wrong: str, todo: str = "") -> None:
        assert wrong.endswith(".") and (todo or level is Level.INFO)
        self.findings[kind] = Finding("server", kind, level, wrong, todo)

    @property
    def levels(self) -> dict[str, Level]:
        return {kind: finding.level for kind, finding in self.findings.items()}


GIB = 2**30
REQUIRED, ADVISED, INFO = Level.REQUIRED, Level.ADVISED, Level.INFO
REPLICA = {"state": "online", "lag": 1}


@pytest.mark.parametrize(
    ("check", "info", "told"),
    [
        (check_memory, {"used_memory": GIB, "maxmemory": 4 * GIB}, {}),
        (check_memory, {"used_memory": 3 * GIB, "maxmemory": 4 * GIB}, {"memory": ADVISED}),
        (check_memory, {"used_memory": 39 * GIB, "maxmemory": 40 * GIB}, {"memory": REQUIRED}),
        (check_memory, {"used_memory": GIB, "total_system_memory": 8 * GIB}, {}),
        (check_memory, {"used_memory": 6, "total_system_memory": 8}, {"memory": ADVISED}),
        (check_memory, {"used_memory": 8, "total_system_memory": 8}, {"memory": REQUIRED}),
        (check_memory, {}, {}),
        (check_persistence, {"rdb_last_bgsave_status": "ok", "loading": 0}, {}),
        (
            check_persistence,
            {"rdb_last_bgsave_status": "err", "aof_last_write_status": "err", "loading": 1},
            {
                "rdb-last-bgsave-status": REQUIRED,
                "aof-last-write-status": REQUIRED,
                "loading": REQUIRED,
            },
        ),
        (check_clients, {"connected_clients": 10, "maxclients": 100}, {}),
        (check_clients, {"connected_clients": 80, "maxclients": 100}, {"clients": ADVISED}),
    ],
)
def test_figures(check: Callable[..., None], info: dict[str, Any], told: dict[str, Level]) -> None:
    said = Said()
    check(info, said)
    assert said.levels == told


@pytest.mark.parametrize(
    ("info", "wanted", "told"),
    [
        ({"role": "slave"}, 0, {"replica": REQUIRED}),
        ({"role": "master"}, 0, {"no-replica": INFO}),
        ({"role": "master"}, 1, {"too-few-replicas": REQUIRED}),
        ({"role": "master", "slave0": REPLICA}, 1, {}),
        ({"role": "master", "slave0": {**REPLICA, "lag": 60}}, 1, {"replica-lag": ADVISED}),
        (
            {"role": "master", "slave0": {"state": "wait_bgsave"}},
            1,
            {"replica-link": ADVISED, "too-few-replicas": REQUIRED},
        ),
    ],
)
def test_replicas(info: dict[str, Any], wanted: int, told: dict[str, Level]) -> None:
    said = Said()
    check_replication(info, wanted, said)
    assert said.levels == told


def test_clocks() -> None:
    said = Said()
    judge_clock(-1500, 2, said)
    assert said.levels == {"clock": ADVISED}
    assert "1,500.0 ms behind this host's (give or take 1.0 ms)" in said.findings["clock"].wrong
    judge_clock(1500, 1200, said)  # it may be the way there
    assert said.levels == {"clock": INFO}


def test_latencies() -> None:
    said = Said()
    judge_latency([1.0, 2.0, 90.0], said)
    assert said.levels == {"latency": INFO} and "2.00 ms" in said.findings["latency"].wrong
    judge_latency([10.0, 20.0, 90.0], said)
    assert said.levels == {"latency": ADVISED}


def findings_of(url: str, **settings: Any) -> dict[str, Finding]:
    diagnosis = Diagnosis()
    with redis.Redis.from_url(url) as client:
        ServerChecks(client, Settings(**settings), diagnosis).check()
    return {finding.kind: finding for finding in diagnosis.findings}


def test_the_rights_are_those_of_the_document() -> None:
    assert commands_of("scraper") - {"eval"} == LEASING
    assert commands_of("operator") - {"eval"} == LEASING | OPERATING


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_as_it_should_be_and_one_that_is_not(kind: str) -> None:
    with own_server(kind) as server:
        found = findings_of(server.url)
        assert {each.level for each in found.values()} == {Level.INFO}, found
        assert found.keys() == {"no-replica", "clock", "latency"}
        with redis.Redis.from_url(server.url) as admin:
            admin.config_set("maxmemory-policy", "volatile-lru")
            admin.config_set("appendfsync", "no")
            found = findings_of(server.url, min_replicas=1)
            assert found["maxmemory-policy"].level is Level.REQUIRED
            assert "CONFIG SET maxmemory-policy noeviction" in found["maxmemory-policy"].todo
            assert found["appendfsync"].level is Level.ADVISED
            assert found["too-few-replicas"].level is Level.REQUIRED
            # A scraper's rights: what it may not read is said.
            set_user(admin, "scraper")
            found = findings_of(url_of(server.url, "scraper"))
            assert "zscan" in found["operator-rights"].wrong and "rights" not in found
            assert "no right to" in found["unread-info"].wrong
            assert "appendonly" in found["unread-config"].wrong
            assert all(each.standing == 0 for each in found.values())
            set_user(admin, "scraper", "+zadd")
            assert "zadd" in findings_of(url_of(server.url, "scraper"))["rights"].wrong
            set_user(admin, "scraper", "+eval")
            assert "EVAL" in findings_of(url_of(server.url, "scraper"))["unread-rights"].wrong
