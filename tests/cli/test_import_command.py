"""``pharox-redis import`` from the command line to the server."""

import errno
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pharox.models import Proxy, ProxyStatus
from typer.testing import Result

from pharox_redis import RedisStorage
from pharox_redis.importing.fields import FIELDS

DATA = Path(__file__).parents[1] / "data"
SECRET = "Hunter2-Secret"

Command = Callable[..., Result]
Proxies = Callable[[], list[Proxy]]


@pytest.fixture
def listed(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str, name: str = "list.txt") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def test_a_list_is_imported_and_importing_it_again_changes_nothing(
    command: Command, proxies: Proxies
) -> None:
    result = command("import", DATA / "proxies.txt", "--pool", "shop")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "Pool shop (made): 6 new, 0 changed, 0 unchanged, 0 duplicates, 0 unreadable.\n"
    )
    before = proxies()
    assert [str(proxy.host) for proxy in before] == [
        "192.0.2.10", "192.0.2.11", "192.0.2.12", "192.0.2.13", "gate.example.com",
        "2001:db8::14",
    ]  # fmt: skip
    assert {(proxy.status, proxy.max_concurrency) for proxy in before} == {("active", 1)}
    result = command("import", DATA / "proxies.txt", "--pool", "shop")
    assert result.stdout == (
        "Pool shop: 0 new, 0 changed, 6 unchanged, 0 duplicates, 0 unreadable.\n"
    )
    assert proxies() == before


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("proxies*")))
def test_every_format_gives_the_same_proxies(command: Command, proxies: Proxies, name: str) -> None:
    command("import", DATA / "proxies.txt", "--pool", "shop")
    before = {proxy.id for proxy in proxies()}
    result = command("import", DATA / name, "--pool", "shop")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "0 new" in result.stdout
    assert {proxy.id for proxy in proxies()} == before


def test_lines_that_cannot_be_read_are_listed_without_passwords(
    command: Command, proxies: Proxies
) -> None:
    result = command("import", DATA / "broken.txt", "--pool", "shop")
    assert result.exit_code == 0
    assert "1 new, 0 changed, 0 unchanged, 1 duplicate, 3 unreadable." in result.stdout
    assert result.stderr == (
        "Could not be read:\n"
        "  line 2: the port is not a whole number\n"
        "  line 3: a user without a password\n"
        "  line 4: the port is not a whole number\n"
    )
    assert SECRET not in result.output
    assert len(proxies()) == 1


@pytest.mark.parametrize(("broken", "more"), [(20, None), (21, "... and 1 more"),
                                              (1500, "... and 1,480 more")])  # fmt: skip
def test_only_twenty_of_them_are_listed(
    command: Command, listed: Callable[..., Path], broken: int, more: str | None
) -> None:
    path = listed(*["nonsense"] * broken, "192.0.2.1:80")
    result = command("import", path, "--pool", "shop")
    assert result.exit_code == 0
    lines = result.stderr.splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines[:20]] == [
        f"line {n}" for n in range(1, 21)
    ]
    assert [line.strip() for line in lines[20:]] == ([] if more is None else [more])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "nonsense\nmore nonsense"),
        ("a.txt", ""),
        ("a.txt", "# only a comment"),
        ("a.json", "{"),
        ("a.json", "[]"),
        ("a.csv", f"192.0.2.1,80,me,{SECRET}"),
        ("a.jsonl", "nonsense"),
    ],
)
def test_nothing_that_could_be_read_is_exit_code_3(
    command: Command,
    stored: RedisStorage,
    listed: Callable[..., Path],
    name: str,
    content: str,
) -> None:
    result = command("import", listed(content, name=name), "--pool", "shop")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "no proxy could be read" in result.stderr
    assert SECRET not in result.output
    assert stored.list_pools() == []


def test_stdin_is_a_list(command: Command, proxies: Proxies) -> None:
    content = b"ip;port;login;pass\r\n192.0.2.1;80;me;a:b\r\n"
    result = command("import", "-", "--pool", "shop", stdin=content)
    assert result.exit_code == 0
    (proxy,) = proxies()
    assert proxy.url == "http://me:a%3Ab@192.0.2.1:80"


def test_fields_are_mapped(command: Command, proxies: Proxies) -> None:
    maps = ["country=geo.country.iso", "city=geo.city.names.en", "asn=asn.number",
            "latitude=geo.at.0", "longitude=geo.at.1"]  # fmt: skip
    options = [text for item in maps for text in ("--map", item)]
    result = command("import", DATA / "proxies.json", "--pool", "shop", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    first = proxies()[0]
    assert (first.country, first.city, first.asn) == ("DE", "Bonn", 64496)
    assert (first.latitude, first.longitude) == (50.7, 7.1)


def test_a_path_that_found_nothing_is_a_warning(command: Command) -> None:
    result = command(
        "import", DATA / "proxies.json", "--pool", "shop", "--map", "city=geo.town", "--map", "isp="
    )
    assert result.exit_code == 0
    assert result.stderr == "Warning: --map city: nothing in the list at 'geo.town'\n"


def test_options_say_what_the_list_does_not(command: Command, proxies: Proxies) -> None:
    result = command(
        "import", "-", "--pool", "shop", "--protocol", "socks5", "--status", "inactive",
        "--max-concurrency", "unlimited", "--source", "provider",
        stdin=b"192.0.2.1:80\nhttp://192.0.2.2:80\n",
    )  # fmt: skip
    assert result.exit_code == 0
    first, second = proxies()
    assert (first.protocol, second.protocol) == ("socks5", "http")
    assert {(p.status, p.max_concurrency, p.source) for p in (first, second)} == {
        ("inactive", None, "provider")
    }


def test_the_format_can_be_given(command: Command, proxies: Proxies) -> None:
    content = b'"192.0.2.1:80"\n'
    assert command("import", "-", "--pool", "shop", stdin=content).exit_code == 3
    result = command("import", "-", "--pool", "shop", "--format", "jsonl", stdin=content)
    assert result.exit_code == 0
    assert len(proxies()) == 1


def test_live_state_is_only_reset_when_asked(
    command: Command, stored: RedisStorage, proxies: Proxies
) -> None:
    content = b"192.0.2.1:80\n"
    command("import", "-", "--pool", "shop", stdin=content)
    (proxy,) = proxies()
    stored.save_proxy(proxy.model_copy(update={"status": ProxyStatus.BANNED, "max_concurrency": 4}))
    result = command("import", "-", "--pool", "shop", stdin=content)
    assert "1 unchanged" in result.stdout
    result = command("import", "-", "--pool", "shop", "--source", "x", stdin=content)
    assert "1 changed" in result.stdout
    (now,) = proxies()
    assert (now.id, now.status, now.max_concurrency, now.source) == (proxy.id, "banned", 4, "x")
    result = command("import", "-", "--pool", "shop", "--status", "active", stdin=content)
    assert "1 changed" in result.stdout
    assert [(p.status, p.max_concurrency) for p in proxies()] == [("active", 4)]
    result = command("import", "-", "--pool", "shop", "--max-concurrency", "1", stdin=content)
    assert "1 changed" in result.stdout
    assert [(p.status, p.max_concurrency) for p in proxies()] == [("active", 1)]


def test_a_dry_run_shows_what_would_happen_and_changes_nothing(
    command: Command, stored: RedisStorage, proxies: Proxies
) -> None:
    result = command("import", DATA / "broken.txt", "--pool", "shop", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout == (
        "Dry run: nothing was written.\n"
        "Pool shop (does not exist yet): 1 new, 0 changed, 0 unchanged, 1 duplicate, "
        "3 unreadable.\n"
        "  new      http://192.0.2.20:8080\n"
    )
    assert stored.list_pools() == []
    command("import", "-", "--pool", "shop", stdin=b"192.0.2.1:80:me:a\n")
    before = proxies()
    lines = [f"192.0.2.1:80:me:{SECRET}", *(f"192.0.2.{n}:80" for n in range(2, 25))]
    result = command("import", "-", "--pool", "shop", "--dry-run", stdin="\n".join(lines).encode())
    assert "23 new, 1 changed, 0 unchanged" in result.stdout
    assert "  changed  http://192.0.2.1:80 user 'me': credentials\n" in result.stdout
    assert "  ... and 3 more\n" in result.stdout
    assert SECRET not in result.output
    assert proxies() == before


def test_big_lists_arrive_whole(command: Command, proxies: Proxies, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    items = [{"ip": f"10.0.{n >> 8}.{n & 255}", "port": 80} for n in range(1234)]
    path.write_text(json.dumps(items), encoding="utf-8")
    assert "1,234 new" in command("import", path, "--pool", "shop").stdout
    assert len(proxies()) == 1234


def test_progress_shows_on_a_terminal_only(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"".join(b"10.0.%d.%d:80\n" % (n >> 8, n & 255) for n in range(1200))
    result = command("import", "-", "--pool", "shop", "--dry-run", stdin=content)
    assert result.stderr == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = command("import", "-", "--pool", "shop", stdin=content)
    assert "1,200 read, 1,200 written" in result.stderr
    assert "read," not in result.stdout


def test_pool_names_are_printed_as_they_are(command: Command) -> None:
    result = command("import", "-", "--pool", "[red]a\x1b[1m", stdin=b"192.0.2.1:80")
    assert result.stdout.startswith(r"Pool [red]a\x1b[1m (made): 1 new")


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        (["--map", "contry=a"], ["--map", "'contry'", *FIELDS]),
        (["--map", "country"], ["--map", "FIELD=PATH"]),
        (["--map", "country=a", "--map", "country=b"], ["mapped twice"]),
        (["--max-concurrency", "0"], ["--max-concurrency", "unlimited"]),
        (["--max-concurrency", "many"], ["--max-concurrency", "unlimited"]),
        (["--status", "alive"], ["--status", "active"]),
        (["--protocol", "ftp"], ["--protocol", "socks5"]),
        (["--format", "xml"], ["--format", "jsonl"]),
        (["--pool", " "], ["--pool", "blank"]),
    ],
)
def test_wrong_options_are_exit_code_2(
    command: Command, stored: RedisStorage, options: list[str], texts: list[str]
) -> None:
    result = command("import", "-", "--pool", "shop", *options, stdin=b"192.0.2.1:80")
    assert result.exit_code == 2
    assert all(text in result.stderr for text in texts)
    assert stored.list_pools() == []


def test_a_pool_is_needed(command: Command) -> None:
    result = command("import", "-", stdin=b"192.0.2.1:80")
    assert result.exit_code == 2
    assert "--pool" in result.stderr


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_a_file_that_cannot_be_opened_is_exit_code_2(
    command: Command, tmp_path: Path, name: str
) -> None:
    result = command("import", tmp_path / name, "--pool", "shop")
    assert result.exit_code == 2
    assert "cannot open" in result.stderr
    assert "Traceback" not in result.output


class BreakingPipe(io.BytesIO):
    """A long list on stdin, during whose reading something happens, once."""

    def __init__(self, happens: Callable[[], object]) -> None:
        lines = (b"10.0.%d.%d:80  # %d\n" % (n >> 8, n & 255, n) for n in range(6_000))
        super().__init__(b"".join(lines))
        self.happens: Callable[[], object] | None = happens

    def read(self, size: int | None = -1, /) -> bytes:
        if self.happens is not None and self.tell() > 50_000:
            happens, self.happens = self.happens, None
            happens()
        return super().read(size)


def test_an_import_that_breaks_off_says_what_was_written(
    command: Command, stored: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_the_pool() -> None:
        pool = stored.get_pool_by_name("shop")
        assert pool is not None
        stored.delete_pool(str(pool.id))

    pipe = BreakingPipe(lose_the_pool)
    monkeypatch.setattr("typer.get_binary_stream", lambda name: pipe)
    result = command("import", "-", "--pool", "shop")
    assert (result.exit_code, result.stdout) == (4, "")
    first, second = result.stderr.splitlines()
    assert first.startswith("Pool with ID ")
    assert re.fullmatch(
        r"[0-9,]+ proxies had been written; a second run completes the import\.", second
    )


def test_json_has_what_a_person_sees(command: Command, stored: RedisStorage) -> None:
    result = command("import", DATA / "broken.txt", "--pool", "shop", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "pool": "shop",
        "made": True,
        "dry_run": False,
        "new": 1,
        "changed": 0,
        "unchanged": 0,
        "duplicate": 1,
        "unreadable": 3,
        "written": 1,
        "examples": {
            "new": ["http://192.0.2.20:8080"],
            "changed": [],
            "unreadable": [
                "line 2: the port is not a whole number",
                "line 3: a user without a password",
                "line 4: the port is not a whole number",
            ],
        },
    }
    assert result.stderr.startswith("Could not be read:")
    lines = f"192.0.2.20:8080:me:{SECRET}\n192.0.2.20:8080\n".encode()
    result = command("import", "-", "--pool", "shop", "--json", "--dry-run", stdin=lines)
    said = json.loads(result.stdout)
    assert (said["made"], said["dry_run"], said["written"]) == (False, True, 0)
    assert SECRET not in result.output


def test_a_list_that_cannot_be_read_on_is_exit_code_2(
    command: Command, proxies: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(errno.EIO, "Input/output error")

    pipe = BreakingPipe(fail)
    monkeypatch.setattr("typer.get_binary_stream", lambda name: pipe)
    result = command("import", "-", "--pool", "shop")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "had been written" in result.stderr
    assert "Error: cannot read -: Input/output error" in result.stderr
    assert 0 < len(proxies()) < 6_000
