"""The formats of lists, and how a list shows which one it is in.

The extension decides where it names a format, with two exceptions that are common: ``.json`` files
that hold JSON Lines, and ``.csv`` files that hold plain lines. Otherwise the content decides: JSON
begins with a bracket (so does a line with an IPv6 address, but a digit or colon follows), CSV has
a header that names a host, and the rest are lines.
"""

from __future__ import annotations

import csv
import json
import re
from enum import StrEnum
from pathlib import PurePath

from pharox_redis.importing.fields import FieldMap
from pharox_redis.importing.notation import parse_notation
from pharox_redis.importing.records import Unreadable
from pharox_redis.importing.text import MARK, Source


class ListFormat(StrEnum):
    """What a list is written in."""

    LINES = "lines"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


_JSONL_EXTENSIONS = (".jsonl", ".ndjson")
_CSV_EXTENSIONS = (".csv", ".tsv")
_DELIMITERS = ",;\t"
_ARRAY = re.compile(r"\[\s*([\[{\"\]]|$)")


def detect_format(source: Source, name: str, fields: FieldMap) -> ListFormat:
    """Return the format of a list.

    Args
    ----
        source: The list, of which only the head is looked at.
        name: Its file name, or anything without an extension.
        fields: Decides whether a first line is a CSV header.
    """
    extension = PurePath(name).suffix.lower()
    if extension in _JSONL_EXTENSIONS:
        return ListFormat.JSONL
    if extension in _CSV_EXTENSIONS:
        return ListFormat.LINES if _begins_with_a_proxy(source.head) else ListFormat.CSV
    head = source.head.lstrip(MARK + " \t\r\n")
    if head.startswith("{"):
        return _object_format(head)
    if _ARRAY.match(head) or extension == ".json":
        return ListFormat.JSON
    return ListFormat.CSV if _has_header(source.head, fields) else ListFormat.LINES


def delimiter_of(header: str) -> str:
    """Return the delimiter that splits a CSV header into the most columns."""
    return max(_DELIMITERS, key=lambda delimiter: len(_cells(header, delimiter)))


def split_header(line: str) -> list[str]:
    """Return the column names of a CSV header; it may be marked as a comment with ``#``."""
    return _cells(line.strip(MARK + " \r\n").removeprefix("#"), delimiter_of(line))


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        row = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []
    return [cell.strip() for cell in row]


def _has_header(head: str, fields: FieldMap) -> bool:
    for line in head.splitlines():
        cells = split_header(line)
        if len(cells) > 1 and fields.knows(cells):
            return True
        if line.strip() and not line.startswith("#"):
            return False
    return False


def _begins_with_a_proxy(head: str) -> bool:
    lines = (line.strip() for line in head.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    try:
        parse_notation(first)
    except Unreadable:
        return False
    return True


def _object_format(head: str) -> ListFormat:
    """Tell JSON Lines from one object: they begin with an object on a line and go on behind it."""
    first, _, rest = head.partition("\n")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return ListFormat.JSON
    return ListFormat.JSONL if rest.strip() else ListFormat.JSON
