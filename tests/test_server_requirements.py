"""The statement of what a server must be set to, and the two checks against it.

The checks are tested on hand-written answers. What the statement says about servers themselves
(their defaults, that they know the directives) is held against running ones: the embedded Valkey,
and Redis where a `redis-server` is on the path.
"""

import dataclasses
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pharox_redis.embedded import EmbeddedServer
from pharox_redis.server import (
    MINIMUM_VERSION,
    REQUIREMENTS,
    Finding,
    Severity,
    check_config,
    check_version,
    parse_version,
    recommended_config,
)

LAZY = {
    "lazyfree-lazy-expire",
    "lazyfree-lazy-eviction",
    "lazyfree-lazy-server-del",
    "lazyfree-lazy-user-del",
    "lazyfree-lazy-user-flush",
    "replica-lazy-flush",
}


def directives(findings: list[Finding]) -> set[str]:
    return {finding.directive for finding in findings}


@pytest.fixture
def stock_redis() -> Iterator[redis.Redis]:
    """A redis-server of the machine, with no setting but its address."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on the path")
    # Not pytest's own temporary directory: the path of a socket has to be short.
    with tempfile.TemporaryDirectory(prefix="stock-") as directory:
        address = f"{directory}/s"
        command = [binary, "--port", "0", "--unixsocket", address, "--dir", directory]
        with (
            subprocess.Popen(command, stdout=subprocess.DEVNULL) as process,
            redis.Redis(unix_socket_path=address, decode_responses=True) as client,
        ):
            try:
                while not Path(address).exists():
                    assert process.poll() is None
                    time.sleep(0.01)
                yield client
            finally:
                process.kill()


def test_the_statement_itself() -> None:
    names = [requirement.directive for requirement in REQUIREMENTS]
    assert len(names) == len(set(names))
    assert set(names) == LAZY | {"maxmemory-policy", "appendonly", "appendfsync"}
    required = {r.directive for r in REQUIREMENTS if r.severity is Severity.REQUIRED}
    assert required == {"maxmemory-policy", "appendonly"}
    for requirement in REQUIREMENTS:
        assert requirement.directive == requirement.directive.lower()
        assert requirement.why and requirement.stock
        assert requirement.accepted[0] == requirement.wanted
        with pytest.raises(dataclasses.FrozenInstanceError):
            requirement.wanted = "other"  # type: ignore[misc]


def test_the_recommended_configuration_leaves_nothing_to_find() -> None:
    assert check_config(recommended_config()) == []


@pytest.mark.parametrize("directive", sorted(recommended_config()))
def test_each_directive_is_found_when_wrong_and_when_missing(directive: str) -> None:
    for value in ("nonsense", "", None):
        config = recommended_config()
        if value is None:
            del config[directive]
        else:
            config[directive] = value
        (finding,) = check_config(config)
        assert (finding.directive, finding.value) == (directive, value)
        assert finding.wanted == recommended_config()[directive]
        assert directive in str(finding)
        assert ("could not be read" in str(finding)) is (value is None)


@pytest.mark.parametrize(
    "policy",
    [
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
    ],
)
def test_every_evicting_policy_is_a_required_finding(policy: str) -> None:
    (finding,) = check_config(recommended_config() | {"maxmemory-policy": policy})
    assert finding.severity is Severity.REQUIRED
    assert "volatile-*" in finding.why and "allkeys-*" in finding.why


def test_syncing_more_often_is_as_good() -> None:
    assert check_config(recommended_config() | {"appendfsync": "always"}) == []
    (finding,) = check_config(recommended_config() | {"appendfsync": "no"})
    assert finding.severity is Severity.ADVISED


def test_case_and_unknown_directives_do_not_matter() -> None:
    config = {name.upper(): value.upper() for name, value in recommended_config().items()}
    assert check_config(config | {"port": "6379"}) == []


def test_required_findings_come_first() -> None:
    severities = [finding.severity for finding in check_config({})]
    assert len(severities) == len(REQUIREMENTS)
    assert severities == sorted(severities, key=[Severity.REQUIRED, Severity.ADVISED].index)
    wrong = {"appendonly": "no", "appendfsync": "no", "maxmemory-policy": "allkeys-lru"}
    found = check_config(recommended_config() | wrong)
    assert [f.directive for f in found] == ["maxmemory-policy", "appendonly", "appendfsync"]


@pytest.mark.parametrize(
    ("text", "version"),
    [("7.0.15", (7, 0, 15)), ("8.0-rc1", (8, 0)), ("7", (7,)), ("255.255.255", (255, 255, 255))],
)
def test_parse_version(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize("text", ["", "unstable", "v7.0"])
def test_parse_version_rejects(text: str) -> None:
    with pytest.raises(ValueError, match="not a server version"):
        parse_version(text)


@pytest.mark.parametrize("text", ["7.0.0", "7.0", "7", "7.2.4", "8.0-rc1", "10.0.1"])
def test_check_version_accepts(text: str) -> None:
    assert check_version({"redis_version": text}) == []


@pytest.mark.parametrize("info", [{"redis_version": "6.2.14"}, {"redis_version": "6.9"}, {}])
def test_check_version_finds(info: dict[str, str]) -> None:
    (finding,) = check_version(info)
    assert finding.directive == "version"
    assert finding.value == info.get("redis_version")
    assert finding.wanted == "7.0" == ".".join(map(str, MINIMUM_VERSION))
    assert finding.severity is Severity.REQUIRED


def test_check_version_does_not_take_an_unreadable_version_for_a_good_one() -> None:
    (finding,) = check_version({"redis_version": "unstable"})
    assert finding.value == "unstable"


def test_the_embedded_server_has_nothing_to_find() -> None:
    with (
        EmbeddedServer() as server,
        redis.Redis.from_url(server.url, decode_responses=True) as client,
    ):
        assert check_config(client.config_get("*")) == []
        assert check_version(client.info("server")) == []


def test_what_stock_redis_lacks(stock_redis: redis.Redis) -> None:
    config = stock_redis.config_get("*")
    assert set(recommended_config()) <= set(config), "a directive this server does not know"
    assert directives(check_config(config)) == LAZY | {"appendonly"}
    assert check_version(stock_redis.info("server")) == []
    for name, value in recommended_config().items():
        stock_redis.config_set(name, value)
    assert check_config(stock_redis.config_get("*")) == []
