"""Drives flows by hand, without any Redis: the replies are made up."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from uuid import UUID, uuid4

import pytest
from pharox.exceptions import PharoxError
from pharox.models import Proxy

from pharox_redis import Settings
from pharox_redis.flows import Context, Interrupted, leasing
from pharox_redis.scripts import Call

POOL = uuid4()
OTHER = UUID(int=9)
CONSUMER = str(uuid4())
PROXY = str(uuid4())


class Play:
    """Drives a flow by hand."""

    def __init__(self, flow: Generator[Any, Any, Any]) -> None:
        self.flow = flow
        self.step = next(flow)

    def reply(self, reply: Any) -> Any:
        self.step = self.flow.send(reply)
        return self.step

    def fail(self, error: PharoxError) -> Any:
        self.step = self.flow.throw(error)
        return self.step

    def interrupt(self) -> Any:
        """The caller goes away while the step is under way; what is still to be done."""
        self.step = self.flow.throw(Interrupted())
        return self.step

    def ends_interrupted(self, reply: Any = None, at_once: bool = False) -> None:
        """The flow lets the interruption pass: ``at_once``, or after this reply."""
        with pytest.raises(Interrupted):
            if at_once:
                self.flow.throw(Interrupted())
            else:
                self.flow.send(reply)

    def end(self, reply: Any) -> Any:
        with pytest.raises(StopIteration) as stop:
            self.flow.send(reply)
        return stop.value.value

    def calls(self, name: str, /, **args: Any) -> None:
        assert isinstance(self.step, Call) and self.step.script.name == name, self.step
        sent = dict(zip(self.step.script.argv, self.step.args, strict=False))
        assert {key: sent[key] for key in args} == args


def make_context(**settings: Any) -> Context:
    """Knows the pool and the consumer."""
    ctx = Context(Settings(**settings), Proxy)
    ctx.pools.put("pool", ctx.pool_ref(POOL))
    ctx.consumers.put("consumer", CONSUMER)
    return ctx


def fields(**known: str) -> list[str | None]:
    order = ["so", "co", "ci", "is", "as", "la", "lo", "st", "max", "chk", "rev"]
    return [{"st": "active", "chk": "0", "rev": "3", **known}.get(name) for name in order]


DOC = '{"host":"h.example","port":1,"protocol":"http"}'
LEASE = ["lease", 1000, 61_000, "", CONSUMER, PROXY, DOC, fields(), 1, None]


def acquire(ctx: Context, **changes: Any) -> Play:
    args: dict[str, Any] = {
        "pool_name": "pool",
        "consumer_name": "consumer",
        "duration_seconds": 60,
        "filters": None,
        "selector": None,
        "lease_id": None,
    }
    return Play(leasing.acquire(ctx, **{**args, **changes}))
