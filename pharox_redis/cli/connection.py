"""The server that a command works on: its options, and the one place that opens its storage.

It is also the one place where errors of the server and of the storage become a sentence and an
exit code, for every command.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from pharox.exceptions import PharoxError, PoolNotFoundError, ProxyNotFoundError
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError

from pharox_redis.cli import exits
from pharox_redis.cli.manners import notes_of
from pharox_redis.cli.output import describe, error_console, mask_url

if TYPE_CHECKING:
    from pharox_redis.settings import Settings
    from pharox_redis.storage import RedisStorage

DEFAULT_URL = "redis://localhost:6379/0"
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


class NotThereError(Exception):
    """What the command line names does not exist; the message says what, and what there is."""


def open_storage(url: str, prefix: str | None, *, waits: bool = False) -> RedisStorage:
    """Return the storage on a server that was just seen to answer.

    With ``waits`` it is not looked at: for a command that waits for a server that is away, and
    repeats what failed itself.

    Raises
    ------
        typer.BadParameter: The URL or the prefix cannot be used.
        RedisError, RedisClusterException: The server cannot be reached, or refuses.
    """
    from pharox_redis.errors import InvalidUrlError
    from pharox_redis.storage import RedisStorage

    settings = settings_for(prefix)
    try:
        if waits:
            return RedisStorage.from_url(url, settings, retry=Retry(NoBackoff(), 1))
        _probe(url)
        return RedisStorage.from_url(url, settings)
    except InvalidUrlError as error:
        # It does not show what the URL says: any part of it may be a password.
        raise typer.BadParameter(str(error), param_hint="--url") from None


def settings_for(prefix: str | None) -> Settings:
    """Return the settings with the prefix that was asked for.

    Raises
    ------
        typer.BadParameter: The prefix cannot be used.
    """
    from pharox_redis.settings import Settings

    try:
        return Settings() if prefix is None else Settings(key_prefix=prefix)
    except ValueError as error:
        raise typer.BadParameter("not usable in keys", param_hint="--prefix") from error


@contextmanager
def storage_for(url: str, prefix: str | None, *, waits: bool = False) -> Iterator[RedisStorage]:
    """Open a storage for a ``with`` block; what goes wrong with it ends the command. ``waits``: see
    `open_storage`.

    Raises
    ------
        typer.BadParameter: See `open_storage`.
        typer.Exit: After saying why, with ``exits.NOT_FOUND`` for what does not exist and
            ``exits.FAILED`` when the server or the storage fails.
    """
    try:
        storage = open_storage(url, prefix, waits=waits)
        try:
            yield storage
        finally:
            storage.close()
    except NotThereError as error:
        _end(error, str(error), exits.NOT_FOUND)
    except (PoolNotFoundError, ProxyNotFoundError) as error:
        # It was there a moment ago: somebody has deleted it.
        _end(error, describe(error), exits.NOT_FOUND)
    except (RedisError, RedisClusterException, PharoxError) as error:
        _end(error, f"Error with {mask_url(url)}: {describe(error)}", exits.FAILED)


def _end(error: Exception, sentence: str, code: int) -> None:
    for text in (sentence, *notes_of(error)):
        error_console().print(text)
    raise typer.Exit(code) from error


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
