"""A slot that is on its way to another node: scripts refuse before they touch anything. What makes
``moving`` true takes a Cluster; here the scripts run with one that always is."""

from __future__ import annotations

import re

import pytest
from redis.exceptions import ResponseError

from pharox_redis.drivers import text
from pharox_redis.errors import StorageUnavailableError, translate
from pharox_redis.scripts import load
from tests.scripts.raw import Bench
from tests.scripts.test_arguments import CALLS, busy

GUARD = re.compile(r"^local function moving\(pool\)\n.*?^end\n", re.DOTALL | re.MULTILINE)
LOOK = "redis.pcall('MGET', pool .. ':lease:' .. lease_id, pool .. ':never')"
UNGUARDED = {"get_pool", "hide_pool", "swap_entry"}


@pytest.mark.parametrize("case", [case for case, (name, _) in CALLS.items()])
def test_nothing_is_done_meanwhile(bench: Bench, case: str) -> None:
    name, args = CALLS[case]
    script = load(name)
    moved, guards = GUARD.subn(
        "local function moving(pool) return redis.error_reply('TRYAGAIN ' .. pool) end\n",
        script.text,
    )
    if LOOK in moved:
        moved, guards = moved.replace(LOOK, "{err = 'TRYAGAIN'}"), 1
    assert guards == (name not in UNGUARDED)
    if not guards:
        return
    busy(bench)
    call = script(bench.key, *[bench.id()] * bool(script.rest), **args(bench))
    with bench.unchanged(), pytest.raises(ResponseError) as raised:
        bench.client.eval(moved, 1, call.key, *call.args)
    assert isinstance(translate(raised.value), StorageUnavailableError)
    assert text(str(raised.value)).endswith(bench.key)


def test_a_slot_that_stays_is_not_moving(bench: Bench) -> None:
    (guard,) = GUARD.findall(load("stats").text)
    ask = f"{guard}\nreturn moving(KEYS[1]) and 1 or 0"
    assert bench.client.eval(ask, 1, bench.key) == 0
    assert bench.client.eval(ask, 1, bench.key[:-4] + "none") == 0
