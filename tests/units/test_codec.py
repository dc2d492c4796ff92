"""Models there and back: nothing of a proxy is lost, and what cannot be read is named."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pharox.models import (
    HealthCheckResult,
    Proxy,
    ProxyCredentials,
    ProxyHealthRecord,
    ProxyPool,
    ProxyProtocol,
    ProxyStatus,
)
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretBytes,
    SecretStr,
    computed_field,
    field_serializer,
)

from pharox_redis import CorruptRecordError, InvalidProxyError, RedisStorage
from pharox_redis.codec import (
    INDEXED,
    as_utc,
    decode_proxy,
    encode_proxy,
    from_micros,
    index_text,
    merge_document,
    to_micros,
)
from pharox_redis.keys import Keys
from tests.conftest import StorageFactory
from tests.support.builders import make_proxy

TEXT = st.text(st.characters(codec="utf-8"), max_size=90)
MOMENTS = st.datetimes(timezones=st.none() | st.just(UTC) | st.just(timezone(timedelta(hours=2))))


class Tier(StrEnum):
    GOLD = "gold"
    TIN = "tin"


class Contract(BaseModel):
    """A nested model."""

    until: date
    price: Decimal = Decimal("0.10")
    tags: set[str] = set()


class MyProxy(Proxy):
    """A user's own proxy."""

    model_config = ConfigDict(populate_by_name=True)

    weight: float = 1.0
    tier: Tier = Tier.TIN
    vendor_name: str = Field(default="", alias="vendorName")
    contract: Contract | None = None
    seen: list[datetime] = Field(default_factory=list)
    quota: dict[int, int] = Field(default_factory=dict)
    pair: tuple[int, str] | None = None
    raw: bytes = b""
    every: timedelta | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def label(self) -> str:
        return f"{self.host}:{self.port}"


def round_trip(proxy: Proxy, model: type[Proxy] | None = None) -> Proxy:
    """Through the parts that stand in Redis, as the scripts hand them on."""
    columns, document = encode_proxy(proxy)
    fields: list[str | None] = [column or None for column in columns]
    text = merge_document(document, None, type(proxy))
    assert fields[9] is not None
    return decode_proxy(model or type(proxy), proxy.pool_id, str(proxy.id), text, fields, 0)


def same(found: Proxy, given: Proxy) -> None:
    wanted = given.model_copy(update={"checked_at": as_utc(given.checked_at), "current_leases": 0})
    assert found == wanted and type(found) is type(given)
    assert found.checked_at.utcoffset() == timedelta(0)
    assert type(found.host) is type(given.host)


HOSTS = st.ip_addresses() | st.from_regex(r"[a-z]{1,20}\.example", fullmatch=True)
COORDINATES = st.floats(-180, 180)
PROXIES: dict[str, st.SearchStrategy[Any]] = {
    "id": st.uuids(),
    "host": HOSTS,
    "port": st.integers(1, 65535),
    "protocol": st.sampled_from(ProxyProtocol),
    "pool_id": st.uuids(),
    "status": st.sampled_from(ProxyStatus),
    "checked_at": MOMENTS.filter(lambda moment: 1 < moment.year < 9999 or moment.tzinfo is None),
    "credentials": st.none()
    | st.builds(
        ProxyCredentials,
        user=TEXT.filter(lambda text: bool(text.strip())),
        password=TEXT.filter(lambda text: bool(text.strip())),
    ),
    "source": st.none() | TEXT,
    "country": st.none() | TEXT,
    "city": st.none() | TEXT,
    "latitude": st.none() | COORDINATES,
    "longitude": st.none() | COORDINATES,
    "isp": st.none() | TEXT,
    "asn": st.none() | st.integers(),
    "max_concurrency": st.none() | st.integers(1, 2**40),
    "current_leases": st.integers(0, 9),
}


@given(st.builds(Proxy, **PROXIES))
def test_a_proxy_comes_back(proxy: Proxy) -> None:
    same(round_trip(proxy), proxy)


@given(
    st.builds(
        MyProxy,
        **PROXIES,
        weight=st.floats(allow_nan=False),
        tier=st.sampled_from(Tier),
        vendor_name=TEXT,
        contract=st.none()
        | st.builds(
            Contract,
            until=st.dates(),
            price=st.decimals(allow_nan=False, allow_infinity=False, places=4),
            tags=st.sets(TEXT),
        ),
        seen=st.lists(st.datetimes(timezones=st.just(UTC)), max_size=3),
        quota=st.dictionaries(st.integers(), st.integers(), max_size=3),
        pair=st.none() | st.tuples(st.integers(), TEXT),
        raw=TEXT.map(str.encode),
        every=st.none() | st.timedeltas(timedelta(0), timedelta(days=900)),
    )
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_subclass_comes_back_whole(proxy: MyProxy) -> None:
    same(round_trip(proxy), proxy)


class Serialised(Proxy):
    """Dumps under its aliases by itself."""

    model_config = ConfigDict(serialize_by_alias=True, populate_by_name=True)

    vendor_name: str = Field(default="", alias="vendorName")


class OutputAlias(Proxy):
    model_config = ConfigDict(populate_by_name=True)

    vendor_name: str = Field(default="", serialization_alias="out", validation_alias="in")


class Extra(Proxy):
    model_config = ConfigDict(extra="allow")


class Plain(Proxy):
    """Enum fields hold their values."""

    model_config = ConfigDict(use_enum_values=True)


class Strict(Proxy):
    model_config = ConfigDict(strict=True)

    since: date = date(2000, 1, 1)


class Secret(Proxy):
    token: SecretStr = SecretStr("")


BASE: dict[str, Any] = {
    "pool_id": uuid4(),
    "host": "h.example",
    "port": 1,
    "protocol": ProxyProtocol.HTTP,
    "status": ProxyStatus.ACTIVE,
}


@pytest.mark.parametrize(
    "proxy",
    [
        Serialised(**BASE, vendor_name="v"),
        OutputAlias(**BASE, vendor_name="v"),
        Extra(**BASE, anything={"a": [1, None]}, other="x"),
        Plain(**BASE),
        Strict(**BASE, since=date(2020, 1, 2)),
    ],
    ids=lambda proxy: type(proxy).__name__,
)
def test_models_with_a_will_of_their_own(proxy: Proxy) -> None:
    same(round_trip(proxy), proxy)


class Told(Secret):
    @field_serializer("token", when_used="json")
    def tell(self, value: SecretStr) -> str:
        return value.get_secret_value()


class Login(BaseModel):
    user: str = ""
    password: SecretStr = SecretStr("")


class ToldLogin(Login):
    @field_serializer("password", when_used="json")
    def tell(self, value: SecretStr) -> str:
        return value.get_secret_value()


class Nested(Proxy):
    login: Login | None = None
    logins: list[Login] | None = None
    tokens: list[SecretStr] | None = None
    by_name: dict[str, SecretBytes] | None = None


class ToldNested(Proxy):
    login: ToldLogin | None = None
    logins: list[ToldLogin] | None = None


HIDDEN = SecretStr("s3cret")


@pytest.mark.parametrize(
    "proxy",
    [
        Secret(**BASE, token=HIDDEN),
        Nested(**BASE, login=Login(password=HIDDEN)),
        Nested(**BASE, logins=[Login(user="u"), Login(password=HIDDEN)]),
        Nested(**BASE, tokens=[SecretStr(""), HIDDEN]),
        Nested(**BASE, by_name={"a": SecretBytes(b"s3cret")}),
        Extra(**BASE, anything={"a": [HIDDEN]}),
    ],
    ids=["field", "inner model", "list of models", "list", "dict of bytes", "extra"],
)
def test_a_secret_that_would_be_stored_masked_is_refused(proxy: Proxy) -> None:
    with pytest.raises(InvalidProxyError) as at:
        round_trip(proxy)
    assert str(at.value) == (
        f"Proxy {proxy.id}: a secret would be stored masked; give its field a field_serializer "
        "that tells its value."
    )
    assert "s3cret" not in str(at.value) and at.value.__cause__ is None


@pytest.mark.parametrize(
    "proxy",
    [
        Nested(**BASE, login=Login(user="u", password=SecretStr(""))),
        Nested(**BASE, logins=[Login(user="u")], tokens=[SecretStr("")]),
        Nested(**BASE, by_name={"a": SecretBytes(b"")}),
        ToldNested(**BASE, login=ToldLogin(password=HIDDEN)),
        ToldNested(**BASE, logins=[ToldLogin(password=HIDDEN), ToldLogin()]),
    ],
    ids=["empty", "empty in lists", "empty bytes", "told", "told in a list"],
)
def test_a_nested_secret_that_is_empty_or_told_is_direct(proxy: Proxy) -> None:
    found = round_trip(proxy)
    same(found, proxy)
    if isinstance(proxy, ToldNested):
        assert isinstance(found, ToldNested)
        login, *_ = [found.login] if found.login else found.logins or []
        assert login.password.get_secret_value() == "s3cret"


def test_a_secret_that_tells_its_value_is_direct() -> None:
    proxy = Told(**BASE, token=SecretStr("s3cret"))
    same(round_trip(proxy), proxy)
    found = round_trip(proxy)
    assert isinstance(found, Told) and found.token.get_secret_value() == "s3cret"


@pytest.mark.parametrize("kind", [Secret, Told])
def test_an_empty_secret_masks_nothing(kind: type[Secret]) -> None:
    proxy = kind(**BASE, token=SecretStr(""))
    same(round_trip(proxy), proxy)


@pytest.mark.parametrize(
    "moment",
    [
        datetime.min,
        datetime.max,
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999),
        datetime(2024, 2, 29, 12, 0, 0, 1, tzinfo=timezone(timedelta(hours=-11))),
    ],
)
def test_moments(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == as_utc(moment)
    proxy = Proxy(**BASE, checked_at=moment)
    same(round_trip(proxy), proxy)


@given(MOMENTS.filter(lambda moment: 1 < moment.year < 9999))
def test_microseconds_are_direct(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == as_utc(moment)


@given(TEXT, TEXT)
@example("#", "#x")
@example("x" * 57, "x" * 58)
def test_index_texts_are_short_and_distinct(one: str, two: str) -> None:
    assert len(index_text(one).encode()) <= 56
    assert (index_text(one) == index_text(two)) == (one == two)


@pytest.mark.parametrize("name", ["source", "country", "city", "isp"])
@pytest.mark.parametrize("value", ["", "#", "#abc", "x" * 56, "x" * 57, "ü" * 29, " ", "\x00"])
def test_texts_at_the_edges(name: str, value: str) -> None:
    proxy = Proxy(**{**BASE, name: value})
    same(round_trip(proxy), proxy)
    column = encode_proxy(proxy)[0][INDEXED.index(name)]
    assert len(column.encode()) <= 56


def test_a_computed_field_is_not_stored() -> None:
    assert "label" not in encode_proxy(MyProxy(**BASE))[1]


def test_defaults_are_not_stored() -> None:
    assert set(encode_proxy(MyProxy(**BASE))[1]) == {"host", "port", "protocol"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["latitude", "longitude"])
def test_coordinates_must_be_numbers(name: str, value: float) -> None:
    with pytest.raises(InvalidProxyError, match=name):
        encode_proxy(Proxy(**{**BASE, name: value}))


def test_what_cannot_be_stored_does_not_show_its_value() -> None:
    proxy = MyProxy(**BASE, raw=b"\xff secret")
    with pytest.raises(InvalidProxyError) as raised:
        encode_proxy(proxy)
    assert "secret" not in str(raised.value) and raised.value.__cause__ is None
    assert str(proxy.id) in str(raised.value)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))),
    ],
    ids=["before", "after"],
)
def test_a_moment_outside_utcs_years_cannot_be_stored(moment: datetime) -> None:
    with pytest.raises(InvalidProxyError, match=r"checked_at .* outside the years 1 to 9999 UTC"):
        encode_proxy(Proxy(**{**BASE, "checked_at": moment}))


# -- several clients -------------------------------------------------------------------------------


def test_a_plain_clients_save_keeps_what_it_does_not_know(make_storage: StorageFactory) -> None:
    mine, plain = make_storage(proxy_model=MyProxy), make_storage()
    pool = mine.ensure_pool("pool")
    contract = Contract(until=date(2030, 1, 1), tags={"a"})
    proxy = MyProxy(
        **{**BASE, "pool_id": pool.id}, weight=2.5, vendor_name="v", contract=contract, source="s"
    )
    mine.save_proxy(proxy)
    seen = plain.get_proxy(proxy.id)
    assert type(seen) is Proxy and seen.source == "s"
    plain.save_proxy(seen.model_copy(update={"source": "t", "port": 9}))
    again = mine.get_proxy(proxy.id)
    same(again, proxy.model_copy(update={"source": "t", "port": 9}))
    # What its owner sets back to the default is gone, not brought back.
    mine.save_proxy(again.model_copy(update={"contract": None, "weight": 1.0}))
    plain.save_proxy(plain.get_proxy(proxy.id))
    last = mine.get_proxy(proxy.id)
    assert isinstance(last, MyProxy) and (last.contract, last.weight) == (None, 1.0)
    assert last.vendor_name == "v"


def test_every_way_to_a_proxy_returns_the_model(make_storage: StorageFactory) -> None:
    storage = make_storage(proxy_model=MyProxy)
    pool = storage.ensure_pool("pool")
    proxy = MyProxy(**{**BASE, "pool_id": pool.id}, weight=3, max_concurrency=9)
    storage.save_proxy(proxy)
    lease = storage.acquire_lease("pool", "consumer", 60)
    assert lease is not None
    result = HealthCheckResult(
        proxy_id=proxy.id, status=ProxyStatus.ACTIVE, latency_ms=1, protocol=ProxyProtocol.HTTP
    )
    for found in (
        lease.proxy,
        storage.get_proxy(proxy.id),
        storage.get_proxy_by_id(proxy.id),
        storage.list_proxies(pool.id)[0],
        storage.find_available_proxy("pool"),
        storage.apply_health_check_result(result),
    ):
        assert isinstance(found, MyProxy) and found.weight == 3


def test_a_removed_extra_of_an_open_model_stays_removed(make_storage: StorageFactory) -> None:
    storage = make_storage(proxy_model=Extra)
    pool = storage.ensure_pool("pool")
    proxy = Extra(**{**BASE, "pool_id": pool.id}, anything=1)
    storage.save_proxy(proxy)
    found = storage.get_proxy(proxy.id)
    assert found.model_extra == {"anything": 1}
    found.model_extra.clear()
    storage.save_proxy(found)
    assert storage.get_proxy(proxy.id).model_extra == {}


# -- damage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("st", "sleepy", "status"),
        ("st", "", "status"),
        ("max", "x", "max_concurrency"),
        ("max", "0", "max_concurrency"),
        ("max", "-1", "max_concurrency"),
        ("chk", "x", "checked_at"),
        ("chk", "9" * 40, "checked_at"),
        ("as", "x", "asn"),
        ("la", "north", "latitude"),
    ],
)
def test_a_damaged_field_is_named(
    make_storage: StorageFactory, field: str, value: str, named: str
) -> None:
    storage = make_storage()
    pool, keys = storage.ensure_pool("pool"), Keys(storage.settings.key_prefix)
    proxy = make_proxy(pool)
    storage.save_proxy(proxy)
    key = keys.proxy(pool.id, str(proxy.id))
    before = storage.client.hgetall(key)
    storage.client.hset(key, field, value)
    for read in (
        lambda: storage.get_proxy(proxy.id),
        lambda: storage.list_proxies(pool.id),
    ):
        with pytest.raises(CorruptRecordError, match=rf"{proxy.id}.*{named}"):
            read()
    storage.client.delete(key)
    storage.client.hset(key, mapping=before)


@pytest.mark.parametrize(
    "document", [None, "", "x", "[]", "1", "null", '"x"', '{"port":"x"}', "{}"]
)
def test_a_damaged_document_is_named(make_storage: StorageFactory, document: str | None) -> None:
    storage = make_storage()
    pool, keys = storage.ensure_pool("pool"), Keys(storage.settings.key_prefix)
    proxy = make_proxy(pool)
    storage.save_proxy(proxy)
    key = keys.doc(pool.id, str(proxy.id))
    before = storage.client.get(key)
    storage.client.delete(key)
    if document is not None:
        storage.client.set(key, document)
    with pytest.raises(CorruptRecordError, match=str(proxy.id)):
        storage.get_proxy(proxy.id)
    lease = storage.acquire_lease("pool", "consumer", 60)
    assert lease is not None
    with pytest.raises(CorruptRecordError, match=str(proxy.id)):
        _ = lease.proxy
    storage.release_lease(lease)
    assert before is not None
    storage.save_proxy(proxy)  # a save mends it
    assert storage.get_proxy(proxy.id) == proxy
    assert json.loads(storage.client.get(key) or b"") == json.loads(before)


@pytest.mark.parametrize("part", ["doc", "proxy", "held", "pool", "view", "expiry"])
def test_a_key_of_another_type_is_a_corrupt_record(make_storage: StorageFactory, part: str) -> None:
    storage = make_storage()
    pool, keys = storage.ensure_pool("pool"), Keys(storage.settings.key_prefix)
    proxy = make_proxy(pool)
    storage.save_proxy(proxy)
    lease = storage.acquire_lease("pool", "consumer", 60)
    assert lease is not None
    key = {
        "doc": keys.doc(pool.id, str(proxy.id)),
        "proxy": keys.proxy(pool.id, str(proxy.id)),
        "held": keys.held(pool.id, str(proxy.id)),
        "pool": keys.pool(pool.id),
        "view": keys.view(pool.id, "f0"),
        "expiry": keys.expiry(pool.id),
    }[part]
    storage.client.rename(key, f"{key}:kept")
    storage.client.lpush(key, "x")
    with pytest.raises(CorruptRecordError):
        storage.get_proxy(proxy.id)
        storage.get_pool_stats("pool")
        storage.acquire_lease("pool", "consumer", 60)
    storage.client.delete(key)
    storage.client.rename(f"{key}:kept", key)


@pytest.mark.parametrize(
    "entry",
    ["", "x", "a b", "x - {}", f"{UUID(int=1)} - x", f"{UUID(int=1)} sleepy REAL", "x - REAL"],
)
def test_a_damaged_health_record(make_storage: StorageFactory, entry: str) -> None:
    storage = make_storage()
    pool, keys = storage.ensure_pool("pool"), Keys(storage.settings.key_prefix)
    proxy = make_proxy(pool)
    storage.save_proxy(proxy)
    storage.save_health_record(
        ProxyHealthRecord(
            proxy_id=proxy.id,
            reachable=True,
            protocol=ProxyProtocol.HTTP,
            status_after=ProxyStatus.ACTIVE,
        )
    )
    key = keys.health(pool.id, str(proxy.id))
    (real,) = storage.client.lrange(key, 0, -1)
    storage.client.lset(key, 0, entry.replace("REAL", real.decode().split(" ", 2)[2]))
    with pytest.raises(CorruptRecordError, match=str(proxy.id)):
        storage.list_health_records(proxy.id)
    with pytest.raises(CorruptRecordError, match=str(proxy.id)):
        storage.get_last_health_result(proxy.id)


@pytest.mark.parametrize("document", ["", "x", "[]", '{"description":5}'])
def test_a_damaged_pool(storage: RedisStorage, document: str) -> None:
    pool = storage.ensure_pool("pool")
    key = Keys(storage.settings.key_prefix).pool(pool.id)
    storage.client.hset(key, "doc", document)
    with pytest.raises(CorruptRecordError, match=str(pool.id)):
        storage.get_pool(pool.id)
    storage.save_pool(ProxyPool(id=pool.id, name="pool", description="mended"))
    assert storage.get_pool(pool.id).description == "mended"


def test_figures_that_cannot_be(storage: RedisStorage) -> None:
    pool = storage.ensure_pool("pool")
    extra = Keys(storage.settings.key_prefix).extra(pool.id)
    storage.client.sadd(extra, "nobody:2", "nobody:3")
    with pytest.raises(CorruptRecordError, match=r"'pool'.* -2 leased"):
        storage.get_pool_stats("pool")
    storage.client.delete(extra)
    assert storage.get_pool_stats("pool") is not None


def test_a_directory_entry_that_names_no_pool(storage: RedisStorage) -> None:
    pool = storage.ensure_pool("pool")
    proxy = make_proxy(pool)
    storage.save_proxy(proxy)
    keys = Keys(storage.settings.key_prefix)
    tag = storage.client.hget(keys.directory(str(proxy.id)), str(proxy.id))
    storage.client.hset(keys.directory(str(proxy.id)), str(proxy.id), "x")
    with pytest.raises(CorruptRecordError, match=str(proxy.id)):
        storage.get_proxy(proxy.id)
    storage.client.hset(keys.directory(str(proxy.id)), str(proxy.id), tag or b"")
