"""The typer application: which commands there are."""

from __future__ import annotations

import typer

from pharox_redis.cli.bench_command import bench
from pharox_redis.cli.demo_command import demo
from pharox_redis.cli.export_command import export_proxies
from pharox_redis.cli.import_command import import_proxies
from pharox_redis.cli.stats_command import stats
from pharox_redis.cli.sync_command import sync_pool

# Plain help and tracebacks: boxes do not survive logs, and rich's show local variables, which
# hold passwords here.
app = typer.Typer(
    help="Look after the proxy pools that pharox-redis keeps in Redis or Valkey.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("import")(import_proxies)
app.command("export")(export_proxies)
app.command("sync")(sync_pool)
app.command("stats")(stats)
app.command("demo")(demo)
app.command("bench")(bench)
