"""Reading lists of every format: what comes out, and that a bad entry stops nothing."""

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pharox.models import ProxyProtocol

from pharox_redis.importing import FieldMap, Issue, ListFormat, Record, open_list
from pharox_redis.importing.records import Parsed
from pharox_redis.importing.text import MAX_LINE

DATA = Path(__file__).parents[1] / "data"
SECRET = "Hunter2-Secret"


def read(
    content: str | bytes, *paths: str, name: str = "", format: ListFormat | None = None
) -> list[Parsed]:
    raw = content.encode() if isinstance(content, str) else content
    fields = FieldMap.parse(paths)
    return list(open_list(io.BytesIO(raw), name=name, format=format, fields=fields).entries)


def records(*args: str | bytes, **kwargs: str) -> list[Record]:
    entries = read(*args, **kwargs)  # type: ignore[arg-type]
    assert [entry for entry in entries if isinstance(entry, Issue)] == []
    return [entry for entry in entries if isinstance(entry, Record)]


def issues(entries: list[Parsed]) -> list[tuple[str, int, str]]:
    return [(e.unit, e.number, e.reason) for e in entries if isinstance(e, Issue)]


def identity(record: Record) -> tuple[str, str, int, str | None, str | None]:
    return (record.protocol.value, record.host, record.port, record.user, record.password)


SIX = [
    ("http", "192.0.2.10", 8080, None, None),
    ("socks5", "192.0.2.11", 1080, "alice", "wonder:land"),
    ("http", "192.0.2.12", 3128, None, None),
    ("http", "192.0.2.13", 3128, "bob", "p@ss:word"),
    ("http", "gate.example.com", 8000, "carol", "s3cr et"),
    ("http", "2001:db8::14", 8080, None, None),
]


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("proxies*")))
@pytest.mark.parametrize("form", ["as it is", "with a mark", "with CRLF", "utf-16", "nameless"])
def test_every_sample_holds_the_same_six_proxies(name: str, form: str) -> None:
    text = (DATA / name).read_text(encoding="utf-8")
    raw = {
        "with a mark": text.encode("utf-8-sig"),
        "with CRLF": text.replace("\n", "\r\n").encode(),
        "utf-16": text.encode("utf-16"),
    }.get(form, text.encode())
    # A lone column is no CSV header, so that one format needs its extension.
    got = records(raw, name="" if form == "nameless" else name)
    assert [identity(record) for record in got] == SIX


def test_there_is_a_sample_of_every_format() -> None:
    formats = set()
    for path in DATA.glob("proxies*"):
        with path.open("rb") as stream:
            formats.add(open_list(stream, name=path.name).format)
    assert formats == set(ListFormat)


def test_usual_columns_carry_attributes() -> None:
    got = records((DATA / "proxies.csv").read_bytes(), name="proxies.csv")
    assert [record.country for record in got] == ["DE", "FR", None, "US", "JP", None]
    assert [record.asn for record in got] == [64496, 64497, None, None, 64498, None]
    got = records((DATA / "proxies.jsonl").read_bytes())
    assert (got[0].latitude, got[0].longitude) == (50.7, 7.1)


def test_nested_attributes_are_mapped_and_may_be_missing() -> None:
    got = records(
        (DATA / "proxies.json").read_bytes(),
        "country=geo.country.iso",
        "city=geo.city.names.en",
        "latitude=geo.at.0",
        "longitude=geo.at.1",
        "asn=asn.number",
    )
    assert [(r.country, r.city, r.latitude, r.longitude, r.asn) for r in got] == [
        ("DE", "Bonn", 50.7, 7.1, 64496),
        ("FR", None, 48.9, 2.4, 64497),
        *[(None,) * 5] * 4,
    ]


def test_broken_lines_are_told_by_number_and_stop_nothing() -> None:
    entries = read((DATA / "broken.txt").read_bytes())
    assert issues(entries) == [
        ("line", 2, "the port is not a whole number"),
        ("line", 3, "a user without a password"),
        ("line", 4, "the port is not a whole number"),
    ]
    assert [entry.host for entry in entries if isinstance(entry, Record)] == ["192.0.2.20"] * 2
    assert str(entries[1]) == "line 2: the port is not a whole number"


def test_a_protocol_for_proxies_without_one() -> None:
    listed = open_list(
        io.BytesIO(b"192.0.2.1:80\nhttp://192.0.2.1:80"), protocol=ProxyProtocol.SOCKS4
    )
    protocols = [entry.protocol for entry in listed.entries if isinstance(entry, Record)]
    assert protocols == [ProxyProtocol.SOCKS4, ProxyProtocol.HTTP]


@pytest.mark.parametrize(
    ("line", "password"),
    [
        ("192.0.2.1:80:me:a#b", "a#b"),
        ("192.0.2.1:80:me:ab # c", "ab"),
        ("192.0.2.1:80:me:ab\t#c", "ab"),
        ("  192.0.2.1:80:me:ab  ", "ab"),
    ],
)
def test_comments_start_behind_a_blank(line: str, password: str) -> None:
    (record,) = records(f"# first\n  # second\n{line}\n")
    assert record.password == password


def test_every_line_end_counts_and_other_separators_do_not() -> None:
    assert len(records("192.0.2.1:80\r192.0.2.2:80\r\n192.0.2.3:80\n192.0.2.4:80")) == 4
    assert issues(read("192.0.2.1:80\u2028192.0.2.2:80\n\x0bnonsense")) == [
        ("line", 1, "the port is not a whole number"),
        ("line", 2, "expected host:port, host:port:user:password or "
         "[scheme://]user:password@host:port"),
    ]  # fmt: skip


def test_marks_inside_joined_files_are_dropped() -> None:
    assert len(records("\ufeff192.0.2.1:80\n\ufeff192.0.2.2:80\n")) == 2


def test_other_encodings_matter_only_in_what_is_used() -> None:
    line = "192.0.2.1:80:me:{}  # {}\n"
    entries = read(
        line.format("ok", "für").encode("latin-1") + line.format("für", "ok").encode("latin-1")
    )
    assert isinstance(entries[0], Record)
    assert issues(entries) == [("line", 2, "the password is not valid UTF-8")]


def test_a_list_that_breaks_off_inside_a_character() -> None:
    entries = read("192.0.2.1:80\n192.0.2.2:80\n".encode("utf-16")[:-1])
    assert isinstance(entries[0], Record)
    assert issues(entries) == [("file", 0, "it breaks off in the middle of a character")]
    assert str(entries[-1]) == "it breaks off in the middle of a character"


@pytest.mark.parametrize(
    ("format", "line"),
    [
        (ListFormat.LINES, "192.0.2.2:80:me:{}\n"),
        (ListFormat.JSONL, '{{"ip": "192.0.2.2", "port": 80, "user": "me", "pass": "{}"}}\n'),
        (ListFormat.CSV, "192.0.2.2,80,me,{}\n"),
    ],
)
def test_an_endless_line_is_skipped(format: ListFormat, line: str) -> None:
    head = "ip,port,user,pass\n" if format is ListFormat.CSV else ""
    content = head + line.format("x") + line.format("x" * 3 * MAX_LINE) + line.format("x")
    entries = read(content, format=format)
    assert [type(entry) for entry in entries] == [Record, Issue, Record]
    assert issues(entries) == [("line", 3 if head else 2, "the line is too long")]


# CSV


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"192.0.2.1,80,me,{SECRET},extra", "more cells than the header has columns"),
        (f"192.0.2.1,80,me,{SECRET},,", None),
        (f"192.0.2.1,me,{SECRET}", "the port is not a whole number"),
        (f'192.0.2.1,80,me,"{SECRET}"x', "not a CSV row (an unbalanced quote?)"),
        (f"{SECRET},80", None),
        ("192.0.2.1", "the port is missing"),
        (",80", "the host is missing"),
        (f"192.0.2.1,80,,{SECRET}", "a password without a user"),
    ],
)
def test_csv_rows(row: str, reason: str | None) -> None:
    entries = read(f"ip,port,user,pass\n{row}\n192.0.2.2,80\n")
    assert isinstance(entries[-1], Record)
    assert [found for *_, found in issues(entries)] == ([] if reason is None else [reason])
    assert SECRET not in str(issues(entries))


def test_blanks_around_csv_cells_do_not_count() -> None:
    (record,) = records('ip , port, user, pass, city\n192.0.2.1 , 80, me, "a,b", " Bonn"\n')
    assert identity(record) == ("http", "192.0.2.1", 80, "me", "a,b")
    assert record.city == "Bonn"


def test_an_endless_first_or_last_row_of_a_csv_is_told() -> None:
    entries = read("ip,port\n192.0.2.1,80\n" + "x" * 2 * MAX_LINE)
    assert issues(entries) == [("line", 3, "the line is too long")]
    entries = read("x" * 2 * MAX_LINE + "\nip,port\n", format=ListFormat.CSV)
    assert issues(entries) == [("line", 1, "the line is too long")]


def test_csv_rows_are_numbered_by_their_first_line() -> None:
    content = '# made today\nip,port,city,isp\n192.0.2.1,80,"a\nb",x\n\n# no\n192.0.2.2,no,,\n'
    entries = read(content, name="a.csv")
    assert issues(entries) == [("line", 7, "the port is not a whole number")]
    assert isinstance(entries[0], Record)
    assert entries[0].city == "a\nb"


def test_a_stray_quote_does_not_swallow_rows_in_silence() -> None:
    content = 'ip,port,user,pass\n192.0.2.1,80,me,"a\n192.0.2.2,80,me,b\n192.0.2.3,80,me,"\n'
    assert issues(read(content)) == [
        ("line", 2, "the password runs over several lines (an unbalanced quote?)")
    ]
    assert issues(read(content[:-2])) == [("line", 2, "not a CSV row (an unbalanced quote?)")]


def test_a_csv_without_a_header_is_told_without_showing_it() -> None:
    assert issues(read(f"192.0.2.1,80,me,{SECRET}\n", name="a.csv")) == [
        ("file", 0, "its first line is no header with a column for the host")
    ]


def test_csv_columns_can_be_mapped() -> None:
    content = "Where;Gate;Who;Key;Land\n192.0.2.1;80;me;a;DE\n"
    (record,) = records(
        content, "host=Where", "port=Gate", "user=Who", "password=Key", "country=Land"
    )
    assert identity(record) == ("http", "192.0.2.1", 80, "me", "a")
    assert record.country == "DE"


@pytest.mark.parametrize("content", ["", "ip,port\n", "# nothing\n"])
def test_a_csv_without_rows_is_empty(content: str) -> None:
    assert read(content, format=ListFormat.CSV) == []


# JSON


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "not valid JSON (column 1)"),
        ('[{"ip": "192.0.2.1",}]', "not valid JSON (column 21)"),
        ('[{"ip":\n"192.0.2.1",}]', "not valid JSON (line 2, column 13)"),
        ('{"list": []}', "no array of proxies, nor one under proxies, data, results, items"),
        ("[" * 100_000, "the JSON is nested too deeply"),
        (f'[{{"port": {"9" * 5000}}}]', "a number in the JSON is too long"),
    ],
)
def test_a_document_that_is_none(content: str, reason: str) -> None:
    assert issues(read(content, format=ListFormat.JSON)) == [("file", 0, reason)]


@pytest.mark.parametrize(
    "document",
    [
        [{"ip": "192.0.2.1", "port": 80}],
        ["192.0.2.1:80"],
        {"proxies": [{"ip": "192.0.2.1", "port": 80}]},
        {"total": 1, "data": [{"ip": "192.0.2.1", "port": "80"}]},
        {"data": {"proxies": [{"ip": "192.0.2.1", "port": "80"}]}},
        {"ip": "192.0.2.1", "port": 80},
        [{"server": "http://192.0.2.1:80"}],
        [{"url": "192.0.2.1:80", "id": 7}],
        [{"ip": "192.0.2.1", "port": 80, "protocols": ["http"], "status": "alive"}],
    ],
)
def test_documents(document: object) -> None:
    (record,) = records(json.dumps(document), format=ListFormat.JSON)  # type: ignore[arg-type]
    assert record == Record(ProxyProtocol.HTTP, "192.0.2.1", 80)


def test_elements_are_numbered_and_stop_nothing() -> None:
    document = [
        {"ip": "192.0.2.1", "port": 80},
        7,
        None,
        {"ip": "192.0.2.1", "port": SECRET},
        {"ip": "192.0.2.1", "port": 80, "protocols": ["http", "socks5"]},
        {"ip": "192.0.2.1", "port": 80, "username": "me"},
        {"ip": "192.0.2.1"},
        {"ip": "192.0.2.1", "port": 80, "city": "\ud800"},
        {"ip": "2001:db8::1", "proxy": None},
        {"server": "http://192.0.2.1"},
        "192.0.2.1:80",
    ]
    entries = read(json.dumps(document))
    assert issues(entries) == [
        ("record", 2, "not an object"),
        ("record", 3, "not an object"),
        ("record", 4, "the port is not a whole number"),
        ("record", 5, "several protocols for one proxy"),
        ("record", 6, "a user without a password"),
        ("record", 7, "the port is missing"),
        ("record", 8, "the city is not valid UTF-8"),
        ("record", 9, "the port is missing"),
        ("record", 10, "expected host:port, host:port:user:password or "
         "[scheme://]user:password@host:port"),
    ]  # fmt: skip
    assert len(entries) == len(document)


def test_fields_of_their_own_count_before_a_notation() -> None:
    document = [
        {"url": "http://a:b@192.0.2.1:80", "user": "c", "password": "d", "protocol": "socks5"},
        {"url": "http://a:b@192.0.2.1:80", "user": "", "password": None},
        {"url": "http://a:b@192.0.2.9:90", "host": "192.0.2.1", "port": 80},
    ]
    assert [identity(record) for record in records(json.dumps(document))] == [
        ("socks5", "192.0.2.1", 80, "c", "d"),
        ("http", "192.0.2.1", 80, "a", "b"),
        ("http", "192.0.2.1", 80, None, None),
    ]


def test_status_and_concurrency_can_come_from_the_list() -> None:
    document = [{"ip": "192.0.2.1", "port": 80, "state": "SLOW", "max_concurrency": "unlimited"}]
    (record,) = records(json.dumps(document), "status=state")
    assert (record.status, record.max_concurrency) == ("slow", "unlimited")


def test_broken_json_lines_stop_nothing() -> None:
    good = '{"ip": "192.0.2.1", "port": 80}\n'
    entries = read(f'{good}{{"pass": "{SECRET}"\n\n# no\n"192.0.2.1:80"\n{good}')
    assert issues(entries) == [("line", 2, "not valid JSON (column 26)")]
    assert len(entries) == 4


# Properties

words = st.text(
    st.characters(categories=["L", "M", "N", "P", "S"]), min_size=1, max_size=20
).filter(str.isprintable)
places = st.one_of(st.none(), words)
listed = st.builds(
    Record,
    protocol=st.sampled_from(ProxyProtocol),
    host=st.integers(0, 255).map("192.0.2.{}".format),
    port=st.integers(1, 65535),
    country=places,
    city=places,
    latitude=st.one_of(st.none(), st.floats(-90, 90)),
    longitude=st.one_of(st.none(), st.floats(-180, 180)),
    isp=places,
    asn=st.one_of(st.none(), st.integers(0, 2**32 - 1)),
    source=places,
)
with_credentials = st.builds(
    lambda record, user, password: Record(**{**plain(record), "user": user, "password": password}),
    listed,
    words,
    words,
)
proxy_lists = st.lists(st.one_of(listed, with_credentials), min_size=1, max_size=5)
NAMES = ("protocol", "host", "port", "user", "password", "source", "country", "city",
         "latitude", "longitude", "isp", "asn")  # fmt: skip


def plain(record: Record) -> dict[str, object]:
    return {name: getattr(record, name) for name in NAMES}


@settings(deadline=None)
@given(proxy_lists, st.sampled_from([",", ";", "\t"]))
def test_csv_gives_back_what_was_put_in(expected: list[Record], delimiter: str) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, NAMES, delimiter=delimiter)
    writer.writeheader()
    for record in expected:
        writer.writerow({**plain(record), "protocol": record.protocol.value})
    assert records(text.getvalue()) == expected


@settings(deadline=None)
@given(proxy_lists)
def test_json_gives_back_what_was_put_in(expected: list[Record]) -> None:
    items = [plain(record) for record in expected]
    assert records(json.dumps(items)) == expected
    assert records(json.dumps({"data": items}, indent=1)) == expected
    lines = "\n".join(json.dumps(item) for item in items)
    assert records(lines, format=ListFormat.JSONL) == expected  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.binary(), st.sampled_from(ListFormat))
def test_nothing_in_a_list_raises(content: bytes, format: ListFormat) -> None:
    read(content, format=format)
    read(content)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([*",;\t\n\"'{}[]: ", "ip", "port", "80", "192.0.2.1", SECRET])),
    st.sampled_from(ListFormat),
)
def test_no_issue_shows_what_the_list_contains(parts: list[str], format: ListFormat) -> None:
    entries = read("ip,port,pass\n" + SECRET.join(["", *parts, ""]), format=format)
    assert SECRET not in str(issues(entries))


# Bounds


class Endless(io.RawIOBase):
    """A pipe that goes on for ever, hands out small pieces, and cannot seek."""

    def __init__(self, piece: bytes) -> None:
        self.piece = self.rest = piece
        self.taken = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self.taken += 1
        got, self.rest = self.rest[:size], self.rest[size:] or self.piece
        return got


def test_lists_are_read_no_further_than_asked() -> None:
    pipe = Endless(b"192.0.2.1:80\n" * 100)
    entries: Iterator[Parsed] = open_list(pipe).entries  # type: ignore[arg-type]
    taken = [next(entries) for _ in range(10_000)]
    assert all(isinstance(entry, Record) for entry in taken)
    assert pipe.taken < 300


@pytest.mark.parametrize(
    ("head", "line"),
    [
        (b"", b"192.0.2.1:80\n"),
        (b"ip,port\n", b"192.0.2.1,80\n"),
        (b"", b'{"ip": "192.0.2.1", "port": 80}\n'),
    ],
)
def test_memory_does_not_grow_with_the_list(head: bytes, line: bytes) -> None:
    content = io.BytesIO(head + line * 15_000)
    tracemalloc.start()
    try:
        count = sum(1 for _ in open_list(content).entries)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 15_000
    assert peak < 1_000_000
