"""Masking: URLs and server messages with passwords in them."""

import pytest

from pharox_redis.cli.output import (
    describe,
    error_console,
    mask_url,
    plural,
    printable,
    result_console,
)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:secret@localhost/0", "redis://***@localhost/0"),
        ("rediss://me:se@cr/et@localhost/0", "rediss://***@localhost/0"),
        ("redis://localhost/0?password=secret", "redis://localhost/0"),
        ("unix:///tmp/a.sock?password=secret", "unix:///tmp/a.sock"),
        ("redis://me:a@localhost/0?password=b@c", "redis://***@localhost/0"),
        ("redis://:12#secret@localhost", "redis://***@localhost"),
    ],
)
def test_urls(url: str, masked: str) -> None:
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("gone", "gone"),
        ("", "ValueError"),
        ("Command # 1 (SET a (secret) b) of pipeline caused error: OOM", "OOM"),
        ("no: unknown command 'X', with args beginning with: 'secret'", "no: unknown command 'X'"),
        ("a\nb\x1b[1m", r"a\nb\x1b[1m"),
    ],
)  # fmt: skip
def test_messages(message: str, shown: str) -> None:
    assert describe(ValueError(message)) == shown


def test_printable_keeps_letters_of_all_scripts() -> None:
    assert printable("Köln 東京 [x]\u202e") == r"Köln 東京 [x]\u202e"


def test_plurals() -> None:
    assert (plural(1, "proxy"), plural(1200, "proxy"), plural(0, "duplicate")) == (
        "1 proxy",
        "1,200 proxies",
        "0 duplicates",
    )


def test_what_looks_like_an_emoji_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    said = "http://[2001:db8:a:100::1]:80 in team:key:prod"
    result_console().print(said)
    error_console().print(said)
    assert capsys.readouterr() == (f"{said}\n", f"{said}\n")
