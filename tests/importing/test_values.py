"""Single values: what each spelling means, and what is refused."""

import math
from collections.abc import Callable

import pytest
from pharox.models import ProxyProtocol, ProxyStatus

from pharox_redis.importing import Unreadable, values


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (values.read_port, 8080, 8080),
        (values.read_port, " 8080 ", 8080),
        (values.read_port, "8080.0", 8080),
        (values.read_port, 8080.0, 8080),
        (values.read_port, "", None),
        (values.read_port, None, None),
        (values.read_asn, "AS13335", 13335),
        (values.read_asn, "as 13335", 13335),
        (values.read_asn, "ASN13335", 13335),
        (values.read_asn, "AS13335 Example, Inc.", 13335),
        (values.read_asn, 13335, 13335),
        (values.read_asn, "0", 0),
        (values.read_asn, 4294967295, 4294967295),
        (values.read_asn, "N/A", None),
        (values.read_asn, "-", None),
        (values.read_latitude, "-12.5", -12.5),
        (values.read_latitude, 90, 90.0),
        (values.read_longitude, "180", 180.0),
        (values.read_longitude, "nan", None),
        (values.read_longitude, " ", None),
        (values.read_protocol, "SOCKS5", ProxyProtocol.SOCKS5),
        (values.read_protocol, "http://", ProxyProtocol.HTTP),
        (values.read_protocol, ["socks4"], ProxyProtocol.SOCKS4),
        (values.read_protocol, [], None),
        (values.read_status, "Banned", ProxyStatus.BANNED),
        (values.read_status, "", None),
        (values.read_concurrency, "unlimited", "unlimited"),
        (values.read_concurrency, "3", 3),
        (values.read_concurrency, None, None),
        (values.read_host, " [2001:DB8::1] ", "2001:db8::1"),
        (values.read_host, "2001:DB8::1", "2001:db8::1"),
        (values.read_host, "GATE.example", "gate.example"),
    ],
)
def test_readings(read: Callable[[object], object], value: object, expected: object) -> None:
    got = read(value)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (values.read_port, "http"),
        (values.read_port, 80.5),
        (values.read_port, True),
        (values.read_port, 0),
        (values.read_port, [80]),
        (values.read_asn, "AS"),
        (values.read_asn, "Example AS13335"),
        (values.read_asn, 2**32),
        (values.read_asn, -1),
        (values.read_asn, {"number": 1}),
        (values.read_latitude, 90.1),
        (values.read_latitude, "north"),
        (values.read_latitude, True),
        (values.read_latitude, math.nan),
        (values.read_longitude, math.inf),
        (values.read_longitude, 10**400),
        (values.read_longitude, "1e999"),
        (values.read_protocol, "pop3"),
        (values.read_protocol, ["http", "socks5"]),
        (values.read_status, "alive"),
        (values.read_concurrency, 0),
        (values.read_concurrency, "many"),
        (values.read_concurrency, 2**31),
        (values.read_host, "not a host"),
        (values.read_host, 3221225991.5),
    ],
)
def test_refusals_do_not_quote_the_value(read: Callable[[object], object], value: object) -> None:
    with pytest.raises(Unreadable) as caught:
        read(value)
    assert str(value) not in str(caught.value)


def test_text_is_kept_as_it_is_and_labels_are_stripped() -> None:
    assert values.read_text(" a ", "city") == " a "
    assert values.read_label(" a ", "city") == "a"
    assert values.read_secret(1234, "password") == "1234"


@pytest.mark.parametrize("value", [1.5, True, ["a"], {"a": 1}])
def test_text_is_not_made_of_other_things(value: object) -> None:
    with pytest.raises(Unreadable, match="the city is not text"):
        values.read_text(value, "city")


@pytest.mark.parametrize("value", ["D\udcfcren", "\ud800"])
def test_text_without_a_utf8_form_is_refused(value: str) -> None:
    with pytest.raises(Unreadable, match="the city is not valid UTF-8"):
        values.read_text(value, "city")


@pytest.mark.parametrize("value", ["a\nb", "a\rb"])
def test_secrets_are_on_one_line(value: str) -> None:
    with pytest.raises(Unreadable, match="several lines"):
        values.read_secret(value, "password")
