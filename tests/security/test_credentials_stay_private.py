"""Planted passwords, of proxies and of the server, are looked for wherever anybody might look.

The library is driven through its paths, the good ones and the bad ones, on a server whose URL has a
password, with proxies that have user and password, by the blocking storage and the one for asyncio.
All that could be printed, logged or recorded is taken in by a ``Watch`` (``searching.py``), which
also knows what it does not look at. Each test must also have seen something: a path that stopped
failing proves nothing.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import quote, quote_plus

import pytest
import redis
from pharox.exceptions import PharoxError
from pharox.manager import ProxyManager
from pharox.models import Proxy, ProxyCredentials, ProxyFilters, ProxyPool
from pydantic import SecretStr
from redis import exceptions as redis_errors
from redis.backoff import NoBackoff
from redis.retry import Retry

from pharox_redis import RedisProxyManager, RedisStorage, Settings
from pharox_redis.aio import AsyncRedisStorage
from pharox_redis.errors import (
    CorruptRecordError,
    InvalidProxyError,
    InvalidUrlError,
    PredicateScanLimitError,
    StorageAccessError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    translate,
)
from pharox_redis.flows import Command, proxies
from pharox_redis.importing import (
    Outcome,
    Terms,
    identity_of,
    import_list,
    open_list,
    parse_notation,
    plan,
)
from pharox_redis.keys import Keys
from pharox_redis.scripts import load
from tests.security.searching import Secret, Watch, found_in
from tests.support.builders import make_proxies, make_proxy
from tests.support.lossy import LossyRelay
from tests.support.own_servers import KINDS, OwnServer, own_server
from tests.support.stepping import Stepped

POOL = "latam"
SERVER = Secret("server's password", "{}")


class InOneLoop:
    """The asyncio storage with the blocking one's calls."""

    def __init__(self, storage: AsyncRedisStorage) -> None:
        self.storage, self._runner = storage, asyncio.Runner()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.storage, name)
        if not inspect.iscoroutinefunction(found):
            return found
        return lambda *args, **options: self._runner.run(found(*args, **options))

    def close(self) -> None:
        """Close the connections, then the loop."""
        self._runner.run(self.storage.aclose())
        self._runner.close()


class Open(Protocol):
    """Makes a storage that is closed when the test ends."""

    def __call__(self, url: str | None = None, **options: Any) -> Any: ...


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[OwnServer]:
    """A server that wants a password."""
    with own_server(request.param, {"requirepass": SERVER.text}) as running:
        yield running


@pytest.fixture
def url(server: OwnServer) -> str:
    """Its URL, with the password."""
    return f"redis://:{SERVER.text}@127.0.0.1:{server.url.rsplit(':', 1)[1]}"


@pytest.fixture(params=["blocking", "asyncio"])
def open_storage(request: pytest.FixtureRequest, url: str) -> Iterator[Open]:
    """Storages of each kind."""
    opened: list[Any] = []

    def make(other: str | None = None, **options: Any) -> Any:
        settings = Settings(**options.pop("settings", {}))
        kind = RedisStorage if request.param == "blocking" else AsyncRedisStorage
        made = kind.from_url(other or url, settings, **{**_once(request.param), **options})
        opened.append(made if request.param == "blocking" else InOneLoop(made))
        return opened[-1]

    yield make
    for storage in opened:
        storage.close()


def _once(style: str) -> dict[str, Any]:
    retry = Retry if style == "blocking" else redis.asyncio.retry.Retry
    return {"retry": retry(NoBackoff(), 0)}


@pytest.fixture
def admin(url: str) -> Iterator[redis.Redis]:
    """A client that puts things into disorder; the server is empty at first."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield client


class Planted:
    """A pool of proxies with secrets, and the watch over them."""

    def __init__(self, admin: redis.Redis, url: str) -> None:
        self.password, self.user = Secret("password"), Secret("user")
        self.admin = admin
        with RedisStorage.from_url(url) as storage:
            self.pool: ProxyPool = storage.ensure_pool(POOL)
            self.proxies = [self.proxy(country="DE") for _ in range(6)]
            storage.add_proxies_bulk(self.proxies)
        self.watch = Watch([self.password, self.user, SERVER], self.given)

    @property
    def given(self) -> list[object]:
        """What tests pass to the library."""
        self._given: list[object] = getattr(self, "_given", [])
        return self._given

    def proxy(self, password: str | None = None, **fields: Any) -> Proxy:
        """A proxy with the secrets, as a caller has it."""
        credentials = ProxyCredentials(user=self.user.text, password=password or self.password.text)
        made = make_proxy(self.pool, credentials=credentials, **fields)
        self.given.append(made)
        return made

    def listed(self, *proxies: Proxy) -> list[Proxy]:
        """A list of a caller's."""
        made = list(proxies)
        self.given.append(made)
        return made

    def key(self, proxy: Proxy, kind: str = "doc") -> str:
        """A key of a proxy."""
        found: str = getattr(Keys("pharox"), kind)(self.pool.id, str(proxy.id))
        return found

    def fails(self, where: str, kind: type[BaseException], act: Callable[[], object]) -> None:
        """It fails, and nothing of a secret shows."""
        with pytest.raises(kind) as caught:
            act()
        self.watch.error(where, caught.value)

    def assert_private(self) -> None:
        """Something was looked at, and nothing found."""
        assert self.watch.seen > 0
        assert self.watch.leaks == []


@pytest.fixture
def planted(admin: redis.Redis, url: str) -> Iterator[Planted]:
    """Secrets in place; whatever is logged or warned of is watched until the test ends."""
    made = Planted(admin, url)
    with _logging_everything(made.watch), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield made
    for warning in warned:
        made.watch.text("a warning", str(warning.message))
    made.assert_private()


@contextmanager
def _logging_everything(watch: Watch) -> Iterator[None]:
    root = logging.getLogger()
    known = [each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    levels = {logger: logger.level for logger in [root, *known]}
    root.addHandler(watch)
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(watch)
        for logger, level in levels.items():
            logger.setLevel(level)


# -- the search itself -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        quote,
        quote_plus,
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: json.dumps(json.dumps({"password": text})),
        lambda text: repr(text.encode()),
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.urlsafe_b64encode(f"a:{text}".encode()).decode(),
        lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    ],
)
def test_secrets_are_found_in_each_form(show: Callable[[str], str]) -> None:
    secret = Secret("it")
    assert found_in(f"before {show(secret.text)} after", [secret, Secret("other")]) == ["it"]


def test_secrets_are_found_in_each_part_of_an_exception() -> None:
    secret = Secret("it")

    def fail(how: str) -> None:
        try:
            raise KeyError(secret.text)
        except KeyError as inner:
            error = ValueError(secret.text if how == "text" else "outer")
            if how == "note":
                error.add_note(secret.text)
            if how == "attribute":
                error.detail = secret.text  # type: ignore[attr-defined]
            if how == "cause":
                raise error from inner
            if how == "context":
                raise error from None
        raise error

    for how in ("text", "note", "attribute", "cause", "context"):
        watch = Watch([secret], [])
        with pytest.raises(ValueError) as caught:
            fail(how)
        watch.error("it", caught.value)
        assert watch.leaks, how


def test_secrets_are_found_in_local_variables() -> None:
    secret, watch = Secret("it"), Watch([], [])
    watch.wanted = [secret]
    code = "def fail(hidden):\n    raise ValueError('no')\n"
    scope: dict[str, Any] = {"__name__": "pharox_redis.example"}
    exec(code, scope)
    with pytest.raises(ValueError) as caught:
        scope["fail"]([secret.text])
    watch.error("it", caught.value)
    assert watch.leaks == ["it in it: ValueError: local hidden of fail"]


# -- what can be printed -----------------------------------------------------------------------


def test_objects_do_not_show_them(planted: Planted, open_storage: Open) -> None:
    storage, see = open_storage(), planted.watch.thing
    lease = storage.acquire_lease(POOL, "worker", 30)
    see("storage", storage)
    see("client", storage.client)
    see("settings", storage.settings)
    see("context", storage._context)
    see("lease before its proxy is looked at", lease)
    see("private parts of the lease", lease.__pydantic_private__)
    assert lease.proxy.credentials.password == planted.password.text
    see("lease after", lease)
    see("private parts of the lease after", lease.__pydantic_private__)
    see("stats", storage.get_pool_stats(POOL))
    see("pool", storage.list_pools())
    see("leases", storage.list_leases())
    storage.release_lease(lease)


def test_proxies_that_are_returned_do_not_show_them(planted: Planted, open_storage: Open) -> None:
    """Those a caller made are pharox's and show all; see docs/security.md."""
    storage, see = open_storage(), planted.watch.thing
    found = storage.find_available_proxy(POOL)
    lease = storage.acquire_lease(POOL, "worker", 30)
    for name, proxy in {
        "found": found,
        "leased": lease.proxy,
        "got": storage.get_proxy(found.id),
        "listed": storage.list_proxies(planted.pool.id)[0],
    }.items():
        see(f"proxy {name}", proxy)
        see(f"credentials {name}", proxy.credentials)
        assert planted.password.text == proxy.credentials.password
        assert isinstance(proxy.credentials, ProxyCredentials)
        assert quote_plus(planted.password.text) in proxy.url
    stored = storage.get_proxy(planted.proxies[0].id)
    assert stored.credentials == planted.proxies[0].credentials
    assert planted.proxies[0].credentials == stored.credentials
    assert stored.model_dump() == planted.proxies[0].model_dump() | {
        "current_leases": stored.current_leases
    }
    assert stored.model_dump_json() == stored.model_copy(deep=True).model_dump_json()
    storage.save_proxy(stored)
    assert storage.get_proxy(stored.id) == stored


def test_steps_of_flows_do_not_show_them(planted: Planted, url: str) -> None:
    """What flows hand to drivers, which is what a driver's variables and debug logs would show."""
    with RedisStorage.from_url(url) as storage:
        flow = Stepped(
            storage, lambda ctx: proxies.save_proxies(ctx, [planted.proxy() for _ in range(3)])
        )
        while not flow.over:
            planted.watch.thing("step", flow._step)
            flow.step()
        assert flow.succeeded
    secret = planted.password.text
    planted.watch.thing("call", load("save_proxies")("key", secret, chunk_us=1))
    planted.watch.thing("command", Command(("HSET", "key", secret)))
    entry = proxies.Entry("id", planted.pool.id, [secret], {"password": secret}, Proxy)
    planted.watch.thing("entry", entry)
    assert "save_proxies" in repr(load("save_proxies")("key", chunk_us=1))
    assert "HSET" in repr(Command(("HSET", "key")))
    assert "id" in repr(entry)


def test_managers_do_not_show_them(planted: Planted, url: str) -> None:
    with RedisStorage.from_url(url) as storage:
        for manager in (RedisProxyManager(storage), ProxyManager(storage)):
            payloads: list[object] = []
            manager.register_acquire_callback(payloads.append)
            manager.register_release_callback(payloads.append)
            with manager.with_lease(POOL, duration_seconds=30) as lease:
                assert lease is not None
            assert manager.acquire_proxy("no such pool") is None
            planted.watch.thing("manager", manager)
            planted.watch.thing("payloads", payloads)
            assert len(payloads) == 3


# -- what goes wrong ---------------------------------------------------------------------------


def test_refused_arguments_do_not_show_them(planted: Planted, open_storage: Open) -> None:
    storage, proxy = open_storage(), planted.proxies[0]
    other = storage.ensure_pool("other")
    stranger = planted.proxy()
    cases: dict[str, Callable[[], object]] = {
        "no such pool": lambda: storage.acquire_lease("nowhere", "worker", 30),
        "negative": lambda: storage.create_lease(proxy, "worker", -1),
        "unknown proxy": lambda: storage.create_lease(stranger, "worker", 30),
        "no pool of it": lambda: storage.save_proxy(_given(planted, stranger, pool_id=proxy.id)),
        "another pool": lambda: storage.save_proxy(_given(planted, proxy, pool_id=other.id)),
        "two pools": lambda: storage.add_proxies_bulk(
            planted.listed(proxy, _given(planted, proxy, pool_id=other.id))
        ),
        "not finite": lambda: storage.save_proxy(_given(planted, proxy, latitude=float("nan"))),
    }
    for name, act in cases.items():
        planted.fails(name, PharoxError, act)
    storage.create_lease(proxy, "worker", 30)
    planted.fails("taken", PharoxError, lambda: storage.create_lease(proxy, "worker", 30))
    planted.fails("wrong kind", TypeError, lambda: storage.acquire_lease(POOL, "w", 1, "DE"))


def _given(planted: Planted, proxy: Proxy, **changes: Any) -> Proxy:
    made = proxy.model_copy(update=changes)
    planted.given.append(made)
    return made


def test_values_that_cannot_be_stored_do_not_show_them(
    planted: Planted, open_storage: Open
) -> None:
    class Guarded(Proxy):
        token: SecretStr = SecretStr("")

    storage = open_storage()
    broken = planted.proxy(password=planted.password.text + "\udc80")
    planted.fails("surrogate", InvalidProxyError, lambda: storage.save_proxy(broken))
    guarded = Guarded(**planted.proxy().model_dump(), token=planted.password.text)
    planted.given.append(guarded)
    planted.fails("masked", InvalidProxyError, lambda: storage.save_proxy(guarded))
    name = planted.password.text + "\udc80"
    planted.given.append(name)
    planted.fails("name", StorageError, lambda: storage.acquire_lease(POOL, name, 30))


def test_predicates_that_fail_do_not_show_them(planted: Planted, open_storage: Open) -> None:
    storage = open_storage(settings={"predicate_scan_limit": 2})

    def fail(proxy: Proxy) -> bool:
        raise LookupError("the predicate's own words")

    for name, predicate, kind in (
        ("raises", fail, LookupError),
        ("never ends", lambda proxy: False, PredicateScanLimitError),
    ):
        filters = ProxyFilters(predicate=predicate)
        planted.fails(name, kind, lambda f=filters: storage.acquire_lease(POOL, "w", 30, f))
        planted.fails(name, kind, lambda f=filters: storage.find_available_proxy(POOL, f))


@pytest.mark.parametrize(
    "damage",
    [
        "{{",
        '{{"credentials": {{"user": {user}, "password": {password}}}',
        '{{"credentials": {{"user": {user}, "password": {password}}}, "port": {password}}}',
        '{{"credentials": {{"user": {user}, "password": [{password}]}}, "port": 1}}',
        '{{"credentials": {{"user": {user}, "password": {password}}}}}',
        "[{password}]",
    ],
)
def test_records_that_cannot_be_read_do_not_show_them(
    planted: Planted, open_storage: Open, damage: str
) -> None:
    storage = open_storage()
    text = damage.format(
        user=json.dumps(planted.user.text), password=json.dumps(planted.password.text)
    )
    for proxy in planted.proxies:
        planted.admin.set(planted.key(proxy), text)
    proxy = planted.proxies[0]
    planted.fails("get", CorruptRecordError, lambda: storage.get_proxy(proxy.id))
    planted.fails("list", CorruptRecordError, lambda: storage.list_proxies(planted.pool.id))
    planted.fails("find", CorruptRecordError, lambda: storage.find_available_proxy(POOL))
    lease = storage.acquire_lease(POOL, "worker", 30)
    planted.watch.thing("lease", lease)
    planted.fails("lease", CorruptRecordError, lambda: lease.proxy)
    storage.save_proxy(proxy)


def test_keys_of_a_wrong_type_do_not_show_them(planted: Planted, open_storage: Open) -> None:
    storage, first = open_storage(), planted.proxies[0]
    planted.admin.delete(planted.key(first))
    planted.admin.rpush(planted.key(first), planted.password.text)
    planted.fails("doc", CorruptRecordError, lambda: storage.get_proxy(first.id))
    planted.fails("save", CorruptRecordError, lambda: storage.save_proxy(first))
    planted.admin.delete(planted.key(first, "proxy"))
    planted.admin.set(planted.key(first, "proxy"), planted.password.text)
    planted.fails("hash", CorruptRecordError, lambda: storage.get_proxy(first.id))
    planted.fails("health", PharoxError, lambda: storage.delete_proxy(first.id))


def test_a_full_server_does_not_show_them(planted: Planted, open_storage: Open) -> None:
    storage = open_storage()
    planted.admin.config_set("maxmemory", 1)
    try:
        known = _given(planted, planted.proxies[0], city="Berlin")
        new = planted.listed(*[planted.proxy() for _ in range(3)])
        planted.fails("known", StorageFullError, lambda: storage.save_proxy(known))
        planted.fails("new", StorageFullError, lambda: storage.add_proxies_bulk(new))
        planted.fails("acquire", StorageFullError, lambda: storage.acquire_lease(POOL, "w", 30))
    finally:
        planted.admin.config_set("maxmemory", 0)


def test_refused_rights_do_not_show_them(planted: Planted, url: str, open_storage: Open) -> None:
    """In the middle of a save, at its last command."""
    secret = Secret("another server's password", "{}")
    planted.watch.wanted.append(secret)
    planted.admin.execute_command(
        *("ACL", "SETUSER", "u", "reset", "on", f">{secret.text}", "~*", "+@all", "-set")
    )
    storage = open_storage(url.replace(f":{SERVER.text}@", f"u:{secret.text}@"))
    known = _given(planted, planted.proxies[0], city="Berlin")
    planted.fails("save", StorageAccessError, lambda: storage.save_proxy(known))


@pytest.mark.parametrize("what", ["request", "reply"])
def test_a_lost_connection_does_not_show_them(
    planted: Planted, url: str, open_storage: Open, what: Any
) -> None:
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    with LossyRelay("127.0.0.1", port) as relay:
        storage = open_storage(relay.url.replace("://", f"://:{SERVER.text}@"))
        known = planted.proxies[0]
        for number in range(1, 5):
            relay.lose(number, what)
            changed = _given(planted, known, city=f"Berlin {number}")
            planted.fails("save", StorageUnavailableError, lambda p=changed: storage.save_proxy(p))
            assert relay.fired
        for act in (lambda: storage.acquire_lease(POOL, "w", 30), storage.list_pools):
            relay.lose(1, what)
            planted.fails("acquire", StorageUnavailableError, act)
        relay.lose(0)


def test_a_server_that_is_away_or_refuses_does_not_show_them(
    planted: Planted, url: str, open_storage: Open
) -> None:
    away = open_storage(f"redis://:{SERVER.text}@127.0.0.1:1/0")
    planted.fails("away", StorageUnavailableError, away.list_pools)
    wrong = Secret("wrong password", "{}")
    planted.watch.wanted.append(wrong)
    refused = open_storage(url.replace(SERVER.text, wrong.text))
    planted.fails("wrong", StorageAccessError, refused.list_pools)
    planted.watch.thing("client", refused.client)


@pytest.mark.parametrize(
    "template",
    [
        "redis://:{}/x@127.0.0.1:6379/0",
        "redis://:x@127.0.0.1:{}/0",
        "redis://127.0.0.1:6379/{}",
        "redis://127.0.0.1:6379/0?socket_timeout={}",
        "redis://127.0.0.1:6379/0?{}=1",
        "redis://[{}/0",
        "{}://127.0.0.1:6379/0",
        "redis+cluster://:{}@127.0.0.1:x,127.0.0.1",
        "redis+sentinel://:{}@127.0.0.1:26379/",
    ],
)
def test_a_url_that_cannot_be_used_does_not_show_it(
    planted: Planted, open_storage: Open, template: str
) -> None:
    url = template.format(SERVER.text)
    planted.given.append(url)
    planted.fails("url", InvalidUrlError, lambda: open_storage(url))


QUOTING = [
    "unknown command 'EVALSHA', with args beginning with: 'ab12' '1' '{}' ",
    "ERR unknown command 'EVALSHA', with args beginning with: 'ab12' '1' '{}' ",
    "unknown command `HSET`, with args beginning with: `{}`, ",
    "Command # 1 (EVALSHA ab12 1 key {}) of pipeline caused error: something",
    "Command # 1 (EVALSHA ab12 1 key {}) of pipeline caused error: OOM command not allowed",
    "Command # 2 (HSET key {}) of pipeline caused error: NOPERM no",
]


@pytest.mark.parametrize("message", QUOTING)
def test_errors_that_quote_a_command_do_not_show_it(planted: Planted, message: str) -> None:
    """Servers quote what they do not know, and redis-py the commands of pipelines."""
    for text in (planted.password.text, "a) of pipeline caused error: " + planted.password.text):
        error = redis_errors.ResponseError(message.format(text))
        planted.watch.thing("translated", translate(error))


@pytest.mark.parametrize("message", QUOTING)
def test_an_error_that_quotes_a_command_is_not_handed_on(
    planted: Planted, open_storage: Open, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As cause, either."""
    storage = open_storage()
    storage.list_pools()
    text = message.format(planted.password.text)

    def refuse(*args: object) -> object:
        raise redis_errors.ResponseError(text)

    async def refuse_later(*args: object) -> object:
        return refuse()

    blocking = isinstance(storage, RedisStorage)
    monkeypatch.setattr(storage._driver._link, "call", refuse if blocking else refuse_later)
    planted.fails("quoting", PharoxError, lambda: storage.acquire_lease(POOL, "worker", 30))
    planted.fails("quoting", PharoxError, lambda: storage.get_pool(planted.pool.id))


# -- imports -----------------------------------------------------------------------------------


def test_imports_do_not_show_them(planted: Planted, url: str) -> None:
    """Users stand in labels, to tell proxies apart; passwords stand nowhere."""
    word = Secret("password in a line", "{}")
    planted.watch.wanted = [word, SERVER]
    lines = [
        "192.0.2.1:80:user:{}",
        "user:{}@192.0.2.2:80",
        "http://user:{}@192.0.2.3:80",
        "{}",
        "192.0.2.4:{}",
        "192.0.2.4:80:{}",
        "user:{}@192.0.2.4:99999",
        "{}://192.0.2.4:80",
    ]
    documents = {
        "lines": "\n".join(lines),
        "csv": "host,port,user,password\n192.0.2.5,80,user,{}\n192.0.2.6,{},user,{}\n{},1,,\n",
        "json": '[{{"ip": "192.0.2.7", "port": 80, "user": "u", "password": "{}"}}, {{"a": "{}"}}]',
        "cut": '[{{"ip": "192.0.2.7", "port": 80, "user": "u", "password": "{}',
    }
    outcomes = set()
    with RedisStorage.from_url(url) as storage:
        for name, template in documents.items():
            text = template.replace("{}", word.text).replace("{{", "{").replace("}}", "}")
            for _ in range(2):  # the second time they are known
                listed = open_list(io.BytesIO(text.encode()))
                planted.watch.thing(f"list of {name}", listed)
                summary = import_list(storage, "imported", listed.entries, Terms())
                planted.watch.thing(f"summary of {name}", summary)
            listed = open_list(io.BytesIO(text.encode()))
            entries = list(listed.entries)
            planted.watch.thing(f"entries of {name}", entries)
            for step in plan([], entries, planted.pool.id, Terms()):
                outcomes.add(step.outcome)
                planted.watch.thing(f"step of {name}", step)
                if step.proxy is not None:
                    planted.watch.thing("label", identity_of(step.proxy).label)
    assert {Outcome.NEW, Outcome.UNREADABLE} <= outcomes
    for line in (f"http://{word.text}@:x", f"192.0.2.1:{word.text}", f"user:{word.text}@"):
        with pytest.raises(ValueError) as caught:
            parse_notation(line)
        planted.watch.text("notation", f"{caught.value!r} {caught.value}")


def test_an_import_that_breaks_off_does_not_show_them(planted: Planted, url: str) -> None:
    word = Secret("password in a line", "{}")
    planted.watch.wanted.append(word)
    text = "\n".join(f"192.0.2.{number}:80:user:{word.text}" for number in range(1, 9))
    with RedisStorage.from_url(url) as storage:
        storage.ensure_pool("imported")
        entries = open_list(io.BytesIO(text.encode())).entries
        planted.admin.config_set("maxmemory", 1)
        try:
            with pytest.raises(StorageFullError) as caught:
                import_list(storage, "imported", entries, Terms())
        finally:
            planted.admin.config_set("maxmemory", 0)
    planted.watch.error("import", caught.value)


def test_many_paths_were_logged_at_debug(planted: Planted, open_storage: Open) -> None:
    """The library's one warning goes to the watch like anything logged."""
    storage = open_storage()
    before = planted.watch.seen
    assert storage.find_available_proxy("nowhere") is None
    storage.add_proxies_bulk(make_proxies(planted.pool, 2))
    assert planted.watch.seen > before
