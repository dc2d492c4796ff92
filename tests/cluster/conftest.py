"""Clusters that the tests share.

Each test has a key prefix of its own. What a test changes of the cluster (a slot's owner, who is
master) stays changed: every test asks for what it needs to know, and leaves the cluster whole.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.cluster.crew import FLAVOURS, Flavour
from tests.support.clusters import KINDS, Cluster, Kind


@pytest.fixture(scope="session")
def clusters() -> Iterator[Callable[[Kind, int], Cluster]]:
    """Started when first asked for, by kind and node timeout."""
    known: dict[tuple[Kind, int], Cluster] = {}
    with ExitStack() as stack:

        def get(kind: Kind, node_timeout: int) -> Cluster:
            if (kind, node_timeout) not in known:
                made = stack.enter_context(Cluster(kind, node_timeout=node_timeout))
                known[kind, node_timeout] = made
            return known[kind, node_timeout]

        yield get


@pytest.fixture(scope="module", params=KINDS)
def cluster(
    clusters: Callable[[Kind, int], Cluster], request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """Three masters with a replica each, of each kind. A module in which no node is lost says
    ``NODE_TIMEOUT = CALM``: a machine with much to do may keep one waiting for seconds."""
    cluster = clusters(request.param, getattr(request.module, "NODE_TIMEOUT", 1500))
    cluster.wait_until_whole()
    yield cluster


@pytest.fixture(params=FLAVOURS)
def mode(request: pytest.FixtureRequest) -> Flavour:
    """Which of the two storages."""
    mode: Flavour = request.param
    return mode


@pytest.fixture
def prefix() -> str:
    """A key prefix of the test's own."""
    return f"t{secrets.token_hex(5)}"
