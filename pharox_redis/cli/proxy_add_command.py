"""``pharox-redis proxy add``: single proxies, by hand, as an import of a short list would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from pharox.models import ProxyProtocol, ProxyStatus

from pharox_redis.cli.connection import DEFAULT_URL, PrefixOption, UrlOption, storage_for
from pharox_redis.cli.finding import proxy_pages
from pharox_redis.cli.naming import PoolOption, find_pool, nth
from pharox_redis.cli.options import JsonOption, ShowSecretsOption
from pharox_redis.cli.output import print_json, printable, result_console
from pharox_redis.cli.progress import progress_bar
from pharox_redis.cli.shapes import proxy_json
from pharox_redis.importing import (
    Identity,
    Outcome,
    Record,
    Step,
    Terms,
    Unreadable,
    apply,
    identity_of,
    plan,
    proxy_id,
)
from pharox_redis.importing.objects import record_of_line
from pharox_redis.importing.values import (
    read_asn,
    read_concurrency,
    read_label,
    read_latitude,
    read_longitude,
)
from pharox_redis.urls import proxy_url

if TYPE_CHECKING:
    from pharox.models import Proxy, ProxyPool

    from pharox_redis.models import ProxyState
    from pharox_redis.storage import RedisStorage


def add(
    proxies: Annotated[
        list[str],
        typer.Argument(
            metavar="PROXY...",
            help="host:port, host:port:user:password or [scheme://]user:password@host:port.",
        ),
    ],
    pool: PoolOption,
    protocol: Annotated[
        ProxyProtocol, typer.Option("--protocol", help="Protocol of those that name none.")
    ] = ProxyProtocol.HTTP,
    status: Annotated[
        ProxyStatus | None,
        typer.Option(
            "--status", help="Active by default; if given, proxies that are known get it too."
        ),
    ] = None,
    max_concurrency: Annotated[
        str | None,
        typer.Option(
            "--max-concurrency",
            metavar="N|unlimited",
            help="Leases at once, 1 by default; if given, proxies that are known get it too.",
        ),
    ] = None,
    country: Annotated[str | None, typer.Option("--country", metavar="TEXT")] = None,
    city: Annotated[str | None, typer.Option("--city", metavar="TEXT")] = None,
    latitude: Annotated[str | None, typer.Option("--latitude", metavar="DEGREES")] = None,
    longitude: Annotated[str | None, typer.Option("--longitude", metavar="DEGREES")] = None,
    isp: Annotated[str | None, typer.Option("--isp", metavar="TEXT")] = None,
    asn: Annotated[str | None, typer.Option("--asn", metavar="NUMBER")] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="TEXT")] = None,
    show_secrets: ShowSecretsOption = False,
    url: UrlOption = DEFAULT_URL,
    prefix: PrefixOption = None,
    json: JsonOption = False,
) -> None:
    """Add proxies to a pool, all with the same attributes.

    One that the pool has (same protocol, host, port and user) is changed where something else is
    said of it now. Passwords in a command line can be read by other users of the machine while it
    runs: `pharox-redis import -` takes proxies from stdin.
    """
    said = {
        "country": _read(read_label, country, "--country", "country"),
        "city": _read(read_label, city, "--city", "city"),
        "latitude": _read(read_latitude, latitude, "--latitude"),
        "longitude": _read(read_longitude, longitude, "--longitude"),
        "isp": _read(read_label, isp, "--isp", "isp"),
        "asn": _read(read_asn, asn, "--asn"),
        "source": _read(read_label, source, "--source", "source"),
    }
    if (latitude is None) != (longitude is None):
        raise typer.BadParameter("one without the other", param_hint="--latitude, --longitude")
    terms = Terms(
        status=status or ProxyStatus.ACTIVE,
        max_concurrency=_read(read_concurrency, max_concurrency, "--max-concurrency") or 1,
        reset_status=status is not None,
        reset_max_concurrency=max_concurrency is not None,
    )
    records = [
        replace(_record(text, protocol, place), **said)
        for place, text in enumerate(proxies, start=1)
    ]
    with storage_for(url, prefix) as storage:
        target = find_pool(storage, pool, "--pool")
        known: dict[Identity, Proxy] = {}
        retired = set[UUID]()
        for state in _known(storage, target, records):
            known.setdefault(identity_of(state.proxy), state.proxy)
            if state.retired:
                retired.add(state.proxy.id)
        steps = list(plan(known.values(), records, target.id, terms, retired=retired))
        apply(storage, steps)
    done = [
        (step, step.proxy or known[step.identity])
        for step in steps
        if step.identity and step.outcome is not Outcome.DUPLICATE
    ]
    if json:
        print_json(
            [
                proxy_json(proxy, show_secrets, outcome=step.outcome.value, changes=step.changes)
                for step, proxy in done
            ]
        )
        return
    for step, proxy in done:
        label = printable(proxy_url(proxy, secret=show_secrets))
        result_console().print(f"Proxy {label} ({proxy.id}) {_outcome(step, target)}.")


def _outcome(step: Step, pool: ProxyPool) -> str:
    if step.outcome is Outcome.NEW:
        return f"added to pool {printable(pool.name)}"
    if step.outcome is Outcome.CHANGED:
        return f"was there already; changed: {', '.join(step.changes)}"
    return "was there already, just so"


def _record(text: str, protocol: ProxyProtocol, place: int) -> Record:
    try:
        return record_of_line(text.strip(), protocol)
    except Unreadable as unreadable:
        # Which part is wrong, never what it says: passwords can be anywhere.
        raise typer.BadParameter(f"{nth(place)}: {unreadable}", param_hint="PROXY...") from None


def _read(reader: Callable[..., Any], text: str | None, *hint: str) -> Any:
    """Read an option as a list's fields are read."""
    try:
        return reader(text, *hint[1:])
    except Unreadable as unreadable:
        raise typer.BadParameter(str(unreadable), param_hint=hint[0]) from None


def _known(storage: RedisStorage, pool: ProxyPool, records: list[Record]) -> Iterator[ProxyState]:
    """Yield what of a pool matters here: the same proxies, and who has the ids of new ones."""
    identities = {record.identity for record in records}
    ids = {proxy_id(pool.id, identity) for identity in identities}
    with progress_bar() as progress:
        task, looked_at = progress.add_task("looking through the pool", total=None), 0
        for page in proxy_pages(storage, pool.id):
            looked_at += len(page)
            progress.update(task, description=f"{looked_at:,} proxies looked through")
            for state in page:
                if state.proxy.id in ids or identity_of(state.proxy) in identities:
                    yield state
