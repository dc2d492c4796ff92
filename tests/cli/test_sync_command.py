"""``pharox-redis sync``: the difference, the doubts and the questions, the exit codes; and that a
sync which is killed is completed by the next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest
from pharox.models import Proxy, ProxyProtocol, ProxyStatus
from typer.testing import Result

from pharox_redis import RedisStorage
from pharox_redis.importing import Record, Terms, import_list
from tests.support.invariants import check_invariants
from tests.support.own_servers import raw_dump

DATA = Path(__file__).parents[1] / "data"
SECRET = "Hunter2-Secret"
DONE = "Done: {} added, {} updated, {} deleted, {} to be deleted when their leases are over.\n"

Command = Callable[..., Result]
Proxies = Callable[[], list[Proxy]]


def lines(*hosts: int) -> bytes:
    return b"".join(b"192.0.2.%d:80\n" % host for host in hosts)


def fill(storage: RedisStorage, *hosts: int) -> None:
    import_list(
        storage, "shop", [Record(ProxyProtocol.HTTP, f"192.0.2.{host}", 80) for host in hosts],
        Terms(),
    )  # fmt: skip


def hosts(proxies: list[Proxy]) -> list[int]:
    return [int(str(proxy.host).rpartition(".")[2]) for proxy in proxies]


def test_a_pool_becomes_its_list(command: Command, stored: RedisStorage, proxies: Proxies) -> None:
    result = command("sync", "-", "--pool", "shop", stdin=lines(1, 2, 3))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "Pool shop (does not exist yet): 3 new, 0 changed, 0 unchanged, 0 to retire; "
        "0 duplicates, 0 unreadable.\n"
        "  new      http://192.0.2.1:80\n"
        "  new      http://192.0.2.2:80\n"
        "  new      http://192.0.2.3:80\n" + DONE.format(3, 0, 0, 0)
    )
    lease = stored.create_lease(proxies()[0], "holder", 60)
    command("sync", "-", "--pool", "shop", stdin=lines(2, 3, 4))
    result = command("sync", "-", "--pool", "shop", "--source", "x", stdin=lines(3, 4, 4, 5))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "Pool shop: 1 new, 2 changed, 0 unchanged, 1 to retire; 1 duplicate, 0 unreadable.\n"
        "  new      http://192.0.2.5:80\n"
        "  changed  http://192.0.2.3:80: source\n"
        "  changed  http://192.0.2.4:80: source\n"
        "  retire   http://192.0.2.2:80\n"
        "  leaving  http://192.0.2.1:80 (1 lease)\n" + DONE.format(1, 2, 1, 1)
    )
    assert hosts(proxies()) == [1, 3, 4, 5]
    result = command("sync", "-", "--pool", "shop", stdin=lines(1, 3, 4, 5))
    assert "1 changed (1 retired before), 3 unchanged" in result.stdout
    assert "  changed  http://192.0.2.1:80: retired, status\n" in result.stdout
    assert {proxy.status for proxy in proxies()} == {"active"}
    kept = stored.get_lease(lease.id)
    assert kept is not None and kept.status == "active"
    stored.release_lease(lease)
    result = command("sync", "-", "--pool", "shop", stdin=lines(1, 3, 4, 5))
    assert result.stdout.endswith(DONE.format(0, 0, 0, 0))
    check_invariants(stored)


def test_a_dry_run_writes_nothing(command: Command, stored: RedisStorage) -> None:
    command("sync", "-", "--pool", "shop", "--dry-run", stdin=lines(1))
    assert stored.list_pools() == []
    fill(stored, 1, 2, 3)
    before = raw_dump(stored.client, stored.settings.key_prefix)
    result = command("sync", "-", "--pool", "shop", "--dry-run", stdin=lines(1, 4))
    assert result.exit_code == 0
    assert result.stdout == (
        "Dry run: nothing was written.\n"
        "Pool shop: 1 new, 0 changed, 1 unchanged, 2 to retire; 0 duplicates, 0 unreadable.\n"
        "  new      http://192.0.2.4:80\n"
        "  retire   http://192.0.2.2:80\n"
        "  retire   http://192.0.2.3:80\n"
    )
    assert result.stderr == (
        "Warning: 2 of 3 proxies would be retired, more than 50 % (--max-retired).\n"
    )
    assert raw_dump(stored.client, stored.settings.key_prefix) == before


def test_only_the_first_of_a_kind_are_shown(command: Command, stored: RedisStorage) -> None:
    fill(stored, *range(1, 26))
    result = command("sync", "-", "--pool", "shop", "--yes", stdin=lines(*range(101, 122)))
    shown = result.stdout.splitlines()
    assert sum(line.startswith("  new") for line in shown) == 20
    assert sum(line.startswith("  retire") for line in shown) == 20
    assert shown.count("  ... and 1 more") == shown.count("  ... and 5 more") == 1


def test_json_tells_everything(command: Command, stored: RedisStorage, proxies: Proxies) -> None:
    fill(stored, *range(1, 31))
    stored.create_lease(proxies()[0], "holder", 60)
    listed = lines(*range(21, 46)) + f"192.0.2.21:80:me:{SECRET}\nnonsense\n".encode()
    options = ["--pool", "shop", "--json", "--max-retired", "70"]
    result = command("sync", "-", *options, "--dry-run", stdin=listed)
    told = json.loads(result.stdout)
    assert told["done"] is None
    assert "1 entry of the list" in told["doubts"][0]
    result = command("sync", "-", *options, "--skip-unreadable", stdin=listed)
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert (told["pool"], told["made"], told["doubts"]) == ("shop", False, [])
    assert told["counts"] == {
        "new": 16, "changed": 0, "returning": 0, "unchanged": 10, "retired": 20, "leaving": 0,
        "duplicate": 0, "unreadable": 1,
    }  # fmt: skip
    assert len(told["new"]) == 16 and len(told["retired"]) == 20
    assert told["new"][-1] == {
        "protocol": "http", "host": "192.0.2.21", "port": 80, "username": "me"
    }  # fmt: skip
    assert told["retired"][0]["leases"] == 1
    assert told["done"] == {"added": 16, "updated": 0, "deleted": 19, "leaving": 1}
    assert told["unreadable"][0].startswith("line 27: ")
    assert SECRET not in result.output


# -- doubts ----------------------------------------------------------------------------------------


def test_more_than_the_share_is_refused_where_nobody_can_be_asked(
    command: Command, stored: RedisStorage, proxies: Proxies
) -> None:
    fill(stored, 1, 2, 3, 4)
    before = raw_dump(stored.client, stored.settings.key_prefix)
    result = command("sync", "-", "--pool", "shop", stdin=lines(1, 5))
    assert result.exit_code == 2
    assert "3 of 4 proxies would be retired, more than 50 %" in result.stderr
    assert "--yes" in result.stderr
    assert raw_dump(stored.client, stored.settings.key_prefix) == before
    assert command("sync", "-", "--pool", "shop", stdin=lines(1, 2)).exit_code == 0
    result = command("sync", "-", "--pool", "shop", "--max-retired", "100", stdin=lines(1))
    assert (result.exit_code, result.stderr) == (0, "")
    assert hosts(proxies()) == [1]
    result = command("sync", "-", "--pool", "shop", "--max-retired", "0", stdin=lines(7))
    assert result.exit_code == 2
    result = command("sync", "-", "--pool", "shop", "--yes", stdin=lines(7))
    assert result.exit_code == 0
    assert hosts(proxies()) == [7]


def test_what_could_not_be_read_retires_nothing(
    command: Command, stored: RedisStorage, proxies: Proxies
) -> None:
    fill(stored, 1, 2, 3)
    before = raw_dump(stored.client, stored.settings.key_prefix)
    listed = lines(1, 2) + f"192.0.2.3:eighty:me:{SECRET}\n".encode()
    result = command("sync", "-", "--pool", "shop", stdin=listed)
    assert result.exit_code == 2
    assert "1 entry of the list could not be read" in result.stderr
    assert "  line 3: the port is not a whole number\n" in result.stderr
    assert "--skip-unreadable" in result.stderr
    assert SECRET not in result.output
    assert raw_dump(stored.client, stored.settings.key_prefix) == before
    # Where nothing is to be retired, it does not matter.
    result = command("sync", "-", "--pool", "shop", stdin=lines(3, 4) + listed)
    assert result.exit_code == 0
    assert hosts(proxies()) == [1, 2, 3, 4]
    result = command("sync", "-", "--pool", "shop", "--skip-unreadable", stdin=listed)
    assert result.exit_code == 0
    assert hosts(proxies()) == [1, 2]


@pytest.mark.parametrize("content", [b"<html>\n<body>503</body>", b'{"error": 1}', b"[{"])
def test_what_is_no_list_empties_no_pool_whatever_is_said(
    command: Command, stored: RedisStorage, proxies: Proxies, content: bytes
) -> None:
    fill(stored, 1)
    for options in ([], ["--yes", "--skip-unreadable", "--max-retired", "100"]):
        result = command("sync", "-", "--pool", "shop", *options, stdin=content)
        assert (result.exit_code, result.stdout) == (3, "")
        assert "no proxy could be read" in result.stderr
    assert hosts(proxies()) == [1]


@pytest.mark.parametrize("content", [b"", b"# nothing today\n", b"[]"])
def test_an_empty_list_empties_a_pool_only_if_that_is_said(
    command: Command, stored: RedisStorage, proxies: Proxies, content: bytes
) -> None:
    fill(stored, 1)
    result = command("sync", "-", "--pool", "shop", "--max-retired", "100", stdin=content)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "--yes" in result.stderr
    assert hosts(proxies()) == [1]
    assert command("sync", "-", "--pool", "shop", "--yes", stdin=content).exit_code == 0
    assert proxies() == []


def test_a_masked_export_retires_nothing(
    command: Command, stored: RedisStorage, tmp_path: Path
) -> None:
    command("import", DATA / "proxies.txt", "--pool", "shop")
    before = raw_dump(stored.client, stored.settings.key_prefix)
    for options, code in (([], 2), (["--show-secrets"], 0)):
        file = tmp_path / "list.json"
        command("export", "--pool", "shop", "--output", file, *options)
        result = command("sync", file, "--pool", "shop")
        assert result.exit_code == code
    assert "0 new, 0 changed, 6 unchanged, 0 to retire" in result.stdout
    assert raw_dump(stored.client, stored.settings.key_prefix) == before


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--max-retired", "101"], "--max-retired"),
        (["--max-retired", "some"], "--max-retired"),
        (["--pool", " "], "blank"),
        (["--map", "contry=a"], "--map"),
        (["--max-concurrency", "0"], "--max-concurrency"),
    ],
)
def test_wrong_options_are_exit_code_2(command: Command, options: list[str], text: str) -> None:
    result = command("sync", "-", "--pool", "shop", *options, stdin=lines(1))
    assert result.exit_code == 2
    assert text in result.stderr


def test_a_file_that_cannot_be_opened_is_exit_code_2(command: Command, tmp_path: Path) -> None:
    result = command("sync", tmp_path / "missing", "--pool", "shop")
    assert result.exit_code == 2
    assert "cannot open" in result.stderr


# -- at a terminal, and killed ---------------------------------------------------------------------


def argv(url: str, storage: RedisStorage, *args: str | Path) -> list[str]:
    prefix = storage.settings.key_prefix
    return ["-m", "pharox_redis", *map(str, args), "--url", url, "--prefix", prefix]


def test_a_person_is_asked(
    valkey_url: str, stored: RedisStorage, proxies: Proxies, tmp_path: Path
) -> None:
    fill(stored, 1, 2, 3)
    file = tmp_path / "list.txt"
    file.write_bytes(lines(4))
    line = argv(valkey_url, stored, "sync", file, "--pool", "shop")
    environment: dict[str, str] = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    for answer, code, after in (("n", 1, [1, 2, 3]), ("", 130, [1, 2, 3]), ("y", 0, [4])):
        with pexpect.spawn(sys.executable, line, timeout=30, env=environment) as child:  # type: ignore[arg-type]
            child.expect("3 of 3 proxies would be retired")
            child.expect("Retire 3 proxies of pool shop")
            assert hosts(proxies()) == [1, 2, 3]
            if answer:
                child.sendline(answer)
            else:
                child.sendintr()
            child.expect(pexpect.EOF)
        assert child.exitstatus == code
        assert hosts(proxies()) == after


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_sync_is_completed_by_the_next(
    command: Command, valkey_url: str, stored: RedisStorage, proxies: Proxies, tmp_path: Path,
    by: signal.Signals,
) -> None:  # fmt: skip
    many = [Record(ProxyProtocol.HTTP, f"10.1.{n >> 8}.{n & 255}", 80) for n in range(300)]
    import_list(stored, "shop", many, Terms())
    leases = stored.acquire_leases("shop", "holder", 60, 10)
    pool = stored.ensure_pool("shop")
    file = tmp_path / "list.txt"
    file.write_text("".join(f"10.0.{n >> 8}.{n & 255}:80\n" for n in range(300)))
    line = argv(valkey_url, stored, "sync", file, "--pool", "shop", "--yes")
    with subprocess.Popen(
        [sys.executable, *line], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as child:
        # Some were retired: 300 were there, 300 were added before.
        while (figures := stored.get_pool_figures(pool.id)).total_proxies < 590:
            assert child.poll() is None
        while (figures := stored.get_pool_figures(pool.id)).active_proxies > 560:
            assert child.poll() is None
        child.send_signal(by)
        said = child.communicate(timeout=30)[1]
    assert child.returncode == (-by if by is signal.SIGKILL else 130)
    assert figures.total_proxies > 310
    if by is signal.SIGTERM:
        assert "Done before: 300 added" in said
        assert "A second run completes the sync." in said
        assert "Traceback" not in said
    result = command("sync", file, "--pool", "shop", "--yes")
    assert result.exit_code == 0
    known = proxies()
    assert sum(str(proxy.host).startswith("10.0.") for proxy in known) == 300
    assert len(known) == 310
    assert all(
        (now := stored.get_lease(lease.id)) is not None and now.status == "active"
        for lease in leases
    )
    check_invariants(stored)


# -- a real list -----------------------------------------------------------------------------------


def test_a_provider_who_changes_its_list(
    command: Command, stored: RedisStorage, proxies: Proxies, tmp_path: Path
) -> None:
    """Nested JSON as it is published, day after day: some go, some come, some move."""
    maps = ["country=geo.country.iso", "city=geo.city.names.en", "asn=asn.number"]
    options = [text for item in maps for text in ("--map", item)]

    def day(first: int, last: int, city: str) -> Path:
        items = [
            {
                "protocol": "http" if n % 3 else "socks4",
                "username": None,
                "password": None,
                "host": f"198.51.100.{n}",
                "port": 1000 + n,
                "asn": {"number": 64496 + n % 5},
                "geo": {"country": {"iso": "DE"}, "city": {"names": {"en": city}}},
            }
            for n in range(first, last)
        ]
        path = tmp_path / "list.json"
        path.write_text(json.dumps(items))
        return path

    assert command("sync", day(0, 200, "Bonn"), "--pool", "shop", *options).exit_code == 0
    banned = proxies()[150]
    stored.set_proxy_status(banned.id, ProxyStatus.BANNED)
    result = command("sync", day(50, 250, "Köln"), "--pool", "shop", *options)
    assert "50 new, 150 changed, 0 unchanged, 50 to retire" in result.stdout
    result = command("sync", day(50, 250, "Köln"), "--pool", "shop", *options)
    assert "0 new, 0 changed, 200 unchanged, 0 to retire" in result.stdout
    assert {proxy.city for proxy in proxies()} == {"Köln"}
    assert stored.get_proxy(banned.id).status == "banned"
    check_invariants(stored)
