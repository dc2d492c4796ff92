"""API keys: random texts, of which a service knows only the hashes.

A key is 256 random bits. Nobody finds such a key by trying, whatever the hash, so a plain SHA-256
will do: slow hashes (scrypt, argon2) are for what people think up, and would cost every request
some tens of milliseconds. What is configured is ``name:role:hash``. A name may have several keys
with one role, so that a new one can be given out before the old one is taken away.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

PREFIX: Final = "prk_"
LONGEST_KEY: Final = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Role(StrEnum):
    """What a key may do; each role may do what those before it may."""

    READ = "read"
    LEASE = "lease"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether this role is enough where ``needed`` is asked for."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


class Caller(NamedTuple):
    """Who asks: the name of a key, never the key."""

    name: str
    role: Role


class ApiKey(NamedTuple):
    """A key as it is configured."""

    name: str
    role: Role
    digest: str

    @property
    def line(self) -> str:
        """The key as settings have it."""
        return f"{self.name}:{self.role}:{self.digest}"


class MalformedKeyError(ValueError):
    """A configured key cannot be read. The message does not quote it."""


def digest_of(key: str) -> str:
    """What is configured of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def new_key(name: str, role: Role) -> tuple[str, ApiKey]:
    """A fresh key, and what to configure of it. Raises ``MalformedKeyError`` for a bad name."""
    if not _NAME.fullmatch(name):
        raise MalformedKeyError(
            "a key's name is 1 to 64 letters, digits, dots, underscores or hyphens"
        )
    key = PREFIX + secrets.token_urlsafe(32)
    return key, ApiKey(name, role, digest_of(key))


def parse_keys(texts: Iterable[str]) -> tuple[ApiKey, ...]:
    """Keys of ``name:role:sha256`` each. Raises ``MalformedKeyError``."""
    found: list[ApiKey] = []
    roles: dict[str, Role] = {}
    for number, text in enumerate(texts, 1):
        name, role, digest = parts if len(parts := text.split(":")) == 3 else ("", "", "")
        if not _NAME.fullmatch(name):
            # Not even the name is told: it may be a key that was put here by mistake.
            raise MalformedKeyError(f"key {number}: it is not name:role:hash")
        if role not in list(Role):
            raise MalformedKeyError(f"key {number} ({name}): the role is read, lease or admin")
        if not _HASH.fullmatch(digest.lower()):
            raise MalformedKeyError(
                f"key {number} ({name}): the hash is 64 hexadecimal digits, as "
                f"`pharox-redis serve --new-key {name} --role {role}` prints them"
            )
        if roles.setdefault(name, Role(role)) != role:
            raise MalformedKeyError(f"key {number} ({name}): the name has another role already")
        found.append(ApiKey(name, Role(role), digest.lower()))
    return tuple(found)


class KeyRing:
    """Looks keys up, in a time that does not depend on which of them it is, or how nearly."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = [(key.digest.encode(), Caller(key.name, key.role)) for key in keys]

    def __len__(self) -> int:
        return len(self._keys)

    def caller_of(self, key: str) -> Caller | None:
        """Whose key it is, None if nobody's. O(number of keys), for whatever key."""
        given = digest_of(key[:LONGEST_KEY]).encode()
        found = None
        for digest, caller in self._keys:
            if hmac.compare_digest(digest, given):
                found = caller
        return found if len(key) <= LONGEST_KEY else None
