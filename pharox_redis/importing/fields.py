"""Where the fields of a proxy are found in an object of a list.

Providers agree on what a proxy has but not on the names. A `FieldMap` finds each field of ours in
an object (a JSON object, or a CSV row under its header):

- a field that the user mapped is read from that path and nowhere else. A path is the exact name of
  a column or key, or names joined by dots that lead into nested objects (``geo.country.code``;
  a number picks from an array). A path that leads nowhere is a missing value. An empty path means
  that the list does not say this field, whatever its columns are called.
- any other field is read from the first of its usual names that has a plain value there; case,
  blanks and punctuation in names do not count (``Country Code`` is ``country_code``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from pharox_redis.importing.records import ListError

OUR_STATUS = "pharox_status"
"""The only usual name of a status: what providers call one ("alive", "200") is something else."""

# The usual names of each field, best first.
_USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "url": ("url", "proxy_url", "proxy"),
    "host": ("host", "ip", "ip_address", "hostname", "address", "proxy_address", "server"),
    "port": ("port", "proxy_port"),
    "protocol": ("protocol", "protocols", "scheme", "type"),
    "user": ("user", "username", "user_name", "login"),
    "password": ("password", "pass", "passwd"),
    "source": ("source", "provider"),
    "country": ("country_code", "country_iso_code", "country"),
    "city": ("city", "city_name"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "long", "lon", "lng"),
    "isp": ("isp", "org", "organization"),
    "asn": ("asn", "as_number"),
    "status": (OUR_STATUS,),
    "max_concurrency": ("max_concurrency",),
}

FIELDS = tuple(_USUAL_NAMES)
"""Every field that can be mapped; ``url`` is a whole proxy in one of the line notations."""

# A usual name can be worn by something else (`type` is often "residential"), so there is a way to
# say that the list does not have the field.
_LEAVE_OUT = ""


@lru_cache(maxsize=4096)
def _bare(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


_BARE_NAMES = {field: tuple(map(_bare, names)) for field, names in _USUAL_NAMES.items()}


class FieldMap:
    """The paths a user gave, over the usual names.

    Attributes
    ----------
        unused: Mapped fields, with their paths, that no object so far had anything under: likely
            misspelt ones.

    Raises
    ------
        ListError: A field that is none of `FIELDS`.
    """

    def __init__(self, paths: Mapping[str, str] | None = None) -> None:
        self._paths = dict(paths or {})
        for field in self._paths:
            if field not in FIELDS:
                raise ListError(f"unknown field {field!r}; fields are {', '.join(FIELDS)}")
        self.unused = {field: path for field, path in self._paths.items() if path != _LEAVE_OUT}

    @classmethod
    def parse(cls, items: Iterable[str]) -> FieldMap:
        """Read ``FIELD=PATH`` texts.

        Raises
        ------
            ListError: A text without ``=``, a field twice, or one that is none of `FIELDS`.
        """
        paths: dict[str, str] = {}
        for item in items:
            field, equals, path = item.partition("=")
            field = field.strip()
            if not equals:
                raise ListError(f"{item!r} is not FIELD=PATH, as in country=geo.country.iso_code")
            if field in paths:
                raise ListError(f"field {field!r} is mapped twice")
            paths[field] = path.strip()
        return cls(paths)

    def pick(self, item: Mapping[str, object]) -> dict[str, object]:
        """Return the values of an object by our fields; fields without a value are left out."""
        named: dict[str, object] = {}
        for name, value in item.items():
            bare = _bare(name)
            if _is_plain(value, bare):
                named.setdefault(bare, value)
        found: dict[str, object] = {}
        for field, names in _BARE_NAMES.items():
            value = self._mapped(item, field) if field in self._paths else _first(named, names)
            if value is not None:
                found[field] = value
        return found

    def knows(self, columns: Iterable[str]) -> bool:
        """Tell whether a header has a column to find proxies by: a host or a whole proxy."""
        exact = set(columns)
        bare = {_bare(column) for column in exact}
        return any(
            self._paths[field] in exact
            if field in self._paths
            else not bare.isdisjoint(_BARE_NAMES[field])
            for field in ("host", "url")
        )

    def _mapped(self, item: Mapping[str, object], field: str) -> object:
        path = self._paths[field]
        if path == _LEAVE_OUT:
            return None
        value = _follow(item, path)
        if value is not None:
            self.unused.pop(field, None)
        return value


def _follow(item: Mapping[str, object], path: str) -> object:
    if path in item:
        return item[path]
    value: object = item
    for name in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _first(named: Mapping[str, object], names: Iterable[str]) -> object:
    return next((named[name] for name in names if name in named), None)


def _is_plain(value: object, bare: str) -> bool:
    """Tell whether a value says something on its own; blank text and nested values do not."""
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, list):
        return bare in _BARE_NAMES["protocol"]
    return value is not None and not isinstance(value, Mapping)
