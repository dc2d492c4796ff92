"""Hosts, in the one spelling by which proxies are compared.

An IP address is written as the `ipaddress` module writes it (``2001:db8:0::1`` becomes
``2001:db8::1``); a name is lower case without the dot of the root. Everything else is no host: in
particular a name whose last label is a number, which every resolver takes for an IPv4 address
(``192.0.2.999``, ``1.2.3``), and an address with a zone, which means something on one machine only.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_MAX_NAME = 253


def canonical_host(text: str) -> str | None:
    """Return ``text`` in canonical form, or ``None`` when it is no host.

    IPv6 may be in brackets. Names in other scripts are expected in their ASCII form (``xn--``).
    """
    bracketed = text.startswith("[") and text.endswith("]")
    bare = text[1:-1] if bracketed else text
    if "%" in bare:
        return None
    try:
        address = ip_address(bare)
    except ValueError:
        return None if bracketed else _canonical_name(bare)
    return str(address) if isinstance(address, IPv6Address) or not bracketed else None


def comparable_host(text: str) -> str:
    """Return the canonical form of a stored host, or a lower-case copy of one that has none."""
    return canonical_host(text) or text.lower()


def is_ipv6(text: str) -> bool:
    """Tell whether ``text`` is an IPv6 address without brackets."""
    try:
        return isinstance(ip_address(text), IPv6Address)
    except ValueError:
        return False


def is_distinct_host(host: str) -> bool:
    """Tell whether a canonical host can hardly be a user name: an address or a dotted name."""
    return "." in host or ":" in host


def _canonical_name(text: str) -> str | None:
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _MAX_NAME or labels[-1].isdigit():
        return None
    return name if all(_LABEL.fullmatch(label) for label in labels) else None
