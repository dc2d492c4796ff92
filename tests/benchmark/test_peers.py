"""The peers do what they are timed for, say so when they cannot, and keep to the run's prefix."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from pharox_redis.benchmark.bench import Bench
from pharox_redis.benchmark.peers.evalsha import evalsha
from pharox_redis.benchmark.peers.in_memory import in_memory_manager
from pharox_redis.benchmark.peers.locks import lock_name, lock_pair, make_lock
from pharox_redis.benchmark.peers.managers import FILTERS, NothingLeasedError, pair
from pharox_redis.benchmark.peers.postgres import (
    PostgresUnusableError,
    make_engine,
    postgres_manager,
    server_version,
)
from pharox_redis.benchmark.peers.semaphores import semaphore_pair

POSTGRES = os.environ.get("PHAROX_REDIS_TEST_POSTGRES_URL")


def test_evalsha_answers(bench: Bench) -> None:
    assert evalsha(bench.client)() == 1


def test_a_lock_is_taken_and_returned(bench: Bench) -> None:
    work = lock_pair(bench.client, bench.prefix)
    work()
    assert not bench.client.exists(lock_name(bench.prefix))
    other = make_lock(bench.client, lock_name(bench.prefix))
    assert other.acquire()
    with pytest.raises(NothingLeasedError, match="Lock"):
        work()


def test_a_semaphore_is_taken_and_returned(bench: Bench) -> None:
    owners = f"{bench.prefix}:semaphore:owners"
    with semaphore_pair(bench.client, bench.prefix) as work:
        work()
        assert not bench.client.exists(owners)
        bench.client.zadd(owners, {"somebody": 9e15})
        with pytest.raises(NothingLeasedError, match="semaphore"):
            work()


def test_memory_has_the_same_proxies(bench: Bench) -> None:
    pool = bench.pool(50)
    manager = in_memory_manager(pool, 50)
    pair(manager, pool.name)()
    leases = [manager.acquire_proxy(pool.name, "bench", 60, FILTERS) for _ in range(5)]
    assert all(leases)
    with pytest.raises(NothingLeasedError):
        pair(manager, pool.name)()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://u:geheim@h/db", "postgresql://"),
        ("geheim", "cannot be read"),
        ("postgresql://u:geheim@h:port/db", "cannot be read"),
    ],
)
def test_what_is_no_postgres_url(url: str, said: str) -> None:
    pytest.importorskip("sqlalchemy", reason="needs pharox[postgres]")
    with pytest.raises(PostgresUnusableError, match=said) as caught:
        make_engine(url)
    assert "geheim" not in str(caught.value)


def test_a_postgres_that_is_not_there() -> None:
    pytest.importorskip("sqlalchemy", reason="needs pharox[postgres]")
    with pytest.raises(PostgresUnusableError, match="refused") as caught:
        server_version("postgresql://u:geheim@127.0.0.1:1/db")
    assert "geheim" not in str(caught.value)


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sqlalchemy", None)
    with pytest.raises(PostgresUnusableError, match=r"pharox\[postgres\]"):
        make_engine("postgresql://h/db")


@pytest.mark.skipif(not POSTGRES, reason="PHAROX_REDIS_TEST_POSTGRES_URL names no server")
@pytest.mark.parametrize("end", [None, KeyboardInterrupt])
def test_postgres_in_a_schema_that_is_dropped(
    bench: Bench, end: type[BaseException] | None
) -> None:
    assert POSTGRES
    engine = make_engine(POSTGRES)

    def schemas() -> int:
        with engine.connect() as connection:
            return int(
                connection.exec_driver_sql(
                    "SELECT count(*) FROM pg_namespace WHERE nspname = %s", (bench.prefix,)
                ).scalar()
            )

    def use() -> None:
        pool = bench.pool(50)
        with postgres_manager(POSTGRES or "", bench.prefix, pool, 50) as manager:
            pair(manager, pool.name)()
            assert schemas() == 1
            if end:
                raise end

    run: Callable[[], None] = use
    if end:
        with pytest.raises(end):
            run()
    else:
        run()
    assert schemas() == 0
    engine.dispose()
