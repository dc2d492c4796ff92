"""The typer application: which commands there are."""

from __future__ import annotations

from typing import Annotated

import typer

from pharox_redis import __version__
from pharox_redis.cli.bench_command import bench
from pharox_redis.cli.demo_command import demo
from pharox_redis.cli.doctor_command import doctor
from pharox_redis.cli.exits import EXIT_CODES
from pharox_redis.cli.export_command import export_proxies
from pharox_redis.cli.import_command import import_proxies
from pharox_redis.cli.lease_commands import lease_app
from pharox_redis.cli.manners import Commands
from pharox_redis.cli.pool_commands import pool_app
from pharox_redis.cli.proxy_commands import proxy_app
from pharox_redis.cli.serve_command import serve
from pharox_redis.cli.stats_command import stats
from pharox_redis.cli.sweep_command import sweep
from pharox_redis.cli.sync_command import sync_pool
from pharox_redis.cli.top_command import top

# Plain help and tracebacks: boxes do not survive logs, and rich's show local variables, which
# hold passwords here.
app = typer.Typer(
    cls=Commands,
    help="Look after the proxy pools that pharox-redis keeps in Redis or Valkey.",
    epilog=f"Exit codes: {EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"pharox-redis {__version__}")
        raise typer.Exit


@app.callback()
def _every(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_say_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


app.add_typer(pool_app, name="pool")
app.add_typer(proxy_app, name="proxy")
app.add_typer(lease_app, name="lease")
app.command("import")(import_proxies)
app.command("export")(export_proxies)
app.command("sync")(sync_pool)
app.command("stats")(stats)
app.command("top")(top)
app.command("sweep")(sweep)
app.command("serve")(serve)
app.command("doctor")(doctor)
app.command("demo")(demo)
app.command("bench")(bench)
