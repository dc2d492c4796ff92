"""The server that a command works on: its options, and the one place that opens its storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Protocol, TypeAlias

import typer
from pharox.exceptions import PharoxError
from pharox.models import PoolStatsSnapshot, ProxyPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError

from pharox_redis.cli.output import describe, error_console, mask_url
from pharox_redis.importing import ImportStorage

DEFAULT_URL = "redis://localhost:6379/0"
EXIT_FAILED = 1
_PROBE_SECONDS = 5.0

UrlOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="PHAROX_REDIS_URL",
        metavar="URL",
        help="The server: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://.",
    ),
]
PrefixOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        envvar="PHAROX_REDIS_PREFIX",
        metavar="TEXT",
        help="What the keys begin with, if other than the library's default.",
        show_default=False,
    ),
]


class CommandStorage(ImportStorage, Protocol):
    """What the commands need of a storage."""

    def list_pools(self) -> list[ProxyPool]:
        """Return every pool."""

    def get_pool_stats(self, name: str, /) -> PoolStatsSnapshot | None:
        """Return the numbers of a pool, or ``None`` if it does not exist."""

    def close(self) -> None:
        """Close the connections."""


def open_storage(url: str, prefix: str | None) -> CommandStorage:
    """Return the storage on a server that was just seen to answer.

    Raises
    ------
        typer.BadParameter: The URL or the prefix cannot be used.
        RedisError, RedisClusterException: The server cannot be reached, or refuses.
    """
    from pharox_redis.errors import InvalidUrlError
    from pharox_redis.settings import Settings
    from pharox_redis.storage import RedisStorage

    try:
        settings = Settings() if prefix is None else Settings(key_prefix=prefix)
    except ValueError as error:
        raise typer.BadParameter("not usable in keys", param_hint="--prefix") from error
    try:
        _probe(url)
        return RedisStorage.from_url(url, settings)
    except InvalidUrlError as error:
        # It does not show what the URL says: any part of it may be a password.
        raise typer.BadParameter(str(error), param_hint="--url") from None


@contextmanager
def storage_for(url: str, prefix: str | None) -> Iterator[CommandStorage]:
    """Open a storage for a ``with`` block; what its server does wrong ends the command.

    Raises
    ------
        typer.BadParameter: See `open_storage`.
        typer.Exit: With `EXIT_FAILED`, after saying why, when the server or the storage fails.
    """
    try:
        storage = open_storage(url, prefix)
        try:
            yield storage
        finally:
            storage.close()
    except (RedisError, RedisClusterException, PharoxError) as error:
        error_console().print(f"Error with {mask_url(url)}: {describe(error)}")
        raise typer.Exit(EXIT_FAILED) from error


def _probe(url: str) -> None:
    """Ask the server for a sign of life, once: the client's own retries would take their time."""
    from pharox_redis.connecting import connect
    from pharox_redis.errors import translate

    client: Any = connect(url, socket_connect_timeout=_PROBE_SECONDS, retry=Retry(NoBackoff(), 0))
    try:
        client.ping()
    except MasterNotFoundError as error:
        raise translate(error) from error
    finally:
        client.close()
