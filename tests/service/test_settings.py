"""Settings come from the environment, and what is wrong with them is told without their values."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pharox_redis.service.api_keys import (
    ApiKey,
    KeyRing,
    MalformedKeyError,
    Role,
    digest_of,
    new_key,
    parse_keys,
)
from pharox_redis.service.app import create_app
from pharox_redis.service.serve import export
from pharox_redis.service.settings import ServiceSettings, explain
from pharox_redis.settings import Settings

HASH = digest_of("k")
SECRET = "s3cret-passw0rd"


def test_everything_has_a_default() -> None:
    settings = ServiceSettings()
    assert (settings.listen_host, settings.listen_port) == ("127.0.0.1", 8000)
    assert settings.api_keys == ()
    assert settings.storage.key_prefix == "pharox"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "URL": f"redis://u:{SECRET}@redis.example:6379/0",
        "PREFIX": "fleet",
        "STORAGE__LEASE_RETENTION": "5",
        "LISTEN_PORT": "9000",
        "API_KEYS": f"a:read:{HASH}, b:admin:{digest_of('l').upper()}\n c:lease:{HASH}",
        "SWEEP_SECONDS": "",
        # What Kubernetes sets for a Service that is called pharox-redis.
        "PORT": "tcp://10.0.0.1:8000",
        "SERVICE_HOST": "10.0.0.1",
    }.items():
        monkeypatch.setenv(f"PHAROX_REDIS_{name}", value)
    settings = ServiceSettings()
    assert (settings.storage.key_prefix, settings.storage.lease_retention) == ("fleet", 5)
    assert settings.listen_port == 9000
    assert [(key.name, key.role) for key in settings.api_keys] == [
        ("a", Role.READ),
        ("b", Role.ADMIN),
        ("c", Role.LEASE),
    ]
    assert settings.sweep_seconds == 1
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()


def test_a_file_named_env_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PHAROX_REDIS_LISTEN_PORT=1\n")
    monkeypatch.chdir(tmp_path)
    assert ServiceSettings().listen_port == 8000


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("URL", f"http://u:{SECRET}@x", "redis://"),
        ("LISTEN_PORT", "many", "integer"),
        ("LISTEN_PORT", "65536", "65535"),
        ("WORKERS", "0", "1"),
        ("SWEEP_SECONDS", "-1", "0"),
        ("API_KEYS", SECRET, "name:role:hash"),
        ("API_KEYS", f"a:boss:{HASH}", "admin"),
        ("API_KEYS", f"a:read:{SECRET}", "64"),
        ("API_KEYS", f"a:read:{HASH} a:admin:{HASH}", "another role"),
        ("API_KEYS", f"a b:read:{HASH}", "name:role:hash"),
        ("API_KEYS_FILE", "/nowhere", "No such file"),
        ("STORAGE__KEY_PREFIX", "{}", "braces"),
        ("STORAGE__NONSENSE", "1", "permitted"),
        ("OPEN_METRICS", "perhaps", "bool"),
    ],
)
def test_what_is_wrong_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, word: str
) -> None:
    monkeypatch.setenv(f"PHAROX_REDIS_{name}", value)
    with pytest.raises(ValidationError) as caught:
        ServiceSettings()
    (line,) = explain(caught.value)
    assert line.startswith(f"PHAROX_REDIS_{name}")
    assert word in line
    assert SECRET not in line
    assert SECRET not in str(caught.value)


def test_keys_come_from_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n\nb:lease:{HASH}  # the fleet's\na:read:{HASH}\n")
    monkeypatch.setenv("PHAROX_REDIS_API_KEYS_FILE", str(file))
    monkeypatch.setenv("PHAROX_REDIS_API_KEYS", f"a:read:{HASH}")
    assert [key.name for key in ServiceSettings().api_keys] == ["a", "b"]
    file.write_text("# nobody yet\n")
    with pytest.raises(ValidationError, match="has no keys"):
        ServiceSettings()


def test_a_fresh_key_is_known_by_its_line() -> None:
    key, configured = new_key("scraper-1", Role.LEASE)
    other, _ = new_key("scraper-1", Role.LEASE)
    assert key != other and len(key) > 43
    (parsed,) = parse_keys([configured.line])
    assert parsed == configured
    ring = KeyRing([ApiKey("x", Role.READ, HASH), parsed])
    found = ring.caller_of(key)
    assert found is not None and (found.name, found.role) == ("scraper-1", Role.LEASE)
    assert ring.caller_of(other) is None
    assert ring.caller_of(parsed.digest) is None
    assert ring.caller_of("") is None
    assert ring.caller_of("\ud800") is None


@pytest.mark.parametrize("name", ["", "a:b", "ä", "a b", "-a", "x" * 65])
def test_names_of_keys(name: str) -> None:
    with pytest.raises(MalformedKeyError):
        new_key(name, Role.READ)


def test_every_key_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which key it is, or whether it is one, must not show in the time."""
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compare)
    ring = KeyRing([ApiKey(f"k{n}", Role.READ, digest_of(f"k{n}")) for n in range(5)])
    for key in ("k0", "k4", "nobody"):
        compared.clear()
        ring.caller_of(key)
        assert len(compared) == 5


def test_workers_find_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"b:lease:{HASH}\n")
    monkeypatch.setattr("os.environ", environment := {"PHAROX_REDIS_PREFIX": "other"})
    settings = ServiceSettings(
        url=f"redis://:{SECRET}@localhost:1/0",  # type: ignore[arg-type]
        prefix="mine",
        api_keys_file=file,
        storage={"lease_retention": 7},  # type: ignore[arg-type]
        open_metrics=True,
        listen_port=0,
    )
    export(settings)
    again = ServiceSettings()
    left_out = {"prefix", "api_keys_file"}
    assert again.model_dump(exclude=left_out) == settings.model_dump(exclude=left_out)
    assert again.storage.key_prefix == "mine"
    assert "PHAROX_REDIS_PREFIX" not in environment


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:1/0",
        "rediss://localhost:1/0?socket_timeout=5",
        "unix:///nowhere",
        "redis+sentinel://localhost:1/main",
        "redis+cluster://localhost:1",
    ],
)
def test_every_kind_of_server_takes_the_clients_options(url: str) -> None:
    """They are the service's, beside what the URL says."""
    settings = ServiceSettings(url=url, docs=False)  # type: ignore[arg-type]
    assert create_app(settings).state.service.storage.settings == settings.storage


def test_a_server_that_waits_for_replicas_is_given_time() -> None:
    storage = Settings(min_replicas=1, replica_timeout=3)
    settings = ServiceSettings(server_timeout=1, storage=storage)
    assert settings.client_options["socket_timeout"] > 3
    assert settings.patience > 3
