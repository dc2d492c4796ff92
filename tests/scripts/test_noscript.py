"""A server that does not have a script yet: nothing is loaded at start-up, the first call is one
EVALSHA and one EVAL, and the next one EVALSHA."""

from __future__ import annotations

import pytest
from redis.exceptions import NoScriptError, ResponseError

from pharox_redis.drivers import SyncDriver
from pharox_redis.errors import PoolMismatchError
from pharox_redis.flows.base import Flow
from pharox_redis.scripts import load, lua_root
from tests.conftest import StorageFactory

NAMES = sorted(path.stem for path in lua_root().glob("*.lua"))


@pytest.mark.parametrize("name", NAMES)
def test_before_and_after_the_first_call(make_storage: StorageFactory, name: str) -> None:
    storage = make_storage()
    client, script = storage.client, load(name)
    key = f"{storage.settings.key_prefix}:1:x"
    junk = ["x"] * len(script.argv)
    assert client.script_exists(script.sha) == [False]
    with pytest.raises(NoScriptError):
        client.evalsha(script.sha, 1, key, *junk)
    assert not client.exists(key)

    def flow() -> Flow[None]:
        yield script(key, **dict(zip(script.argv, junk, strict=True)))

    try:
        SyncDriver(client).run(flow())
    except Exception as error:
        assert not isinstance(error.__cause__, NoScriptError)
    assert client.script_exists(script.sha) == [True]
    for left in client.scan_iter(match=f"{key}*"):
        client.unlink(left)


def test_the_error_after_a_fallback_is_the_scripts(make_storage: StorageFactory) -> None:
    storage = make_storage()

    def flow() -> Flow[None]:
        yield load("stats")("none", pool_name="x")

    for _ in range(2):
        with pytest.raises(PoolMismatchError) as raised:
            SyncDriver(storage.client).run(flow())
        assert isinstance(raised.value.__cause__, ResponseError)
