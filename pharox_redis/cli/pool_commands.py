"""``pharox-redis pool``: making, showing, renaming and deleting pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from pharox.models import ProxyPool

from pharox_redis.cli.columns import Column, number
from pharox_redis.cli.connection import (
    DEFAULT_URL,
    NotThereError,
    PrefixOption,
    UrlOption,
    storage_for,
)
from pharox_redis.cli.finding import count_leases
from pharox_redis.cli.listing import print_fields, print_rows
from pharox_redis.cli.manners import telling
from pharox_redis.cli.naming import PoolArgument, as_id, checked_name, find_pool
from pharox_redis.cli.options import JsonOption, YesOption
from pharox_redis.cli.output import confirm, plural, print_json, printable, result_console
from pharox_redis.cli.progress import progress_bar
from pharox_redis.cli.shapes import figures_json, pool_json

if TYPE_CHECKING:
    from pharox_redis.models import PoolFigures
    from pharox_redis.storage import RedisStorage

_COLUMNS = (
    Column("pool", 6, least=8),
    Column("id", 5),
    number("proxies", 3),
    number("available", 4),
    number("leases", 2),
    Column("description", 1, least=11, extra=True),
)

pool_app = typer.Typer(help="Make, show, rename and delete pools.", no_args_is_help=True)

NewName = Annotated[str, typer.Argument(metavar="NAME", help="The name.")]


@pool_app.command("create")
def create(
    name: NewName,
    description: Annotated[
        str | None, typer.Option("--description", metavar="TEXT", show_default=False)
    ] = None,
    exist_ok: Annotated[
        bool,
        typer.Option("--exist-ok", help="Leave a pool of this name as it is, without an error."),
    ] = False,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    json: JsonOption = False,
) -> None:
    """Make a pool.

    A pool that has the name already is a mistake, unless --exist-ok.
    """
    from pharox_redis.errors import PoolNameTakenError

    pool = ProxyPool(name=checked_name(name, "NAME"), description=description)
    made = True
    with storage_for(url, prefix) as storage:
        try:
            storage.save_pool(pool)
        except PoolNameTakenError:
            known = storage.get_pool_by_name(name) if exist_ok else None
            if known is None:
                raise _taken(name) from None
            pool, made = known, False
    if json:
        print_json(pool_json(pool))
    else:
        said = f"Pool {printable(name)} ({pool.id}) {'made' if made else 'is there already'}."
        result_console().print(said)


@pool_app.command("list")
def list_all(
    url: UrlOption = DEFAULT_URL, prefix: PrefixOption = None, json: JsonOption = False
) -> None:
    """List the pools by name."""
    with storage_for(url, prefix) as storage:
        pools = storage.list_pool_figures()
    if json:
        print_json([pool_json(each.pool) for each in pools])
        return
    rows = [
        (
            each.pool.name,
            str(each.pool.id),
            each.total_proxies,
            each.available_proxies,
            each.total_leases,
            each.pool.description or None,
        )
        for each in pools
    ]
    print_rows(_COLUMNS, [rows], "There are no pools.")


@pool_app.command("show")
def show(
    pool: PoolArgument,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    json: JsonOption = False,
) -> None:
    """Show a pool and its figures."""
    with storage_for(url, prefix) as storage:
        figures = storage.get_pool_figures(find_pool(storage, pool).id)
    if json:
        print_json(figures_json(figures))
        return
    print_fields(
        ("pool", figures.pool.name),
        ("id", str(figures.pool.id)),
        ("description", figures.pool.description or None),
        ("proxies", figures.total_proxies),
        ("active", figures.active_proxies),
        ("available", figures.available_proxies),
        ("saturated", figures.saturated_proxies),
        ("leased", figures.leased_proxies),
        ("leases", figures.total_leases),
        ("views", figures.views),
        ("acquired", figures.acquired),
        ("missed", figures.missed),
        ("reclaimed", figures.reclaimed),
    )


@pool_app.command("rename")
def rename(
    pool: PoolArgument,
    name: Annotated[str, typer.Argument(metavar="NEW_NAME", help="What it is called from now on.")],
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    json: JsonOption = False,
) -> None:
    """Give a pool another name; its id, proxies and leases stay."""
    from pharox_redis.errors import PoolNameTakenError

    checked_name(name, "NEW_NAME")
    with storage_for(url, prefix) as storage:
        known = find_pool(storage, pool)
        renamed = known.model_copy(update={"name": name})
        try:
            storage.save_pool(renamed)
        except PoolNameTakenError:
            raise _taken(name, "NEW_NAME") from None
    if json:
        print_json(pool_json(renamed))
    else:
        result_console().print(f"Pool {printable(known.name)} is now called {printable(name)}.")


@pool_app.command("delete")
def delete(
    pool: PoolArgument,
    yes: YesOption = False,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    json: JsonOption = False,
) -> None:
    """Delete a pool, its proxies and its leases.

    From the first moment on nobody can lease from it. A delete that is broken off is carried on by
    deleting the pool's id once more, or by making a pool of its name.
    """
    with storage_for(url, prefix) as storage:
        known, figures = _to_delete(storage, pool)
        proxies = figures.total_proxies if figures else 0
        leases = count_leases(storage, figures) if figures else 0
        if figures:
            confirm(
                f"Pool {printable(known.name)} has {plural(proxies, 'proxy')} and "
                f"{plural(leases, 'live lease')}. Delete it?",
                yes,
            )
        removed = 0
        with telling(lambda: _say_how_far(known, removed)), progress_bar() as progress:
            task = progress.add_task("deleting", total=proxies or None)

            def count(so_far: int) -> None:
                nonlocal removed
                removed = so_far
                progress.update(task, completed=so_far, description=f"{so_far:,} proxies deleted")

            storage.delete_pool(known.id, on_progress=count)
    if json:
        deleted = {"deleted": pool_json(known), "proxies": removed, "leases": leases}
        print_json(deleted)
    else:
        result_console().print(
            f"Pool {printable(known.name)} is deleted, with {plural(removed, 'proxy')} and "
            f"{plural(leases, 'live lease')}."
        )


def _to_delete(storage: RedisStorage, named: str) -> tuple[ProxyPool, PoolFigures | None]:
    """The pool and its figures; for an id that is no pool's just that: a delete that was broken off
    may have left something under it, and was confirmed."""
    try:
        known = find_pool(storage, named)
    except NotThereError:
        pool_id = as_id(named)
        if pool_id is None:
            raise
        return ProxyPool(id=pool_id, name=named), None
    return known, storage.get_pool_figures(known.id)


def _say_how_far(pool: ProxyPool, removed: int) -> str:
    return (
        f"{plural(removed, 'proxy')} of pool {printable(pool.name)} had been deleted. If the pool "
        f"is not listed any more, `pharox-redis pool delete {pool.id}` deletes the rest."
    )


def _taken(name: str, hint: str = "NAME") -> typer.BadParameter:
    return typer.BadParameter(f"there is a pool '{printable(name)}' already", param_hint=hint)
