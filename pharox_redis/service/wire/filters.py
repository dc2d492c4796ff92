"""Which proxies a lease may be of: pharox's ``ProxyFilters`` without what is Python.

Bounded in depth and number: a filter that is seen for the first time is looked at by the server for
each proxy of a pool.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pharox.models import ProxyFilters
from pydantic import Field, field_validator, model_validator

from pharox_redis.service.wire.base import Incoming, Label
from pharox_redis.service.wire.proxies import LARGEST_ASN

DEEPEST: Final = 4
MOST: Final = 32
_CHILDREN: Final = ("all_of", "any_of", "none_of")
_SCALARS: Final = ("source", "country", "city", "isp", "asn", "latitude", "longitude", "radius_km")


class FiltersIn(Incoming):
    """All that is said must hold; the lists have filters of the same kind, four levels deep and 32
    in all."""

    source: Label | None = None
    country: Label | None = None
    city: Label | None = None
    isp: Label | None = None
    asn: Annotated[int, Field(strict=True, ge=0, le=LARGEST_ASN)] | None = None
    latitude: Annotated[float, Field(strict=True, ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(strict=True, ge=-180, le=180)] | None = None
    radius_km: Annotated[float, Field(strict=True, gt=0, le=20_100)] | None = None
    all_of: Annotated[list[FiltersIn], Field(max_length=MOST)] | None = None
    any_of: Annotated[list[FiltersIn], Field(max_length=MOST)] | None = None
    none_of: Annotated[list[FiltersIn], Field(max_length=MOST)] | None = None

    @model_validator(mode="after")
    def _geography(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude come together, or not at all")
        if self.radius_km is not None and self.latitude is None:
            raise ValueError("radius_km needs latitude and longitude")
        return self

    def to_filters(self) -> ProxyFilters:
        """pharox's model."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _SCALARS}
        for name in _CHILDREN:
            children = getattr(self, name)
            values[name] = None if children is None else [each.to_filters() for each in children]
        return ProxyFilters(**values)


def bounded(value: Any) -> Any:
    """Refuse filters that are too deep or too many, before anything walks down into them.

    O(their number); raises ``ValueError``.
    """
    level: list[Any] = [value]
    total = 0
    for _ in range(DEEPEST):
        level = [
            child
            for each in level
            if isinstance(each, dict)
            for name in _CHILDREN
            if isinstance(each.get(name), list)
            for child in each[name]
        ]
        total += len(level)
        if total >= MOST:
            raise ValueError(f"more than {MOST} filters in one another")
        if not level:
            return value
    raise ValueError(f"filters nested more than {DEEPEST} levels deep")


class Filtering(Incoming):
    """A message that may have filters."""

    filters: FiltersIn | None = None

    @field_validator("filters", mode="before")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        return bounded(value)
