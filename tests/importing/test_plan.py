"""What an import decides about each entry, without any storage."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from pharox.models import Proxy, ProxyCredentials, ProxyProtocol, ProxyStatus

from pharox_redis.importing import Issue, Outcome, Record, Step, Terms, identity_of, plan, proxy_id
from pharox_redis.importing.records import Parsed

POOL = UUID("6a1c1f1e-0000-4000-8000-000000000001")
HTTP = ProxyProtocol.HTTP
LONG_AGO = datetime(2020, 1, 2, tzinfo=UTC)


def stored(**values: object) -> Proxy:
    return Proxy.model_validate(
        {
            "host": "192.0.2.1",
            "port": 80,
            "protocol": HTTP,
            "pool_id": POOL,
            "status": ProxyStatus.BANNED,
            "checked_at": LONG_AGO,
            "max_concurrency": 7,
            "current_leases": 3,
            **values,
        }
    )


def decide(
    entry: Parsed | list[Parsed], *existing: Proxy, terms: Terms | None = None
) -> list[Step]:
    entries = entry if isinstance(entry, list) else [entry]
    return list(plan(existing, entries, POOL, terms or Terms()))


def written(steps: list[Step]) -> Proxy:
    (proxy,) = (step.proxy for step in steps if step.proxy is not None)
    return proxy


def test_a_new_proxy_takes_what_the_list_and_the_terms_say() -> None:
    record = Record(
        ProxyProtocol.SOCKS5, "192.0.2.1", 80, "me", "secret", "list", "DE", "Bonn", 50.7, 7.1,
        "Example", 64496,
    )  # fmt: skip
    (step,) = decide(record, terms=Terms(source="terms"))
    proxy = written([step])
    assert step.outcome is Outcome.NEW
    assert proxy.model_dump(exclude={"id", "checked_at"}, mode="json") == {
        "host": "192.0.2.1",
        "port": 80,
        "protocol": "socks5",
        "pool_id": str(POOL),
        "status": "active",
        "credentials": {"user": "me", "password": "secret"},
        "source": "list",
        "country": "DE",
        "city": "Bonn",
        "latitude": 50.7,
        "longitude": 7.1,
        "isp": "Example",
        "asn": 64496,
        "max_concurrency": 1,
        "current_leases": 0,
    }


def test_the_terms_say_what_the_list_does_not() -> None:
    terms = Terms(ProxyStatus.INACTIVE, "unlimited", "terms")
    proxy = written(decide(Record(HTTP, "192.0.2.1", 80), terms=terms))
    assert (proxy.status, proxy.max_concurrency, proxy.source) == ("inactive", None, "terms")
    record = Record(HTTP, "192.0.2.1", 80, status=ProxyStatus.SLOW, max_concurrency=4)
    proxy = written(decide(record, terms=terms))
    assert (proxy.status, proxy.max_concurrency) == ("slow", 4)


def test_the_id_of_a_new_proxy_follows_from_pool_and_identity() -> None:
    record = Record(HTTP, "192.0.2.1", 80, "me", "secret")
    first, again = written(decide(record)), written(decide(record))
    assert first.id == again.id == proxy_id(POOL, record.identity)
    assert first.id.version == 5
    # Other attributes, another password: the same proxy.
    same = Record(HTTP, "192.0.2.1", 80, "me", "other", country="DE")
    assert written(decide(same)).id == first.id
    others = [
        Record(ProxyProtocol.HTTPS, "192.0.2.1", 80, "me", "secret"),
        Record(HTTP, "192.0.2.2", 80, "me", "secret"),
        Record(HTTP, "192.0.2.1", 81, "me", "secret"),
        Record(HTTP, "192.0.2.1", 80, "you", "secret"),
        Record(HTTP, "192.0.2.1", 80),
    ]
    ids = {step.proxy.id for step in decide([*others]) if step.proxy}
    assert len(ids | {first.id}) == 6
    (elsewhere,) = plan([], [record], uuid4(), Terms())
    assert elsewhere.proxy is not None
    assert elsewhere.proxy.id != first.id


def test_ids_do_not_change_between_releases() -> None:
    identity = Record(HTTP, "192.0.2.1", 80, "me", "x").identity
    assert proxy_id(POOL, identity) == UUID("5a13ef42-7328-51f0-91b6-afcfb7a89f2c")


@pytest.mark.parametrize(
    ("host", "listed"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("Gate.Example.COM", "gate.example.com"),
        ("2001:db8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("not a host", "not a host"),
    ],
)
def test_a_known_proxy_is_recognised_however_its_host_is_spelt(host: str, listed: str) -> None:
    proxy = stored(host=host)
    assert identity_of(proxy) == (HTTP, listed, 80, None)
    (step,) = decide(Record(HTTP, listed, 80), proxy)
    assert step == Step(Outcome.UNCHANGED, identity=identity_of(proxy))


@pytest.mark.parametrize("name", ["country", "city", "isp", "source", "latitude", "asn"])
def test_a_listed_attribute_that_differs_is_changed_and_nothing_else(name: str) -> None:
    value: object = 12 if name in ("latitude", "asn") else "other"
    proxy = stored(country="DE", city="Bonn", isp="Example", source="s", latitude=1.0, asn=1)
    record = Record(HTTP, "192.0.2.1", 80, **{name: value})  # type: ignore[arg-type]
    (step,) = decide(record, proxy)
    assert (step.outcome, step.changes) == (Outcome.CHANGED, (name,))
    assert written([step]) == proxy.model_copy(update={name: value})


def test_a_changed_password_is_changed_and_does_not_show() -> None:
    proxy = stored(credentials=ProxyCredentials(user="me", password="old"))
    (step,) = decide(Record(HTTP, "192.0.2.1", 80, "me", "Hunter2"), proxy)
    assert step.changes == ("credentials",)
    assert written([step]).credentials == ProxyCredentials(user="me", password="Hunter2")
    assert step.identity is not None
    assert step.identity.label == "http://192.0.2.1:80 user 'me'"


def test_what_the_list_does_not_say_is_direct() -> None:
    proxy = stored(country="DE", city="Bonn", latitude=0.0, asn=0)
    (step,) = decide(Record(HTTP, "192.0.2.1", 80, country="FR"), proxy)
    assert written([step]) == proxy.model_copy(update={"country": "FR"})


def test_zero_is_a_value() -> None:
    proxy = stored(latitude=1.0, asn=1)
    (step,) = decide(Record(HTTP, "192.0.2.1", 80, latitude=0.0, asn=0), proxy)
    assert step.changes == ("latitude", "asn")


def test_live_state_is_left_alone_even_if_listed() -> None:
    record = Record(HTTP, "192.0.2.1", 80, status=ProxyStatus.ACTIVE, max_concurrency=1)
    terms = Terms(ProxyStatus.SLOW, 9)
    assert decide(record, stored(), terms=terms)[0].outcome is Outcome.UNCHANGED
    changed = Record(HTTP, "192.0.2.1", 80, country="DE", status=ProxyStatus.ACTIVE)
    proxy = stored()
    assert written(decide(changed, proxy, terms=terms)) == proxy.model_copy(
        update={"country": "DE"}
    )


@pytest.mark.parametrize(
    ("terms", "record", "changes"),
    [
        (Terms(ProxyStatus.SLOW, 9, reset_status=True), {}, {"status": "slow"}),
        (Terms(ProxyStatus.BANNED, 9, reset_status=True), {}, {}),
        (
            Terms(ProxyStatus.SLOW, 9, reset_status=True),
            {"status": ProxyStatus.INACTIVE},
            {"status": "inactive"},
        ),
        (Terms(max_concurrency=9, reset_max_concurrency=True), {}, {"max_concurrency": 9}),
        (Terms(max_concurrency=7, reset_max_concurrency=True), {}, {}),
        (
            Terms(max_concurrency="unlimited", reset_max_concurrency=True),
            {},
            {"max_concurrency": None},
        ),
        (
            Terms(max_concurrency=9, reset_max_concurrency=True),
            {"max_concurrency": "unlimited"},
            {"max_concurrency": None},
        ),
    ],
)
def test_live_state_is_set_where_the_terms_say_so(
    terms: Terms, record: dict[str, object], changes: dict[str, object]
) -> None:
    proxy = stored()
    (step,) = decide(Record(HTTP, "192.0.2.1", 80, **record), proxy, terms=terms)  # type: ignore[arg-type]
    assert step.changes == tuple(changes)
    if changes:
        assert written([step]) == proxy.model_copy(update=changes)


def test_a_changed_proxy_keeps_the_fields_of_its_own_class() -> None:
    class Tagged(Proxy):
        tag: str

    proxy = Tagged(**stored().model_dump(), tag="blue")
    (step,) = decide(Record(HTTP, "192.0.2.1", 80, country="DE"), proxy)
    assert isinstance(step.proxy, Tagged)
    assert step.proxy.tag == "blue"


def test_the_first_of_a_proxy_listed_twice_counts() -> None:
    entries: list[Parsed] = [
        Record(HTTP, "192.0.2.1", 80, country="DE"),
        Record(HTTP, "192.0.2.1", 80, country="FR"),
        Record(HTTP, "192.0.2.2", 80),
        Record(HTTP, "192.0.2.2", 80),
        Record(HTTP, "192.0.2.2", 80),
    ]
    steps = decide(entries, stored(host="192.0.2.2"))
    assert [step.outcome.value for step in steps] == [
        "new", "duplicate", "unchanged", "duplicate", "duplicate",
    ]  # fmt: skip
    assert written(steps).country == "DE"


def test_issues_pass_through() -> None:
    issue = Issue("line", 3, "the port is missing")
    assert decide(issue) == [Step(Outcome.UNREADABLE, issue=issue)]


def test_a_known_proxy_with_an_id_that_would_be_right_for_another_keeps_it() -> None:
    record = Record(HTTP, "192.0.2.1", 80)
    moved = stored(id=proxy_id(POOL, record.identity), host="192.0.2.9")
    first, again = written(decide(record, moved)), written(decide(record, moved))
    assert first.id == again.id != moved.id
    # And once more, should that id be taken as well.
    second = stored(id=first.id, host="192.0.2.8")
    assert written(decide(record, moved, second)).id not in {moved.id, second.id}


def test_of_two_stored_proxies_that_are_the_same_the_first_is_the_known_one() -> None:
    first, second = stored(country="DE"), stored(country="FR")
    steps = decide(Record(HTTP, "192.0.2.1", 80, country="ES"), first, second)
    assert written(steps).id == first.id


def test_plans_are_lazy() -> None:
    def entries() -> Iterator[Parsed]:
        yield Record(HTTP, "192.0.2.1", 80)
        raise AssertionError("read further than asked")

    assert next(plan([], entries(), POOL, Terms())).outcome is Outcome.NEW


def test_labels_are_safe_to_print() -> None:
    record = Record(HTTP, "2001:db8::1", 80, "m\x1b[31me", "secret")
    assert record.identity.label == r"http://[2001:db8::1]:80 user 'm\x1b[31me'"
    assert "secret" not in repr(record)
