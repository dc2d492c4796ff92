"""Arguments that no flow sends: each script is called as it should be, with one argument replaced
by junk, for every argument. It must answer with a refusal of its own (``PHAROX_...``, no key
changed) or with a reply that leaves the pool's keys consistent and readable; never with an error of
Lua or of a command that failed inside.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from pharox.models import ProxyFilters
from redis.exceptions import ResponseError

from pharox_redis import CorruptRecordError
from pharox_redis.scripts import load, lua_root
from tests.scripts.raw import GERMAN, LIMITS, Bench, item, question
from tests.support.invariants import check_invariants

NEARBY = ProxyFilters(latitude=1, longitude=1, radius_km=5)
NUMBERS = [
    *("", " ", "-", "-1", "0", "+1", "1.5", "1e3", "0x10", "nan", "-nan", "inf", "-inf"),
    *("315576000001", "9007199254740993", "9" * 400, "1 ", " 1", "1\n", "1\x00"),
]
WORDS = [
    *("", " ", "x", "a b", "a:b", ":", "!", "~", "a\nb", "a\x00b", "%s", "%d%1", "[", "("),
    *("ü" * 40, "x" * 5000, "-", "0"),
]
PROGRAMS = [
    *("", "x", "[", "[]", "[[]]", "null", "{}", "[null]", '["="]', '["=","x"]', '["=",99,"x"]'),
    *('["&",1]', '["|","x"]', '["!"]', '["!",["!"]]', '["@"]', '["@","x","y","z"]', '["~"]'),
    *('["~",null,null]', '["?",1]', '["@",1,2]', "[1]", '["&"]', "[" * 2000, '["=",[],"x"]'),
]
LIMIT_TEXTS = [
    *("", "x", "1", "1 1", "1 1 1 1", "-1 64 1", "1.5 1 1", "0 0 0", "1 0 0", " 1 1 1", "1 1 1 "),
    *("a b c", "nan nan nan", f"{'9' * 30} {'9' * 30} {'9' * 30}", "1e3 1 1"),
]
ORIGINS = [
    *("", " ", "x", "x y", "1", "1 ", " 1", "1 2 3", "nan x", "inf x", "+inf ~", "(1 x", "-inf x"),
    *("1 \x00", "[a b", "1e400 x", "0 ~", "1.5 a"),
]
IDS = [*WORDS, "00000000-0000-0000-0000-000000000000", "A" * 36]

KINDS: dict[str, list[str]] = {
    **dict.fromkeys(
        (
            *("duration_ms", "retention_ms", "claim_ms", "chunk_us", "limit", "bound", "after"),
            *("latency", "checked_us"),
        ),
        NUMBERS,
    ),
    "program": PROGRAMS,
    "limits": LIMIT_TEXTS,
    "from": ORIGINS,
    "status": [*WORDS, "ACTIVE", "Active", "active ", "unknown"],
    "selector": [*WORDS, "ff", "F", "furl", "z", "f0", "."],
    **dict.fromkeys(("proxy_id", "lease_id", "record_id", "consumer", "token"), IDS),
}


def acquire(bench: Bench) -> dict[str, Any]:
    return bench.acquire_args()


def acquire_filtered(bench: Bench) -> dict[str, Any]:
    return bench.acquire_args(**question(GERMAN))


def acquire_wanted(bench: Bench) -> dict[str, Any]:
    return bench.acquire_args(wanted=f"{bench.id()} 1")


def acquire_after_a_find(bench: Bench) -> dict[str, Any]:
    return bench.acquire_args(token="caller-1")


def acquire_many(bench: Bench) -> dict[str, Any]:
    args = {**bench.acquire_args(), "taken": "", "distinct": "1"}
    return {k: args[k] for k in args if k not in ("lease_id", "wanted", "want_stats")}


def acquire_many_filtered(bench: Bench) -> dict[str, Any]:
    asked = question(GERMAN, selector="u")
    del asked["wanted"]
    return {**acquire_many(bench), **asked, "token": "caller-1", "distinct": ""}


def find(bench: Bench) -> dict[str, Any]:
    return bench.find_args()


def find_filtered(bench: Bench) -> dict[str, Any]:
    return bench.find_args(**question(GERMAN, selector="u"))


def candidates(bench: Bench) -> dict[str, Any]:
    asked = question(GERMAN)
    del asked["hints"]
    return {"pool_name": bench.pool.name, "token": "caller-1", **asked, "wanted": 10}


def audit_leases(bench: Bench) -> dict[str, Any]:
    return {"chunk_us": 1000, "retention_ms": 30_000, "repair": "1"}


def create_lease(bench: Bench) -> dict[str, Any]:
    return {
        "proxy_id": bench.id(1),
        "lease_id": bench.lease_id(),
        "consumer": bench.consumer,
        "duration_ms": 60_000,
        "retention_ms": 30_000,
        "token": "caller-1",
    }


def release(bench: Bench) -> dict[str, Any]:
    return {
        "lease_id": next(iter(bench.get("held", bench.id(1)))),
        "proxy_id": bench.id(1),
        "retention_ms": 1000,
        "want_stats": "1",
        "void": "",
    }


def release_void(bench: Bench) -> dict[str, Any]:
    return {**release(bench), "lease_id": bench.lease_id(), "void": "1"}


def add_health(bench: Bench) -> dict[str, Any]:
    return {
        "proxy_id": bench.id(),
        "record_id": "0d5a5a3e-74a5-4a5e-8d4b-0a51f3b4c7aa",
        "document": "{}",
        "latency": 5,
        "bound": 3,
        "status": "slow",
        "checked_us": 1_000_000,
    }


CALLS: dict[str, tuple[str, Callable[[Bench], dict[str, Any]]]] = {
    "acquire": ("acquire", acquire),
    "acquire, filtered": ("acquire", acquire_filtered),
    "acquire, wanted": ("acquire", acquire_wanted),
    "acquire, after a find": ("acquire", acquire_after_a_find),
    "acquire_many": ("acquire_many", acquire_many),
    "acquire_many, filtered, after a find": ("acquire_many", acquire_many_filtered),
    "add_health": ("add_health", add_health),
    "audit_leases": ("audit_leases", audit_leases),
    "audit_pool": ("audit_pool", lambda bench: {"repair": "1"}),
    "audit_proxies": ("audit_proxies", lambda bench: {"chunk_us": 1000, "repair": "1"}),
    "candidates": ("candidates", candidates),
    "create_lease": ("create_lease", create_lease),
    "fence_pool": (
        "fence_pool",
        lambda bench: {"name": "other", "mark": "0123456789abcdef", "nonce": "fedcba98"},
    ),
    "fence_proxy": ("fence_proxy", lambda bench: {"proxy_id": bench.id()}),
    "end_lease": (
        "end_lease",
        lambda bench: {
            "lease_id": next(iter(bench.get("held", bench.id(1)))),
            "retention_ms": 1000,
        },
    ),
    "find": ("find", find),
    "find, filtered": ("find", find_filtered),
    "get_lease": (
        "get_lease",
        lambda bench: {"lease_id": next(iter(bench.get("held", bench.id(1))))},
    ),
    "get_pool": ("get_pool", lambda bench: {}),
    "get_proxies": ("get_proxies", lambda bench: {}),
    "hide_pool": ("hide_pool", lambda bench: {}),
    "hide_proxy": ("hide_proxy", lambda bench: {"proxy_id": bench.id()}),
    "list_hidden": ("list_hidden", lambda bench: {"limit": 10}),
    "list_leases": (
        "list_leases",
        lambda bench: {"consumer": bench.consumer, "from": "", "limit": 10},
    ),
    "list_leases, all": (
        "list_leases",
        lambda bench: {"consumer": "", "from": "1 x", "limit": 10},
    ),
    "list_proxies": ("list_proxies", lambda bench: {"after": 0, "limit": 10}),
    "pool_figures": ("pool_figures", lambda bench: {}),
    "purge_pool": ("purge_pool", lambda bench: {"chunk_us": 1000, "final": "1"}),
    "purge_proxy": ("purge_proxy", lambda bench: {"proxy_id": bench.id()}),
    "release": ("release", release),
    "release, void": ("release", release_void),
    "release_many": ("release_many", lambda bench: {"retention_ms": 1000, "chunk_us": 1000}),
    "retire_proxy": ("retire_proxy", lambda bench: {"proxy_id": bench.id(), "only": ""}),
    "save_pool": (
        "save_pool",
        lambda bench: {
            "expected": "=pool",
            "name": "pool",
            "mark": "0123456789abcdef",
            "document": "{}",
            "passed": "",
        },
    ),
    "save_proxies": ("save_proxies", lambda bench: {"chunk_us": 1000}),
    "set_status": ("set_status", lambda bench: {"proxy_id": bench.id(), "status": "banned"}),
    "stats": ("stats", lambda bench: {"pool_name": "pool"}),
    "swap_entry": (
        "swap_entry",
        lambda bench: {"field": "x", "expected": "", "wanted": ""},
    ),
    "sweep": ("sweep", lambda bench: {"limits": LIMITS}),
}
# What the pool itself is told once, by flows that derive it: junk there is junk in the pool.
TRUSTED = {
    *(("save_pool", "name"), ("save_pool", "document")),
    ("fence_pool", "mark"),
}

# What a call is about, besides its named arguments.
RESTS: dict[str, Callable[[Bench], list[str]]] = {
    "acquire_many": lambda bench: [bench.lease_id(), bench.lease_id()],
    "audit_leases": lambda bench: [f"={next(iter(bench.get('held', bench.id(1))))}"],
    "audit_pool": lambda bench: ["view:f0"],
    "audit_proxies": lambda bench: [f"={bench.id(1)}"],
    "release_many": lambda bench: [next(iter(bench.get("held", bench.id(1)))), bench.id(1)],
}

ARGUMENTS = [
    (case, argument)
    for case, (name, _) in CALLS.items()
    for argument in load(name).argv
    if (name, argument) not in TRUSTED
]


def busy(bench: Bench) -> None:
    """A live lease, one that is over, a lapsed claim, a live one, views being in use."""
    bench.lease(1)
    over = bench.lease(2)
    bench.end(over, 2)
    bench.find(token="caller-0")
    bench.end("!caller-0")
    bench.find(token="caller-1")
    bench.acquire(**question(GERMAN, hints="s", selector="l"))


def attempt(bench: Bench, name: str, /, *rest: Any, **args: Any) -> bool:
    """Make a call with junk in one argument; whether it changed anything. A refusal must be a clean
    one, before the first write."""
    before = bench.snapshot()
    try:
        bench.call(name, *rest, **args)
    except ResponseError as error:
        message = str(error)
        assert message.startswith("PHAROX_"), message
        assert bench.changes(before) == {}, "it wrote before it refused"
        return False
    return bool(bench.changes(before))


def start_again(bench: Bench) -> None:
    for keys in iter(lambda: list(bench.client.scan_iter(match=f"{bench.keys.root}:*")), []):
        bench.client.delete(*keys)
    bench.seed()
    busy(bench)


def test_every_script_is_covered() -> None:
    files = {path.stem for path in lua_root().glob("*.lua")}
    assert {name for name, _ in CALLS.values()} == files


@pytest.mark.parametrize(("case", "argument"), ARGUMENTS)
def test_junk(bench: Bench, case: str, argument: str) -> None:
    name, valid = CALLS[case]
    key = bench.keys.consumers() if name == "swap_entry" else None
    junk = KINDS.get(argument, WORDS)
    if (name, argument) == ("candidates", "wanted"):
        junk = NUMBERS
    problems: list[str] = []
    changed = True
    for value in junk:
        if changed:
            start_again(bench)
        try:
            changed = True
            args = {**valid(bench), argument: value}
            rest = RESTS[name](bench) if name in RESTS else []
            changed = attempt(bench, name, *rest, key=key, **args)
            if changed and name == "fence_proxy":  # fences need no model: sweeps clear them away
                assert value in bench.get("gone")
                bench.call("sweep", limits=LIMITS)
                assert bench.get("gone") is None
            if changed and name not in ("hide_pool", "swap_entry"):
                if argument != "program":  # they read a view's program too
                    check_invariants(bench.storage)
                # What was stored can be read, saved over and swept by everything else.
                for consumer in ("", bench.consumer, str(value)):
                    bench.call("list_leases", consumer=consumer, limit=100, **{"from": ""})
                bench.call("list_proxies", after=0, limit=100)
                bench.storage.add_proxies_bulk(bench.proxies)
                bench.call("sweep", limits=LIMITS)
        except Exception as error:
            problems.append(f"{argument}={value[:40]!r}: {type(error).__name__}: {error}"[:300])
    start_again(bench)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("column", range(13))
def test_junk_in_a_proxy(bench: Bench, column: int) -> None:
    kinds = {6: NUMBERS, 7: NUMBERS, 8: NUMBERS, 9: KINDS["status"], 10: NUMBERS, 11: NUMBERS}
    problems: list[str] = []
    for value in kinds.get(column, WORDS):
        start_again(bench)
        columns = item(bench.proxies[0], "1")
        columns[column] = value
        try:
            attempt(bench, "save_proxies", *item(bench.proxies[1], "1"), *columns, chunk_us=100_000)
            # Values are opaque to the script; whoever reads a bad one is told which it is.
            with suppress(CorruptRecordError):
                bench.storage.list_proxies(bench.pool.id)
            for selector in "furl":
                bench.acquire(**question(NEARBY, selector=selector))
            assert bench.call("sweep", limits=LIMITS)[1] == 0
        except Exception as error:
            problems.append(f"{value[:40]!r}: {type(error).__name__}: {error}"[:300])
    start_again(bench)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("missing", range(1, 13))
def test_wrong_number_of_items(bench: Bench, missing: int) -> None:
    columns = [*item(bench.proxies[0], "1"), *item(bench.proxies[1], "1")]
    bench.refused("PHAROX_ARGUMENT", "save_proxies", *columns[:-missing], chunk_us=1000)


def test_junk_ids(bench: Bench) -> None:
    assert bench.call("get_proxies") == []
    with bench.unchanged():
        assert bench.call("get_proxies", *IDS) == [""] * len(IDS)
    bench.refused("PHAROX_ARGUMENT", "get_proxies", *["x"] * 501)


def test_junk_ids_of_a_batch(bench: Bench) -> None:
    """Those of another pool are refused; what begins as it should is as good as any."""
    args = {"retention_ms": 1000, "chunk_us": 1000}
    start_again(bench)
    for value in IDS:
        for ids in ([value], [bench.lease_id(), value]):
            assert not attempt(bench, "acquire_many", *ids, **acquire_many(bench))
        told = bench.call("release_many", value, value, bench.lease_id(), value, **args)
        assert told == [0, 0]


def test_junk_ids_of_a_hidden_pool(bench: Bench) -> None:
    bench.call("hide_pool")
    for value in IDS:
        assert bench.call("purge_pool", value, chunk_us=100_000, final="1") == 0
    every = [bench.id(number) for number in range(3)]
    assert bench.call("purge_pool", *every, chunk_us=100_000, final="1") == 1
    assert bench.get() is None


@pytest.mark.parametrize("limit", NUMBERS)
def test_a_junk_limit_in_a_hidden_pool(bench: Bench, limit: str) -> None:
    bench.call("hide_pool")
    bench.refused("PHAROX_ARGUMENT", "list_hidden", limit=limit)


@pytest.mark.parametrize("final", [*WORDS, "2", "11", "01", "1 ", "true"])
def test_only_one_word_is_final(bench: Bench, final: str) -> None:
    bench.call("hide_pool")
    every = [bench.id(number) for number in range(3)]
    for _ in range(2):
        assert bench.call("purge_pool", *every, chunk_us=100_000, final=final) == 1
        assert bench.get()["deleting"] == "pool"
