"""``pharox-redis export``: what it writes is what ``import`` reads; and a file is whole or old."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pharox.models import Proxy, ProxyCredentials, ProxyProtocol, ProxyStatus
from typer.testing import Result

from pharox_redis import RedisStorage
from pharox_redis.importing import ListFormat, Record, Terms, import_list
from tests.importing.lists import LABELS, records, said_of

DATA = Path(__file__).parents[1] / "data"
SECRET = "Hunter2-Secret"
LOST_IN_CELLS = set("\r\ufeff")

Command = Callable[..., Result]
Proxies = Callable[[], list[Proxy]]


@pytest.fixture
def shop(command: Command) -> None:
    """The pool ``shop`` with the six proxies of the samples, two of them with passwords."""
    command("import", DATA / "proxies.txt", "--pool", "shop")


def said(storage: RedisStorage, pool: str) -> list[tuple[object, ...]]:
    return [said_of(proxy) for proxy in storage.list_proxies(storage.ensure_pool(pool).id)]


@pytest.mark.parametrize("form", ListFormat)
@settings(
    deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_an_export_imported_gives_the_same_pool(
    command: Command, stored: RedisStorage, tmp_path: Path, form: ListFormat, data: st.DataObject
) -> None:
    labels = LABELS.filter(lambda text: not set(text) & LOST_IN_CELLS)
    listed = data.draw(st.lists(records(labels), min_size=1, max_size=4))
    secrets = {"\ufeff"} & set("".join(f"{record.user}{record.password}" for record in listed))
    file = tmp_path / "list"
    for name in ("shop", "again"):
        known = stored.get_pool_by_name(name)
        if known is not None:
            stored.delete_pool(known.id)
    import_list(stored, "shop", listed, Terms())
    result = command("export", "--pool", "shop", "--format", form, "-o", file, "--show-secrets")
    assert result.exit_code == 0
    assert result.stderr == "" or secrets
    result = command("import", file, "--pool", "again", "--format", form)
    assert result.exit_code == 0
    many = 4 if form is ListFormat.LINES else None
    if not secrets:
        assert [p[:many] for p in said(stored, "again")] == [p[:many] for p in said(stored, "shop")]


@pytest.mark.parametrize("form", ListFormat)
def test_stdin_reads_what_stdout_wrote(
    command: Command, stored: RedisStorage, shop: None, form: ListFormat
) -> None:
    result = command("export", "--pool", "shop", "--format", form, "--show-secrets")
    assert (result.exit_code, result.stderr) == (0, "")
    result = command("import", "-", "--pool", "again", stdin=result.stdout_bytes)
    assert (result.exit_code, result.stderr) == (0, "")
    assert said(stored, "again") == said(stored, "shop")


def test_user_info_is_percent_encoded(command: Command, shop: None) -> None:
    result = command("export", "--pool", "shop", "--show-secrets")
    assert result.stdout.splitlines() == [
        "http://192.0.2.10:8080",
        "socks5://alice:wonder%3Aland@192.0.2.11:1080",
        "http://192.0.2.12:3128",
        "http://bob:p%40ss%3Aword@192.0.2.13:3128",
        "http://carol:s3cr%20et@gate.example.com:8000",
        "http://[2001:db8::14]:8080",
    ]


@pytest.mark.parametrize("form", ListFormat)
def test_passwords_are_masked_with_a_warning_and_not_imported(
    command: Command, stored: RedisStorage, form: ListFormat, tmp_path: Path
) -> None:
    command("import", "-", "--pool", "shop", stdin=f"192.0.2.1:80:me:{SECRET}".encode())
    before = said(stored, "shop")
    file = tmp_path / "list"
    result = command("export", "--pool", "shop", "--format", form, "--output", file)
    assert (result.exit_code, result.stdout) == (0, f"1 proxy written to {file}.\n")
    assert "Warning: 1 password masked" in result.stderr
    assert "--show-secrets" in result.stderr
    assert SECRET not in file.read_text() + result.output
    result = command("import", file, "--pool", "shop", "--format", form)
    assert result.exit_code == 3
    assert "the password is masked" in result.stderr
    assert said(stored, "shop") == before


def test_the_file_name_tells_the_format(command: Command, shop: None, tmp_path: Path) -> None:
    begins = {"a.csv": "protocol,", "a.JSON": "[\n{", "a.jsonl": '{"', "a.ndjson": '{"',
              "a.txt": "http://", "a": "http://"}  # fmt: skip
    for name, begin in begins.items():
        assert command("export", "--pool", "shop", "-o", tmp_path / name).exit_code == 0
        assert (tmp_path / name).read_text().startswith(begin)


def test_only_one_status(command: Command, stored: RedisStorage, shop: None) -> None:
    first = stored.list_proxies(stored.ensure_pool("shop").id)[0]
    stored.set_proxy_status(first.id, ProxyStatus.BANNED)
    result = command("export", "--pool", "shop", "--status", "banned")
    assert result.stdout == "http://192.0.2.10:8080\n"
    assert len(command("export", "--pool", "shop", "--status", "active").stdout.split()) == 5
    assert command("export", "--pool", "shop", "--status", "slow").stdout == ""


def test_the_retired_are_left_out(command: Command, stored: RedisStorage, shop: None) -> None:
    first = stored.list_proxies(stored.ensure_pool("shop").id)[0]
    stored.create_lease(first, "holder", 60)
    assert stored.retire_proxy(first.id) is False
    result = command("export", "--pool", "shop", "--format", "json")
    assert json.loads(result.stdout)[0]["host"] == "192.0.2.11"


def test_the_pool_and_the_place_must_exist(command: Command, tmp_path: Path, shop: None) -> None:
    result = command("export", "--pool", "shpo\x1b")
    assert (result.exit_code, result.stdout) == (4, "")
    assert r"shpo\x1b" in result.stderr
    for place in (tmp_path / "nowhere" / "list", tmp_path):
        result = command("export", "--pool", "shop", "--output", place)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "Error: cannot write" in result.stderr


def test_json_tells_of_a_file(command: Command, shop: None, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    result = command("export", "--pool", "shop", "--json", "--output", file)
    assert json.loads(result.stdout) == {
        "pool": "shop", "file": str(file), "written": 6, "masked": 3, "unreadable": 0
    }  # fmt: skip
    result = command("export", "--pool", "shop", "--json")
    assert result.exit_code == 2
    assert "--format json" in result.stderr


def test_what_no_import_would_read_is_told(command: Command, stored: RedisStorage) -> None:
    pool = stored.ensure_pool("shop")
    for host in ("a host\n", "fine.example"):
        stored.save_proxy(Proxy(pool_id=pool.id, host=host, port=80, protocol="http"))
    result = command("export", "--pool", "shop")
    assert result.exit_code == 0
    assert "1 proxy that an import would not read" in result.stderr
    assert r"  http://a host\n:80: the host is neither" in result.stderr
    assert result.stdout == "http://a%20host%0A:80\nhttp://fine.example:80\n"


def test_a_file_is_replaced_only_when_the_new_one_is_whole(
    command: Command, stored: RedisStorage, shop: None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    file, link = tmp_path / "list.txt", tmp_path / "link.txt"
    link.symlink_to(file)
    file.write_text("old")
    file.chmod(0o640)
    calls: list[Any] = []
    whole = RedisStorage.page_proxies

    def breaks_off(self: RedisStorage, *args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(self, *args, **{**kwargs, "limit": 2})

    with monkeypatch.context() as patch:
        patch.setattr(RedisStorage, "page_proxies", breaks_off)
        result = command("export", "--pool", "shop", "-o", link, "--show-secrets")
    assert result.exit_code == 130
    assert file.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.txt", "list.txt"]
    assert command("export", "--pool", "shop", "-o", link, "--show-secrets").exit_code == 0
    assert link.is_symlink()
    assert file.read_text().startswith("http://192.0.2.10:8080\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_new_file_with_passwords_is_its_owners(
    command: Command, shop: None, tmp_path: Path
) -> None:
    before = os.umask(0o022)
    try:
        for options, mode in ((["--show-secrets"], 0o600), ([], 0o644)):
            file = tmp_path / f"list{mode}"
            assert command("export", "--pool", "shop", "-o", file, *options).exit_code == 0
            assert stat.S_IMODE(file.stat().st_mode) == mode
    finally:
        os.umask(before)


def test_what_is_no_file_is_written_as_it_is(command: Command, shop: None) -> None:
    assert command("export", "--pool", "shop", "-o", "/dev/null").exit_code == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_full_disk_is_exit_code_1(command: Command, shop: None) -> None:
    result = command("export", "--pool", "shop", "-o", "/dev/full")
    assert result.exit_code == 1
    assert "cannot write /dev/full: No space left on device" in result.stderr


def test_progress_shows_where_the_list_does_not(
    command: Command, stored: RedisStorage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listed = [Record(ProxyProtocol.HTTP, f"10.0.{n >> 8}.{n & 255}", 80) for n in range(1000)]
    import_list(stored, "shop", listed, Terms())
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = command("export", "--pool", "shop", "-o", tmp_path / "list")
    assert "1,000 written" in result.stderr
    assert len((tmp_path / "list").read_text().splitlines()) == 1000


def test_a_terminal_is_not_steered(
    command: Command, stored: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = stored.ensure_pool("shop")
    stored.save_proxy(
        Proxy(pool_id=pool.id, host="192.0.2.1", port=80, protocol="http", city="K\x9b\nö",
              credentials=ProxyCredentials(user="me", password=SECRET))
    )  # fmt: skip
    monkeypatch.setattr("pharox_redis.cli.export_command._is_terminal", lambda: True)
    result = command("export", "--pool", "shop", "--format", "csv")
    assert '"K\\x9b\nö"' in result.stdout
