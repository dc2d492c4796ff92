"""Lengths of time on the command line."""

import pytest
import typer

from pharox_redis.cli.durations import in_words, parse_interval, shortly


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0), ("500ms", 0.5), ("2m", 120.0), ("1m30s", 90.0), ("1.5s", 1.5), (".5s", 0.5),
        ("3", 3.0), ("0.25", 0.25), (" 2S ", 2.0), ("50ms", 0.05), ("24h", 86_400.0),
        ("100000us", 0.1),
    ],
)  # fmt: skip
def test_what_is_read(text: str, seconds: float) -> None:
    assert parse_interval(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "s", "1x", "-1s", "+1s", "1s-", "1s,2s", "1s 2s", "1s-2s", "1.2.3s", "1..s", "nan",
        "inf", "1e3", "٣s", "1:30", "PT1S", "1mins",
    ],
)  # fmt: skip
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no length of time; write 500ms, 1s"):
        parse_interval(text)


@pytest.mark.parametrize("text", ["0", "0s", "49ms", "1ns", "86401", "25h", "9" * 400, "99999999y"])
def test_what_is_out_of_bounds(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"not between 50ms and 24h|is no length"):
        parse_interval(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.0, "0 s"), (0.9, "0 s"), (59.9, "59 s"), (60, "1m 00s"), (3599, "59m 59s"),
        (3600, "1h 00m"), (86_399, "23h 59m"), (86_400, "1d 00h"), (1e9, "11574d 01h"),
    ],
)  # fmt: skip
def test_as_people_read_it(seconds: float, text: str) -> None:
    assert in_words(seconds) == text


@pytest.mark.parametrize("text", ["500ms", "1s", "2m", "1m30s", "1.5s", "24h"])
def test_as_it_was_written(text: str) -> None:
    assert shortly(parse_interval(text)) == text
