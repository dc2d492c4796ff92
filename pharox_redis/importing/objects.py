"""One object of a list, or one line, turned into a record.

An object gives a proxy field by field, or whole: where it has no port beside the host, a ``url``
or a ``host`` that carries the port as well (``"server": "http://192.0.2.1:8080"``) is read in the
line notations. A protocol or credentials in fields of their own count before those.
"""

from __future__ import annotations

from collections.abc import Mapping

from pharox.models import ProxyProtocol

from pharox_redis.importing import values
from pharox_redis.importing.fields import FieldMap
from pharox_redis.importing.hosts import canonical_host
from pharox_redis.importing.notation import Notation, checked_credentials, parse_notation
from pharox_redis.importing.records import Record, Unreadable


def record_of_line(text: str, protocol: ProxyProtocol) -> Record:
    """Return the proxy that a line writes.

    Args
    ----
        text: The line without comments and blanks around it.
        protocol: What holds where the line has no scheme.

    Raises
    ------
        Unreadable: See `parse_notation`.
    """
    notation = parse_notation(text)
    return Record(
        protocol=notation.protocol or protocol,
        host=notation.host,
        port=notation.port,
        user=notation.user,
        password=notation.password,
    )


def record_of_object(item: object, fields: FieldMap, protocol: ProxyProtocol) -> Record:
    """Return the proxy that an object describes; a plain text is taken for a line.

    Args
    ----
        item: A JSON value, or a CSV row by its columns.
        fields: Where the fields are found.
        protocol: What holds where the object names none.

    Raises
    ------
        Unreadable: No host or port, or a field whose value makes no sense.
    """
    if isinstance(item, str):
        return record_of_line(item.strip(), protocol)
    if not isinstance(item, Mapping):
        raise Unreadable("not an object")
    found = fields.pick(item)
    whole = _whole_proxy(found)
    host = whole.host if whole else values.read_host(found.get("host"))
    if host is None:
        raise Unreadable("the host is missing")
    port = values.read_port(found.get("port")) or (whole.port if whole else None)
    if port is None:
        raise Unreadable("the port is missing")
    user = values.read_secret(found.get("user"), "user")
    password = values.read_secret(found.get("password"), "password")
    if user is None and password is None and whole is not None:
        user, password = whole.user, whole.password
    user, password = checked_credentials(user, password)
    named = values.read_protocol(found.get("protocol"))
    return Record(
        protocol=named or (whole.protocol if whole else None) or protocol,
        host=host,
        port=port,
        user=user,
        password=password,
        source=values.read_label(found.get("source"), "source"),
        country=values.read_label(found.get("country"), "country"),
        city=values.read_label(found.get("city"), "city"),
        latitude=values.read_latitude(found.get("latitude")),
        longitude=values.read_longitude(found.get("longitude")),
        isp=values.read_label(found.get("isp"), "isp"),
        asn=values.read_asn(found.get("asn")),
        status=values.read_status(found.get("status")),
        max_concurrency=values.read_concurrency(found.get("max_concurrency")),
    )


def _whole_proxy(found: Mapping[str, object]) -> Notation | None:
    """Return the proxy of a ``url``, or of a ``host`` that is more, without a port beside them."""
    if "host" in found and "port" in found:
        return None
    what = "url" if "url" in found else "host"
    text = values.read_secret(found.get(what), what)
    if text is None or (what == "host" and canonical_host(text.strip())):
        return None
    return parse_notation(text.strip())
