"""The normal run has each test on each server and in each flavour."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.matrix import mark_slow, put_into_groups


@dataclass
class Item:
    """Enough of a test."""

    nodeid: str
    params: dict[str, Any] = field(default_factory=dict)
    marks: dict[str, Any] = field(default_factory=dict)

    _fixtureinfo = SimpleNamespace(name2fixturedefs={})

    @property
    def callspec(self) -> Any:
        return SimpleNamespace(params=self.params)

    def get_closest_marker(self, name: str) -> Any:
        return self.marks.get(name)

    def add_marker(self, mark: Any) -> None:
        self.marks[mark.name] = mark


def combinations(path: str = "tests/units/test_x.py", **marks: Any) -> list[Any]:
    return [
        Item(
            f"{path}::test_it[{server}-{flavour}]",
            {"target": server, "flavour": flavour},
            marks.copy(),
        )
        for server in ("fake", "valkey", "redis")
        for flavour in ("blocking", "async")
    ]


def normal(items: list[Any]) -> set[tuple[str, str]]:
    return {(i.params["target"], i.params["flavour"]) for i in items if "slow" not in i.marks}


def test_each_server_and_each_flavour_once() -> None:
    items = combinations()
    mark_slow(items, ["fake", "valkey", "redis"])
    assert normal(items) == {("fake", "blocking"), ("valkey", "async"), ("redis", "blocking")}


def test_without_a_redis_both_flavours_run_on_valkey() -> None:
    items = [item for item in combinations() if item.params["target"] != "redis"]
    mark_slow(items, ["fake", "valkey"])
    assert normal(items) == {("fake", "blocking"), ("valkey", "async"), ("valkey", "blocking")}


def test_what_has_one_flavour_runs_on_every_server() -> None:
    items = [i for i in combinations(blocking_only=True) if i.params["flavour"] == "blocking"]
    mark_slow(items, ["fake", "valkey", "redis"])
    assert {server for server, _ in normal(items)} == {"fake", "valkey", "redis"}


def test_single_scripts_run_on_the_real_servers() -> None:
    items = [i for i in combinations("tests/scripts/x.py") if i.params["flavour"] == "blocking"]
    mark_slow(items, ["fake", "valkey", "redis"])
    assert {server for server, _ in normal(items)} == {"valkey", "redis"}


def test_what_is_about_asyncio_runs_on_valkey() -> None:
    items = [i for i in combinations("tests/aio/x.py") if i.params["flavour"] == "blocking"]
    mark_slow(items, ["fake", "valkey", "redis"])
    assert {server for server, _ in normal(items)} == {"valkey"}


def test_a_test_may_leave_asyncio_to_the_slow_run() -> None:
    items = [Item("x::t", {"flavour": f}, {"async_in_slow": True}) for f in ("blocking", "async")]
    mark_slow(items, ["fake", "valkey", "redis"])  # type: ignore[arg-type]
    assert ["slow" in item.marks for item in items] == [False, True]


def test_what_is_no_server_is_left_alone() -> None:
    items = [Item("x::t", {"value": ["valkey"]}), Item("x::t", {"name": "fake"})]
    mark_slow(items, ["fake", "valkey", "redis"])  # type: ignore[arg-type]
    assert not any(item.marks for item in items)


def test_groups_are_of_neighbours_and_ready_made_ones_come_first() -> None:
    own = Item("b.py::last", marks={"xdist_group": pytest.mark.xdist_group("load").mark})
    items: list[Any] = [*(Item(f"a.py::t{n}") for n in range(20)), own]
    put_into_groups(items)
    assert items[0] is own
    names = [item.marks["xdist_group"].args[0] for item in items]
    assert names == ["load", *["a.py 0"] * 16, *["a.py 1"] * 4]
