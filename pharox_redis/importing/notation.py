"""A proxy written on one line.

The notations, each with or without ``scheme://`` in front::

    host:port
    host:port:user:password        taken as it stands; the password may contain ':'
    user:password@host:port        a URL's: %XX is decoded; the password may contain ':' and '@'

IPv6 hosts are in brackets. A ``+`` is a plus: user-info in URLs writes a space as ``%20``.

A line with an '@' inside the password of the second notation can read as the third as well, with
other credentials and another host. Sending credentials to the wrong host is worse than refusing a
line, so then the reading counts whose host can hardly be a user name (an address or a dotted name);
if that settles nothing, the line is refused. With a scheme in front it is a URL, and so the third.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from pharox.models import ProxyProtocol

from pharox_redis.importing.hosts import canonical_host, is_distinct_host, is_ipv6
from pharox_redis.importing.records import Unreadable
from pharox_redis.importing.values import read_port, read_protocol, read_secret

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.ASCII | re.IGNORECASE)
_SHAPE = "expected host:port, host:port:user:password or [scheme://]user:password@host:port"


@dataclass(frozen=True, slots=True)
class Notation:
    """What one line says; ``protocol`` is ``None`` without a scheme."""

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    protocol: ProxyProtocol | None = None


def parse_notation(text: str) -> Notation:
    """Read one proxy from a text without blanks or comments around it.

    Raises
    ------
        Unreadable: It is none of the notations, or two of them at once.
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _parse_authority(text)
    protocol = read_protocol(scheme[1])
    authority = text[scheme.end() :].removesuffix("/")
    return replace(_parse_authority(authority, is_url=True), protocol=protocol)


def checked_credentials(user: str | None, password: str | None) -> tuple[str | None, str | None]:
    """Return both or neither.

    Raises
    ------
        Unreadable: Only one of the two is there; pharox stores credentials whole.
    """
    if user is not None and password is None:
        raise Unreadable("a user without a password")
    if password is not None and user is None:
        raise Unreadable("a password without a user")
    return user, password


def _parse_authority(text: str, *, is_url: bool = False) -> Notation:
    if "@" not in text:
        return _parse_colons(text)
    try:
        as_url = _parse_at(text)
    except Unreadable as unreadable:
        try:
            return _parse_colons(text)
        except Unreadable:
            raise unreadable from None
    if is_url:
        return as_url
    try:
        as_colons = _parse_colons(text)
    except Unreadable:
        return as_url
    distinct = [reading for reading in (as_url, as_colons) if is_distinct_host(reading.host)]
    if len(distinct) != 1:
        raise Unreadable("can be read in two ways; write it as scheme://user:password@host:port")
    return distinct[0]


def _parse_at(text: str) -> Notation:
    user_info, _, address = text.rpartition("@")
    host, port, rest = _split_address(address)
    if rest is not None:
        raise Unreadable(_SHAPE)
    user, _, password = user_info.partition(":")
    return _notation(host, port, _decoded(user, "user"), _decoded(password, "password"))


def _parse_colons(text: str) -> Notation:
    if is_ipv6(text) or is_ipv6(text.rpartition(":")[0]):
        raise Unreadable("an IPv6 address must be in brackets, as in [2001:db8::1]:8080")
    host, port, rest = _split_address(text)
    user, _, password = (rest or "").partition(":")
    return _notation(host, port, user, password)


def _split_address(text: str) -> tuple[str, str, str | None]:
    """Split ``host:port[:rest]``; the host keeps its brackets, ``rest`` is None without a colon."""
    if text.startswith("["):
        host, bracket, after = text.partition("]")
        host, colon, after = host + bracket, after[:1], after[1:]
    else:
        host, colon, after = text.partition(":")
    if colon != ":":
        raise Unreadable(_SHAPE)
    port, more, rest = after.partition(":")
    return host, port, rest if more else None


def _notation(host: str, port: str, user: str, password: str) -> Notation:
    canonical = canonical_host(host)
    if canonical is None or (":" in canonical and not host.startswith("[")):
        raise Unreadable("the host is neither an IP address nor a host name")
    number = read_port(port)
    if number is None:
        raise Unreadable("the port is missing")
    credentials = checked_credentials(read_secret(user, "user"), read_secret(password, "password"))
    return Notation(canonical, number, *credentials)


def _decoded(text: str, what: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Unreadable(f"the {what} is not valid percent-encoded UTF-8") from None
