"""pharox's ``PostgresStorage``, in a schema of this run's own that is dropped when it ends.

The tables are pharox's metadata. Two indexes are added that anybody would add who runs it (leases
by state and expiry, for the sweep of every acquire; proxies by pool and country), and the planner
is given its statistics. The connection is pooled by SQLAlchemy.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pharox.manager import ProxyManager
from pharox.models import ProxyPool

from pharox_redis.benchmark.bench import proxies
from pharox_redis.benchmark.peers.managers import CONSUMER

INSTALL = "pip install 'pharox[postgres]'"

_CHUNK = 1_000  # a row takes some twenty parameters, and a statement 65,535
_DRIVER = "postgresql+psycopg"


class PostgresUnusableError(Exception):
    """There is a URL, and nothing can be measured there. The message shows no password."""


def make_engine(url: str) -> Any:
    """An engine for a postgresql:// URL, by the driver that pharox's extra installs.

    Raises ``PostgresUnusableError``; connects when first used.
    """
    try:
        sqlalchemy: Any = importlib.import_module("sqlalchemy")
        importlib.import_module("psycopg")
    except ModuleNotFoundError as error:
        raise PostgresUnusableError(f"needs {error.name}: {INSTALL}") from None
    try:
        parsed = sqlalchemy.engine.make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername=_DRIVER)
        if parsed.drivername != _DRIVER:
            raise PostgresUnusableError("its URL has to begin with postgresql://")
        return sqlalchemy.create_engine(parsed, connect_args={"connect_timeout": 5})
    except (sqlalchemy.exc.ArgumentError, ValueError):
        # The message would quote the URL.
        raise PostgresUnusableError("its URL cannot be read") from None


def server_version(url: str) -> str:
    """The version of the server, which it answers with if it can be reached.

    Raises ``PostgresUnusableError``.
    """
    engine = make_engine(url)
    sqlalchemy: Any = importlib.import_module("sqlalchemy")
    try:
        with engine.connect() as connection:
            return ".".join(map(str, connection.dialect.server_version_info))
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__)
        raise PostgresUnusableError(reason.strip().splitlines()[0]) from None
    finally:
        engine.dispose()


@contextmanager
def postgres_manager(url: str, schema: str, pool: ProxyPool, size: int) -> Iterator[ProxyManager]:
    """pharox's manager over as many proxies as a bench pool has, under the pool's name.

    ``schema`` must not exist yet; it is dropped with all that is in it when the block ends.
    """
    engine = make_engine(url)
    try:
        _run(engine, f'CREATE SCHEMA "{schema}"')
        try:
            yield _fill(engine, schema, pool, size)
        finally:
            _run(engine, f'DROP SCHEMA "{schema}" CASCADE')
    finally:
        engine.dispose()


def _fill(engine: Any, schema: str, pool: ProxyPool, size: int) -> ProxyManager:
    postgres: Any = importlib.import_module("pharox.storage.postgres")
    inside = engine.execution_options(schema_translate_map={None: schema})
    postgres.metadata.create_all(inside)
    _run(engine, f'CREATE INDEX ON "{schema}".lease (status, expires_at)')
    _run(engine, f'CREATE INDEX ON "{schema}".proxy (pool_id, country)')
    storage: Any = postgres.PostgresStorage(engine=inside)
    storage.save_pool(pool)
    storage.ensure_consumer(CONSUMER)
    for start in range(0, size, _CHUNK):
        storage.add_proxies_bulk(list(proxies(pool, start, min(size, start + _CHUNK))))
    _run(engine, f'ANALYZE "{schema}".proxy')
    return ProxyManager(storage)


def _run(engine: Any, statement: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
