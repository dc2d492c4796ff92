"""``pharox-redis proxy``: listing, showing, changing and deleting proxies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from pharox.models import Proxy, ProxyStatus
from rich.cells import cell_len

from pharox_redis.cli.columns import ID_WIDTH, Column, number
from pharox_redis.cli.connection import DEFAULT_URL, PrefixOption, UrlOption, storage_for
from pharox_redis.cli.finding import consumers_of, count_leases_on, leases_on, proxy_pages, up_to
from pharox_redis.cli.listing import (
    Row,
    duration,
    print_fields,
    print_json_array,
    print_rows,
)
from pharox_redis.cli.manners import telling
from pharox_redis.cli.naming import SomePoolOption, find_pool, find_proxy, read_ids
from pharox_redis.cli.options import JsonOption, ShowSecretsOption, YesOption
from pharox_redis.cli.output import confirm, plural, print_json, printable, result_console
from pharox_redis.cli.proxy_add_command import add
from pharox_redis.cli.shapes import lease_json, proxy_json
from pharox_redis.errors import CorruptRecordError
from pharox_redis.urls import proxy_url

if TYPE_CHECKING:
    from pharox.models import ProxyPool

    from pharox_redis.models import ProxyState
    from pharox_redis.storage import RedisStorage

proxy_app = typer.Typer(help="List, show, add, change and delete proxies.", no_args_is_help=True)
proxy_app.command("add")(add)

ProxyArgument = Annotated[str, typer.Argument(metavar="PROXY", help="The id of a proxy.")]
ProxyArguments = Annotated[
    list[str], typer.Argument(metavar="PROXY...", help="The ids of proxies.")
]


@proxy_app.command("list")
def list_some(
    pool: SomePoolOption = None,
    status: Annotated[
        ProxyStatus | None, typer.Option("--status", help="Only proxies of this status.")
    ] = None,
    country: Annotated[
        str | None, typer.Option("--country", metavar="TEXT", help="Only of this country.")
    ] = None,
    leased: Annotated[bool, typer.Option("--leased", help="Only proxies with leases.")] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=0, help="No more than this many."),
    ] = None,
    show_secrets: ShowSecretsOption = False,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    json: JsonOption = False,
) -> None:
    """List proxies in the order they were added, pool by pool.

    They are printed as they are read, however many there are.
    """

    def wanted(state: ProxyState) -> bool:
        proxy = state.proxy
        return (
            (status is None or proxy.status == status)
            and (country is None or proxy.country == country)
            and (not leased or proxy.current_leases > 0)
        )

    with storage_for(url, prefix) as storage:
        pools = storage.list_pools() if pool is None else [find_pool(storage, pool)]
        pages = up_to(
            limit,
            (
                [(each, state) for state in page if wanted(state)]
                for each in pools
                for page in proxy_pages(storage, each.id)
            ),
        )
        if json:
            print_json_array(
                [_state_json(of, state, show_secrets) for of, state in page] for page in pages
            )
        else:
            rows = ([_row(of, state, show_secrets) for of, state in page] for page in pages)
            print_rows(_columns(pools, one=pool is not None), rows, "There are no such proxies.")


@proxy_app.command("show")
def show(
    proxy: ProxyArgument,
    show_secrets: ShowSecretsOption = False,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    json: JsonOption = False,
) -> None:
    """Show a proxy, the leases on it, and what its last health check found."""
    (proxy_id,) = read_ids([proxy], "PROXY")
    with storage_for(url, prefix) as storage:
        known = find_proxy(storage, proxy_id)
        figures = storage.get_pool_figures(known.pool_id)
        leases = leases_on(storage, known)
        names = consumers_of(storage, leases)
        checks = storage.list_health_records(proxy_id, 1)
    held = [lease_json(lease, names.get(lease.consumer_id), figures.at) for lease in leases]
    check = checks[0] if checks else None
    if json:
        more = {
            "pool_name": figures.pool.name,
            "leases": held,
            "last_check": check.model_dump(mode="json") if check else None,
        }
        print_json(proxy_json(known, show_secrets, **more))
        return
    print_fields(
        ("proxy", proxy_url(known, secret=show_secrets)),
        ("id", str(known.id)),
        ("pool", figures.pool.name),
        ("status", known.status.value),
        ("leases", known.current_leases),
        ("limit", _limit(known)),
        ("country", known.country),
        ("city", known.city),
        ("place", _place(known)),
        ("isp", known.isp),
        ("asn", known.asn),
        ("source", known.source),
        ("checked at", known.checked_at.isoformat()),
        ("latency_ms", check.latency_ms if check else None),
        ("last error", check.error if check else None),
        *(("lease", _who(lease)) for lease in held),
    )


@proxy_app.command("set-status")
def set_status(
    proxies: ProxyArguments,
    status: Annotated[ProxyStatus, typer.Argument(help="What they get.")],
    show_secrets: ShowSecretsOption = False,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    json: JsonOption = False,
) -> None:
    """Give proxies a status: only active ones are leased. Leases they have go on."""
    ids = read_ids(proxies, "PROXY...")
    changed: list[Proxy] = []
    with storage_for(url, prefix) as storage, telling(lambda: _so_far(len(changed), "changed")):
        for proxy_id in ids:
            find_proxy(storage, proxy_id)
        for proxy_id in ids:
            changed.append(storage.set_proxy_status(proxy_id, status))
    if json:
        print_json([proxy_json(proxy, show_secrets) for proxy in changed])
        return
    for proxy in changed:
        label = printable(proxy_url(proxy, secret=show_secrets))
        result_console().print(f"Proxy {label} ({proxy.id}) is {status.value}.")


@proxy_app.command("delete")
def delete(
    proxies: ProxyArguments,
    retire: Annotated[
        bool,
        typer.Option(
            "--retire",
            help="Let leases go on: no new ones, and the proxy goes when the last is over.",
        ),
    ] = False,
    yes: YesOption = False,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    json: JsonOption = False,
) -> None:
    """Delete proxies. Leases they have end at once, unless --retire."""
    ids = read_ids(proxies, "PROXY...")
    outcomes: dict[UUID, bool] = {}
    with (
        storage_for(url, prefix) as storage,
        telling(lambda: _so_far(len(outcomes), "deleted")),
    ):
        known = {proxy_id: _readable(storage, proxy_id) for proxy_id in ids}
        if not yes:
            leases = count_leases_on(storage, filter(None, known.values()))
            confirm(_question(known, leases, retire), yes)
        for proxy_id in ids:
            outcomes[proxy_id] = not retire or storage.retire_proxy(proxy_id)
            if not retire:
                storage.delete_proxy(proxy_id)
    if json:
        print_json([{"id": str(proxy_id), "deleted": gone} for proxy_id, gone in outcomes.items()])
        return
    for proxy_id, proxy in known.items():
        label = f"{printable(proxy_url(proxy, secret=False))} ({proxy_id})" if proxy else proxy_id
        said = "is deleted" if outcomes[proxy_id] else "goes when its leases are over"
        result_console().print(f"Proxy {label} {said}.")


def _readable(storage: RedisStorage, proxy_id: UUID) -> Proxy | None:
    """Return a proxy; None if its record is damaged, which must not keep it from being deleted."""
    try:
        return find_proxy(storage, proxy_id)
    except CorruptRecordError:
        return None


def _question(proxies: dict[UUID, Proxy | None], leases: int, retire: bool) -> str:
    them = "it" if len(proxies) == 1 else "them"
    do = f"{'Retire' if retire else 'Delete'} {them}?"
    damaged = [proxy_id for proxy_id, proxy in proxies.items() if proxy is None]
    ends = "" if retire or not leases else ", which ends" if leases == 1 else ", which end"
    held = f"{plural(leases, 'live lease')}{ends}"
    # How many leases a proxy has is read with it.
    unread = "cannot be read" if retire else "cannot be read, and leases of it end"
    if len(proxies) > 1:
        said = f"{plural(len(proxies), 'proxy')} have {held}."
        if damaged:
            said += f" Not counted: {', '.join(map(str, damaged))} {unread}."
        return f"{said} {do}"
    ((proxy_id, proxy),) = proxies.items()
    if proxy is None:
        return f"Proxy {proxy_id} {unread}. {do}"
    return f"Proxy {printable(proxy_url(proxy, secret=False))} has {held}. {do}"


def _so_far(count: int, done: str) -> str:
    return f"{plural(count, 'proxy')} had been {done}." if count else ""


def _state_json(pool: ProxyPool, state: ProxyState, secrets: bool) -> dict[str, object]:
    more = {"pool_name": pool.name, "latency_ms": state.latency_ms, "retired": state.retired}
    return proxy_json(state.proxy, secrets, **more)


def _columns(pools: Iterable[ProxyPool], one: bool) -> Sequence[Column]:
    # The names of all pools are known beforehand; of one pool, it is known already.
    longest = max((cell_len(printable(pool.name)) for pool in pools), default=0)
    return (
        Column("id", 10, needs=ID_WIDTH),
        Column("pool", 0 if one else 7, least=12, needs=longest),
        Column("proxy", 9, least=22, wants=28),
        Column("status", 8, wants=8),
        number("leases", 6),
        number("limit", 5, wants=9),
        number("latency_ms", 4),
        Column("country", 3, least=7, extra=True),
        Column("city", 2, least=8, extra=True),
        Column("source", 1, least=8, extra=True),
    )


def _row(pool: ProxyPool, state: ProxyState, secrets: bool) -> Row:
    proxy = state.proxy
    return (
        str(proxy.id),
        pool.name,
        proxy_url(proxy, secret=secrets),
        "retired" if state.retired else proxy.status.value,
        proxy.current_leases,
        _limit(proxy),
        state.latency_ms,
        proxy.country,
        proxy.city,
        proxy.source,
    )


def _limit(proxy: Proxy) -> str | int:
    return "unlimited" if proxy.max_concurrency is None else proxy.max_concurrency


def _who(lease: dict[str, Any]) -> str:
    left = duration(lease["seconds_left"])
    return f"{lease['id']} of {lease['consumer_name']}, {left} left"


def _place(proxy: Proxy) -> str | None:
    if proxy.latitude is None or proxy.longitude is None:
        return None
    return f"{proxy.latitude:g}, {proxy.longitude:g}"
