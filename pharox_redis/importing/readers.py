"""Reading a list, one reader per format.

Every reader is a generator of records and issues in the order of the list and never raises for
what the list contains: what cannot be read becomes an issue, and reading goes on behind it. Lines,
JSON Lines and CSV take memory for one entry at a time; a JSON document is loaded whole.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Literal, ParamSpec, TextIO

from pharox.models import ProxyProtocol

from pharox_redis.importing.fields import FieldMap
from pharox_redis.importing.formats import ListFormat, delimiter_of, detect_format, split_header
from pharox_redis.importing.objects import record_of_line, record_of_object
from pharox_redis.importing.records import Issue, Parsed, Record, Unreadable
from pharox_redis.importing.text import MARK, Source, numbered_lines

# Where the array of proxies is in a JSON object that wraps it.
_ARRAY_KEYS = ("proxies", "data", "results", "items")
_TOO_LONG = "the line is too long"
_COMMENT = re.compile(r"(^|\s)#.*", re.DOTALL)

P = ParamSpec("P")


@dataclass(frozen=True)
class ProxyList:
    """A list about to be read: its format, and its records and issues, which can be taken once."""

    format: ListFormat
    entries: Iterator[Parsed]


def open_list(
    stream: IO[bytes],
    *,
    name: str = "",
    format: ListFormat | None = None,
    fields: FieldMap | None = None,
    protocol: ProxyProtocol = ProxyProtocol.HTTP,
) -> ProxyList:
    """Find out what a list is written in and return it, unread but for its first 64 KiB.

    Args
    ----
        stream: The bytes of the list; need not be seekable. Closing it is up to the caller.
        name: File name, whose extension helps to tell the format.
        format: The format, if known.
        fields: Where objects and columns keep what; the usual names by default.
        protocol: What holds for proxies whose protocol the list does not say.

    Raises
    ------
        OSError: The stream cannot be read; taking the entries can raise it too.
    """
    fields = fields or FieldMap()
    source = Source(stream)
    known = format or detect_format(source, name, fields)
    readers: dict[ListFormat, Callable[[], Iterator[Parsed]]] = {
        ListFormat.LINES: lambda: read_lines(source.text(), protocol),
        ListFormat.CSV: lambda: read_csv(source.text(), fields, protocol),
        ListFormat.JSON: lambda: read_json(source.text(), fields, protocol),
        ListFormat.JSONL: lambda: read_jsonl(source.text(), fields, protocol),
    }
    return ProxyList(known, _until_it_breaks_off(readers[known]()))


def read_lines(text: TextIO, protocol: ProxyProtocol) -> Iterator[Parsed]:
    """Read one proxy a line; ``#`` starts a comment at the start of a line or after a blank."""
    for number, line in numbered_lines(text):
        if line is None:
            yield Issue("line", number, _TOO_LONG)
        elif stripped := _COMMENT.sub("", line).strip():
            yield _entry("line", number, record_of_line, stripped, protocol)


def read_jsonl(text: TextIO, fields: FieldMap, protocol: ProxyProtocol) -> Iterator[Parsed]:
    """Read one JSON value a line; blank lines and lines that start with ``#`` are skipped."""
    for number, line in numbered_lines(text):
        if line is None:
            yield Issue("line", number, _TOO_LONG)
        elif line.strip() and not line.lstrip().startswith("#"):
            yield _entry("line", number, _record_of_json, line, fields, protocol)


def read_json(text: TextIO, fields: FieldMap, protocol: ProxyProtocol) -> Iterator[Parsed]:
    """Read a JSON array, or an object with one; elements are objects or texts in line notation."""
    try:
        document = _loads(text.read().removeprefix(MARK))
    except Unreadable as unreadable:
        yield Issue("file", 0, str(unreadable))
        return
    items = _array_in(document)
    if items is None and isinstance(document, dict) and "host" in fields.pick(document):
        items = [document]
    if items is None:
        yield Issue("file", 0, f"no array of proxies, nor one under {', '.join(_ARRAY_KEYS)}")
        return
    for number, item in enumerate(items, start=1):
        yield _entry("record", number, record_of_object, item, fields, protocol)


def read_csv(text: TextIO, fields: FieldMap, protocol: ProxyProtocol) -> Iterator[Parsed]:
    """Read rows under a header; blank rows and rows that start with ``#`` are skipped.

    Rows are numbered by the line they begin on.
    """
    too_long: list[Issue] = []
    lines = _csv_lines(text, too_long)
    before, header, delimiter = 0, list[str](), ","
    for line in lines:
        before += 1
        header, delimiter = split_header(line), delimiter_of(line)
        if fields.knows(header):
            break
        if line.strip() and not line.startswith("#"):
            yield Issue("file", 0, "its first line is no header with a column for the host")
            return
    # Strict, so that a misplaced quote is an error of its row and not a part of some password.
    rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        number = before + rows.line_num + 1
        try:
            row = [cell.strip() for cell in next(rows)]
        except StopIteration:
            break
        except csv.Error:
            yield Issue("line", number, "not a CSV row (an unbalanced quote?)")
            continue
        yield from too_long
        too_long.clear()
        if any(row) and not row[0].startswith("#"):
            yield _entry("line", number, _record_of_row, header, row, fields, protocol)
    yield from too_long


def _csv_lines(text: TextIO, too_long: list[Issue]) -> Iterator[str]:
    for number, line in numbered_lines(text):
        if line is None:
            too_long.append(Issue("line", number, _TOO_LONG))
        yield f"{line or ''}\n"


def _record_of_row(
    header: list[str], row: list[str], fields: FieldMap, protocol: ProxyProtocol
) -> Record:
    if any(row[len(header) :]):
        raise Unreadable("more cells than the header has columns")
    return record_of_object(dict(zip(header, row, strict=False)), fields, protocol)


def _record_of_json(line: str, fields: FieldMap, protocol: ProxyProtocol) -> Record:
    return record_of_object(_loads(line), fields, protocol)


def _entry(
    unit: Literal["line", "record"],
    number: int,
    read: Callable[P, Record],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Parsed:
    try:
        return read(*args, **kwargs)
    except Unreadable as unreadable:
        return Issue(unit, number, str(unreadable))


def _until_it_breaks_off(entries: Iterator[Parsed]) -> Iterator[Parsed]:
    try:
        yield from entries
    except UnicodeError:
        yield Issue("file", 0, "it breaks off in the middle of a character")


def _loads(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text else ""
        raise Unreadable(f"not valid JSON ({line}column {error.colno})") from None
    except ValueError:
        raise Unreadable("a number in the JSON is too long") from None
    except RecursionError:
        raise Unreadable("the JSON is nested too deeply") from None


def _array_in(document: object) -> list[object] | None:
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        for key in _ARRAY_KEYS:
            found = _array_in(document.get(key))
            if found is not None:
                return found
    return None
