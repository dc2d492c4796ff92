"""The hot pool's models and measurements run, and `docs/scaling.md`'s Python does. No time is
asserted; what is compared are counts, and simulations with a seed."""

from __future__ import annotations

import ast
import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "load_tests"))  # where a script finds its neighbours

import hot_pool_model as model  # noqa: E402
import shards  # noqa: E402
import simulate_hot_pool  # noqa: E402
from hot_pool_servers import own_cluster  # noqa: E402
from rich.console import Console  # noqa: E402

from pharox_redis import Settings  # noqa: E402


@pytest.fixture(scope="module")
def cluster_url() -> Iterator[str]:
    with own_cluster(3) as urls:
        yield "redis+cluster://" + ",".join(url.split("/")[2] for url in urls)


def fleet(cores: float, shard_count: int, masters: int) -> model.Fleet:
    service = model.Service(50, 50, 50)
    workers = model.workers_for(service, cores)
    placement = model.placed(shard_count, masters)
    return model.run_fleet(service, placement, masters, workers, 2 * workers)


def test_a_core_waits_as_the_formula_says() -> None:
    seen = fleet(0.8, 1, 1)
    assert seen.mean_wait_us == pytest.approx(
        model.queue_wait_us([50], seen.utilisation[0]), rel=0.15
    )
    assert model.queue_wait_us([50], 0.8) == pytest.approx(0.8 * 50 / (2 * 0.2))


def test_a_fleet_is_the_same_each_time_and_cores_add_up() -> None:
    assert fleet(0.5, 3, 3) == fleet(0.5, 3, 3)
    assert fleet(1.3, 1, 1).pairs == pytest.approx(10_000, rel=0.02)
    assert fleet(3.9, 3, 3).pairs == pytest.approx(30_000, rel=0.02)
    # The busiest master has half of the shards, and the whole goes at its pace.
    assert fleet(3.9, 4, 3).pairs == pytest.approx(20_000, rel=0.03)


def test_calls_grow_as_free_proxies_get_few() -> None:
    calls = {
        (leased, order): model.run_occupancy(500, 12, leased, order, steps=2_000).calls
        for leased in (0.5, 0.99)
        for order in simulate_hot_pool.ORDERS
    }
    assert calls[0.5, "shuffled"] < 1.01
    assert 1.5 < calls[0.99, "shuffled"] < calls[0.99, "ordered"]
    assert calls[0.99, "best of two"] < calls[0.99, "shuffled"]


def test_filters_and_placement_as_computed_by_hand() -> None:
    assert model.matches(2, 1) == (0.5, 1.5)
    # Both in one shard: half of the time, then 1.5 calls on average.
    assert model.matches(2, 2) == (0.25, 1.25)
    _, even = model.random_placement(3, 3)
    assert even == pytest.approx(6 / 27, abs=0.02)


def test_round_robin_of_one_shard_is_strict() -> None:
    assert model.run_round_robin(50, 1) == (50, 50, 50)
    least, _, greatest = model.run_round_robin(50, 5)
    assert least < 50 < greatest


def test_the_document_runs(cluster_url: str, tmp_path: Path, monkeypatch: Any) -> None:
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("proxies.txt").write_text("".join(f"192.0.2.{n}:8080\n" for n in range(100)))
    scope: dict[str, Any] = {"URL": cluster_url}

    async def run() -> None:
        for block in blocks:
            code = compile(block, "scaling.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            waiting = eval(code, scope)
            if waiting is not None:
                await waiting

    asyncio.run(run())
    storage = scope["storage"]
    pools = [storage.get_pool_by_name(name) for name in scope["NAMES"]]
    assert sum(len(storage.list_proxies(pool.id)) for pool in pools) == 100
    assert storage.list_leases() == []
    prefix = Settings().key_prefix
    assert list(shards.per_master(storage.client, prefix, pools).values()) == [2, 2, 2]
    storage.close()


@pytest.mark.slow
def test_measuring_and_printing_work(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(width=160)
    effort = simulate_hot_pool.Effort(rounds=1, calls=60, sizes=(200,))
    found = simulate_hot_pool.measure(console, effort)
    assert min(found.acquire, found.release, found.miss) > 0
    simulate_hot_pool.simulate_filters(console)
    simulate_hot_pool.simulate_placement(console, 1)
    printed = capsys.readouterr().out
    assert "a Cluster of three masters" in printed
    assert "4 4 4" in printed
