"""What a list says about one proxy, before any pool is involved.

Reading a list yields `Record`s and `Issue`s, mixed, in the order of the list. A record is one
proxy the list names, already checked and in canonical form; an attribute the list does not give is
``None``, which later means "leave what is stored alone". An issue is a line or record that could
not be read; its reason is a fixed text about *which part* is wrong and never quotes the input,
because a misplaced column or a swapped notation puts passwords anywhere.

The `Identity` of a proxy is what decides whether two entries are the same proxy: protocol, host,
port and user. A changed password or country is the same proxy with other attributes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias
from uuid import UUID, uuid5

from pharox.models import Proxy, ProxyProtocol, ProxyStatus

from pharox_redis.importing.hosts import comparable_host

Concurrency: TypeAlias = int | Literal["unlimited"]
"""How many leases at once; pharox writes unlimited as ``None``, which here means "not said"."""


class Unreadable(ValueError):
    """One value or notation cannot be read; the message is the reason and quotes no input."""


class ListError(ValueError):
    """A list was described wrongly, as with a field that does not exist."""


class Identity(NamedTuple):
    """What makes two entries the same proxy; the host is in canonical form."""

    protocol: ProxyProtocol
    host: str
    port: int
    user: str | None

    @property
    def label(self) -> str:
        """The proxy for people, without its password and safe to print on a terminal."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = "" if self.user is None else f" user {self.user!r}"
        return f"{self.protocol.value}://{host}:{self.port}{user}"


@dataclass(frozen=True, slots=True)
class Record:
    """One proxy as a list gives it; ``None`` is whatever the list does not say."""

    protocol: ProxyProtocol
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    source: str | None = None
    country: str | None = None
    city: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    isp: str | None = None
    asn: int | None = None
    status: ProxyStatus | None = None
    max_concurrency: Concurrency | None = None

    @property
    def identity(self) -> Identity:
        """What this record is compared by."""
        return Identity(self.protocol, self.host, self.port, self.user)


@dataclass(frozen=True, slots=True)
class Issue:
    """One part of a list that was skipped, and why.

    Attributes
    ----------
        unit: What ``number`` counts; ``file`` has no number and concerns the list as a whole.
        number: 1-based line in the file, or position in a JSON array.
        reason: Which part is wrong; never quotes the input.
    """

    unit: Literal["line", "record", "file"]
    number: int
    reason: str

    def __str__(self) -> str:
        """The issue for people."""
        return self.reason if self.unit == "file" else f"{self.unit} {self.number}: {self.reason}"


Parsed: TypeAlias = Record | Issue


def identity_of(proxy: Proxy) -> Identity:
    """Return the identity of a proxy that is stored, whatever the spelling of its host."""
    user = None if proxy.credentials is None else proxy.credentials.user
    return Identity(
        ProxyProtocol(proxy.protocol), comparable_host(str(proxy.host)), proxy.port, user
    )


def proxy_id(pool_id: UUID, identity: Identity, *, unlike: Sequence[UUID] = ()) -> UUID:
    """Return the id of a proxy that an import adds: the same for everyone who imports it.

    Args
    ----
        pool_id: The pool, which is the namespace of the id.
        identity: The proxy.
        unlike: Ids that would have been right but are taken by a proxy of another identity.
    """
    # JSON keeps the parts apart whatever a user name contains.
    parts = [identity.protocol.value, identity.host, identity.port, identity.user]
    return uuid5(pool_id, json.dumps([*parts, *map(str, unlike)]))
