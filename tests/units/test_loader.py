"""The loader of the Lua files: includes, headers, calls, the sha."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import redis

from pharox_redis import scripts
from pharox_redis.scripts import Call, Script, ScriptError, header, load, lua_root, resolve

ALL = sorted(path.stem for path in lua_root().glob("*.lua"))


def write(root: Path, **files: str) -> Path:
    (root / "includes").mkdir(exist_ok=True)
    for name, text in files.items():
        folder = root if name.startswith("main") else root / "includes"
        (folder / f"{name}.lua").write_text(text)
    return root


def test_includes_come_before_what_uses_them_each_once(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        main='-- top\n--- @include "b"\n--- @include "a"\nreturn b() + a()\n',
        a="local function a() return 1 end\n",
        b='--- @include "a"\nlocal function b() return a() end\n',
    )
    text = resolve(root, "main")
    assert text.count("function a") == text.count("function b") == 1
    assert text.index("function a") < text.index("function b") < text.index("return b()")
    assert "@include" not in text
    assert text.endswith("return b() + a()\n")


def test_the_same_include_by_two_ways(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        main='--- @include "b"\n--- @include "c"\n',
        a="-- a\n",
        b='--- @include "a"\n-- b\n',
        c='--- @include "a"\n--- @include "b"\n-- c\n',
    )
    lines = [line for line in resolve(root, "main").splitlines() if line]
    assert lines == ["-- a", "-- b", "-- c"]


def test_an_indented_include_stands_where_it_is(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        main='local x\nif x then\n  --- @include "a"\n  return a()\nend\n',
        a='--- @include "b"\nlocal function a()\n  return b()\nend\n',
        b="local function b() return 2 end\n",
    )
    assert resolve(root, "main").splitlines() == [
        "local x",
        "if x then",
        "  local function b() return 2 end",
        "  local function a()",
        "    return b()",
        "  end",
        "  return a()",
        "end",
    ]


def test_what_is_there_already_is_not_repeated_inside(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        main='--- @include "b"\nif b() then\n  --- @include "a"\n  a()\nend\n',
        a='--- @include "b"\nlocal function a() return b() end\n',
        b="local function b() return 2 end\n",
    )
    assert resolve(root, "main").count("function b") == 1


def test_two_branches_each_get_it(tmp_path: Path) -> None:
    branch = 'if x then\n  --- @include "a"\n  a()\nend\n'
    root = write(tmp_path, main=branch + branch, a="local function a() end\n")
    assert resolve(root, "main").count("function a") == 2


def test_a_missing_include_names_the_chain(tmp_path: Path) -> None:
    root = write(tmp_path, main='--- @include "a"\n', a='--- @include "nowhere"\n')
    with pytest.raises(ScriptError, match=r"main -> a -> nowhere: there is no nowhere\.lua"):
        resolve(root, "main")
    with pytest.raises(ScriptError, match=r"other: there is no other\.lua"):
        resolve(root, "other")


@pytest.mark.parametrize("indent", ["", "  "])
def test_a_circle_is_an_error(tmp_path: Path, indent: str) -> None:
    root = write(
        tmp_path,
        main='--- @include "a"\n',
        a=f'{indent}--- @include "b"\n',
        b=f'{indent}--- @include "a"\n',
    )
    with pytest.raises(ScriptError, match="main -> a -> b -> a: circular include"):
        resolve(root, "main")


def test_an_include_of_itself_is_a_circle(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="main -> a -> a: circular"):
        resolve(write(tmp_path, main='--- @include "a"\n', a='--- @include "a"\n'), "main")


def test_a_script_may_include_a_function_of_its_name(tmp_path: Path) -> None:
    root = write(tmp_path, main='--- @include "main_part"\n', main_part="-- no\n")
    (root / "includes" / "main.lua").write_text("-- inner\n")
    (root / "main.lua").write_text('--- @include "main"\n-- outer\n')
    assert resolve(root, "main").splitlines() == ["-- inner", "-- outer"]


def test_a_missing_script_is_an_error_of_the_loader() -> None:
    with pytest.raises(ScriptError, match="nowhere"):
        load("nowhere")


def test_header() -> None:
    text = (
        "-- x: says what it does.\n--\n-- KEYS\n--   pool    the key\n-- ARGV\n"
        "--   first   one\n--                 and more of it\n--   second\n--   items...  rest\n"
        "-- RETURNS\n--   reply\n\n-- ARGV\n--   not_this\n"
    )
    assert header(text, "KEYS") == ["pool"]
    assert header(text, "ARGV") == ["first", "second", "items..."]
    assert header(text, "ERRORS") == []


def test_calls_take_their_arguments_by_name_in_the_headers_order() -> None:
    script = Script("s", "", "", ("pool",), ("a", "b"), "items")
    assert script("key", "x", "y", b=2, a=1) == Call(script, "key", (1, 2, "x", "y"))
    assert script("key", a="", b=0.5).args == ("", 0.5)


@pytest.mark.parametrize(
    ("rest", "args"),
    [((), {"a": 1}), ((), {"a": 1, "b": 2, "c": 3}), ((), {}), (("x",), {"a": 1, "b": 2})],
)
def test_arguments_that_do_not_fit(rest: tuple[str, ...], args: dict[str, int]) -> None:
    with pytest.raises(TypeError, match=r"^s: "):
        Script("s", "", "", ("pool",), ("a", "b"), None)("key", *rest, **args)


def test_a_script_is_read_once() -> None:
    assert load("acquire") is load("acquire")


@pytest.mark.parametrize("name", ALL)
def test_the_sha_is_the_servers(client: redis.Redis, name: str) -> None:
    script = load(name)
    sha = client.script_load(script.text)
    assert (sha.decode() if isinstance(sha, bytes) else sha) == script.sha


def test_an_incomplete_installation_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "__file__", str(tmp_path / "p" / "scripts.py"))
    with pytest.raises(ScriptError, match="installation is incomplete"):
        lua_root()
    (tmp_path / "lua").mkdir()
    (tmp_path / "lua" / "acquire.lua").touch()
    assert lua_root() == tmp_path / "lua"
    (tmp_path / "p" / "lua").mkdir(parents=True)
    (tmp_path / "p" / "lua" / "acquire.lua").touch()
    assert lua_root() == tmp_path / "p" / "lua"


def test_importing_the_package_talks_to_no_server() -> None:
    code = (
        "import socket; socket.socket.connect = None; import pharox_redis;"
        "pharox_redis.RedisStorage.from_url('redis://127.0.0.1:1').close()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
