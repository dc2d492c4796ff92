"""``pharox-redis lease release``: ending leases by id, by consumer or by pool."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from pharox.models import Lease

from pharox_redis.cli import exits
from pharox_redis.cli.connection import DEFAULT_URL, PrefixOption, UrlOption, storage_for
from pharox_redis.cli.finding import (
    consumers_of,
    count_leases,
    figures_of,
    lease_pages,
    leases_held_by,
)
from pharox_redis.cli.manners import telling
from pharox_redis.cli.naming import SomeConsumerOption, SomePoolOption, read_ids
from pharox_redis.cli.options import JsonOption, YesOption
from pharox_redis.cli.output import (
    confirm,
    error_console,
    plural,
    print_json,
    printable,
    result_console,
)
from pharox_redis.cli.progress import progress_bar
from pharox_redis.cli.shapes import lease_json

if TYPE_CHECKING:
    from pharox_redis.models import PoolFigures
    from pharox_redis.storage import RedisStorage

_AT_ONCE = 500


def release(
    leases: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LEASE]...", help="The ids of leases.", show_default=False),
    ] = None,
    consumer: SomeConsumerOption = None,
    pool: SomePoolOption = None,
    yes: YesOption = False,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    json: JsonOption = False,
) -> None:
    """End leases: those of these ids, or all of a consumer, of a pool, or of a consumer in a pool.

    Their proxies can be leased by others at once, also while a consumer still uses them. Leases
    that begin after the command does are left alone.
    """
    if bool(leases) == (consumer is not None or pool is not None):
        raise typer.BadParameter(
            "either ids of leases, or --consumer, --pool or both", param_hint="[LEASE]..."
        )
    with storage_for(url, prefix) as storage:
        if leases:
            _release_named(storage, leases, json)
        else:
            _release_many(storage, consumer, pool, yes, json)


def _release_named(storage: RedisStorage, texts: list[str], json: bool) -> None:
    """By ids: they say just what is ended, so nobody is asked. Unknown ones stop no others."""
    ids = read_ids(texts, "[LEASE]...")
    over: list[Lease] = []
    unknown = False
    with telling(lambda: _so_far(len(over))):
        for lease_id in ids:
            lease = storage.end_lease(lease_id)
            if lease is not None:
                over.append(lease)
                continue
            unknown = True
            error_console().print(f"There is no lease {lease_id}, or it has been over for long.")
        names = consumers_of(storage, over)
    if json:
        # What is over has no time left, whatever the time.
        print_json(
            [lease_json(each, names.get(each.consumer_id), each.expires_at) for each in over]
        )
    else:
        for each in over:
            whose = printable(names.get(each.consumer_id, str(each.consumer_id)))
            result_console().print(f"Lease {each.id} of {whose} is over.")
    if unknown:
        raise typer.Exit(exits.NOT_FOUND)


def _release_many(
    storage: RedisStorage, consumer: str | None, pool: str | None, yes: bool, json: bool
) -> None:
    figures = figures_of(storage, pool)
    where = f" in pool {printable(figures[0].pool.name)}" if pool is not None else ""
    if consumer is not None:
        held = leases_held_by(storage, consumer, {each.pool.id for each in figures})
        count, batches = len(held), _batches(held)
        whose = f"Consumer {printable(consumer)} has"
    else:
        (only,) = figures
        count, batches = count_leases(storage, only), _begun_before(storage, only)
        whose, where = f"Pool {printable(only.pool.name)} has", ""
    if not count:
        if json:
            print_json({"released": 0})
        else:
            result_console().print(f"{whose} no live leases{where}.")
        return
    confirm(f"{whose} {plural(count, 'live lease')}{where}. End {_them(count)}?", yes)
    ended = 0
    with telling(lambda: _so_far(ended)), progress_bar() as progress:
        task = progress.add_task("releasing", total=count)
        for batch in batches:
            ended += storage.release_leases(batch)
            progress.update(task, completed=ended, description=f"{ended:,} leases ended")
    if json:
        print_json({"released": ended})
    else:
        result_console().print(f"{plural(ended, 'lease')} ended.")


def _batches(leases: list[Lease]) -> Iterator[list[Lease]]:
    for start in range(0, len(leases), _AT_ONCE):
        yield leases[start : start + _AT_ONCE]


def _begun_before(storage: RedisStorage, figures: PoolFigures) -> Iterator[list[Lease]]:
    """Yield a pool's live leases but those that began after its figures were read: while it is in
    use there would be no end."""
    for page in lease_pages(storage, figures.pool.id):
        yield [lease for lease in page if lease.acquired_at < figures.at]


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def _so_far(ended: int) -> str:
    return f"{plural(ended, 'lease')} had been ended." if ended else ""
