"""What the library needs of a Redis or Valkey server, stated once.

The leases live in the server's memory and nowhere else, so three things about that server decide
whether they can be trusted: it must never drop a key to make room, it must write its data to disk,
and it should give memory back in the background, because while it gives it back in the foreground
every client waits.

`REQUIREMENTS` holds one entry per configuration directive: what to set, which other values are good
enough, why, and what the stock default breaks. `MINIMUM_VERSION` is the oldest server supported.
Everything that speaks about server settings is derived from these two: the embedded server's
configuration, the check of `docker-compose.yml`, and the `doctor` command.

`check_config` and `check_version` are pure: they take the answers of `CONFIG GET` and `INFO` and
return findings. They open no connection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "MINIMUM_VERSION",
    "REQUIREMENTS",
    "Finding",
    "Requirement",
    "Severity",
    "check_config",
    "check_version",
    "parse_version",
    "recommended_config",
]

MINIMUM_VERSION: Final[tuple[int, int]] = (7, 0)
"""The oldest server supported, as (major, minor) of the Redis version it is compatible with.

Every Valkey qualifies: it reports itself compatible with Redis 7.2.
"""


class Severity(StrEnum):
    """How bad it is when a server differs from a requirement."""

    REQUIRED = "required"
    """Leases get lost or wrongly granted."""

    ADVISED = "advised"
    """Leases stay right, but clients may see pauses or a slightly larger loss at a power cut."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One configuration directive and what the library needs it to be."""

    directive: str
    """Name of the directive, in lower case, as `CONFIG GET` and the configuration file spell it."""

    wanted: str
    """The value to set."""

    severity: Severity
    """What it means for a server to differ."""

    why: str
    """The reason, in words for the person who runs the server."""

    stock: str
    """What servers do when nobody sets the directive, since which version, and what that breaks."""

    also_accepted: tuple[str, ...] = ()
    """Further values that serve as well as `wanted`."""

    @property
    def accepted(self) -> tuple[str, ...]:
        """Every value that satisfies the requirement, `wanted` first."""
        return (self.wanted, *self.also_accepted)


@dataclass(frozen=True, slots=True)
class Finding:
    """One point in which a server differs from what the library needs."""

    directive: str
    """The directive, or `version`."""

    severity: Severity
    """What the difference means."""

    value: str | None
    """What the server has; `None` when it did not say (managed services often hide `CONFIG`)."""

    wanted: str
    """What it should have."""

    why: str
    """The reason, in words for the person who runs the server."""

    def __str__(self) -> str:
        """The finding as one line."""
        state = "could not be read" if self.value is None else f"is {self.value!r}"
        return f"{self.directive} {state}, {self.severity} is {self.wanted!r}: {self.why}"


REQUIREMENTS: Final[tuple[Requirement, ...]] = (
    Requirement(
        directive="maxmemory-policy",
        wanted="noeviction",
        severity=Severity.REQUIRED,
        why=(
            "Any other policy deletes leases, or the records about them, when memory runs short:"
            " volatile-* picks among the keys that expire, as leases do, and allkeys-* among all"
            " of them. A lease deleted while it is held lets its proxy be leased twice, and a"
            " deleted record leaves counts that no longer add up. With noeviction a full server"
            " refuses the write and the client gets an error instead."
        ),
        stock=(
            "noeviction in Redis 7.0 and Valkey 9.1, so this only goes wrong where somebody set"
            " the server up as a cache; managed services often come with volatile-lru."
        ),
    ),
    Requirement(
        directive="appendonly",
        wanted="yes",
        severity=Severity.REQUIRED,
        why=(
            "Without the append-only file a restart brings back the last snapshot or nothing:"
            " leases that are still held are forgotten and their proxies are leased again, and"
            " proxies added since are gone."
        ),
        stock="no in Redis 7.0 and Valkey 9.1: a crash loses everything since the last snapshot.",
    ),
    Requirement(
        directive="appendfsync",
        wanted="everysec",
        also_accepted=("always",),
        severity=Severity.ADVISED,
        why=(
            "With everysec a power cut costs about the last second of leases. With no the"
            " operating system decides when data reaches the disk, on Linux up to 30 seconds"
            " later. always loses nothing and makes every write wait for the disk."
        ),
        stock="everysec in Redis 7.0 and Valkey 9.1.",
    ),
    Requirement(
        directive="lazyfree-lazy-expire",
        wanted="yes",
        severity=Severity.ADVISED,
        why=(
            "A key that expires is otherwise freed in the foreground: a sorted set of a million"
            " members stops the server for some 140 ms. It happens outside any command, so"
            " SLOWLOG does not show it."
        ),
        stock=(
            "no in Redis since 4.0, yes in Valkey since 8.0: on a stock Redis an expiring big set"
            " makes every client wait."
        ),
    ),
    Requirement(
        directive="lazyfree-lazy-eviction",
        wanted="yes",
        severity=Severity.ADVISED,
        why=(
            "With noeviction nothing is evicted, so this does nothing until the policy is changed"
            " or the server shared with a cache; evicting a big key must not stop the server then."
        ),
        stock="no in Redis since 4.0, yes in Valkey since 8.0.",
    ),
    Requirement(
        directive="lazyfree-lazy-server-del",
        wanted="yes",
        severity=Severity.ADVISED,
        why=(
            "A command that overwrites a key (RENAME, a STORE variant) deletes the old value as a"
            " side effect. Freed in the foreground, a big old value stops the server meanwhile."
        ),
        stock="no in Redis since 4.0, yes in Valkey since 8.0.",
    ),
    Requirement(
        directive="lazyfree-lazy-user-del",
        wanted="yes",
        severity=Severity.ADVISED,
        why=(
            "DEL of a big key, typed by an operator or sent by a script, then returns at once and"
            " frees the memory in the background, as UNLINK does."
        ),
        stock="no in Redis since 6.0, yes in Valkey since 8.0.",
    ),
    Requirement(
        directive="lazyfree-lazy-user-flush",
        wanted="yes",
        severity=Severity.ADVISED,
        why=(
            "FLUSHDB and FLUSHALL without ASYNC otherwise stop the server for as long as it takes"
            " to free the whole pool."
        ),
        stock="no in Redis since 6.2, yes in Valkey since 8.0.",
    ),
    Requirement(
        directive="replica-lazy-flush",
        wanted="yes",
        severity=Severity.ADVISED,
        why=(
            "A replica that starts a full resynchronisation drops its old data first; in the"
            " foreground it answers nobody meanwhile and falls further behind."
        ),
        stock="no in Redis since 4.0, yes in Valkey since 8.0.",
    ),
)
"""The directives the library has an opinion on, the ones that lose leases first."""


def recommended_config() -> dict[str, str]:
    """Return the directives and the values to set, in the order of `REQUIREMENTS`."""
    return {requirement.directive: requirement.wanted for requirement in REQUIREMENTS}


def check_config(values: Mapping[str, str]) -> list[Finding]:
    """Hold a server's configuration against `REQUIREMENTS`.

    Args:
        values: What `CONFIG GET *` returned. Names and values are compared without regard to case,
            as servers do. Directives the library has no opinion on are ignored.

    Returns:
        One finding per requirement not met, the required ones first. A directive missing from
        `values` gives a finding whose `value` is `None`: an unknown setting is not a good one.
        An empty list means all is well.
    """
    given = {name.lower(): value for name, value in values.items()}
    findings = [
        Finding(
            directive=requirement.directive,
            severity=requirement.severity,
            value=given.get(requirement.directive),
            wanted=requirement.wanted,
            why=requirement.why,
        )
        for requirement in REQUIREMENTS
        if given.get(requirement.directive, "").lower() not in requirement.accepted
    ]
    return sorted(findings, key=lambda finding: finding.severity is not Severity.REQUIRED)


def parse_version(text: str) -> tuple[int, ...]:
    """Turn a version such as `7.0.15` or `8.0-rc1` into numbers, `(7, 0, 15)` or `(8, 0)`.

    Raises:
        ValueError: The text does not start with a number.
    """
    match = re.match(r"\d+(\.\d+)*", text)
    if match is None:
        raise ValueError(f"not a server version: {text!r}")
    return tuple(int(part) for part in match.group().split("."))


def check_version(info: Mapping[str, object]) -> list[Finding]:
    """Hold a server's version against `MINIMUM_VERSION`.

    Args:
        info: What `INFO server` returned, as a mapping. Only `redis_version` is read: Valkey fills
            it with the Redis version it is compatible with.

    Returns:
        One finding when the server is too old, or does not state a version; none otherwise.
    """
    version = info.get("redis_version")
    text = None if version is None else str(version)
    try:
        known = parse_version(text or "")
    except ValueError:
        known = ()
    if known and (*known, 0)[:2] >= MINIMUM_VERSION:
        return []
    return [
        Finding(
            directive="version",
            severity=Severity.REQUIRED,
            value=text,
            wanted=".".join(map(str, MINIMUM_VERSION)),
            why="The Lua scripts are written for, and tested on, this version and newer ones.",
        )
    ]
