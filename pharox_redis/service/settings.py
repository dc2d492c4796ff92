"""What may be configured, from the environment: ``PHAROX_REDIS_<NAME>``.

The storage's own settings are ``PHAROX_REDIS_STORAGE__<NAME>``. Where the service listens is
``LISTEN_HOST`` and ``LISTEN_PORT``, not ``HOST`` and ``PORT``: Kubernetes gives every container a
``PHAROX_REDIS_PORT`` if a Service is called pharox-redis, and people would take ``HOST`` for the
server's.

No ``.env`` file is read. Nothing here shows a URL's password: it is a ``SecretStr``, and what is
wrong with a value is said without quoting it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pharox_redis.service.api_keys import ApiKey, MalformedKeyError, parse_keys
from pharox_redis.settings import TEN_YEARS_SECONDS, Settings

ENV_PREFIX = "PHAROX_REDIS_"
DEFAULT_URL = "redis://localhost:6379/0"


class ServiceSettings(BaseSettings):
    """The service's settings. Bad values raise ``pydantic.ValidationError``, a ``ValueError``."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    url: Annotated[SecretStr, Field(description="The server, as for RedisStorage.from_url.")] = (
        SecretStr(DEFAULT_URL)
    )
    prefix: Annotated[
        str | None, Field(description="What keys begin with; short for STORAGE__KEY_PREFIX.")
    ] = None
    storage: Annotated[Settings, Field(description="The storage's settings.")] = Settings()
    server_timeout: Annotated[
        float,
        Field(
            gt=0,
            le=60,
            description="s to wait for the server's reply, twice, before a request is a 503.",
        ),
    ] = 1.0

    listen_host: Annotated[str, Field(min_length=1, description="Where `serve` listens.")] = (
        "127.0.0.1"
    )
    listen_port: Annotated[int, Field(ge=0, le=65535, description="0: any free port.")] = 8000
    workers: Annotated[int, Field(ge=1, le=256, description="Processes of `serve`.")] = 1
    shutdown_seconds: Annotated[
        int, Field(ge=0, le=3600, description="s that requests have to finish in at a stop.")
    ] = 30

    api_keys: Annotated[
        tuple[ApiKey, ...],
        NoDecode,
        Field(description="name:role:sha256 of each key, between spaces or commas."),
    ] = ()
    api_keys_file: Annotated[
        Path | None, Field(description="A file with more of them, one a line; # begins a comment.")
    ] = None
    open_metrics: Annotated[bool, Field(description="/metrics needs no key.")] = False
    docs: Annotated[bool, Field(description="Whether there are /docs and /openapi.json.")] = True
    dashboard: Annotated[bool, Field(description="Whether there is a dashboard at /.")] = True

    max_ttl_seconds: Annotated[
        float, Field(ge=0.001, le=TEN_YEARS_SECONDS, description="The longest lease.")
    ] = 86_400.0
    idempotency_seconds: Annotated[
        float,
        Field(
            ge=1,
            le=TEN_YEARS_SECONDS,
            description="s an Idempotency-Key is remembered; no less than lease and retention.",
        ),
    ] = 86_400.0
    max_body_bytes: Annotated[int, Field(ge=1_024, description="Of any request but a bulk.")] = (
        256 * 1024
    )
    max_bulk_bytes: Annotated[int, Field(ge=1_024, description="Of a bulk of proxies.")] = (
        64 * 1024 * 1024
    )
    max_line_bytes: Annotated[int, Field(ge=256, description="Of one line of a bulk.")] = 16 * 1024
    body_seconds: Annotated[
        float, Field(gt=0, description="s between two parts of a body that comes in.")
    ] = 20.0

    sweep_seconds: Annotated[
        float, Field(ge=0, le=3600, description="s between sweeps; 0: this service sweeps nothing.")
    ] = 1.0

    @field_validator("url")
    @classmethod
    def _usable(cls, value: SecretStr) -> SecretStr:
        from pharox_redis.connecting import connect_async
        from pharox_redis.errors import InvalidUrlError

        try:
            connect_async(value.get_secret_value())  # no connection is made yet
        except InvalidUrlError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("api_keys", mode="before")
    @classmethod
    def _keys(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return parse_keys(re.split(r"[\s,]+", value.strip(" \t\r\n,")) if value.strip() else ())
        except MalformedKeyError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="before")
    @classmethod
    def _prefixed(cls, values: Any) -> Any:
        """``prefix`` is the storage's ``key_prefix``."""
        if isinstance(values, dict) and values.get("prefix"):
            storage = values.get("storage") or {}
            if isinstance(storage, Settings):
                storage = storage.model_dump()
            values = {**values, "storage": {**storage, "key_prefix": values["prefix"]}}
        return values

    @field_validator("api_keys_file")
    @classmethod
    def _readable(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None:
            _with_file(info.data.get("api_keys", ()), path)
        return path

    @model_validator(mode="after")
    def _joined(self) -> Self:
        """The keys of the file join the others."""
        if self.api_keys_file is not None:
            object.__setattr__(self, "api_keys", _with_file(self.api_keys, self.api_keys_file))
        return self

    @property
    def client_options(self) -> dict[str, Any]:
        """What redis-py is told besides the URL (which wins): not to wait long for a server that is
        away. One repetition stays: a reply that got lost is asked for again."""
        from redis.asyncio.retry import Retry
        from redis.backoff import ConstantBackoff

        timeout = self.server_timeout
        if self.storage.min_replicas:
            # WAIT answers late by design.
            timeout = max(timeout, self.storage.replica_timeout + 0.5)
        options: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        if "+cluster://" not in self.url.get_secret_value():
            options["retry"] = Retry(ConstantBackoff(0.05), 1)
        return options


def _with_file(keys: tuple[ApiKey, ...], path: Path) -> tuple[ApiKey, ...]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ValueError(f"{str(path)!r} cannot be read: {why}") from None
    texts = [text for line in lines if (text := line.partition("#")[0].strip())]
    if not texts:
        # Somebody meant there to be keys: without any, this machine needs none.
        raise ValueError(f"{str(path)!r} has no keys")
    try:
        return parse_keys(dict.fromkeys([*(key.line for key in keys), *texts]))
    except MalformedKeyError as error:
        raise ValueError(str(error)) from None


def explain(error: ValidationError) -> list[str]:
    """Which variables are wrong and why, a line each, without their values."""
    lines = []
    for each in error.errors(include_input=False, include_url=False, include_context=False):
        path = [str(part) for part in each["loc"]]
        message = each["msg"].removeprefix("Value error, ")
        name = ENV_PREFIX + "__".join(path).upper() if path else ""
        if path == ["storage", "key_prefix"]:
            name += f" (or {ENV_PREFIX}PREFIX)"
        lines.append(f"{name}: {message}" if name else f"{ENV_PREFIX}{message}")
    return lines
