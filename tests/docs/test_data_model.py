"""docs/data-model.md against keys.py, against the Lua files, and against a busy storage."""

from __future__ import annotations

import hashlib
import inspect
import re
from pathlib import Path
from uuid import UUID

import pytest
from pharox.models import (
    HealthCheckResult,
    ProxyFilters,
    ProxyStatus,
    SelectorStrategy,
)

from pharox_redis import RedisStorage, Settings
from pharox_redis.drivers import text
from pharox_redis.flows.confirming import take_back
from pharox_redis.keys import SCHEMA_VERSION, Keys, pool_tag
from pharox_redis.models import new_lease_tail
from pharox_redis.scripts import load, lua_root
from tests.scripts.raw import snapshot
from tests.support.builders import make_proxies

DOC = Path(__file__).parents[2] / "docs" / "data-model.md"
POOL = UUID(int=7)
SELECTORS = {"f", "u", "r", "l"}
RECORD = r"\S{36} \S{36} \d+ \d+( \d+)?"
ENTRY = r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{4}"


def rows(heading: str) -> list[list[str]]:
    """The rows of the first table behind a heading."""
    part = DOC.read_text(encoding="utf-8").split(f"\n{heading}\n", 1)[1]
    table = re.search(r"^\|.*?(?=\n\n|\Z)", part, re.MULTILINE | re.DOTALL)
    assert table
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def documented() -> dict[str, list[str]]:
    """Key pattern -> its row."""
    found = {}
    for heading in ("## Directories", "## One pool"):
        for row in rows(heading):
            key = row[0].strip(" `")
            assert key not in found, f"{key} twice"
            found[key] = row
    return found


def fields(heading: str) -> set[str]:
    return {row[0].strip(" `") for row in rows(heading)}


def pattern(key: str) -> str:
    """A documented key as a regular expression."""
    wild = re.sub(r"<[^>]+>", "\0", key.replace("<p>", "P").replace("{pool}", "{T}"))
    return re.escape(wild).replace("\0", "(.+)").replace("\\{T\\}", r"\{[A-Za-z0-9_-]{22}\}")


def methods() -> dict[str, tuple[str, str]]:
    """Method of Keys -> (an example key, the type its docstring opens with)."""
    keys, found = Keys("P"), {}
    for name, method in inspect.getmembers(keys, inspect.ismethod):
        if name.startswith("_"):
            continue
        parameters = inspect.signature(method).parameters
        example = {"pool_id": POOL, "proxy_id": "x-abc", "lease_id": "x", "name": "f0"}
        args = [example.get(parameter, "x") for parameter in parameters]
        word = re.match(r"(hash|zset|set|string|list)\b", method.__doc__ or "")
        assert word, f"{name}: its docstring does not open with a type"
        found[name] = (method(*args), word[1])
    return found


def test_the_schema_version() -> None:
    assert all(key.startswith(f"<p>:{SCHEMA_VERSION}:") for key in documented())
    assert f"{{{pool_tag(POOL)}}}" in Keys("P").pool(POOL)


@pytest.mark.parametrize("name", sorted(methods()))
def test_every_key_is_documented_once_with_its_type(name: str) -> None:
    example, kind = methods()[name]
    fitting = [row for key, row in documented().items() if re.fullmatch(pattern(key), example)]
    assert len(fitting) == 1, f"{example}: {fitting}"
    assert fitting[0][1] == kind


def test_no_key_is_documented_that_does_not_exist() -> None:
    examples = [example for example, _ in methods().values()]
    for key in documented():
        assert any(re.fullmatch(pattern(key), example) for example in examples), key
    assert len(documented()) == len(examples)


def test_ttls_are_the_docstrings() -> None:
    keys = Keys("P")
    for name, (example, _) in methods().items():
        lasting = "No TTL." in (getattr(keys, name).__doc__ or "")
        (row,) = [row for key, row in documented().items() if re.fullmatch(pattern(key), example)]
        if len(row) == 5:
            assert (row[3] == "none") == lasting, name


def lua() -> dict[str, str]:
    """Every Lua file without its comments."""
    found = {}
    for path in lua_root().rglob("*.lua"):
        lines = path.read_text(encoding="utf-8").splitlines()
        found[path.stem] = "\n".join(re.sub(r"(^|\s)--.*", "", line) for line in lines)
    return found


def never() -> set[str]:
    """The suffixes of the pool's keys that are documented not to exist."""
    part = DOC.read_text(encoding="utf-8").split("\n### What never exists\n", 1)[1]
    return set(re.findall(r"`<p>:1:\{pool\}:([a-z]+)`", part.split("\n##", 1)[0]))


def test_what_never_exists_is_only_asked_for() -> None:
    assert len(never()) == 2
    for name in never():
        users = {stem for stem, code in lua().items() if re.search(rf"':{name}\b", code)}
        asked_with_a_lease = {"acquire", "create_lease", "release"} if name == "never" else set()
        assert users == {"moving"} | asked_with_a_lease, name
    keys = re.findall(r"'EXISTS', pool \.\. ':(\w+)', pool \.\. ':(\w+)'", lua()["moving"])
    assert [set(pair) for pair in keys] == [never()]


def test_suffixes_in_lua_are_documented() -> None:
    suffixes = set(re.findall(r"\.\. ':([a-z]+)", "\n".join(lua().values())))
    known = {key.split("{pool}:", 1)[1].split(":")[0] for key in documented() if "{pool}:" in key}
    # No script touches a note of `acquire_once`.
    known -= {"once"}
    assert len(suffixes) > 12 and suffixes == known | never() and not known & never()


def hash_fields() -> dict[str, set[str]]:
    """Literal field names in the calls on hashes, by whose hash it is."""
    found: dict[str, set[str]] = {"pool": set(), "proxy": set()}
    for code in lua().values():
        for call in re.findall(
            r"redis\.call\('H(?:SET|MGET|GET|DEL|EXISTS|INCRBY)',\s*([^)]*)", code
        ):
            key, _, rest = call.partition(",")
            if key.strip().endswith((":views'", "directory")):
                continue
            owner = "pool" if key.strip() in ("pool", "ask.pool") else "proxy"
            names = re.findall(r"'([a-z_]+:?)'", rest)
            found[owner] |= {name for name in names if name != "f"}
    return found


def test_fields_in_lua_are_documented() -> None:
    found = hash_fields()
    pool, proxy = fields("### Fields of the pool's hash"), fields("### Fields of a proxy's hash")
    assert len(found["pool"]) > 6 and len(found["proxy"]) > 9
    assert {name for name in found["pool"] if name != "v:"} <= pool
    assert found["proxy"] <= proxy
    # save_proxies and read_proxy name theirs in lists.
    listed = re.search(r"'HMGET'.*?'so'.*?\)", lua()["read_proxy"], re.DOTALL)
    assert listed
    assert set(re.findall(r"'([a-z]+)'", listed[0])) == proxy
    assert pool - found["pool"] == {"v:<selector>:<digest>"}


def test_selectors_are_those_of_the_scores() -> None:
    part = rows("## Views")
    assert {row[0].strip("`") for row in part} == SELECTORS
    assert {row[1] for row in part} == {selector.value for selector in SelectorStrategy}


def test_settings_named_exist() -> None:
    body = DOC.read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z]+_[a-z_]+)`", body)) & {
        *Settings.model_fields,
        *(f"{word}_limit" for word in ("view", "lease")),
    }
    assert {"health_history", "lease_retention", "claim_seconds", "view_limit"} <= named
    assert named <= set(Settings.model_fields)


def test_scripts_named_exist() -> None:
    scripts = {path.stem for path in lua_root().glob("*.lua")}
    for row in documented().values():
        for name in re.findall(r"`([a-z_]+)`", row[-1]):
            assert name in scripts | {"held", "delete_pool", "acquire_once"}, name


def test_files_named_exist() -> None:
    for name in re.findall(r"`([a-z_/]+\.py)`", DOC.read_text(encoding="utf-8")):
        assert (DOC.parents[1] / name).is_file(), name


def test_links_lead_somewhere() -> None:
    body = DOC.read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in body.splitlines()
        if line.startswith("#")
    }
    links = re.findall(r"\]\(#([^)]+)\)", body)
    assert links and set(links) <= anchors


def test_a_busy_storage_holds_nothing_else(storage: RedisStorage) -> None:
    pool = storage.ensure_pool("pool")
    proxies = make_proxies(
        pool, 30, country="DE", city="Ulm", source="s", isp="i", asn=1, latitude=1, longitude=2
    )
    storage.add_proxies_bulk(proxies)
    filters = ProxyFilters(country="DE")
    for selector in SelectorStrategy:
        for _ in range(3):
            lease = storage.acquire_lease("pool", "consumer", 60, filters, selector)
            assert lease is not None
        storage.release_lease(lease)
    once = storage.acquire_once("pool", "c", 60, key=b"k", fingerprint="f", keep_seconds=90)
    assert once is not None and not storage.retire_proxy(once.proxy_id)
    storage.save_proxy(proxies[7].model_copy(update={"max_concurrency": 3}))
    for _ in range(2):
        storage.create_lease(proxies[7], "consumer", 60)
    assert storage.find_available_proxy("pool")
    for status in (ProxyStatus.SLOW, ProxyStatus.BANNED):
        storage.apply_health_check_result(
            HealthCheckResult(
                proxy_id=proxies[-1].id,
                status=status,
                latency_ms=5,
                protocol=proxies[-1].protocol,
            )
        )
    # What a call leaves that gave up waiting for its lease.
    ctx, given_up = storage._context, new_lease_tail()
    call = take_back(ctx.pool_ref(pool.id), given_up)
    storage.client.eval(call.script.text, 1, call.key, *call.args)
    # A delete that broke off after its first step, a fence; a rename fences the old name.
    key = Keys(storage.settings.key_prefix).pool(pool.id)
    for script, proxy_id in (("hide_proxy", proxies[20].id), ("fence_proxy", UUID(int=5))):
        storage.client.eval(load(script).text, 1, key, str(proxy_id))
    storage.save_pool(pool.model_copy(update={"name": "renamed"}))
    # An entry that a broken-off save left is claimed with a number of its own.
    (late,) = make_proxies(pool, 1)
    directory = Keys(storage.settings.key_prefix).directory(str(late.id))
    left = f"{pool_tag(pool.id)}.left"
    storage.client.hset(directory, str(late.id), left)
    storage.save_proxy(late)

    prefix, seen, known = storage.settings.key_prefix, set(), documented()
    entries: dict[str, str] = {}
    everything = snapshot(storage.client, prefix)
    seconds, micros = storage.client.time()
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    for found, (kind, value, expires) in everything.items():
        (fit,) = [
            key for key in known if re.fullmatch(pattern(key), f"P{found.removeprefix(prefix)}")
        ]
        seen.add(fit)
        assert known[fit][1] == kind, found
        if len(known[fit]) == 5:
            assert (known[fit][3] == "none") == (expires == -1), found
        if fit.endswith("{pool}"):
            names = {re.sub(r"^v:.*", "v:<selector>:<digest>", name) for name in value}
            assert names <= fields("### Fields of the pool's hash")
        if ":proxy:" in fit:
            assert set(value) <= fields("### Fields of a proxy's hash")
            fence = set(value) == {"gone"}
            assert fence == found.endswith(str(UUID(int=5)))
        if ":fence:" in fit:
            mark = hashlib.sha256(b"pool").hexdigest()[:20]
            assert found.rsplit(":", 1)[1] == mark
            assert re.fullmatch(r"[0-9a-f]{16}", text(value))
            assert 3_500_000 < expires - now_ms <= 3_600_000
        if fit == "<p>:1:pools" or ":proxies:" in fit:
            assert all(re.fullmatch(ENTRY, entry) for entry in value.values())
            entries |= value
        if ":lease:" in fit:
            void = found.endswith(f":{given_up}")
            assert re.fullmatch("void" if void else RECORD, text(value)), found
            assert not void or 50_000 < expires - now_ms <= max(60_000, ctx.retention_ms)
        if ":view:" in fit:
            assert value["~"] == float("inf")
    assert seen == set(known), "the storage is not busy enough to show every key"
    assert entries[str(late.id)] != left
    assert len(set(entries.values())) == len(entries), "two claims with one number"
