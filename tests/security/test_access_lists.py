"""The users of docs/security.md, on servers that have exactly these users.

For each role three things are shown. What it needs works, with the scripts in the server's cache
and without. It needs all it has: take one command or key pattern away and its work is refused. And
it has no more: the server itself is asked about each of its commands, and each granted one is tried
on keys outside the prefix. What must never work is also done for real, and the data compared.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from pharox.models import Consumer, HealthCheckResult, ProxyPool, ProxyProtocol, ProxyStatus
from redis.exceptions import NoPermissionError, ResponseError

from pharox_redis import RedisStorage
from pharox_redis.errors import (
    NotReplicatedError,
    StorageAccessError,
)
from pharox_redis.keys import Keys, lease_tail
from pharox_redis.scripts import load, lua_root
from pharox_redis.settings import Settings
from tests.security.rules import (
    DOCUMENT,
    PASSWORD,
    ROLES,
    commands_of,
    lines_under,
    patterns_of,
    rules_of,
    set_user,
    url_of,
)
from tests.security.work import OUTSIDE, POOL, SETTINGS, WORK, World, build
from tests.support.builders import make_proxy
from tests.support.own_servers import KINDS, OwnServer, connect, own_server, raw_dump, storage_on

READERS = ("dashboard", "figures")
# Allowed to everybody by the servers themselves: they end, begin or reset one's own connection.
ALWAYS = {"auth", "hello", "quit", "reset"}
EXTRAS = ("Redis Cluster", "Waiting for replicas", "Another database", "Introductions")

REFUSED = (
    r"(?i)permissions?|DEBUG command not allowed"  # DEBUG: to all, before rights are looked at
)
REFUSED_IN_SCRIPT = r"(?i)ACL failure|user executing"

each_role = pytest.mark.parametrize("role", ROLES)


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[OwnServer]:
    """A server of this module: users belong to the whole server."""
    with own_server(request.param) as running:
        yield running


@pytest.fixture
def admin(server: OwnServer) -> Iterator[redis.Redis]:
    """The superuser, who makes the users of the document anew for each test."""
    with closing(connect(server.url)) as client:
        for role in ROLES:
            set_user(client, role)
        yield client


@pytest.fixture
def world(server: OwnServer, admin: redis.Redis) -> World:
    """A filled server whose script cache is empty."""
    return build(server.url, admin)


def storage_of(world: World, role: str) -> RedisStorage:
    """The storage as a role has it."""
    return storage_on(url_of(world.url, role), **SETTINGS)


def client_of(world: World, role: str) -> redis.Redis:
    """A bare client of a role: replies as the server gives them."""
    client = redis.Redis.from_url(url_of(world.url, role), retry=None)
    client.response_callbacks.clear()
    return client


def load_scripts(client: redis.Redis) -> None:
    for file in lua_root().glob("*.lua"):
        client.script_load(load(file.stem).text)


# -- what it needs works -----------------------------------------------------------------------


@each_role
@pytest.mark.parametrize("cached", [True, False], ids=["cached", "flushed"])
def test_the_work_of_a_role_is_done(world: World, role: str, cached: bool) -> None:
    if cached:
        load_scripts(world.client)
    with storage_of(world, role) as storage:
        WORK[role](world, storage)


@each_role
def test_a_role_without_eval_works_on_loaded_scripts(world: World, role: str) -> None:
    """As the document says of leaving EVAL out, with its own loop."""
    (code,) = re.findall(r"```python\n(from pharox_redis.scripts.*?)```", _text(), re.DOTALL)
    set_user(world.client, role, "+eval")
    with storage_of(world, role) as storage, pytest.raises(StorageAccessError, match="eval"):
        WORK[role](world, storage)
    world = build(world.url, world.client)
    exec(compile(code, DOCUMENT.name, "exec"), {"admin": world.client})
    with storage_of(world, role) as storage:
        WORK[role](world, storage)


def _text() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


# -- it needs all it has -----------------------------------------------------------------------


@each_role
def test_a_role_needs_each_of_its_rights(world: World, role: str) -> None:
    spare = []
    for right in sorted({f"+{name}" for name in commands_of(role)} | set(patterns_of(role))):
        world = build(world.url, world.client)
        set_user(world.client, role, right)
        with storage_of(world, role) as storage:
            try:
                WORK[role](world, storage)
            except (StorageAccessError, NoPermissionError):
                continue
        spare.append(right)
    assert spare == []


# -- it has no more ----------------------------------------------------------------------------


@functools.cache
def server_commands(url: str) -> dict[str, tuple[int, set[str], int]]:
    """Every command of a server: its arity, its flags, and where its first key is."""
    found: dict[str, tuple[int, set[str], int]] = {}

    def take(rows: list[Any]) -> None:
        for name, arity, flags, first, *_, subcommands in rows:
            take(subcommands)
            if not subcommands or arity == -1:  # COMMAND also means something by itself
                found[name.decode()] = (arity, {flag.decode() for flag in flags}, first)

    with closing(redis.Redis.from_url(url, protocol=2)) as client:
        client.response_callbacks.clear()
        take(client.execute_command("COMMAND"))
    return found


def example_of(url: str, name: str, key: str) -> list[str | int]:
    """A command with as many words as it must have, its first key being ``key``."""
    if name in ("eval", "evalsha"):
        return [name, "return 1", 1, key]
    arity, _, first = server_commands(url)[name]
    words: list[str | int] = list(name.split("|"))
    words += ["1"] * (max(abs(arity), first + 1) - len(words))
    if first > 0:
        words[first] = key
    return words


def dry_run(world: World, role: str, words: list[str | int]) -> str:
    """What the server says of a role and a command, without running it."""
    return str(world.client.execute_command("ACL", "DRYRUN", role, *words).decode())


@each_role
def test_no_command_but_those_listed_may_be_run(world: World, role: str) -> None:
    allowed = {
        name
        for name in server_commands(world.url)
        if "permissions to run" not in dry_run(world, role, example_of(world.url, name, "x"))
    }
    assert allowed == commands_of(role) | ALWAYS


@each_role
@pytest.mark.parametrize("key", OUTSIDE)
def test_no_key_outside_the_prefix_may_be_named(world: World, role: str, key: str) -> None:
    named = {
        name
        for name in commands_of(role)
        if name in ("eval", "evalsha") or server_commands(world.url)[name][2] > 0
    }
    assert len(named) > 8
    for name in sorted(named):
        said = dry_run(world, role, example_of(world.url, name, key))
        assert re.search("permissions? to access", said), (name, said)


@each_role
def test_no_channel_may_be_used(world: World, role: str) -> None:
    described = world.client.acl_getuser(role)
    assert described["channels"] in ([], "", b"")
    with closing(client_of(world, role)) as client:
        for words in (["PUBLISH", "pharox:1:x", "y"], ["SUBSCRIBE", "pharox:1:x"]):
            with pytest.raises(NoPermissionError):
                client.execute_command(*words)


@pytest.mark.parametrize("role", READERS)
def test_a_reader_has_no_command_that_writes(world: World, role: str) -> None:
    commands = server_commands(world.url)
    assert not {name for name in commands_of(role) if "write" in commands[name][1]}


@each_role
def test_rules_are_safe_to_paste(role: str) -> None:
    """Each begins from nothing and has a password that must be changed; no broad right hides."""
    rules = rules_of(role)
    assert rules[:3] == ["reset", "on", f">{PASSWORD}"]
    assert "-@all" in rules
    assert not [
        rule for rule in rules if re.match(r"\(?(\+@|allkeys|allcommands|nopass|&|~\*)", rule)
    ]


# -- refusals, for real ------------------------------------------------------------------------

FORBIDDEN: list[list[str | int]] = [
    *([command, key] for key in OUTSIDE for command in ("GET", "UNLINK", "HGETALL", "DEL")),
    *(["SET", key, "stolen"] for key in OUTSIDE),
    *(["EVAL", "return redis.call('GET', KEYS[1])", 1, key] for key in OUTSIDE),
    *(["EVAL", "return 1", 2, "pharox:1:{x}", key] for key in OUTSIDE),
    ["FLUSHALL"],
    ["FLUSHDB"],
    ["SWAPDB", 0, 1],
    ["SELECT", 1],
    ["KEYS", "*"],
    ["DBSIZE"],
    ["RANDOMKEY"],
    ["DUMP", "session:42"],
    ["COPY", "session:42", "pharox:1:{x}"],
    ["RENAME", "session:42", "pharox:1:{x}"],
    ["MOVE", "session:42", 1],
    ["SORT", "pharox:1:{x}", "GET", "session:*"],
    ["MIGRATE", "127.0.0.1", 1, "session:42", 0, 100],
    ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
    ["CONFIG", "REWRITE"],
    ["ACL", "LIST"],
    ["ACL", "SETUSER", "default", "off"],
    ["ACL", "GETUSER", "default"],
    ["ACL", "LOG"],
    ["SHUTDOWN", "NOSAVE"],
    ["DEBUG", "SLEEP", 0],
    ["MONITOR"],
    ["SLOWLOG", "GET"],
    ["CLIENT", "LIST"],
    ["CLIENT", "KILL", "ID", 1],
    ["SCRIPT", "FLUSH"],
    ["SCRIPT", "LOAD", "return 1"],
    ["SCRIPT", "KILL"],
    ["FUNCTION", "FLUSH"],
    ["MODULE", "LIST"],
    ["REPLICAOF", "127.0.0.1", 1],
    ["PSYNC", "?", -1],
    ["SAVE"],
    ["BGREWRITEAOF"],
    ["LATENCY", "RESET"],
    ["MULTI"],
    ["WAIT", 0, 1],
]
ONLY_OPERATORS: list[list[str | int]] = [
    ["INFO"],
    ["CONFIG", "GET", "*"],
    ["SCAN", 0],
    ["TYPE", "pharox:1:pools"],
    ["MEMORY", "USAGE", "pharox:1:pools"],
]


@each_role
def test_what_is_forbidden_is_refused_and_changes_nothing(world: World, role: str) -> None:
    before, policy = raw_dump(world.client), world.client.config_get("maxmemory-policy")
    tried = FORBIDDEN + (ONLY_OPERATORS if role != "operator" else [])
    for words in tried:
        with (
            closing(client_of(world, role)) as client,
            pytest.raises(ResponseError, match=REFUSED),
        ):
            client.execute_command(*words)
            pytest.fail(f"{role} may {words}")
    assert raw_dump(world.client) == before
    assert world.client.config_get("maxmemory-policy") == policy
    assert world.client.info("replication")["role"] == "master"


@each_role
@pytest.mark.parametrize("key", OUTSIDE)
def test_scripts_reach_no_key_outside_that_they_do_not_declare(
    world: World, role: str, key: str
) -> None:
    for code in (f"return redis.call('GET', '{key}')", f"return redis.call('SET', '{key}', 'x')"):
        for declared in ([0], [1, "pharox:1:{x}"]):
            with (
                closing(client_of(world, role)) as client,
                pytest.raises(ResponseError, match=REFUSED_IN_SCRIPT),
            ):
                client.execute_command("EVAL", code, *declared)
    assert world.client.get(key) == OUTSIDE[key].encode()


@each_role
def test_another_prefix_is_refused_through_the_storage(world: World, role: str) -> None:
    """By settings that name another prefix, as a scraper of another fleet would have them."""
    for prefix in ("pharox1", "other", "pharo", "Pharox"):
        with storage_on(url_of(world.url, role), key_prefix=prefix) as storage:
            for step in (storage.list_pools, functools.partial(storage.get_pool, world.pool.id)):
                with pytest.raises(StorageAccessError):
                    step()


@each_role
def test_a_wrong_password_is_refused_through_the_storage(world: World, role: str) -> None:
    url = url_of(world.url, role).replace(PASSWORD, "something-else")
    with storage_on(url) as storage, pytest.raises(StorageAccessError) as refused:
        storage.list_pools()
    assert "something-else" not in str(refused.value)


# -- readers cannot write ----------------------------------------------------------------------

WRITES: list[list[str | int]] = [
    ["SET", "{key}", "x"],
    ["UNLINK", "{key}"],
    ["DEL", "{key}"],
    ["HSET", "{key}", "field", "x"],
    ["HDEL", "{key}", "name"],
    ["ZADD", "{key}", 1, "x"],
    ["LPUSH", "{key}", "x"],
    ["SADD", "{key}", "x"],
    ["EXPIRE", "{key}", 1],
    ["PERSIST", "{key}"],
    ["RENAME", "{key}", "{key}2"],
    ["GETDEL", "{key}"],
    ["GETEX", "{key}", "EX", 1],
    ["SORT", "{key}", "STORE", "{key}2"],
]


def _keys_of(world: World) -> list[str]:
    keys, proxy = Keys("pharox"), str(world.proxies[0].id)
    pool = world.pool.id
    return [
        keys.pools(),
        keys.consumers(),
        keys.directory(proxy),
        keys.pool(pool),
        keys.expiry(pool),
        keys.held(pool, proxy),
        keys.health(pool, proxy),
        keys.lease(pool, lease_tail(str(world.lease.id))),
    ]


@pytest.mark.parametrize("role", READERS)
@pytest.mark.parametrize("more", [(), ("+@write",)], ids=["as given", "all writes granted"])
def test_a_reader_cannot_write_by_command_or_script(
    world: World, role: str, more: tuple[str, ...]
) -> None:
    """Not even if somebody adds every command that writes: its keys can only be read."""
    set_user(world.client, role, "", *more)
    before = raw_dump(world.client)
    with closing(client_of(world, role)) as client:
        for key in _keys_of(world):
            for template in WRITES:
                words = [str(word).format(key=key) for word in template]
                with pytest.raises(NoPermissionError):
                    client.execute_command(*words)
                    pytest.fail(f"{role} may {words}")
                quoted = ", ".join(f"'{word}'" for word in words)
                pool_key = Keys("pharox").pool(world.pool.id)
                for call in ("call", "pcall"):
                    script = f"return redis.{call}({quoted})"
                    with pytest.raises(ResponseError, match=REFUSED_IN_SCRIPT):
                        client.execute_command("EVAL", script, 1, pool_key)
    assert raw_dump(world.client) == before


@pytest.mark.parametrize("role", READERS)
def test_a_reader_is_refused_every_change_through_the_storage(world: World, role: str) -> None:
    proxy = world.proxies[3]
    result = HealthCheckResult(
        proxy_id=proxy.id, status=ProxyStatus.BANNED, latency_ms=1, protocol=ProxyProtocol.HTTP
    )
    with storage_of(world, role) as storage:
        changes: dict[str, Callable[[], object]] = {
            "acquire": lambda: storage.acquire_lease(POOL, "somebody", 30),
            "find": lambda: storage.find_available_proxy(POOL),
            "create_lease": lambda: storage.create_lease(proxy, "somebody", 30),
            "release": lambda: storage.release_lease(world.lease),
            "sweep": storage.cleanup_expired_leases,
            "ensure_consumer": lambda: storage.ensure_consumer("new"),
            "add_consumer": lambda: storage.add_consumer(Consumer(name="new")),
            "ensure_pool": lambda: storage.ensure_pool("new"),
            "save_pool": lambda: storage.save_pool(ProxyPool(name="new")),
            "delete_pool": lambda: storage.delete_pool(world.pool.id),
            "save_proxy": lambda: storage.save_proxy(make_proxy(world.pool)),
            "save_known": lambda: storage.save_proxy(proxy),
            "delete_proxy": lambda: storage.delete_proxy(proxy.id),
            "health": lambda: storage.apply_health_check_result(result),
        }
        before = raw_dump(world.client)
        for name, change in changes.items():
            with pytest.raises(StorageAccessError):
                change()
                pytest.fail(f"{role} may {name}")
        assert raw_dump(world.client) == before


def test_figures_cannot_read_proxies_passwords(world: World) -> None:
    keys, proxy = Keys("pharox"), world.proxies[0]
    document = keys.doc(world.pool.id, str(proxy.id))
    assert b'"password"' in (world.client.get(document) or b"")
    with storage_of(world, "figures") as storage:
        for step in (
            lambda: storage.list_proxies(world.pool.id),
            lambda: storage.get_proxy(proxy.id),
            lambda: storage.list_health_records(proxy.id),
        ):
            with pytest.raises(StorageAccessError):
                step()
    with closing(client_of(world, "figures")) as client:
        with pytest.raises(NoPermissionError):
            client.execute_command("GET", document)
        with pytest.raises(ResponseError, match=REFUSED_IN_SCRIPT):
            client.execute_command(
                "EVAL", f"return redis.call('GET', '{document}')", 1, keys.pool(world.pool.id)
            )


# -- scrapers and operators --------------------------------------------------------------------


def test_a_scraper_brings_in_no_pool_and_no_proxy(world: World) -> None:
    with storage_of(world, "scraper") as storage:
        before = raw_dump(world.client)
        for step in (
            lambda: storage.ensure_pool("new"),
            lambda: storage.save_pool(ProxyPool(name="new")),
            lambda: storage.save_pool(world.pool.model_copy(update={"name": "renamed"})),
            lambda: storage.save_proxy(make_proxy(world.pool)),
            lambda: storage.add_proxies_bulk([make_proxy(world.pool)]),
        ):
            with pytest.raises(StorageAccessError):
                step()
        assert raw_dump(world.client) == before


def test_what_a_scraper_can_break_is_as_documented(world: World) -> None:
    """Known proxies can be overwritten, and are hidden by a delete that is then refused; an
    operator puts that right."""
    first, second = world.proxies[2:4]
    with storage_of(world, "scraper") as storage:
        storage.save_proxy(first.model_copy(update={"country": "XX"}))
        with pytest.raises(StorageAccessError):
            storage.delete_proxy(second.id)
    with storage_of(world, "operator") as storage:
        assert storage.get_proxy(first.id).country == "XX"
        assert storage.get_proxy_by_id(second.id) is None
        storage.save_proxy(second)
        assert storage.get_proxy(second.id).host == second.host


# -- extra lines -------------------------------------------------------------------------------


def add_lines(client: redis.Redis, heading: str) -> list[str]:
    """Give the extra lines of a heading to the scraper; their rules."""
    lines = lines_under(heading)
    for line in lines:
        assert line.user == "scraper"
        client.execute_command("ACL", "SETUSER", line.user, *line.rules)
    return [rule for line in lines for rule in line.rules]


@pytest.mark.parametrize("heading", EXTRAS)
def test_an_extra_line_adds_just_its_commands(world: World, heading: str) -> None:
    if heading == "Introductions" and "client|setinfo" not in server_commands(world.url):
        with pytest.raises(ResponseError, match="ACL SETUSER"):
            add_lines(world.client, heading)
        return
    for rule in add_lines(world.client, heading):
        name = rule.removeprefix("+")
        # Given a key of the prefix, GETEX is allowed; the others take none.
        assert name not in commands_of("scraper")
        assert dry_run(world, "scraper", example_of(world.url, name, "pharox:1:{x}")) == "OK"
    assert world.client.acl_getuser("scraper")["keys"] == patterns_of("scraper")


def test_waiting_and_another_database_work_with_their_lines(world: World) -> None:
    settings = {**SETTINGS, "min_replicas": 1, "replica_timeout": 0.01}
    url = url_of(world.url, "scraper")
    with storage_on(url, **settings) as storage, pytest.raises(StorageAccessError):
        storage.acquire_lease(POOL, "worker", 30)
    for heading in ("Waiting for replicas", "Another database"):
        add_lines(world.client, heading)
    # It may ask now; there is no replica.
    with storage_on(url, **settings) as storage, pytest.raises(NotReplicatedError):
        storage.acquire_lease(POOL, "worker", 30)
    with storage_on(url.replace("/0", "/1")) as storage:
        assert storage.list_pools() == []


def test_introductions_leave_no_trace_with_their_line(world: World) -> None:
    if "client|setinfo" not in server_commands(world.url):
        # Redis 7.0: as the document says, it takes the first line only.
        with pytest.raises(ResponseError, match="setinfo"):
            add_lines(world.client, "Introductions")
        return
    for expected in (True, False):
        world.client.execute_command("ACL", "LOG", "RESET")
        with storage_of(world, "scraper") as storage:
            storage.list_pools()
        assert bool(world.client.acl_log()) is expected, world.client.acl_log()
        add_lines(world.client, "Introductions")


@pytest.mark.parametrize("kind", KINDS)
def test_a_cluster_client_needs_the_cluster_line(kind: str) -> None:
    with (
        own_server(kind, {"cluster-enabled": "yes"}) as running,
        closing(connect(running.url)) as admin,
    ):
        admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        _await(lambda: b"cluster_state:ok" in admin.execute_command("CLUSTER", "INFO"))
        set_user(admin, "scraper")
        url = url_of(running.url, "scraper").replace("redis://", "redis+cluster://")
        settings = Settings.model_validate(SETTINGS)
        # redis-py says that cluster mode is not enabled, which is not so.
        with (
            RedisStorage.from_url(url, settings) as storage,
            pytest.raises(StorageAccessError, match="cluster"),
        ):
            storage.list_pools()
        add_lines(admin, "Redis Cluster")
        world = build(running.url, admin)
        with RedisStorage.from_url(url, settings) as storage:
            WORK["scraper"](world, storage)
            with pytest.raises(NoPermissionError):
                storage.client.set("other", 1)


def _await(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < deadline


# -- the document ------------------------------------------------------------------------------


def test_the_document_names_the_prefix_and_schema_in_use() -> None:
    root = Keys(Settings().key_prefix).pools().removesuffix("pools")
    for role in ROLES:
        assert all(root in pattern for pattern in patterns_of(role))


def test_every_command_of_the_scripts_is_granted_to_operators() -> None:
    """A script that comes to use another command shows here, by name."""
    used = {
        command.lower()
        for file in Path(lua_root()).rglob("*.lua")
        for command in re.findall(r"'([A-Z]{3,})'", file.read_text(encoding="utf-8"))
        if command.lower()
        not in {"withscores", "limit", "pxat", "byscore", "bylex", "rev", "wrongtype"}
    }
    assert used - {"xx", "nx"} <= commands_of("operator")
