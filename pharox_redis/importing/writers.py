"""Writing a list, the way back of `readers`: what is written here is read there as it was.

Every proxy is first turned into the record that a list should give of it, then that is written in
the list's format and, unless passwords are to show, without its password. What is written is looked
at as a reader would: a proxy that it would not read, or not read so, is written all the same, and
noted. That takes a value which no list could have brought: a host that is none, a password with a
line break.

``lines`` say protocol, address and credentials, the other formats all that a list can say. Ids,
leases, latencies, health records and the times of checks are the storage's and are in no list.

User and password are percent-encoded in URLs, a space as ``%20``: a ``+`` would stay a plus.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeAlias
from urllib.parse import quote

from pharox.models import Proxy, ProxyProtocol, ProxyStatus

from pharox_redis.importing.fields import OUR_STATUS, FieldMap
from pharox_redis.importing.formats import ListFormat
from pharox_redis.importing.objects import record_of_line, record_of_object
from pharox_redis.importing.records import Record, Unreadable, identity_of
from pharox_redis.importing.values import MASKED

KEPT = 20
"""How many proxies that would not be read back are kept to show; the rest is only counted."""

COLUMNS = (
    "protocol",
    "host",
    "port",
    "username",
    "password",
    OUR_STATUS,
    "max_concurrency",
    "source",
    "country",
    "city",
    "latitude",
    "longitude",
    "isp",
    "asn",
)
"""The keys of an object and the columns of CSV, under names that reading takes them from."""

_FIELDS = {"username": "user", OUR_STATUS: "status"}

Item: TypeAlias = dict[str, object]

_PLAIN_FIELDS = FieldMap()
# In a CSV cell these do not survive: line ends become line feeds, marks at a line's start vanish.
_LOST_IN_CELLS = re.compile("[\r\ufeff]")
# What a host may have in a line. Of one that is none, the rest is escaped, so that it cannot end
# its line or begin a comment.
_HOST = "[]:.-_"


@dataclass
class ExportSummary:
    """What an export wrote so far.

    Attributes
    ----------
        written: Proxies written.
        masked: Those whose password was masked.
        unreadable: Those that an import would not read, or not as they are.
        first_unreadable: Labels of the first of these, with the reason. A host that is none may
            hold anything: escape before printing.
    """

    written: int = 0
    masked: int = 0
    unreadable: int = 0
    first_unreadable: list[tuple[str, str]] = field(default_factory=list)

    def note(self, label: str, reason: str) -> None:
        """Take a proxy into account that would not be read back."""
        self.unreadable += 1
        if len(self.first_unreadable) < KEPT:
            self.first_unreadable.append((label, reason))


def write_list(
    proxies: Iterable[Proxy],
    format: ListFormat,
    *,
    show_secrets: bool = False,
    summary: ExportSummary | None = None,
) -> Iterator[str]:
    """Yield the text of a list piece by piece, lazily: one for each proxy, and those around them.

    Args
    ----
        proxies: What to write.
        format: What to write it in.
        show_secrets: Write passwords as they are, not ``***``, which no import reads.
        summary: Counts to go on with.
    """
    summary = summary if summary is not None else ExportSummary()
    entries = (_entry(proxy, format, show_secrets, summary) for proxy in proxies)
    if format is ListFormat.LINES:
        yield from (f"{line_of(record)}\n" for record in entries)
    elif format is ListFormat.CSV:
        yield _row(COLUMNS)
        yield from (_row(cells_of(record)) for record in entries)
    elif format is ListFormat.JSONL:
        yield from (f"{_dumps(object_of(record))}\n" for record in entries)
    else:
        before = "[\n"
        for record in entries:
            yield f"{before}{_dumps(object_of(record))}"
            before = ",\n"
        yield "[]\n" if before == "[\n" else "\n]\n"


def record_of(proxy: Proxy) -> Record:
    """Return what a list should say of a proxy; the host is in canonical form if it has one."""
    identity, credentials = identity_of(proxy), proxy.credentials
    return Record(
        protocol=identity.protocol,
        host=identity.host,
        port=identity.port,
        user=identity.user,
        password=None if credentials is None else credentials.password,
        source=proxy.source or None,
        country=proxy.country or None,
        city=proxy.city or None,
        latitude=proxy.latitude,
        longitude=proxy.longitude,
        isp=proxy.isp or None,
        asn=proxy.asn,
        status=ProxyStatus(proxy.status),
        max_concurrency="unlimited" if proxy.max_concurrency is None else proxy.max_concurrency,
    )


def line_of(record: Record) -> str:
    """Return ``scheme://[user:password@]host:port``."""
    user_info = ""
    if record.user is not None and record.password is not None:
        password = MASKED if record.password == MASKED else quote(record.password, safe="")
        user_info = f"{quote(record.user, safe='')}:{password}@"
    host = f"[{record.host}]" if ":" in record.host else record.host
    return f"{record.protocol.value}://{user_info}{quote(host, safe=_HOST)}:{record.port}"


def object_of(record: Record) -> Item:
    """Return a record by `COLUMNS`, without what it does not say."""
    item: Item = {}
    for column in COLUMNS:
        value = getattr(record, _FIELDS.get(column, column))
        if value is not None:
            item[column] = value.value if isinstance(value, Enum) else value
    return item


def cells_of(record: Record) -> list[object]:
    """Return a record as the cells of a row.

    Blanks around a cell do not count. Where they are part of user or password the whole proxy
    stands under ``host``, as a URL.
    """
    item = object_of(record)
    if any(text is not None and text != text.strip() for text in (record.user, record.password)):
        item |= {"host": line_of(record), "port": "", "username": "", "password": ""}
    return [item.get(column, "") for column in COLUMNS]


def _entry(proxy: Proxy, format: ListFormat, show_secrets: bool, summary: ExportSummary) -> Record:
    record = record_of(proxy)
    reason = _why_unreadable(record, format)
    if reason is not None:
        summary.note(record.identity.label, reason)
    summary.written += 1
    if record.password is None or show_secrets:
        return record
    summary.masked += 1
    return replace(record, password=MASKED)


def _why_unreadable(record: Record, format: ListFormat) -> str | None:
    """Return why reading what is written would not give the record again, if so."""
    expected = record
    try:
        if format is ListFormat.LINES:
            expected = Record(*record.identity, password=record.password)
            got = record_of_line(line_of(record), record.protocol)
        elif format is ListFormat.CSV:
            cells = [str(cell).strip() for cell in cells_of(record)]
            if any(map(_LOST_IN_CELLS.search, cells)):
                return "a text has a character that CSV does not keep"
            got = _read(dict(zip(COLUMNS, cells, strict=True)))
        else:
            got = _read(object_of(record))
    except Unreadable as unreadable:
        return str(unreadable)
    if got == expected:
        return None
    return "a text has blanks around it, or says nothing"


def _read(item: Mapping[str, object]) -> Record:
    return record_of_object(item, _PLAIN_FIELDS, ProxyProtocol.HTTP)


class _Echo:
    """A file for ``csv.writer`` whose rows are returned instead of kept."""

    def write(self, text: str) -> str:
        return text


_row: Callable[[Iterable[object]], str] = csv.writer(_Echo(), lineterminator="\n").writerow


def _dumps(item: Item) -> str:
    return json.dumps(item, ensure_ascii=False)
