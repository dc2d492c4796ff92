"""Servers whose port somebody else takes first are started on another."""

from __future__ import annotations

import socket

import pytest

from tests.support import own_servers
from tests.support.own_servers import REDIS_SERVER, RedisProcess, connect
from tests.support.ports import free_ports, on_free_ports


@pytest.mark.skipif(not REDIS_SERVER, reason="redis-server is not installed")
def test_a_taken_port_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        (taken,), (spare,) = free_ports(1), free_ports(1)
        other.bind(("127.0.0.1", taken))
        other.listen()
        chosen = iter([taken, taken, spare])
        monkeypatch.setattr(own_servers, "free_ports", lambda count: [next(chosen)])
        with RedisProcess() as server, connect(server.url) as client:
            assert server.url == f"redis://127.0.0.1:{spare}/0"
            assert client.ping()


@pytest.mark.skipif(not REDIS_SERVER, reason="redis-server is not installed")
def test_what_a_server_says_is_in_the_error() -> None:
    with pytest.raises(AssertionError, match=r"(?s)did not start:.*Bad directive"):
        RedisProcess({"no-such-directive": "1"}).__enter__()


def test_other_failures_are_not_tried_again() -> None:
    tries = []

    def start() -> None:
        tries.append(1)
        raise AssertionError("the data is broken")

    with pytest.raises(AssertionError, match="broken"):
        on_free_ports(start)
    assert len(tries) == 1
