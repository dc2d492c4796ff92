"""Keeps passwords out of what is printed, logged or recorded with an error.

Models that this library makes have credentials that do not show themselves. Steps of flows do not
show their arguments (``scripts.py``, ``flows/base.py``), and translated errors do not quote them
(``errors.py``). And before an error leaves the library, the variables of the frames it came through
are emptied, ours and redis-py's: documents and replies stand there, and some trackers of errors
record variables. The traceback itself stays as it is.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from pharox.exceptions import PharoxError
from pharox.models import Proxy, ProxyCredentials

P = TypeVar("P", bound=Proxy)

_EMPTIED = ("pharox_redis", "redis")


class PrivateCredentials(ProxyCredentials):
    """pharox's credentials, and equal to them, with a ``repr`` that does not tell them."""

    def __repr_args__(self) -> Iterator[tuple[str, str]]:
        """For ``repr``, ``str`` and rich alike."""
        return iter([("user", "***"), ("password", "***")])

    def __eq__(self, other: object) -> bool:
        """Whether user and password are the same, also with pharox's own class."""
        if isinstance(other, ProxyCredentials):
            return (self.user, self.password) == (other.user, other.password)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as pharox's


class Undecoded(partial[Proxy]):
    """A proxy still to be decoded; its document does not show."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def with_private_credentials(proxy: P) -> P:
    """The same proxy, its credentials not showing. Those of a class of the user's stay as they
    are."""
    known = proxy.credentials
    if type(known) is ProxyCredentials:
        # Past pydantic, so that frozen models and validators of assignments do not matter.
        proxy.__dict__["credentials"] = PrivateCredentials.model_construct(**known.__dict__)
    return proxy


def forget_details(error: BaseException, outer: BaseException | None = None) -> None:
    """Empty the variables of the frames that an error, and what led to it, came through; and drop
    what an error of ours was raised ``from None`` of. ``outer`` is what the caller was handling
    when we were called: it, and what led to it, is the caller's."""
    todo: list[Any] = [error]
    known = {id(outer), id(None)}
    while todo:
        each = todo.pop()
        if id(each) in known:
            continue
        known.add(id(each))
        if isinstance(each, PharoxError) and each.__suppress_context__:
            each.__context__ = outer
        todo += [each.__cause__, each.__context__]
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if str(frame.f_globals.get("__name__", "")).partition(".")[0] in _EMPTIED:
                with suppress(RuntimeError):  # it still runs
                    frame.clear()
