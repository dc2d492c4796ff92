"""One proxy on one line: every notation, what is refused, and that no password shows."""

from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pharox.models import ProxyProtocol

from pharox_redis.importing import Unreadable, parse_notation
from pharox_redis.importing.hosts import is_distinct_host
from pharox_redis.importing.notation import Notation

V4 = "192.0.2.7"
V6 = "2001:db8::7"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.7:8080", Notation(V4, 8080)),
        ("Gate.Example.COM.:8080", Notation("gate.example.com", 8080)),
        ("localhost:1", Notation("localhost", 1)),
        ("192.0.2.7:65535:me:secret", Notation(V4, 65535, "me", "secret")),
        ("192.0.2.7:80:me:a:b::c", Notation(V4, 80, "me", "a:b::c")),
        ("192.0.2.7:80:me:a%41", Notation(V4, 80, "me", "a%41")),
        ("192.0.2.7:80::", Notation(V4, 80)),
        ("192.0.2.7:80:", Notation(V4, 80)),
        ("me:secret@192.0.2.7:80", Notation(V4, 80, "me", "secret")),
        ("me:a:b@192.0.2.7:80", Notation(V4, 80, "me", "a:b")),
        ("me:a@b@192.0.2.7:80", Notation(V4, 80, "me", "a@b")),
        ("me:a%3A%40%2f@192.0.2.7:80", Notation(V4, 80, "me", "a:@/")),
        ("m%3Ae:a+b%20c@192.0.2.7:80", Notation(V4, 80, "m:e", "a+b c")),
        ("me:100%@192.0.2.7:80", Notation(V4, 80, "me", "100%")),
        ("me:a/b?c#d@192.0.2.7:80", Notation(V4, 80, "me", "a/b?c#d")),
        ("@192.0.2.7:80", Notation(V4, 80)),
        ("[2001:DB8:0::7]:8080", Notation(V6, 8080)),
        ("[2001:db8::7]:8080:me:a:b", Notation(V6, 8080, "me", "a:b")),
        ("me:secret@[2001:db8::7]:8080", Notation(V6, 8080, "me", "secret")),
    ],
)
@pytest.mark.parametrize("scheme", ["", "http", "https", "socks4", "SOCKS5"])
def test_each_notation_with_and_without_a_scheme(
    text: str, expected: Notation, scheme: str
) -> None:
    got = parse_notation(f"{scheme}://{text}" if scheme else text)
    protocol = ProxyProtocol(scheme.lower()) if scheme else None
    assert got == Notation(expected.host, expected.port, expected.user, expected.password, protocol)


@pytest.mark.parametrize(
    ("text", "protocol"),
    [
        ("socks5h://192.0.2.7:1080", ProxyProtocol.SOCKS5),
        ("socks4a://192.0.2.7:1080", ProxyProtocol.SOCKS4),
        ("http://192.0.2.7:1080/", ProxyProtocol.HTTP),
    ],
)
def test_urls_as_clients_write_them(text: str, protocol: ProxyProtocol) -> None:
    assert parse_notation(text) == Notation(V4, 1080, protocol=protocol)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("192.0.2.7", "expected host:port"),
        ("", "expected host:port"),
        ("192.0.2.7 8080", "expected host:port"),
        ("192.0.2.7:", "port is missing"),
        ("192.0.2.7:http", "port is not a whole number"),
        ("192.0.2.7:0", "between 1 and 65535"),
        ("192.0.2.7:65536", "between 1 and 65535"),
        ("192.0.2.7:-1", "port is not a whole number"),
        ("192.0.2.7:٨٠", "port is not a whole number"),
        ("192.0.2.7:99999999999999999999", "port is not a whole number"),
        ("192.0.2.999:80", "neither an IP address nor a host name"),
        ("192.0.2:80", "neither an IP address nor a host name"),
        ("192.000.002.007:80", "neither an IP address nor a host name"),
        ("-gate.example:80", "neither an IP address nor a host name"),
        ("gate..example:80", "neither an IP address nor a host name"),
        ("gäte.example:80", "neither an IP address nor a host name"),
        ("[192.0.2.7]:80", "neither an IP address nor a host name"),
        ("[fe80::1%eth0]:80", "neither an IP address nor a host name"),
        ("[2001:db8::7:80", "expected host:port"),
        ("[2001:db8::7]80", "expected host:port"),
        ("2001:db8::7:8080", "must be in brackets"),
        ("fe80:80:a:b:c:d:e:f", "must be in brackets"),
        ("fe80:80:a:b:c:d:e:f:8080", "must be in brackets"),
        ("192.0.2.7:80:me", "a user without a password"),
        ("192.0.2.7:80::secret", "a password without a user"),
        ("me@192.0.2.7:80", "a user without a password"),
        (":secret@192.0.2.7:80", "a password without a user"),
        ("me:%ff@192.0.2.7:80", "not valid percent-encoded UTF-8"),
        ("me:a%0Ab@192.0.2.7:80", "several lines"),
        ("me:secret@192.0.2.7:80:90", "expected host:port"),
        ("ftp://192.0.2.7:80", "unknown protocol; known are http, https, socks4, socks5"),
        ("http://192.0.2.7:80/path", "port is not a whole number"),
    ],
)
def test_what_is_no_proxy_says_why(text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        parse_notation(text)


def test_a_password_with_an_at_sign_in_colon_notation() -> None:
    assert parse_notation("192.0.2.7:80:me:p@ss") == Notation(V4, 80, "me", "p@ss")
    # `ss:99` could be the host: but the address can hardly be a user.
    assert parse_notation("192.0.2.7:80:me:p@ss:99") == Notation(V4, 80, "me", "p@ss:99")
    assert parse_notation("me:80:a:b@192.0.2.7:99") == Notation(V4, 99, "me", "80:a:b")


@pytest.mark.parametrize("text", ["gate.example:80:me:p@x.example:99", "a:80:me:p@b:99"])
def test_a_line_with_two_meanings_is_refused_and_a_url_settles_it(text: str) -> None:
    with pytest.raises(Unreadable, match="two ways"):
        parse_notation(text)
    assert parse_notation(f"http://{text}").port == 99


def test_credentials_stay_out_of_a_repr() -> None:
    assert "secret" not in repr(parse_notation("me:secret@192.0.2.7:80"))


hosts = st.one_of(
    st.integers(0, 255).map("192.0.2.{}".format),
    st.integers(0, 2**64 - 1).map(
        lambda n: "2001:db8::" + ":".join(f"{n >> s & 65535:x}" for s in (48, 32, 16, 0))
    ),
    st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]\.example", fullmatch=True),
)
ports = st.integers(1, 65535)
# Anything but blanks and controls.
words = st.text(
    st.characters(categories=["L", "M", "N", "P", "S"]), min_size=1, max_size=20
).filter(str.isprintable)
protocols = st.sampled_from(ProxyProtocol)


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def canonical(host: str) -> str:
    return parse_notation(f"{bracketed(host)}:1").host


@settings(deadline=None)
@given(protocols, hosts, ports, words, words)
@example(ProxyProtocol.HTTP, V4, 80, "a:b", "p@s/s?#%25+ ")
def test_a_url_gives_back_what_was_put_in(
    protocol: ProxyProtocol, host: str, port: int, user: str, password: str
) -> None:
    authority = f"{quote(user, safe='')}:{quote(password, safe='')}@{bracketed(host)}:{port}"
    expected = Notation(canonical(host), port, user, password)
    assert parse_notation(authority) == expected
    got = parse_notation(f"{protocol.value}://{authority}")
    assert got == Notation(canonical(host), port, user, password, protocol)


@settings(deadline=None)
@given(hosts, ports, words, words)
@example("gate.example", 80, "me", "p@x.example:99")
@example("192.0.2.1", 80, "me", "a:b@c")
def test_colons_give_back_what_was_put_in_or_are_refused(
    host: str, port: int, user: str, password: str
) -> None:
    assume(":" not in user)
    line = f"{bracketed(host)}:{port}:{user}:{password}"
    try:
        got = parse_notation(line)
    except Unreadable:
        # Only an '@' gives a line a second meaning.
        assert "@" in user + password
    else:
        assert got == Notation(canonical(host), port, user, password)


@settings(deadline=None)
@given(hosts, ports)
def test_a_host_and_port_give_back_what_was_put_in(host: str, port: int) -> None:
    got = parse_notation(f"{bracketed(host)}:{port}")
    assert (got.host, got.port, got.user, got.password) == (canonical(host), port, None, None)
    assert is_distinct_host(got.host)


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from([*":@[]/#%. ", "http://", "80", V4, V6]), words)))
def test_no_input_shows_in_a_reason_or_breaks_the_parser(parts: list[str]) -> None:
    line = "Hunter2-Secret".join(["", *parts, ""])
    try:
        parse_notation(line)
    except Unreadable as unreadable:
        assert "hunter2" not in str(unreadable).lower()
