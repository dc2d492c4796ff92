"""Telling the format of a list from its name and content."""

import io

import pytest

from pharox_redis.importing import FieldMap, ListFormat
from pharox_redis.importing.formats import delimiter_of, detect_format, split_header
from pharox_redis.importing.text import Source

LINES, CSV, JSON, JSONL = ListFormat.LINES, ListFormat.CSV, ListFormat.JSON, ListFormat.JSONL


def detect(content: str, name: str = "", *paths: str) -> ListFormat:
    return detect_format(Source(io.BytesIO(content.encode())), name, FieldMap.parse(paths))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", LINES),
        ("192.0.2.1:80\n", LINES),
        ("# a comment, with a port;\n192.0.2.1:80\n", LINES),
        ("192.0.2.1:80:me:a,b;c\n", LINES),
        ("[2001:db8::1]:80\n", LINES),
        ("[::1]:80\n", LINES),
        ('[{"ip": "192.0.2.1"}]', JSON),
        ("\ufeff\n [\n  {", JSON),
        ("[]", JSON),
        ("[", JSON),
        ('["192.0.2.1:80"]', JSON),
        ('{"data": []}', JSON),
        ('{\n  "data": [\n', JSON),
        ('{"ip": "192.0.2.1"}\n', JSON),
        ('{"ip": "192.0.2.1"}\n{"ip": "192.0.2.2"}\n', JSONL),
        ('{"ip": "192.0.2.1"}\nnonsense', JSONL),
        ("ip,port\n", CSV),
        ("ip;port\n", CSV),
        ("ip\tport\n", CSV),
        ("\n# made today\nip,port\n", CSV),
        ("#ip,port\n192.0.2.1,80\n", CSV),
        ('"Country, City";"IP";"Port"\n', CSV),
        ("where,port\n", LINES),
    ],
)
def test_content_without_a_name(content: str, expected: ListFormat) -> None:
    assert detect(content) is expected


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "where,port\n", CSV),
        ("a.CSV", "", CSV),
        ("a.tsv", "ip\tport\n", CSV),
        ("a.csv", "# plain\n192.0.2.1:80\n", LINES),
        ("a.json", "[\n", JSON),
        ("a.json", "192.0.2.1:80\n", JSON),
        ("a.json", '{"ip": 1}\n{"ip": 2}\n', JSONL),
        ("a.jsonl", "[\n", JSONL),
        ("a.ndjson", "", JSONL),
        ("a.txt", '[{"ip": 1}]', JSON),
        ("a.txt", "ip,port\n", CSV),
        ("a.list", "192.0.2.1:80\n", LINES),
    ],
)
def test_names_count_with_two_exceptions(name: str, content: str, expected: ListFormat) -> None:
    assert detect(content, name) is expected


def test_a_mapped_column_makes_a_header() -> None:
    assert detect("where,port\n", "", "host=where") is CSV


def test_looking_at_the_beginning_takes_nothing_from_the_list() -> None:
    content = "192.0.2.1:80\n" * 20_000
    source = Source(io.BytesIO(content.encode()))
    detect_format(source, "", FieldMap())
    assert source.text().read() == content


def test_the_delimiter_makes_the_most_columns() -> None:
    assert delimiter_of("ip,port;user;pass") == ";"
    assert split_header('#ip;"a;b";port\n') == ["ip", "a;b", "port"]
