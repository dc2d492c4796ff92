"""The opening comments of the Lua files are interfaces: held against the code below them and
against the Python that calls it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from uuid import UUID

import pytest

import pharox_redis
from pharox_redis import errors
from pharox_redis.keys import Keys
from pharox_redis.scripts import load, lua_root, resolve

ROOT = lua_root()
SCRIPTS = sorted(path.stem for path in ROOT.glob("*.lua"))
INCLUDES = sorted(path.stem for path in ROOT.glob("includes/*.lua"))
PACKAGE = Path(pharox_redis.__file__).parent
SECTIONS = ("KEYS", "ARGV", "RETURNS", "ERRORS", "COMPLEXITY")
CODES = r"\bPHAROX_[A-Z_]+|\bTRYAGAIN\b"
# What every script begins with, its arguments bound, that touches more than its own key.
GUARD = ["local away = moving(pool)", "if away then", "  return away", "end"]
# The same, in one call with the first look at a lease.
LOOK = [
    "local found = redis.pcall('MGET', pool .. ':lease:' .. lease_id, pool .. ':never')",
    "if found.err then",
    "  return refusal(pool, found)",
    "end",
]
LOOKING = ("acquire", "create_lease", "release")
# What the guard asks for; nothing ever stands there.
NEVER = ["pool .. ':never'", "pool .. ':nor'"]


def own(name: str) -> str:
    return (ROOT / f"{name}.lua").read_text(encoding="utf-8")


def code(text: str) -> str:
    """The text without comments."""
    return "\n".join(re.sub(r"(^|\s)--.*", "", line) for line in text.splitlines())


def header(name: str) -> dict[str, list[str]]:
    """The opening comment by section; its first part is ""."""
    found: dict[str, list[str]] = {"": []}
    section = ""
    for line in own(name).splitlines():
        if not line.startswith("--"):
            break
        if re.fullmatch(r"-- [A-Z]+", line):
            section = line[3:]
            assert section not in found, f"{section} twice"
            found[section] = []
        else:
            found[section].append(line[2:].strip())
    return found


def argument_names(lines: list[str], indented: str) -> list[str]:
    return [match[1] for line in lines if (match := re.match(indented, line))]


# -- the comment -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCRIPTS)
def test_sections(name: str) -> None:
    found = header(name)
    assert found[""][0].startswith(f"{name}: ")
    opening = " ".join(found[""])
    assert any(word in opening for word in ("Guarantees: ", "Reads only.", "Leases nothing:"))
    wanted = [section for section in SECTIONS if section != "ARGV" or load(name).argv]
    if load(name).rest:
        wanted = list(SECTIONS)
    assert list(found)[1:] == wanted
    assert all(any(found[section]) for section in wanted)
    assert all(len(line) <= 100 for line in own(name).splitlines())


@pytest.mark.parametrize("name", SCRIPTS)
def test_reads_only_means_it(name: str) -> None:
    commands = set(re.findall(r"redis\.p?call\('([A-Z]+)'", resolve(ROOT, name)))
    assert commands or "redis.call(" in resolve(ROOT, name)
    if "Reads only." in " ".join(header(name)[""]):
        assert commands <= READS


def bound(name: str) -> list[str]:
    """The statements that give a script's arguments the names of its comment."""
    script = load(name)
    wanted = [f"local {key} = KEYS[{i}]" for i, key in enumerate(script.keys, 1)]
    wanted += [f"local {argument} = ARGV[{i}]" for i, argument in enumerate(script.argv, 1)]
    if script.rest:
        wanted.append(f"local {script.rest} = {len(script.argv) + 1}")
    return wanted


def statements_of(name: str) -> list[str]:
    return [line for line in code(own(name)).splitlines() if line.strip()]


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_argument_is_bound_to_its_name_first(name: str) -> None:
    script, wanted, statements = load(name), bound(name), statements_of(name)
    assert statements[: len(wanted)] == wanted
    rest = "\n".join(statements[len(wanted) :])
    assert "KEYS[" not in rest and (script.rest or "ARGV" not in rest)
    # Bound to be used.
    for argument in (*script.keys, *script.argv, *([script.rest] if script.rest else [])):
        assert re.search(rf"\b{argument}\b", rest), f"{argument} is not used"


@pytest.mark.parametrize("name", SCRIPTS)
def test_one_key(name: str) -> None:
    assert load(name).keys == (("directory",) if name == "swap_entry" else ("pool",))


# -- a slot on the move ----------------------------------------------------------------------------


def other_keys(text: str) -> list[str]:
    """Where a text makes a key from the pool's, but for those that nothing ever stands under."""
    made: list[str] = re.findall(r"\bpool \.\. '[^']*'", code(text))
    return [key for key in made if key not in NEVER]


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_touches_other_keys_asks_first_whether_all_are_here(name: str) -> None:
    statements = statements_of(name)[len(bound(name)) :]
    guarded = bool(other_keys(resolve(ROOT, name)))
    guard = LOOK if name in LOOKING else GUARD
    assert (statements[: len(guard)] == guard) == guarded
    # Nowhere else: between two writes there is no way back.
    assert "\n".join(statements).count(guard[-2]) == guarded
    assert guarded == (name not in ("get_pool", "hide_pool", "swap_entry"))


def test_the_guard_looks_at_two_keys_that_nobody_writes() -> None:
    assert re.findall(r"\bpool \.\. '[^']*'", own("includes/moving")) == NEVER
    for name in ALL_FILES:
        if name != "includes/moving":
            own_text = own(name).replace(LOOK[0], "") if name in LOOKING else own(name)
            assert not set(NEVER) & set(re.findall(r"\bpool \.\. '[^']*'", own_text)), name


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCRIPTS)
def test_errors_are_those_of_the_code(name: str) -> None:
    raised = set(re.findall(CODES, code(resolve(ROOT, name))))
    told = set(re.findall(CODES, " ".join(header(name)["ERRORS"])))
    assert raised == told
    assert told or header(name)["ERRORS"] == ["none"]
    assert told <= errors._REFUSALS.keys() | {"TRYAGAIN"} and "TRYAGAIN" in errors._UNAVAILABLE


def test_every_known_refusal_is_raised_by_a_script() -> None:
    raised = set(re.findall(r"PHAROX_[A-Z_]+", "".join(map(own, SCRIPTS))))
    assert raised == errors._REFUSALS.keys()


@pytest.mark.parametrize("name", SCRIPTS)
def test_refusals_name_what_was_refused(name: str) -> None:
    text = code(own(name))
    replies = re.findall(r"redis\.error_reply\((.*)\)", text)
    assert len(replies) == text.count("error_reply") == len(re.findall(CODES, text))
    for reply in replies:
        assert re.fullmatch(rf"'({CODES}) ([a-z_]+'|' \.\. .+|[a-z]+:' \.\. .+)", reply), reply
        assert f"return redis.error_reply({reply})" in text


# -- what the Lua may say --------------------------------------------------------------------------

READS = {
    *("HMGET", "HGET", "HGETALL", "HKEYS", "HEXISTS", "EXISTS", "GET", "MGET"),
    *("TIME", "TYPE", "SCARD", "SISMEMBER", "SMISMEMBER"),
    *("ZCARD", "ZCOUNT", "ZRANGE", "ZRANGEBYSCORE", "ZRANGEBYLEX", "ZLEXCOUNT", "ZSCORE"),
    *("LRANGE", "LLEN", "HLEN", "STRLEN", "SRANDMEMBER", "PEXPIRETIME"),
}
WRITES = {
    *("HSET", "HDEL", "HINCRBY", "ZADD", "ZREM", "SADD", "SREM", "SET", "UNLINK", "PEXPIREAT"),
    *("LPUSH", "LTRIM", "PERSIST"),
}
ALL_FILES = [*SCRIPTS, *(f"includes/{name}" for name in INCLUDES)]


@pytest.mark.parametrize("name", ALL_FILES)
def test_only_known_commands(name: str) -> None:
    text = code(own(name))
    calls = re.findall(r"redis\.p?call\(([^,)]+)", text)
    literals = set(re.findall(r"'([A-Z]+)'", " ".join(calls)))
    # A call that chooses its command between two names both.
    assert all(re.search(r"'[A-Z]+'$", call) for call in calls)
    assert literals <= READS | WRITES
    # These alone may fail and go on: a miss must not become an error when memory is full, and
    # that two keys cannot be looked at together is what tells of a slot on the move, and an audit
    # must not fail on what it is there to find, a key of another type.
    if name in LOOKING:
        text = text.replace(LOOK[0], "")
    allowed = {f"includes/{each}" for each in ("note_use", "note_miss", "moving", "memory_full")}
    allowed |= {f"includes/audit_{each}" for each in ("claim", "hold", "record", "types", "views")}
    assert "redis.pcall" not in text or name in allowed | {"audit_leases"}


BANNED = [
    r"\berror\s*\(",
    r"\bassert\s*\(",
    r"\bcmsgpack\b",
    r"\bstruct\b",
    r"\bbit\b",
    r"sha1hex",
    r"cjson\.encode",
    r"^#!",
    r"\bloadstring\b",
    r"\brandom\b",
    r"'(KEYS|SCAN|SSCAN|HSCAN|ZSCAN|DEL|FLUSHDB|FLUSHALL|RENAME|EVAL)'",
    r"\brequire\b",
    r"setfenv|getfenv|_G\b",
]


@pytest.mark.parametrize("name", ALL_FILES)
def test_banned_words(name: str) -> None:
    text = code(own(name))
    assert [banned for banned in BANNED if re.search(banned, text, re.MULTILINE)] == []


def test_only_the_stopwatch_reads_the_processors_clock() -> None:
    users = {name for name in ALL_FILES if re.search(r"\bos\b", code(own(name)))}
    assert users <= {"includes/start_watch", "includes/elapsed"}
    if users:  # Redis 7.0 has no `os`: reading it is an error there
        assert "pcall(" in own("includes/start_watch")


def key_expressions(text: str) -> list[str]:
    """The keys of each redis.call or pcall: the first argument, and all of UNLINK and EXISTS."""
    text = re.sub(r"'[^']*'", lambda literal: re.sub(r"[()\[\]{},]", "_", literal[0]), text)
    found: list[str] = []
    for match in re.finditer(r"redis\.p?call\(", text):
        arguments, depth, at = [""], 0, match.end()
        while True:
            char = text[at]
            if char in "([{":
                depth += 1
            elif char in ")]}":
                if depth == 0:
                    break
                depth -= 1
            if char == "," and depth == 0:
                arguments.append("")
            else:
                arguments[-1] += char
            at += 1
        command = arguments[0].strip()
        if command == "'TIME'":
            continue
        many = command in ("'UNLINK'", "'EXISTS'")
        found += [argument.strip() for argument in (arguments[1:] if many else arguments[1:2])]
    return found


def bindings(text: str) -> dict[str, set[str]]:
    """What locals that are used as keys are set to."""
    found: dict[str, set[str]] = {}
    for names, values in re.findall(r"local ([a-z_, ]+) = ([^\n]+)", text):
        for name, value in zip(names.split(","), re.split(r",(?![^(]*\))", values), strict=False):
            found.setdefault(name.strip(), set()).add(value.strip())
    return found


@pytest.mark.parametrize("name", ALL_FILES)
def test_keys_are_under_the_tag(name: str) -> None:
    text = code(own(name))
    allowed = {"pool", "ask.pool", "directory" if name == "swap_entry" else "pool"}
    known = bindings(text)

    def safe(expression: str, depth: int = 0) -> bool:
        if expression in allowed:
            return True
        if re.match(r"(?:ask\.)?pool \.\. ':([a-z]|' \.\. name$)", expression):
            return True
        options = re.split(r" (?:and|or) ", expression)
        if len(options) == 3:  # a condition and two keys
            return all(safe(option, depth) for option in options[1:])
        if depth < 3 and expression in known:
            return all(safe(value, depth + 1) for value in known[expression])
        # An include's parameter: its callers are held to the same.
        return name in ("includes/rank_after", "includes/catch_up") and expression == "key"

    for expression in key_expressions(text):
        assert safe(expression), expression


def test_suffixes_are_those_of_the_schema() -> None:
    keys, suffixes = Keys("p"), set()
    for name in ALL_FILES:
        suffixes |= set(re.findall(r"\.\. ':([a-z]+)", code(own(name))))
    pool, known = UUID(int=0), set()
    for method in dir(keys):
        if not method.startswith("_") and method not in ("root", "pools", "consumers", "directory"):
            function = getattr(keys, method)
            made = function(*[pool, "x"][: function.__code__.co_argcount - 1])
            if ":" in (rest := made.removeprefix(keys.pool(pool))):
                known.add(rest.split(":")[1])
    # purge_pool names the single ones in a list.
    listed = set(re.findall(r"'([a-z]+)'", own("purge_pool").split("ipairs({")[1].split("})")[0]))
    # No script touches a note of acquire_once.
    assert suffixes | listed == (known - {"once"}) | {"never", "nor"}
    assert not known & {"never", "nor"}


def test_a_key_outside_the_tag_would_be_found() -> None:
    assert key_expressions("redis.call('GET', other .. ':x', f(a, b))") == ["other .. ':x'"]
    assert key_expressions("redis.call('UNLINK', pool, pool .. ':a' .. f(x, y))") == [
        "pool",
        "pool .. ':a' .. f(x, y)",
    ]


# -- includes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INCLUDES)
def test_an_include_is_one_local_function(name: str) -> None:
    lines = [line for line in code(own(f"includes/{name}")).splitlines() if line.strip()]
    top = [line for line in lines if not line.startswith(" ")]
    assert len(top) == 2 and top[1] == "end"
    assert re.fullmatch(rf"local function {name}\([a-z_, ]*\)", top[0])
    assert not re.search(r"\b(KEYS|ARGV)\b", " ".join(lines))


@pytest.mark.parametrize("name", INCLUDES)
def test_an_include_says_what_it_does(name: str) -> None:
    lines = own(f"includes/{name}").splitlines()
    above = [line for line in lines if line.startswith("-- ")]
    assert (above and above[-1].endswith(".")) or above[-1].endswith(" node"), above


@pytest.mark.parametrize("name", ALL_FILES)
def test_includes_are_used(name: str) -> None:
    lines = own(name).splitlines()
    included = [line.split('"')[1] for line in lines if line.startswith("--- @include")]
    assert len(included) == len(set(included))
    inside = [line.split('"')[1] for line in lines if re.match(r" +--- @include", line)]
    assert not set(included) & set(inside), "included twice"
    included += inside
    for part in included:
        assert part in INCLUDES
        uses = re.findall(rf"\b{part}\(", code(own(name)))
        assert uses, f"{part} is included for nothing"


def test_every_include_is_included() -> None:
    text = "\n".join(own(name) for name in ALL_FILES)
    assert set(re.findall(r'^ *--- @include "([a-z_]+)"$', text, re.MULTILINE)) == set(INCLUDES)


# -- the Python side -------------------------------------------------------------------------------


@cache
def modules() -> dict[str, ast.Module]:
    return {
        str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8"))
        for path in PACKAGE.rglob("*.py")
    }


def loaded() -> dict[str, dict[str, str]]:
    """module -> {constant: script} of every ``X = load("x")``."""
    found: dict[str, dict[str, str]] = {}
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id != "load" or not module.startswith("flows"):
                continue
            assert len(node.args) == 1 and isinstance(node.args[0], ast.Constant), module
        for statement in tree.body:
            match statement:
                case ast.Assign(
                    targets=[ast.Name(id=constant)],
                    value=ast.Call(func=ast.Name(id="load"), args=[ast.Constant(value=name)]),
                ):
                    found.setdefault(module, {})[constant] = name
    return found


def test_every_script_is_loaded_once() -> None:
    names = [name for constants in loaded().values() for name in constants.values()]
    assert sorted(names) == SCRIPTS
    for constants in loaded().values():
        assert all(constant == name.upper() for constant, name in constants.items())


def call_sites() -> list[tuple[str, str, ast.Call]]:
    by_constant = {
        constant: name for constants in loaded().values() for constant, name in constants.items()
    }
    return [
        (module, by_constant[node.func.id], node)
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in by_constant
    ]


def test_every_script_is_called() -> None:
    assert {name for _, name, _ in call_sites()} == set(SCRIPTS)


@pytest.mark.parametrize(
    ("module", "name", "node"),
    [pytest.param(*site, id=f"{site[1]}-{site[0]}-{site[2].lineno}") for site in call_sites()],
)
def test_calls_pass_the_headers_names(module: str, name: str, node: ast.Call) -> None:
    script = load(name)
    passed: list[str] = []
    for keyword in node.keywords:
        if keyword.arg is not None:
            passed.append(keyword.arg)
            continue
        assert isinstance(keyword.value, ast.Dict), "** of something that cannot be read here"
        for key in keyword.value.keys:
            assert isinstance(key, ast.Constant)
            passed.append(str(key.value))
    assert sorted(passed) == sorted(script.argv)
    keys, rest = node.args[:1], node.args[1:]
    assert len(keys) == 1 and not isinstance(keys[0], ast.Starred)
    assert not rest or script.rest
