"""What a command line names: pools by name or id, proxies and leases by id.

What does not exist ends a command with `exits.NOT_FOUND` and a sentence that says what there is;
what cannot be a name or an id at all is a mistake in the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, TypeAlias
from uuid import UUID

import typer
from pharox.exceptions import PoolNotFoundError

from pharox_redis.cli.completion import complete_pool
from pharox_redis.cli.connection import NotThereError
from pharox_redis.cli.output import printable

if TYPE_CHECKING:
    from pharox.models import Proxy, ProxyPool

    from pharox_redis.storage import RedisStorage

_NAMED_AT_MOST = 10

PoolArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="POOL", help="The pool: its name, or its id.", autocompletion=complete_pool
    ),
]
PoolOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--pool",
        metavar="POOL",
        help="The pool: its name, or its id.",
        autocompletion=complete_pool,
        show_default=False,
    ),
]
SomePoolOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--pool",
        metavar="POOL",
        help="Only of this pool: its name, or its id.",
        autocompletion=complete_pool,
        show_default=False,
    ),
]
SomeConsumerOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--consumer", metavar="NAME", help="Only of this consumer.", show_default=False),
]


def checked_name(text: str, hint: str) -> str:
    """Return the name of a pool or consumer as it was given.

    Raises
    ------
        typer.BadParameter: It is blank, or not UTF-8, and can be no name.
    """
    if not text.strip():
        raise typer.BadParameter("must not be blank", param_hint=hint)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("not valid UTF-8", param_hint=hint) from None
    return text


def find_pool(storage: RedisStorage, named: str, hint: str = "POOL") -> ProxyPool:
    """Return the pool of this name, or else of this id.

    Raises
    ------
        NotThereError: There is none; the message has those there are.
        typer.BadParameter: See `checked_name`.
    """
    found = storage.get_pool_by_name(checked_name(named, hint))
    if found is not None:
        return found
    pool_id = as_id(named)
    if pool_id is not None:
        try:
            return storage.get_pool(pool_id)
        except PoolNotFoundError:
            pass
    raise NotThereError(_no_pool(named, [pool.name for pool in storage.list_pools()]))


def _no_pool(named: str, known: Sequence[str]) -> str:
    said = f"There is no pool '{printable(named)}'"
    if not known:
        return f"{said}; there are none yet."
    # Odd names are long, or many: the likely ones come first.
    likely = get_close_matches(named, known, n=3)
    shown = [*likely, *(name for name in known if name not in likely)][:_NAMED_AT_MOST]
    more = f" and {len(known) - len(shown):,} more" if len(known) > len(shown) else ""
    return (
        f"{said}; there {'is' if len(known) == 1 else 'are'}: "
        f"{', '.join(map(printable, shown))}{more}."
        f"{f' Did you mean {printable(likely[0])}?' if likely else ''}"
    )


def as_id(text: str) -> UUID | None:
    """Return the UUID that a text is, if it is one."""
    try:
        return UUID(text)
    except ValueError:
        return None


def read_ids(texts: Iterable[str], hint: str) -> list[UUID]:
    """Return the ids of arguments, each once, in their order.

    Raises
    ------
        typer.BadParameter: One is no UUID. It is not quoted: a proxy with its password may stand
            there.
    """
    found: dict[UUID, None] = {}
    for place, text in enumerate(texts, start=1):
        known = as_id(text)
        if known is None:
            raise typer.BadParameter(
                f"{nth(place)} is not an id such as 6f2c1d0e-0f6b-5a52-9a39-5be1c8a7e0d4",
                param_hint=hint,
            )
        found[known] = None
    return list(found)


def find_proxy(storage: RedisStorage, proxy_id: UUID) -> Proxy:
    """Return the proxy of an id.

    Raises
    ------
        NotThereError: There is none.
    """
    proxy = storage.get_proxy_by_id(proxy_id)
    if proxy is None:
        raise NotThereError(f"There is no proxy {proxy_id}.")
    return proxy


def nth(place: int) -> str:
    """Return ``the first``, ... for an argument of which there are several."""
    return {1: "the first", 2: "the second", 3: "the third"}.get(place, f"number {place}")
