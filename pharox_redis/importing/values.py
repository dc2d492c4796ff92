"""Single values, as lists spell them, turned into what pharox's models hold.

Values come from text (every cell of a CSV file is text) or from JSON, so each reader takes any
object. ``None`` and blank text mean "not said"; a value that is there but makes no sense raises
`Unreadable`, because dropping it silently would import something the list did not say.
"""

from __future__ import annotations

import math
import re

from pharox.models import ProxyProtocol, ProxyStatus

from pharox_redis.importing.hosts import canonical_host
from pharox_redis.importing.records import Concurrency, Unreadable

MASKED = "***"
"""What stands for a password where none may show; it is never taken for one."""

_WHOLE = re.compile(r"([0-9]{1,10})(\.0+)?", re.ASCII)
_ASN = re.compile(r"(?:ASN?\s*)?([0-9]{1,10})(?:\s.*)?", re.ASCII | re.IGNORECASE | re.DOTALL)
_NOT_A_NUMBER = frozenset({"-", "n/a", "na", "nan", "nil", "none", "null", "unknown"})
_MAX_ASN = 2**32 - 1
_MAX_CONCURRENCY = 2**31 - 1

# Both name a flavour of name resolution that clients choose, not another protocol.
_PROTOCOL_SYNONYMS = {"socks5h": "socks5", "socks4a": "socks4"}

PROTOCOLS = ", ".join(protocol.value for protocol in ProxyProtocol)
STATUSES = ", ".join(status.value for status in ProxyStatus)


def read_text(value: object, what: str) -> str | None:
    """Return text as it is, or ``None`` when blank.

    Raises
    ------
        Unreadable: Not text, or text that has no UTF-8 form (a file in another encoding).
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Unreadable(f"the {what} is not text")
    if not value.strip():
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unreadable(f"the {what} is not valid UTF-8") from None
    return value


def read_secret(value: object, what: str) -> str | None:
    """Return a user or password unchanged, or ``None`` when blank; on one line only.

    Raises
    ------
        Unreadable: See `read_text`; or a line break, as an unbalanced quote leaves behind; or a
            password that was masked.
    """
    text = read_text(value, what)
    if text == MASKED and what == "password":
        raise Unreadable("the password is masked (export shows it with --show-secrets)")
    if text is not None and ("\n" in text or "\r" in text):
        raise Unreadable(f"the {what} runs over several lines (an unbalanced quote?)")
    return text


def read_label(value: object, what: str) -> str | None:
    """Return text without blanks around it; see `read_text`."""
    text = read_text(value, what)
    return None if text is None else text.strip()


def read_host(value: object) -> str | None:
    """Return the canonical form of a host; see `canonical_host`."""
    text = read_label(value, "host")
    if text is None:
        return None
    host = canonical_host(text)
    if host is None:
        raise Unreadable("the host is neither an IP address nor a host name")
    return host


def read_port(value: object) -> int | None:
    """Return a port, 1 to 65535."""
    port = _whole(value, "port")
    if port is not None and not 1 <= port <= 65535:
        raise Unreadable("the port is not between 1 and 65535")
    return port


def read_protocol(value: object) -> ProxyProtocol | None:
    """Return a protocol from its name in any case, with or without ``://``.

    A list of one name is taken for the name.
    """
    if isinstance(value, list):
        if len(value) > 1:
            raise Unreadable("several protocols for one proxy")
        value = value[0] if value else None
    name = read_label(value, "protocol")
    if name is None:
        return None
    name = name.lower().removesuffix("://")
    try:
        return ProxyProtocol(_PROTOCOL_SYNONYMS.get(name, name))
    except ValueError:
        raise Unreadable(f"unknown protocol; known are {PROTOCOLS}") from None


def read_status(value: object) -> ProxyStatus | None:
    """Return one of pharox's statuses from its name in any case."""
    name = read_label(value, "status")
    if name is None:
        return None
    try:
        return ProxyStatus(name.lower())
    except ValueError:
        raise Unreadable(f"unknown status; known are {STATUSES}") from None


def read_concurrency(value: object) -> Concurrency | None:
    """Return how many leases at once, 1 to 2**31 - 1, or ``"unlimited"``."""
    if isinstance(value, str) and value.strip().lower() == "unlimited":
        return "unlimited"
    number = _whole(value, "max_concurrency")
    if number is not None and not 1 <= number <= _MAX_CONCURRENCY:
        raise Unreadable("max_concurrency is neither a positive number nor 'unlimited'")
    return number


def read_asn(value: object) -> int | None:
    """Return the number of an autonomous system: 13335, ``"AS13335"``, ``"AS13335 Name"``."""
    if isinstance(value, str):
        if _says_nothing(value):
            return None
        match = _ASN.fullmatch(value.strip())
        value = match[1] if match else value
    number = _whole(value, "asn")
    if number is not None and not 0 <= number <= _MAX_ASN:
        raise Unreadable("the asn is not between 0 and 4294967295")
    return number


def read_latitude(value: object) -> float | None:
    """Return degrees, -90 to 90."""
    return _degrees(value, "latitude", 90)


def read_longitude(value: object) -> float | None:
    """Return degrees, -180 to 180."""
    return _degrees(value, "longitude", 180)


def _whole(value: object, what: str) -> int | None:
    """Return a whole number; spreadsheets and data frames write 8080 as 8080.0."""
    if value is None:
        return None
    if isinstance(value, str):
        if _says_nothing(value):
            return None
        match = _WHOLE.fullmatch(value.strip())
        if match:
            return int(match[1])
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    elif isinstance(value, float) and value.is_integer():
        return int(value)
    raise Unreadable(f"the {what} is not a whole number")


def _degrees(value: object, what: str, limit: float) -> float | None:
    if value is None or (isinstance(value, str) and _says_nothing(value)):
        return None
    reason = f"the {what} is not a number between {-limit:g} and {limit:g}"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unreadable(reason)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise Unreadable(reason) from None
    if not math.isfinite(number) or abs(number) > limit:
        raise Unreadable(reason)
    return number


def _says_nothing(text: str) -> bool:
    stripped = text.strip().lower()
    return not stripped or stripped in _NOT_A_NUMBER
