"""What the library needs of a server, asked of the server.

Every check takes what the server answers and says what is wrong with it, or what it could not read:
managed services hide CONFIG, and users lack rights. That is said, and fails nothing. On a Cluster
each master is asked; behind sentinels, the master they name.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from redis.cluster import RedisCluster
from redis.exceptions import NoPermissionError, ResponseError

from pharox_redis.doctor.findings import Diagnosis, Finding, Level
from pharox_redis.doctor.nodes import masters
from pharox_redis.doctor.rights import LEASING, OPERATING, refused_commands
from pharox_redis.drivers import text
from pharox_redis.keys import Keys
from pharox_redis.server import REQUIREMENTS, check_config, check_version
from pharox_redis.settings import Settings

_PINGS: Final = 21
_SLOW_PING_MS: Final = 5.0
_PAUSE_MS: Final = 100
_SKEW_MS: Final = 1000.0
_LAG_SECONDS: Final = 10
_SLOTS: Final = 16384

Info = Mapping[str, Any]
Say = Callable[..., None]


class ServerChecks:
    """Checks the server, or every master of a Cluster."""

    def __init__(self, client: Any, settings: Settings, diagnosis: Diagnosis) -> None:
        self._client = client
        self._settings = settings
        self._diagnosis = diagnosis

    def check(self) -> None:
        """Ask everything. Raises redis-py's errors if a server does not answer at all."""
        for name, node in masters(self._client):

            def say(kind: str, level: Level, wrong: str, todo: str = "", where: str = name) -> None:
                self._diagnosis.add(Finding(where, kind, level, wrong, todo))

            info = _info(node, say)
            _check_settings(node, info, say)
            if info:
                check_memory(info, say)
                check_persistence(info, say)
                check_replication(info, self._settings.min_replicas, say)
                check_clients(info, say)
            _check_rights(node, Keys(self._settings.key_prefix), say)
            _check_clock(node, say)
            _check_latency(node, say)
        if isinstance(self._client, RedisCluster):
            self._check_slots()

    def _check_slots(self) -> None:
        cluster: Any = self._client
        covered = sum(1 for nodes in cluster.nodes_manager.slots_cache.values() if nodes)
        if covered < _SLOTS:
            self._diagnosis.add(
                Finding(
                    "cluster",
                    "slots",
                    Level.REQUIRED,
                    f"{_SLOTS - covered:,} of {_SLOTS:,} slots have no master: pools in them are"
                    " out of reach.",
                    "See CLUSTER SHARDS; bring their masters back, or assign the slots.",
                )
            )


def _info(node: Any, say: Say) -> Info:
    try:
        return dict(text(node.info()))
    except ResponseError as error:
        say(
            "unread-info",
            Level.INFO,
            f"INFO cannot be read ({_reason(error)}): version, memory, persistence and replicas are"
            " not checked.",
            "Run doctor as an operator (docs/security.md), or ask who runs the server.",
        )
        return {}


def _reason(error: Exception) -> str:
    return "no right to" if isinstance(error, NoPermissionError) else "the server refuses"


def _check_settings(node: Any, info: Info, say: Say) -> None:
    try:
        values = dict(text(node.config_get(*[each.directive for each in REQUIREMENTS])))
    except ResponseError as error:
        values = {}
        hidden = f"CONFIG cannot be read ({_reason(error)})"
    else:
        hidden = "CONFIG does not tell some settings"
    if "maxmemory_policy" in info:
        values.setdefault("maxmemory-policy", str(info["maxmemory_policy"]))
    if "aof_enabled" in info:
        values.setdefault("appendonly", "yes" if int(info["aof_enabled"]) else "no")
    unread = []
    findings = check_config(values)
    if "redis_version" in info:
        findings = [*check_version(info), *findings]
    for finding in findings:
        if finding.value is None:
            unread.append(finding.directive)
            continue
        say(
            finding.directive,
            Level(finding.severity.value),
            f"{finding.directive} is {finding.value!r}, not {finding.wanted!r}. {finding.why}",
            "Upgrade the server."
            if finding.directive == "version"
            else f"CONFIG SET {finding.directive} {finding.wanted}, and in its configuration file.",
        )
    if unread:
        say(
            "unread-config",
            Level.INFO,
            f"{hidden}; not checked: {', '.join(unread)}.",
            "Look them up where the server is configured.",
        )


def check_memory(info: Info, say: Say) -> None:
    """How far the server is from its limit."""
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    machine = int(info.get("total_system_memory", 0))
    if limit:
        share = used / limit
        if share >= 0.75:
            say(
                "memory",
                Level.REQUIRED if share >= 0.9 else Level.ADVISED,
                f"{share:.0%} of maxmemory is used ({_bytes(used)} of {_bytes(limit)}); when it is"
                " full, acquires and saves are refused.",
                "Raise maxmemory, or delete what is not needed.",
            )
    elif machine:
        share = used / machine
        if share >= 0.6:
            say(
                "memory",
                Level.REQUIRED if share >= 0.9 else Level.ADVISED,
                f"{share:.0%} of the machine's memory is used and maxmemory is not set: the system"
                " may end the server.",
                "Set maxmemory below what the machine has, and give it more.",
            )


def _bytes(number: int) -> str:
    return f"{number / 2**20:,.0f} MiB"


def check_persistence(info: Info, say: Say) -> None:
    """Whether what was last written to the disk was written well."""
    for field, what in (
        ("aof_last_write_status", "The last write to the append-only file failed"),
        ("aof_last_bgrewrite_status", "The last rewrite of the append-only file failed"),
        ("rdb_last_bgsave_status", "The last snapshot failed"),
    ):
        if str(info.get(field, "ok")) != "ok":
            say(
                field.replace("_", "-"),
                Level.REQUIRED,
                f"{what}: a restart may lose leases, and the server may refuse writes.",
                "Look at the server's log and at its disk: is it full?",
            )
    if int(info.get("loading", 0)):
        say("loading", Level.REQUIRED, "The server is loading its data.", "Wait, then ask again.")


def check_replication(info: Info, min_replicas: int, say: Say) -> None:
    """Whether this is a master, and how its replicas do."""
    if info.get("role") == "slave":
        say(
            "replica",
            Level.REQUIRED,
            "This server is a replica: writes are refused, and what it shows may be late.",
            "Connect to the master, or by redis+sentinel:// or redis+cluster://.",
        )
        return
    replicas = [
        value
        for name, value in info.items()
        if name.startswith("slave") and isinstance(value, Mapping)
    ]
    online = [each for each in replicas if each.get("state") == "online"]
    late = [each for each in online if int(each.get("lag", 0)) > _LAG_SECONDS]
    if len(online) < min_replicas:
        say(
            "too-few-replicas",
            Level.REQUIRED,
            f"{len(online)} replicas are online, and leases wait for {min_replicas}: none is"
            " given.",
            "Bring replicas back, or lower min_replicas.",
        )
    if len(online) < len(replicas):
        say(
            "replica-link",
            Level.ADVISED,
            f"{len(replicas) - len(online)} of {len(replicas)} replicas are not in step.",
            "Look at their logs; a full synchronisation may be under way.",
        )
    if late:
        worst = max(int(each["lag"]) for each in late)
        say(
            "replica-lag",
            Level.ADVISED,
            f"{len(late)} replicas have not confirmed anything for up to {worst} s: a fail-over"
            " would lose leases.",
            "Look at the network and at their load.",
        )
    if not replicas and not min_replicas:
        say(
            "no-replica",
            Level.INFO,
            "There is no replica: if this server is lost for good, so is what it holds.",
        )


def check_clients(info: Info, say: Say) -> None:
    """How many connections are left."""
    clients, limit = int(info.get("connected_clients", 0)), int(info.get("maxclients", 0))
    if limit and clients >= 0.8 * limit:
        say(
            "clients",
            Level.ADVISED,
            f"{clients:,} of {limit:,} connections are taken; beyond that clients are turned away.",
            "Raise maxclients, or find who leaves connections open.",
        )


def _check_rights(node: Any, keys: Keys, say: Say) -> None:
    key = f"{keys.root}:{{{'A' * 22}}}:never"
    try:
        refused = refused_commands(node, key)
    except NoPermissionError:
        say(
            "unread-rights",
            Level.INFO,
            "The user has no right to EVAL: its rights cannot be read, and scripts must be loaded"
            " by an administrator after each start.",
            "See docs/security.md, Without EVAL.",
        )
        return
    if refused is None:
        say("unread-rights", Level.INFO, "The server does not tell the user's rights.")
        return
    todo = "Give it the rules of docs/security.md."
    if lacking := sorted(refused & LEASING):
        say(
            "rights",
            Level.REQUIRED,
            f"The user may not run, on keys under {keys.root}: {', '.join(lacking)}.",
            todo,
        )
    if lacking := sorted(refused & OPERATING):
        say(
            "operator-rights",
            Level.INFO,
            f"The user may lease, but not look after pools; it may not run: {', '.join(lacking)}.",
            todo,
        )


def _check_clock(node: Any, say: Say) -> None:
    skews = []
    try:
        for _ in range(5):
            before = time.time()
            seconds, micros = node.time()
            after = time.time()
            told = int(seconds) + int(micros) / 1e6
            skews.append((after - before, told - (before + after) / 2))
    except ResponseError as error:
        say("unread-clock", Level.INFO, f"TIME cannot be read ({_reason(error)}).")
        return
    trip, skew = min(skews)
    judge_clock(skew * 1000, trip * 1000, say)


def judge_clock(skew_ms: float, trip_ms: float, say: Say) -> None:
    """What a difference of the clocks means, known to half a round trip."""
    direction = "ahead of" if skew_ms > 0 else "behind"
    measured = (
        f"The server's clock is {abs(skew_ms):,.1f} ms {direction} this host's"
        f" (give or take {trip_ms / 2:,.1f} ms)."
    )
    if abs(skew_ms) - trip_ms / 2 <= _SKEW_MS:
        say("clock", Level.INFO, measured)
        return
    say(
        "clock",
        Level.ADVISED,
        f"{measured} Leases end by the server's: who compares expires_at with the clock here is"
        " wrong by as much.",
        "Run an NTP client on both.",
    )


def _check_latency(node: Any, say: Say) -> None:
    times = []
    try:
        for _ in range(_PINGS):
            before = time.perf_counter()
            node.ping()
            times.append((time.perf_counter() - before) * 1000)
    except ResponseError as error:
        say("unread-latency", Level.INFO, f"PING is refused ({_reason(error)}).")
        return
    judge_latency(times[1:], say)  # the first may have had to connect
    try:
        events = node.execute_command("LATENCY", "LATEST")
    except ResponseError:
        return
    for name, _, latest, worst in (text(event)[:4] for event in events):
        if int(worst) >= _PAUSE_MS:
            say(
                f"pause-{name}",
                Level.ADVISED,
                f"The server stopped for {int(worst)} ms in {name} ({int(latest)} ms the last"
                " time): every client waited.",
                f"LATENCY HISTORY {name} and LATENCY DOCTOR tell more; LATENCY RESET forgets it.",
            )


def judge_latency(times: list[float], say: Say) -> None:
    """What round trips of so many ms mean."""
    median, worst = statistics.median(times), max(times)
    measured = f"A round trip takes {median:.2f} ms (median of {len(times)}), at worst {worst:.2f}."
    if median < _SLOW_PING_MS:
        say("latency", Level.INFO, measured)
        return
    say(
        "latency",
        Level.ADVISED,
        f"{measured} An acquire takes one.",
        "Put server and scrapers closer together, or lease batches (acquire_leases).",
    )
