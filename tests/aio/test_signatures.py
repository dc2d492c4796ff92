"""Signatures of storages and managers, held against each other and against pharox's.

Annotations are resolved before they are compared, so that an alias is what it stands for.
"""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pharox.manager import ProxyManager
from pharox.models import Lease
from pharox.storage import IAsyncStorage, IStorage

from pharox_redis import ProxyLease, RedisProxyManager, RedisStorage
from pharox_redis.aio import AsyncRedisStorage
from pharox_redis.aio_manager import AsyncRedisProxyManager

# Called otherwise in asyncio.
RENAMED = {"close": "aclose"}
PROTOCOLS = {"__enter__": "__aenter__", "__exit__": "__aexit__"}
# A coroutine function will do, too.
CALLBACKS = {"sleep_fn", "callback"}
# The one parameter of __init__ that cannot be the same.
OWN = {"client", "storage"}


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


STORAGE_NAMES = sorted(public(RedisStorage))
MANAGER_NAMES = sorted(public(RedisProxyManager))


def parameters(function: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def hints(function: Any) -> dict[str, Any]:
    return typing.get_type_hints(inspect.unwrap(function))


def compare(blocking: Any, awaited: Any, unlike: set[str]) -> None:
    """Equal names, kinds, defaults and annotations, but for the annotations of some."""
    ours, theirs = parameters(blocking), parameters(awaited)
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs
    ]
    types, others = hints(blocking), hints(awaited)
    assert types.keys() == others.keys()
    for name in types.keys() - unlike - {"return"}:
        assert types[name] == others[name], name


def accepts(ours: Any, contract: Any) -> None:
    """Whatever may be passed by the contract may be passed here: the contract's parameters come
    first, and what follows has a default."""
    found, wanted = parameters(ours), parameters(contract)
    assert [(p.name, p.kind, p.default) for p in found[: len(wanted)]] == [
        (p.name, p.kind, p.default) for p in wanted
    ]
    assert all(p.default is not p.empty for p in found[len(wanted) :])


def test_the_storages_have_the_same_names() -> None:
    renamed = {RENAMED.get(name, name) for name in STORAGE_NAMES}
    assert renamed == public(AsyncRedisStorage)
    assert public(RedisProxyManager) == public(AsyncRedisProxyManager) == public(ProxyManager)
    for ours, theirs in PROTOCOLS.items():
        assert ours in dir(RedisStorage) and theirs in dir(AsyncRedisStorage)


@pytest.mark.parametrize("name", ["__init__", *PROTOCOLS, *STORAGE_NAMES])
def test_storages(name: str) -> None:
    blocking = inspect.getattr_static(RedisStorage, name)
    other = {**RENAMED, **PROTOCOLS}.get(name, name)
    awaited = inspect.getattr_static(AsyncRedisStorage, other)
    assert type(blocking) is type(awaited)
    if isinstance(blocking, property):
        assert hints(blocking.fget) == hints(awaited.fget)
        return
    plain = name == "__init__" or isinstance(blocking, classmethod)
    blocking, awaited = getattr(RedisStorage, name), getattr(AsyncRedisStorage, other)
    compare(blocking, awaited, OWN)
    assert not inspect.iscoroutinefunction(blocking)
    assert inspect.iscoroutinefunction(awaited) is not plain
    assert hints(blocking)["return"] == hints(awaited)["return"]
    assert inspect.getdoc(awaited) or name in PROTOCOLS


@pytest.mark.parametrize(
    ("kind", "contract"), [(RedisStorage, IStorage), (AsyncRedisStorage, IAsyncStorage)]
)
def test_the_contracts_of_storages(kind: type, contract: type) -> None:
    assert issubclass(kind, contract) and not inspect.isabstract(kind)
    abstract: frozenset[str] = contract.__abstractmethods__  # type: ignore[attr-defined]
    assert len(abstract) > 15
    for name in abstract:
        ours, theirs = getattr(kind, name), getattr(contract, name)
        accepts(ours, theirs)
        assert inspect.iscoroutinefunction(ours) is inspect.iscoroutinefunction(theirs)


def test_the_contracts_name_the_same_methods() -> None:
    """What one of them may grow, a later pharox, would be missing in the other here."""
    assert IStorage.__abstractmethods__ == IAsyncStorage.__abstractmethods__


@pytest.mark.parametrize("name", ["__init__", *MANAGER_NAMES])
def test_managers(name: str) -> None:
    blocking, awaited = (
        getattr(kind, name) for kind in (RedisProxyManager, AsyncRedisProxyManager)
    )
    if not callable(blocking):
        assert blocking == awaited == getattr(ProxyManager, name)
        return
    accepts(blocking, getattr(ProxyManager, name))
    accepts(awaited, getattr(ProxyManager, name))
    assert len(parameters(blocking)) == len(parameters(awaited))
    plain = name == "__init__" or name.startswith("register_")
    if not name.startswith("with_"):
        assert inspect.iscoroutinefunction(awaited) is not plain
        return
    inner, awaited_inner = inspect.unwrap(blocking), inspect.unwrap(awaited)
    assert inspect.isgeneratorfunction(inner) and inspect.isasyncgenfunction(awaited_inner)
    assert awaited.__code__ is contextlib.asynccontextmanager(awaited_inner).__code__  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [n for n in MANAGER_NAMES if callable(getattr(ProxyManager, n))])
def test_annotations_of_managers(name: str) -> None:
    """Some of the blocking one's methods are pharox's, whose annotations are wider: they return
    what our ``acquire_proxy`` returns, and pass on what it takes."""
    known = hints(getattr(RedisProxyManager, name))
    found = hints(getattr(AsyncRedisProxyManager, name))
    wanted_return, found_return = known.pop("return"), found.pop("return")
    if typing.get_origin(wanted_return) is Iterator:
        assert typing.get_origin(found_return) is AsyncIterator
        (wanted_return,), (found_return,) = map(typing.get_args, (wanted_return, found_return))
    assert found_return == (ProxyLease | None if wanted_return == Lease | None else wanted_return)
    assert found.keys() == known.keys()
    own = hints(RedisProxyManager.acquire_proxy)
    for parameter in found.keys() - CALLBACKS:
        assert found[parameter] == own.get(parameter, known[parameter]), parameter
