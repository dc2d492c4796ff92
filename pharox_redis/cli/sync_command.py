"""``pharox-redis sync``: make a pool equal to a list."""

from __future__ import annotations

from typing import Annotated

import typer
from pharox.models import ProxyProtocol

from pharox_redis.cli import exits
from pharox_redis.cli.connection import DEFAULT_URL, PrefixOption, UrlOption, storage_for
from pharox_redis.cli.import_report import print_issues, print_unused
from pharox_redis.cli.list_options import (
    ConcurrencyOption,
    DryRunOption,
    FileArgument,
    FormatOption,
    MapOption,
    ProtocolOption,
    SourceOption,
    StatusOption,
    checked_pool,
    field_map,
    opened,
    start_reading,
    terms_of,
)
from pharox_redis.cli.manners import telling
from pharox_redis.cli.options import JsonOption, YesOption
from pharox_redis.cli.output import confirm, error_console, plural, print_json, printable
from pharox_redis.cli.progress import progress_bar
from pharox_redis.cli.sync_report import (
    broken_off,
    plan_json,
    print_plan,
    print_result,
    result_json,
)
from pharox_redis.importing import (
    FieldMap,
    ListFormat,
    SyncPlan,
    SyncResult,
    SyncStorage,
    Wanted,
    apply_sync,
    plan_sync,
    read_wanted,
)
from pharox_redis.signals import sigterm_like_ctrl_c


def sync_pool(
    file: FileArgument,
    pool: Annotated[
        str, typer.Option("--pool", metavar="NAME", help="The pool, made if it does not exist.")
    ],
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    list_format: FormatOption = None,
    mapped: MapOption = None,
    protocol: ProtocolOption = ProxyProtocol.HTTP,
    status: StatusOption = None,
    max_concurrency: ConcurrencyOption = None,
    source: SourceOption = None,
    max_retired: Annotated[
        float,
        typer.Option(
            "--max-retired",
            metavar="PERCENT",
            min=0,
            max=100,
            help="Ask before more than this share of the pool is retired.",
        ),
    ] = 50,
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable",
            help="Retire without asking also when parts of the list could not be read.",
        ),
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Make a pool equal to a list.

    FILE is read as import reads it. Proxies that the pool does not have are added, those it knows
    are updated, and those the list does not have are retired: nobody gets them any more, leases
    they have go on, and they are deleted when these are over. A retired proxy that the list has
    comes back into use; one that is inactive or banned otherwise stays so.
    """
    checked_pool(pool)
    fields = field_map(mapped)
    terms = terms_of(status, max_concurrency, source)
    with sigterm_like_ctrl_c(), storage_for(url, prefix) as storage:
        wanted = _read(file, list_format, fields, protocol)
        _refuse_nothing(file, wanted, yes)
        with progress_bar() as progress:
            task = progress.add_task("comparing", total=None)
            plan = plan_sync(
                storage,
                pool,
                wanted,
                terms,
                lambda what, count: progress.update(task, description=f"{count:,} {what}"),
            )
        if not json:
            print_plan(plan, dry_run=dry_run)
        if wanted.unreadable:
            error_console().print("Could not be read:")
            print_issues(wanted.issues, wanted.unreadable)
        print_unused(fields)
        doubts = _doubts(plan, max_retired, skip_unreadable)
        for doubt in doubts:
            error_console().print(f"Warning: {doubt}")
        result = None
        if not dry_run:
            if doubts:
                confirm(
                    f"Retire {plural(len(plan.retired), 'proxy')} of pool {printable(pool)}?", yes
                )
            result = _apply(storage, plan)
    if json:
        print_json(plan_json(plan) | {"doubts": doubts, "done": result and result_json(result)})
    elif result is not None:
        print_result(result)


def _read(
    file: str, list_format: ListFormat | None, fields: FieldMap, protocol: ProxyProtocol
) -> Wanted:
    with opened(file) as stream, progress_bar() as progress:
        try:
            proxies, task = start_reading(
                stream,
                progress,
                name=file,
                list_format=list_format,
                fields=fields,
                protocol=protocol,
            )
            return read_wanted(
                proxies.entries,
                lambda what, count: progress.update(task, description=f"{count:,} {what}"),
            )
        except OSError as error:
            error_console().print(f"Error: cannot read {printable(file)}: {error.strerror}")
            raise typer.Exit(exits.USAGE) from error


def _refuse_nothing(file: str, wanted: Wanted, yes: bool) -> None:
    """Refuse a list without proxies: an empty one, unless that is what is wanted, and, whatever was
    said beforehand, one of which nothing can be read. It is no list (an error page, say)."""
    if wanted.records or (yes and not wanted.unreadable):
        return
    console = error_console()
    console.print(f"Error: no proxy could be read from {printable(file)}; nothing was changed.")
    print_issues(wanted.issues, wanted.unreadable)
    if not wanted.unreadable:
        console.print("If the pool is to have no proxies, say so with --yes.")
    raise typer.Exit(exits.NOTHING_READ)


def _doubts(plan: SyncPlan, max_retired: float, skip_unreadable: bool) -> list[str]:
    """Return what speaks against retiring what is to be retired, in sentences."""
    doubts = []
    unreadable = plan.wanted.unreadable
    if plan.retired and unreadable and not skip_unreadable:
        entries = plural(unreadable, "entry")
        doubts.append(
            f"{entries} of the list could not be read, and may name what would be retired "
            "(--skip-unreadable accepts that)."
        )
    if plan.retired_percent > max_retired:
        doubts.append(
            f"{len(plan.retired):,} of {plural(plan.present, 'proxy')} would be retired, more "
            f"than {max_retired:g} % (--max-retired)."
        )
    return doubts


def _apply(storage: SyncStorage, plan: SyncPlan) -> SyncResult:
    result = SyncResult()
    total = len(plan.new) + len(plan.changed) + len(plan.retired) + len(plan.leaving)
    with telling(lambda: broken_off(result)), progress_bar() as progress:
        task = progress.add_task("writing", total=total)
        return apply_sync(
            storage,
            plan,
            result=result,
            on_progress=lambda what, count: progress.update(
                task, completed=count, description=f"{count:,} {what}"
            ),
        )
