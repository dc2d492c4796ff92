"""Writing lists: whatever is written is read back as it was, and what cannot be is noted."""

import io
import json
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pharox.models import Proxy, ProxyCredentials, ProxyProtocol, ProxyStatus

from pharox_redis.importing import (
    ExportSummary,
    ListFormat,
    Record,
    Terms,
    open_list,
    plan,
    write_list,
)
from tests.importing.lists import LABELS, records, said_of

POOL = uuid4()
FULL = [ListFormat.CSV, ListFormat.JSON, ListFormat.JSONL]
SECRET = "Hunter2-Secret"


def planned(listed: list[Record]) -> list[Proxy]:
    """The proxies that an import into an empty pool makes, in order."""
    return [step.proxy for step in plan([], listed, POOL, Terms()) if step.proxy is not None]


def written(
    proxies: list[Proxy], format: ListFormat, summary: ExportSummary | None = None
) -> bytes:
    return "".join(write_list(proxies, format, show_secrets=True, summary=summary)).encode()


def read(content: bytes) -> list[object]:
    """What a list says whose format nobody was told."""
    return list(open_list(io.BytesIO(content)).entries)


def proxy(**values: object) -> Proxy:
    return Proxy.model_validate(
        {"pool_id": POOL, "host": "192.0.2.1", "port": 80, "protocol": "http", **values}
    )


@pytest.mark.parametrize("format", FULL)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_what_is_written_is_read_back(format: ListFormat, data: st.DataObject) -> None:
    lost = set("\r\ufeff") if format is ListFormat.CSV else set()
    labels = LABELS.filter(lambda text: not set(text) & lost)
    listed = data.draw(st.lists(records(labels), max_size=4))
    summary = ExportSummary()
    proxies = planned(listed)
    content = written(proxies, format, summary)
    again = read(content) if proxies else []
    assert all(isinstance(entry, Record) for entry in again)
    assert [said_of(known) for known in planned(again)] == [said_of(known) for known in proxies]  # type: ignore[arg-type]
    # A secret with a mark at its beginning is the one thing that a cell can still lose.
    assert summary.unreadable <= (format is ListFormat.CSV) * sum(
        "\ufeff" in f"{entry.user}{entry.password}" for entry in listed
    )
    assert (summary.written, summary.masked) == (len(proxies), 0)


@given(st.lists(records(), max_size=4))
@settings(deadline=None, max_examples=60)
def test_lines_say_address_and_credentials(listed: list[Record]) -> None:
    summary = ExportSummary()
    proxies = planned(listed)
    content = written(proxies, ListFormat.LINES, summary)
    assert content.count(b"\n") == len(proxies)
    assert b"+" not in content and b" " not in content
    assert (
        [said_of(known)[:4] for known in planned(read(content))]
        == [  # type: ignore[arg-type]
            said_of(known)[:4] for known in proxies
        ]
    )
    assert summary.unreadable == 0


def test_the_formats() -> None:
    credentials = ProxyCredentials(user="a b", password="p+@ä")
    first = proxy(credentials=credentials, status="banned", asn=64496, city="Köln, West")
    second = proxy(host="2001:db8::1", protocol="socks5", status="active", max_concurrency=3)
    lists = {form: written([first, second], form).decode() for form in ListFormat}
    assert lists[ListFormat.LINES] == (
        "http://a%20b:p%2B%40%C3%A4@192.0.2.1:80\nsocks5://[2001:db8::1]:80\n"
    )
    assert lists[ListFormat.CSV] == (
        "protocol,host,port,username,password,pharox_status,max_concurrency,source,country,city,"
        "latitude,longitude,isp,asn\n"
        'http,192.0.2.1,80,a b,p+@ä,banned,unlimited,,,"Köln, West",,,,64496\n'
        "socks5,2001:db8::1,80,,,active,3,,,,,,,\n"
    )
    assert lists[ListFormat.JSON] == (
        '[\n{"protocol": "http", "host": "192.0.2.1", "port": 80, "username": "a b", '
        '"password": "p+@ä", "pharox_status": "banned", "max_concurrency": "unlimited", '
        '"city": "Köln, West", "asn": 64496},\n'
        '{"protocol": "socks5", "host": "2001:db8::1", "port": 80, "pharox_status": "active", '
        '"max_concurrency": 3}\n]\n'
    )
    assert json.loads(lists[ListFormat.JSON]) == [
        json.loads(line) for line in lists[ListFormat.JSONL].splitlines()
    ]


@pytest.mark.parametrize(
    ("form", "text"), [("lines", ""), ("csv", None), ("json", "[]\n"), ("jsonl", "")]
)
def test_no_proxies(form: str, text: str | None) -> None:
    got = written([], ListFormat(form)).decode()
    assert got == text if text is not None else got.count("\n") == 1


@pytest.mark.parametrize("form", ListFormat)
def test_passwords_are_masked_and_then_not_read(form: ListFormat) -> None:
    credentials = ProxyCredentials(user="me", password=SECRET)
    summary = ExportSummary()
    listed = [proxy(credentials=credentials), proxy(host="192.0.2.2", status="active")]
    content = "".join(write_list(listed, form, summary=summary)).encode()
    assert SECRET.encode() not in content
    assert b"***" in content
    assert (summary.written, summary.masked, summary.unreadable) == (2, 1, 0)
    refused, fine = read(content)
    assert "the password is masked" in str(refused)
    assert isinstance(fine, Record)


@pytest.mark.parametrize("form", FULL)
@pytest.mark.parametrize("password", [" x", "x ", "\x1fx", "x\u3000"])
def test_blanks_around_a_password_are_part_of_it(form: ListFormat, password: str) -> None:
    credentials = ProxyCredentials(user="me", password=password)
    summary = ExportSummary()
    (record,) = read(written([proxy(credentials=credentials)], form, summary))
    assert isinstance(record, Record)
    assert (record.user, record.password, summary.unreadable) == ("me", password, 0)


@pytest.mark.parametrize("form", ListFormat)
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"host": "not a host\n#"}, "host"),
        ({"credentials": ProxyCredentials(user="me", password="a\nb")}, "several lines"),
        ({"credentials": ProxyCredentials(user="me", password="***")}, "masked"),
    ],
)
def test_what_no_list_could_have_brought_is_noted(
    form: ListFormat, values: dict[str, object], reason: str
) -> None:
    summary = ExportSummary()
    content = written([proxy(**values), proxy(host="192.0.2.9")], form, summary)
    assert (summary.written, summary.unreadable) == (2, 1)
    ((label, why),) = summary.first_unreadable
    assert reason in why
    assert label.startswith("http://")
    # It disturbs no other.
    assert [str(entry.host) for entry in read(content) if isinstance(entry, Record)] == [
        "192.0.2.9"
    ]


@pytest.mark.parametrize("form", FULL)
@pytest.mark.parametrize(
    "values",
    [{"latitude": 91.0}, {"asn": -1}, {"city": " x "}, {"max_concurrency": 2**40}, {"isp": " "}],
)
def test_values_out_of_range_are_noted(form: ListFormat, values: dict[str, object]) -> None:
    summary = ExportSummary()
    written([proxy(**values)], form, summary)
    assert summary.unreadable == 1
    lines = ExportSummary()
    written([proxy(**values)], ListFormat.LINES, lines)
    assert lines.unreadable == 0  # lines do not say these at all


def test_only_the_first_are_kept() -> None:
    summary = ExportSummary()
    proxies = [proxy(host=f"not a host {number}") for number in range(30)]
    written(proxies, ListFormat.JSON, summary)
    assert (summary.unreadable, len(summary.first_unreadable)) == (30, 20)


def test_every_status_and_protocol_has_its_name() -> None:
    for protocol in ProxyProtocol:
        for status in ProxyStatus:
            (record,) = read(written([proxy(protocol=protocol, status=status)], ListFormat.CSV))
            assert isinstance(record, Record)
            assert (record.protocol, record.status) == (protocol, status)
