"""The typer application: which commands there are."""

from __future__ import annotations

import typer

from pharox_redis.cli.bench_command import bench
from pharox_redis.cli.demo_command import demo
from pharox_redis.cli.doctor_command import doctor
from pharox_redis.cli.import_command import import_proxies
from pharox_redis.cli.stats_command import stats

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
app.command("stats")(stats)
app.command("doctor")(doctor)
app.command("demo")(demo)
app.command("bench")(bench)
