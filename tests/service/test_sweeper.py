"""The service ends what ran out; several at once do not disturb each other, nor does a failure."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest

from pharox_redis import AsyncRedisStorage, StorageUnavailableError
from pharox_redis.service.outcomes import Outcome, SweepOutcome
from pharox_redis.service.sweeper import Sweeper
from tests.service.serving import serving, wait_for
from tests.support.timetravel import expire_leases


def sweeps(outcomes: list[Outcome]) -> list[SweepOutcome]:
    return [each for each in list(outcomes) if isinstance(each, SweepOutcome)]


def test_what_ran_out_is_ended_once_by_two_services(valkey_url: str) -> None:
    with serving(valkey_url, sweep_seconds=0.05) as one:
        prefix = one.storage.settings.key_prefix
        with serving(valkey_url, sweep_seconds=0.05, prefix=prefix) as two:
            pool_id = one.pool(5)
            with one.client() as client:
                body = {"pool_id": pool_id, "consumer_id": "c"}
                for _ in range(5):
                    assert client.post("/v1/leases/", json=body).status_code == 201
            expire_leases(one.storage, one.active(pool_id))
            wait_for(lambda: one.storage.get_pool_figures(pool_id).reclaimed == 5)
            swept = wait_for(
                lambda: (
                    [each.leases for each in sweeps([*one.outcomes, *two.outcomes])].count(0) > 3
                    and sweeps([*one.outcomes, *two.outcomes])
                )
            )
            assert sum(each.leases for each in swept) == 5
            assert not any(each.failed for each in swept)
            assert one.storage.get_pool_figures(pool_id).available_proxies == 5
            assert sweeps(two.outcomes) and sweeps(one.outcomes)


def test_none_if_the_pause_is_zero(valkey_url: str) -> None:
    with serving(valkey_url) as service:
        assert httpx.get(f"{service.url}/readyz", verify=False).status_code == 200
        assert sweeps(service.outcomes) == []


class Flaky(AsyncRedisStorage):
    """Fails as often as it is told to, in the way it is told to."""

    failures: list[Exception]

    async def cleanup_expired_leases(self) -> int:
        if self.failures:
            raise self.failures.pop()
        return await super().cleanup_expired_leases()


@pytest.mark.parametrize("error", [StorageUnavailableError("away"), RuntimeError("a mistake")])
def test_a_failure_is_logged_once_and_the_next_sweep_comes(
    valkey_url: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def sweep() -> list[Outcome]:
        outcomes: list[Outcome] = []
        async with Flaky.from_url(valkey_url) as storage:
            storage.failures = [error] * 3
            sweeper = Sweeper(storage, 0.001, [outcomes.append])
            sweeper.start()
            async with asyncio.timeout(10):
                while len(outcomes) < 5:
                    await asyncio.sleep(0.001)
            await sweeper.stop()
            count = len(outcomes)
            await asyncio.sleep(0.01)
            assert len(outcomes) == count
        return outcomes

    with caplog.at_level(logging.INFO, "pharox_redis.service"):
        outcomes = asyncio.run(sweep())
    assert [each.failed for each in sweeps(outcomes)][:5] == [True, True, True, False, False]
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        "Sweeping failed",
        "Sweeping works again",
    ]


def test_an_observer_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    from pharox_redis.service.outcomes import tell

    heard: list[Outcome] = []

    def fails(outcome: Outcome) -> None:
        raise RuntimeError("a mistake")

    tell([fails, heard.append], SweepOutcome(0, 0.0, False))
    assert len(heard) == 1
    assert "An observer failed" in caplog.text
