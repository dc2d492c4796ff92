"""The kinds of fields that several messages have."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, StringConstraints

from pharox_redis.codec import as_utc
from pharox_redis.service.limits import LONGEST_NAME, LONGEST_TEXT


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it has half a surrogate pair, which has no UTF-8 form") from None
    return text


def _spoken(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("it must not be blank or have line breaks or control characters")
    return text


Name: TypeAlias = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_NAME),
    AfterValidator(_encodable),
    AfterValidator(_spoken),
]
"""A name that people give: of a pool, of a consumer."""

Text: TypeAlias = Annotated[
    str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_encodable)
]

Label: TypeAlias = Annotated[
    str, StringConstraints(max_length=LONGEST_NAME), AfterValidator(_encodable)
]
"""A country, a city, a source: compared as it is."""

Moment: TypeAlias = Annotated[
    datetime, PlainSerializer(lambda moment: as_utc(moment).isoformat(), return_type=str)
]
"""A time as ISO 8601 with ``+00:00``."""


class Incoming(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Outgoing(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(frozen=True)
