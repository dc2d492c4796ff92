"""What a user may choose, in one model. Times are in seconds unless the name says ``_ms``.

All clients of one prefix should use the same settings; nothing breaks if they differ for a while
(each call carries its own).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

TEN_YEARS_SECONDS = 315_576_000.0


class Settings(BaseModel):
    """What a user may set. Bad values raise ``pydantic.ValidationError``, a ``ValueError``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_prefix: Annotated[
        str,
        Field(min_length=1, max_length=64, description="First part of every key; no braces."),
    ] = "pharox"
    lease_retention: Annotated[
        float,
        Field(ge=0, le=TEN_YEARS_SECONDS, description="s a lease stays readable after its end."),
    ] = 60.0
    claim_seconds: Annotated[
        float,
        Field(ge=0, le=60, description="s a find holds its proxy for the caller; 0: not at all."),
    ] = 1.0
    view_limit: Annotated[
        int, Field(ge=0, le=1000, description="Filtered views a pool may have.")
    ] = 64
    view_idle_seconds: Annotated[
        float,
        Field(gt=0, le=TEN_YEARS_SECONDS, description="s without use before a view is dropped."),
    ] = 600.0
    chunk_ms: Annotated[
        float,
        Field(gt=0, le=100, description="ms after which a long-running script stops itself."),
    ] = 2.0
    predicate_scan_limit: Annotated[
        int, Field(ge=1, description="Proxies a predicate may refuse before the scan gives up.")
    ] = 10_000
    health_history: Annotated[
        int, Field(ge=1, le=10_000, description="Health records kept for a proxy.")
    ] = 100

    min_replicas: Annotated[
        int, Field(ge=0, le=100, description="Replicas that must have a lease before it is given.")
    ] = 0
    replica_timeout: Annotated[
        float,
        Field(
            ge=0.001,
            le=60,
            description="s to wait for them; less than the client's socket_timeout (5).",
        ),
    ] = 1.0

    @field_validator("key_prefix")
    @classmethod
    def _no_braces(cls, value: str) -> str:
        if "{" in value or "}" in value:
            raise ValueError(
                f"key_prefix {value!r} must not contain braces: they would change which part of "
                "a key decides its Cluster slot"
            )
        if any(char.isspace() for char in value) or not value.isprintable():
            raise ValueError(f"key_prefix {value!r} must not contain spaces or control characters")
        return value

    @property
    def limits(self) -> str:
        """``chunk_us view_bound view_idle_ms``, as the scripts take it."""
        idle_ms = max(1, round(self.view_idle_seconds * 1000))
        return f"{self.chunk_us} {self.view_limit} {idle_ms}"

    @property
    def chunk_us(self) -> int:
        """``chunk_ms`` in microseconds."""
        return max(1, round(self.chunk_ms * 1000))

    @property
    def retention_ms(self) -> int:
        """The retention in ms."""
        return round(self.lease_retention * 1000)
