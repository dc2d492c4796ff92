"""A blocking face for the asyncio storage and its manager, so that one test body runs for both.

Each thread that calls is stood for by a task of its own on one event loop, which lives in a
background thread: claims belong to the calling task, as they belong to the calling thread of a
``RedisStorage``. Nothing else is added: a method is the coroutine of the same name, and what it
raises comes back as it is.

What callers hand over to be called (callbacks, ``sleep_fn``) runs in the calling thread while the
task waits for it: such functions may use the face again. A filter's predicate runs inside the flow,
on the loop; one that asked the face would wait for itself, and is told so.
"""

from __future__ import annotations

import abc
import asyncio
import atexit
import functools
import inspect
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import redis
from pharox.models import Lease
from pharox.storage import IStorage

from pharox_redis import RedisProxyManager, RedisStorage
from pharox_redis.aio import AsyncRedisStorage
from pharox_redis.aio_manager import AsyncRedisProxyManager

Replies = queue.SimpleQueue[tuple[str, Any]]

_actor: ContextVar[Actor] = ContextVar("actor")


class LoopThread:
    """An event loop that runs in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="aio", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine returns, in a task of its own."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()


@functools.cache
def loop_thread() -> LoopThread:
    """The one of this process: clients belong to a loop, and tests make many storages."""
    made = LoopThread()
    atexit.register(made.stop)
    return made


class Answer(NamedTuple):
    """What came of a function that the calling thread was asked to run."""

    result: Any
    error: BaseException | None


class Actor:
    """One long-lived task that stands for one calling thread."""

    def __init__(self, thread: LoopThread) -> None:
        self._loop = thread.loop
        self._inbox: asyncio.Queue[tuple[Coroutine[Any, Any, Any], Replies] | Answer | None]
        self._inbox = asyncio.Queue()
        self._replies: Replies | None = None
        self._done = asyncio.run_coroutine_threadsafe(self._begin(), self._loop)

    async def _begin(self) -> None:
        _actor.set(self)
        await self._serve()

    async def _serve(self) -> Answer | None:
        """Await what is asked for, until there is an answer, or None: the end."""
        while (asked := await self._inbox.get()) is not None and not isinstance(asked, Answer):
            before, (coroutine, replies) = self._replies, asked
            self._replies = replies
            try:
                replies.put(("returned", await coroutine))
            except BaseException as error:  # whatever it is, the caller is to have it
                replies.put(("raised", error))
            self._replies = before
            del asked, coroutine, replies
        return asked

    async def ask(self, function: Callable[[], Any]) -> Any:
        """Have the calling thread run a function. It may call meanwhile, and this task serves."""
        assert self._replies is not None
        self._replies.put(("run", function))
        answer = await self._serve()
        assert answer is not None
        if answer.error is not None:
            raise answer.error
        return answer.result

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Have the task await a coroutine; its result, or its exception."""
        replies: Replies = queue.SimpleQueue()
        self._put((coroutine, replies))
        while True:
            kind, value = replies.get()
            if kind == "returned":
                return value
            if kind == "raised":
                try:
                    raise value
                finally:
                    del value  # else the traceback keeps itself alive
            try:
                answer = Answer(value(), None)
            except BaseException as error:
                answer = Answer(None, error)
            self._put(answer)

    def _put(self, item: Any) -> None:
        self._loop.call_soon_threadsafe(self._inbox.put_nowait, item)

    def stop(self) -> None:
        """End the task."""
        self._put(None)
        self._done.result(10)


def in_callers_thread(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """A coroutine function that has the calling thread run a function, and awaits its result."""

    async def ask(*args: Any) -> Any:
        return await _actor.get().ask(functools.partial(function, *args))

    return ask


class _Driver:
    """What ``Stepped`` needs of a driver: to perform one step."""

    def __init__(self, face: BlockingStorage) -> None:
        self._face = face

    def _perform(self, step: Any) -> Any:
        return self._face._call(self._face.aio._driver._perform(step))


class BlockingStorage(IStorage):
    """The methods of ``RedisStorage``, each run by the ``AsyncRedisStorage`` ``aio``.

    ``client`` is a blocking client of the same server, for tests that look at raw keys. The
    caller closes both clients.
    """

    def __init__(self, aio: AsyncRedisStorage, client: redis.Redis) -> None:
        self.aio, self.client = aio, client
        self._thread = loop_thread()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._actors: list[Actor] = []
        self._driver = _Driver(self)

    @property
    def settings(self) -> Any:
        return self.aio.settings

    @property
    def _context(self) -> Any:
        return self.aio._context

    def _call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if threading.current_thread() is self._thread._thread:
            coroutine.close()
            raise RuntimeError("a predicate cannot use an asyncio storage: nobody could await it")
        actor = getattr(self._local, "actor", None)
        if actor is None:
            actor = self._local.actor = Actor(self._thread)
            with self._lock:
                self._actors.append(actor)
        return actor.call(coroutine)

    def dismiss(self) -> None:
        """End the tasks; nobody may call any more."""
        for actor in self._actors:
            actor.stop()
        self._actors.clear()

    def close(self) -> None:
        self._call(self.aio.aclose())

    def __enter__(self) -> BlockingStorage:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _method(name: str, coroutine_function: Any) -> Any:
    @functools.wraps(coroutine_function)
    def method(self: BlockingStorage, *args: Any, **kwargs: Any) -> Any:
        return self._call(getattr(self.aio, name)(*args, **kwargs))

    # Else it would look like a coroutine function to whoever asks inspect.
    del method.__wrapped__  # type: ignore[attr-defined]
    return method


for _name, _function in vars(AsyncRedisStorage).items():
    if not _name.startswith("_") and _name != "aclose" and inspect.iscoroutinefunction(_function):
        setattr(BlockingStorage, _name, _method(_name, _function))
abc.update_abstractmethods(BlockingStorage)


class BlockingManager:
    """The methods of ``ProxyManager``, each run by an ``AsyncRedisProxyManager``."""

    def __init__(self, storage: BlockingStorage) -> None:
        self._call = storage._call
        self.aio = AsyncRedisProxyManager(storage.aio)

    def acquire_proxy(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(self.aio.acquire_proxy(*args, **kwargs))

    def acquire_proxy_with_retry(self, *args: Any, sleep_fn: Any = None, **kwargs: Any) -> Any:
        sleep = in_callers_thread(sleep_fn) if sleep_fn else None
        return self._call(self.aio.acquire_proxy_with_retry(*args, sleep_fn=sleep, **kwargs))

    def release_proxy(self, lease: Lease) -> None:
        self._call(self.aio.release_proxy(lease))

    def cleanup_expired_leases(self) -> int:
        return int(self._call(self.aio.cleanup_expired_leases()))

    @contextmanager
    def _entered(self, block: Any) -> Iterator[Any]:
        lease = self._call(block.__aenter__())
        try:
            yield lease
        except BaseException as error:
            if not self._call(block.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            self._call(block.__aexit__(None, None, None))

    def with_lease(self, *args: Any, **kwargs: Any) -> Any:
        return self._entered(self.aio.with_lease(*args, **kwargs))

    def with_retrying_lease(self, *args: Any, sleep_fn: Any = None, **kwargs: Any) -> Any:
        sleep = in_callers_thread(sleep_fn) if sleep_fn else None
        return self._entered(self.aio.with_retrying_lease(*args, sleep_fn=sleep, **kwargs))

    def register_acquire_callback(self, callback: Callable[..., Any]) -> None:
        self.aio.register_acquire_callback(in_callers_thread(callback))

    def register_release_callback(self, callback: Callable[..., Any]) -> None:
        self.aio.register_release_callback(in_callers_thread(callback))


AnyStorage = RedisStorage | BlockingStorage


def manager_of(storage: AnyStorage) -> Any:
    """The library's own manager for a storage of either flavour."""
    if isinstance(storage, BlockingStorage):
        return BlockingManager(storage)
    return RedisProxyManager(storage)
