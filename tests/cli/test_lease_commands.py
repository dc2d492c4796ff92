"""``pharox-redis lease``: who holds what, for how long yet; and ended, by id, consumer and pool."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pharox.models import Lease, ProxyCredentials
from typer.testing import Result

from pharox_redis import RedisStorage
from pharox_redis.models import new_lease_id
from tests.support.builders import make_proxies, make_proxy
from tests.support.invariants import check_invariants

Command = Callable[..., Result]

SECRET = "Hunter2-Secret"
COLUMNS = ["id", "consumer", "pool", "proxy", "held", "left"]


def said(result: Result) -> Any:
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def rows(result: Result) -> list[list[str]]:
    assert (result.exit_code, result.stderr) == (0, "")
    first, *lines = [line.split("\t") for line in result.stdout.split("\n")[:-1]]
    assert first == COLUMNS
    return lines


@pytest.fixture
def held(stored: RedisStorage) -> list[Lease]:
    """Three leases in the pool ``attic``, two in ``shop``; the consumers are one and two."""
    for name in ("attic", "shop"):
        stored.add_proxies_bulk(make_proxies(stored.ensure_pool(name), 5))
    leases = [
        stored.acquire_lease("attic", "one", 60),
        stored.acquire_lease("attic", "two\x1b[1m", 90),
        stored.acquire_lease("attic", "one", 120),
        stored.acquire_lease("shop", "one", 3600),
        stored.acquire_lease("shop", "two\x1b[1m", 7200),
    ]
    return [lease for lease in leases if lease is not None]


def test_a_row_says_who_and_how_long(command: Command, held: list[Lease]) -> None:
    found = rows(command("lease", "list"))
    assert [row[:4] for row in found] == [
        [str(lease.id), name, lease.pool_name, str(lease.proxy_id)]
        for lease, name in zip(held, ["one", r"two\x1b[1m", "one", "one", r"two\x1b[1m"],
                               strict=True)
    ]  # fmt: skip
    for lease, row in zip(held, found, strict=True):
        ago, left = map(float, row[4:])
        assert 0 <= ago < 30
        assert ago + left == pytest.approx(
            (lease.expires_at - lease.acquired_at).total_seconds(), abs=0.01
        )


def test_json(command: Command, held: list[Lease]) -> None:
    found = said(command("lease", "list", "--json", "--limit", "1"))
    assert 30 < found[0].pop("seconds_left") <= 60
    lease = held[0]
    assert found == [
        {
            "id": str(lease.id),
            "proxy_id": str(lease.proxy_id),
            "consumer_id": str(lease.consumer_id),
            "consumer_name": "one",
            "pool_id": str(lease.pool_id),
            "pool_name": "attic",
            "status": "active",
            "acquired_at": lease.acquired_at.isoformat(),
            "expires_at": lease.expires_at.isoformat(),
            "released_at": None,
        }
    ]


def test_the_servers_time_counts(
    command: Command, held: list[Lease], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Behind(datetime):
        """The clock of a host that is an hour late."""

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) - timedelta(hours=1)

    for module in ("finding", "lease_commands"):
        monkeypatch.setattr(f"pharox_redis.cli.{module}.datetime", Behind)
    assert 30 < float(rows(command("lease", "list"))[0][5]) <= 60
    assert 30 < said(command("lease", "show", held[0].id, "--json"))["seconds_left"] <= 60


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ("--pool shop", [3, 4]),
        ("--pool attic --consumer one", [0, 2]),
        ("--consumer one", [0, 2, 3]),
        ("--consumer one --limit 2", [0, 2]),
        ("--limit 4", [0, 1, 2, 3]),
        ("--limit 0", []),
    ],
)
def test_filters(command: Command, held: list[Lease], options: str, places: list[int]) -> None:
    found = said(command("lease", "list", "--json", *options.split()))
    assert [each["id"] for each in found] == [str(held[place].id) for place in places]


def test_many_leases_are_read_page_by_page(command: Command, stored: RedisStorage) -> None:
    stored.add_proxies_bulk(make_proxies(stored.ensure_pool("shop"), 700))
    leases = stored.acquire_leases("shop", "one", 60, 700)
    found = [row[0] for row in rows(command("lease", "list", "--pool", "shop"))]
    assert sorted(found) == sorted(str(lease.id) for lease in leases)
    result = command("lease", "release", "--pool", "shop", "--yes")
    assert (result.exit_code, result.stdout) == (0, "700 leases ended.\n")
    assert stored.list_leases() == []
    check_invariants(stored)


def test_no_leases(command: Command, stored: RedisStorage) -> None:
    assert command("lease", "list").stderr == "There are no such leases.\n"
    assert said(command("lease", "list", "--json")) == []
    stored.ensure_pool("shop")
    stored.ensure_consumer("one")
    for options in (["--pool", "shop"], ["--consumer", "one"]):
        assert said(command("lease", "list", "--json", *options)) == []
        # There is nothing to ask about.
        result = command("lease", "release", *options)
        assert (result.exit_code, result.stderr) == (0, "")
        assert "has no live leases." in result.stdout
        assert said(command("lease", "release", "--json", *options)) == {"released": 0}


def test_a_lease_is_shown(command: Command, stored: RedisStorage) -> None:
    proxy = make_proxy(
        stored.ensure_pool("shop"), credentials=ProxyCredentials(user="me", password=SECRET)
    )
    stored.add_proxy(proxy)
    lease = stored.acquire_lease("shop", "one", 60)
    assert lease is not None
    result = command("lease", "show", lease.id)
    shown = dict(line.split("\t") for line in result.stdout.splitlines())
    assert (shown["consumer"], shown["pool"], shown["status"]) == ("one", "shop", "active")
    assert shown["proxy"].startswith("http://me:***@") and SECRET not in result.output
    assert SECRET in command("lease", "show", lease.id, "--show-secrets").stdout
    found = said(command("lease", "show", lease.id, "--json"))
    assert found["proxy"]["id"] == str(proxy.id) and "password" not in found["proxy"]
    stored.release_lease(lease)
    found = said(command("lease", "show", lease.id, "--json"))
    assert (found["status"], found["seconds_left"]) == ("released", 0)
    stored.delete_proxy(proxy.id)
    assert said(command("lease", "show", lease.id, "--json"))["proxy"] is None
    assert command("lease", "show", lease.id).exit_code == 0


def test_named_leases_are_ended(command: Command, stored: RedisStorage, held: list[Lease]) -> None:
    ids = [lease.id for lease in held]
    result = command("lease", "release", ids[0], ids[1], ids[0])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"Lease {ids[0]} of one is over.", rf"Lease {ids[1]} of two\x1b[1m is over.",
    ]  # fmt: skip
    assert {lease.id for lease in stored.list_leases()} == set(ids[2:])
    # Twice is fine, and one that is unknown does not stop the others.
    unknown = [uuid4(), new_lease_id(stored.ensure_pool("shop").id)]
    result = command("lease", "release", unknown[0], ids[0], unknown[1], ids[2], "--json")
    assert result.exit_code == 4
    assert [(each["id"], each["status"]) for each in json.loads(result.stdout)] == [
        (str(ids[0]), "released"),
        (str(ids[2]), "released"),
    ]
    assert [str(each) in line for each, line in zip(unknown, result.stderr.splitlines(),
                                                    strict=True)] == [True, True]  # fmt: skip
    assert {lease.id for lease in stored.list_leases()} == set(ids[3:])


@pytest.mark.parametrize(
    ("options", "question", "left"),
    [
        ("--consumer one", "Consumer one has 3 live leases. End them?", [1, 4]),
        ("--consumer one --pool shop", "Consumer one has 1 live lease in pool shop. End it?",
         [0, 1, 2, 4]),
        ("--pool attic", "Pool attic has 3 live leases. End them?", [3, 4]),
    ],
)  # fmt: skip
def test_many_are_ended_after_a_question(
    command: Command,
    stored: RedisStorage,
    held: list[Lease],
    options: str,
    question: str,
    left: list[int],
) -> None:
    result = command("lease", "release", *options.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(question) and len(stored.list_leases()) == 5
    count = 5 - len(left)
    result = command("lease", "release", "--yes", "--json", *options.split())
    assert said(result) == {"released": count}
    assert {lease.id for lease in stored.list_leases()} == {held[place].id for place in left}


def test_leases_that_begin_later_are_left_alone(
    command: Command, stored: RedisStorage, held: list[Lease], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = RedisStorage.page_leases
    later: list[Lease] = []

    def meanwhile(self: RedisStorage, *args: Any, **options: Any) -> Any:
        lease = stored.acquire_lease("shop", "three", 60)
        assert lease is not None
        later.append(lease)
        return page(self, *args, **options)

    monkeypatch.setattr(RedisStorage, "page_leases", meanwhile)
    assert said(command("lease", "release", "--pool", "shop", "--yes", "--json")) == {"released": 2}
    assert {lease.id for lease in stored.list_leases()} == {
        lease.id for lease in [*held[:3], *later]
    }


@pytest.mark.parametrize(
    "line", [[], [str(uuid4()), "--pool", "shop"], [str(uuid4()), "--consumer", "one"]]
)
def test_either_ids_or_whose(command: Command, held: list[Lease], line: list[str]) -> None:
    result = command("lease", "release", "--yes", *line)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "either ids of leases" in result.stderr
