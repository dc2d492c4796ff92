"""``pharox-redis serve``: the lease service over HTTP."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated, Any

import typer

from pharox_redis.cli import exits
from pharox_redis.cli.output import error_console, printable, result_console


def serve(
    host: Annotated[
        str | None,
        typer.Option("--host", help="Where to listen; 127.0.0.1 by default.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            help="8000 by default; 0: any free port.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="The Redis server, as for the other commands.",
            show_default=False,
        ),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(
            "--prefix",
            metavar="TEXT",
            help="What the keys begin with, if other than the library's default.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, max=256, help="Processes; 1 by default.", show_default=False
        ),
    ] = None,
    embedded: Annotated[
        bool,
        typer.Option(
            "--embedded",
            help="Bring a Redis server along, to try it out: it forgets all at the end.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No line for each request.")] = False,
    new_key: Annotated[
        str | None,
        typer.Option(
            "--new-key",
            metavar="NAME",
            help="Do not serve: make an API key of this name, and what to configure of it.",
            show_default=False,
        ),
    ] = None,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="Of the new key: read, lease or admin.")
    ] = "lease",
) -> None:
    """Offer pools, proxies and leases over HTTP.

    All settings are environment variables that begin with PHAROX_REDIS_ (docs/service.md); options
    win over them. Without API keys it serves programs on this machine only.
    """
    # Imported here, because only this command needs the extra `service`.
    try:
        from pharox_redis.service import serve as serving
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pharox"):
            raise
        error_console().print(
            f"The service needs {error.name}. Install it with\n"
            "    pip install 'pharox-redis[service]'"
        )
        raise typer.Exit(exits.FAILED) from None
    if new_key is not None:
        _make_key(new_key, role)
        return
    if embedded and url is not None:
        raise typer.BadParameter("not together with --url", param_hint="--embedded")
    given = {
        "listen_host": host,
        "listen_port": port,
        "url": url,
        "prefix": prefix,
        "workers": workers,
    }
    with ExitStack() as stack:
        if embedded:
            given["url"] = _embedded_url(stack)
        settings = _settings({name: value for name, value in given.items() if value is not None})
        try:
            listener = stack.enter_context(serving.listen(settings))
        except serving.CannotServeError as error:
            error_console().print(printable(str(error)))
            raise typer.Exit(exits.USAGE) from None
        for line in serving.introduction(settings, listener):
            error_console().print(printable(line))
        serving.export(settings)
        code = serving.run(settings, listener, access_log=not quiet)
    raise typer.Exit(code)


def _make_key(name: str, role: str) -> None:
    """Print a key on one line and its configuration on the next; what they are goes to stderr."""
    from pharox_redis.service.api_keys import MalformedKeyError, Role, new_key

    try:
        key, configured = new_key(name, Role(role))
    except MalformedKeyError as error:
        raise typer.BadParameter(str(error), param_hint="--new-key") from None
    except ValueError:
        raise typer.BadParameter("it is read, lease or admin", param_hint="--role") from None
    errors, results = error_console(), result_console()
    errors.print("For the client, as X-API-Key; it is shown this once:")
    results.print(key)
    errors.print(
        "For the service, in PHAROX_REDIS_API_KEYS or the file of PHAROX_REDIS_API_KEYS_FILE:"
    )
    results.print(configured.line)


def _settings(given: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    from pharox_redis.service.settings import ServiceSettings, explain

    try:
        return ServiceSettings(**given)
    except ValidationError as error:
        for line in explain(error):
            error_console().print(printable(line))
        raise typer.Exit(exits.USAGE) from None


def _embedded_url(stack: ExitStack) -> str:
    from pharox_redis.embedded import EmbeddedExtraMissingError, EmbeddedServer

    try:
        return stack.enter_context(EmbeddedServer()).url
    except EmbeddedExtraMissingError as error:
        error_console().print(str(error))
        raise typer.Exit(exits.FAILED) from None
