"""``pharox-redis lease``: who holds what, and ending it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from pharox.models import Lease
from rich.cells import cell_len

from pharox_redis.cli.columns import ID_WIDTH, Column, number
from pharox_redis.cli.connection import (
    DEFAULT_URL,
    NotThereError,
    PrefixOption,
    UrlOption,
    storage_for,
)
from pharox_redis.cli.finding import (
    ServerClock,
    consumers_of,
    figures_of,
    lease_pages,
    leases_held_by,
    server_time,
    up_to,
)
from pharox_redis.cli.lease_release_command import release
from pharox_redis.cli.listing import Row, Span, print_fields, print_json_array, print_rows
from pharox_redis.cli.naming import SomeConsumerOption, SomePoolOption, read_ids
from pharox_redis.cli.options import JsonOption, ShowSecretsOption
from pharox_redis.cli.output import print_json, printable
from pharox_redis.cli.shapes import lease_json, proxy_json
from pharox_redis.urls import proxy_url

if TYPE_CHECKING:
    from pharox_redis.storage import RedisStorage

lease_app = typer.Typer(help="List, show and release leases.", no_args_is_help=True)
lease_app.command("release")(release)


@lease_app.command("list")
def list_some(
    pool: SomePoolOption = None,
    consumer: SomeConsumerOption = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=0, help="No more than this many.")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    json: JsonOption = False,
) -> None:
    """List live leases: who holds them, and how long yet.

    Pool by pool, soonest to expire first; they are printed as they are read.
    """
    with storage_for(url, prefix) as storage:
        figures = figures_of(storage, pool)
        # One server's time for all: a Cluster's masters should agree.
        clock = ServerClock(figures[0].at) if figures else ServerClock(datetime.now(UTC))
        ids = [each.pool.id for each in figures]
        pages = up_to(limit, _held(storage, ids, consumer))
        if json:
            print_json_array(
                [lease_json(lease, name, clock.now()) for lease, name in page] for page in pages
            )
        else:
            rows = ([_row(lease, name, clock.now()) for lease, name in page] for page in pages)
            names = [each.pool.name for each in figures]
            print_rows(_columns(names, one=pool is not None), rows, "There are no such leases.")


@lease_app.command("show")
def show(
    lease: Annotated[str, typer.Argument(metavar="LEASE", help="The id of a lease.")],
    show_secrets: ShowSecretsOption = False,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    json: JsonOption = False,
) -> None:
    """Show a lease, its consumer and its proxy. A lease that is over can be shown for a minute."""
    (lease_id,) = read_ids([lease], "LEASE")
    with storage_for(url, prefix) as storage:
        known = storage.get_lease(lease_id)
        if known is None:
            raise NotThereError(f"There is no lease {lease_id}, or it has been over for long.")
        name = consumers_of(storage, [known]).get(known.consumer_id)
        proxy = storage.get_proxy_by_id(known.proxy_id)
        now = server_time(storage, known)
    shown = lease_json(known, name, now)
    if json:
        print_json({**shown, "proxy": proxy_json(proxy, show_secrets) if proxy else None})
        return
    print_fields(
        ("lease", str(known.id)),
        ("status", known.status.value),
        ("consumer", name),
        ("pool", known.pool_name),
        ("proxy", proxy_url(proxy, secret=show_secrets) if proxy else None),
        ("proxy id", str(known.proxy_id)),
        ("acquired at", shown["acquired_at"]),
        ("expires at", shown["expires_at"]),
        ("released at", shown["released_at"]),
        ("left", Span(shown["seconds_left"])),
    )


def _held(
    storage: RedisStorage, pools: Iterable[UUID], consumer: str | None
) -> Iterator[list[tuple[Lease, str | None]]]:
    """Yield pages of live leases with the names of their consumers."""
    if consumer is not None:
        yield [(lease, consumer) for lease in leases_held_by(storage, consumer, set(pools))]
        return
    for pool_id in pools:
        for page in lease_pages(storage, pool_id):
            names = consumers_of(storage, page)
            yield [(lease, names.get(lease.consumer_id)) for lease in page]


def _columns(pools: Iterable[str], one: bool) -> Sequence[Column]:
    # The names of all pools are known beforehand; of one pool, it is known already.
    longest = max((cell_len(printable(name)) for name in pools), default=0)
    return (
        Column("id", 6, needs=ID_WIDTH),
        Column("consumer", 5, least=10, wants=12),
        Column("pool", 0 if one else 3, least=8, needs=longest),
        Column("proxy", 1, needs=ID_WIDTH),
        number("held", 2, needs=7),
        number("left", 4, needs=7),
    )


def _row(lease: Lease, consumer: str | None, now: datetime) -> Row:
    return (
        str(lease.id),
        consumer,
        lease.pool_name,
        str(lease.proxy_id),
        Span((now - lease.acquired_at).total_seconds()),
        Span((lease.expires_at - now).total_seconds()),
    )
