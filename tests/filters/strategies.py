"""Filters and proxies at random, few values each so that they meet, and the odd ones among them.

:func:`decides` tells which pairs have an answer at all. Two kinds have none: those where
``ProxyFilters.matches`` itself raises (its haversine takes the arc sine of a number that rounding
put above one, as it does for some antipodes), and those where the distance is the radius but for
the last bits of a sine: the servers' C library may round them otherwise than Python's.
"""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from pharox.models import Proxy, ProxyFilters, ProxyProtocol, ProxyStatus

LONG = "x" * 57
TEXTS = [
    "",
    "DE",
    "de",
    "é",
    "e\u0301",
    "#",
    "#DE",
    LONG,
    LONG + "y",
    "x" * 56,
    "x" * 300,
    "漢" * 19,
    "\x00",
    '"',
    "\\",
    "a\nb",
    "\u2028",
    "\x7f",
    "😀",
    " DE",
    "%s",
    "0",
    "-0.0",
]
LATITUDES = [0.0, -0.0, 52.5, 52.500001, 52.5000011, 52.4999989, -52.5, 90.0, -90.0, 1e-7, 5e-324]
LONGITUDES = [0.0, -0.0, 13.4, 13.4000009, -166.6, 180.0, -180.0, 1e-6, 1.0000001e-6, 179.9999]
RADII = [None, None, 1e-12, 1e-4, 0.1, 1.0, 343.5, 6371.0, 10007.543398010286, 20015.0, 20016.0]
POOL = UUID(int=1)


def maybe(values: list[Any], more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Nothing half of the time, else one of the usual values or any other."""
    usual = st.sampled_from(values)
    return st.one_of(st.none(), st.none(), usual, usual, more)


texts = maybe(TEXTS, st.text(max_size=80))
numbers = maybe([0, 1, -1, 64512, 2**31, 2**53 + 1, 10**70], st.integers(-(2**70), 2**70))
latitudes = st.one_of(st.sampled_from(LATITUDES), st.floats(-90, 90))
longitudes = st.one_of(st.sampled_from(LONGITUDES), st.floats(-180, 180))
anywhere = st.floats(allow_nan=False, allow_infinity=False)
nowhere = st.sampled_from([math.nan, math.inf, -math.inf])
radii = st.one_of(
    st.sampled_from([*RADII, math.inf, 1e308, 5e-324]), st.floats(1e-9, 21_000, allow_nan=False)
)


def near(latitude: float, longitude: float) -> st.SearchStrategy[tuple[float, float]]:
    """Another place: the same, about a millionth away, or on the other side of the globe."""
    offsets = st.sampled_from([0.0, 1e-6, -1e-6, 9.99e-7, 1.01e-6, 1e-9])
    close = st.tuples(offsets, offsets).map(lambda by: (latitude + by[0], longitude + by[1]))
    return st.one_of(close, st.just((-latitude, longitude + 180)))


@st.composite
def places(draw: st.DrawFn) -> tuple[float | None, float | None]:
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return None, None
    here = draw(latitudes), draw(longitudes)
    return draw(near(*here)) if kind == 1 else here


@st.composite
def leaves(draw: st.DrawFn, python: bool) -> ProxyFilters:
    fields: dict[str, Any] = {name: draw(texts) for name in ("source", "country", "city", "isp")}
    keep = draw(st.sets(st.sampled_from(list(fields)), max_size=2))
    fields = {name: value for name, value in fields.items() if name in keep}
    if draw(st.integers(0, 3)) == 0:
        fields["asn"] = draw(numbers)
    if draw(st.booleans()):
        fields["latitude"], fields["longitude"] = draw(places())
        if fields["latitude"] is not None:
            if draw(st.integers(0, 9)) == 0:
                fields["latitude"] = draw(st.one_of(anywhere, nowhere))
            fields["radius_km"] = draw(radii)
    if python and draw(st.integers(0, 4)) == 0:
        fields["predicate"] = draw(st.sampled_from([odd_port, no_country]))
    return ProxyFilters(**fields)


def odd_port(proxy: Proxy) -> bool:
    return proxy.port % 2 == 1


def no_country(proxy: Proxy) -> bool:
    return not proxy.country


def filters(python: bool) -> st.SearchStrategy[ProxyFilters]:
    """Filters nested up to four deep, some with predicates if ``python``."""
    level = leaves(python)
    for _ in range(3):
        children = st.lists(level, max_size=2)
        level = st.one_of(
            leaves(python),
            st.builds(
                lambda top, all_of, any_of, none_of: top.model_copy(
                    update={
                        "all_of": all_of or None,
                        "any_of": any_of or None,
                        "none_of": none_of or None,
                    }
                ),
                leaves(python),
                children,
                children,
                children,
            ),
        )
    return level


@st.composite
def some_proxies(draw: st.DrawFn) -> Proxy:
    latitude, longitude = draw(places())
    if draw(st.integers(0, 9)) == 0:
        latitude = draw(st.one_of(st.none(), anywhere))
    return Proxy(
        id=draw(st.uuids()),
        pool_id=POOL,
        host="192.0.2.1",
        port=draw(st.sampled_from([8080, 8081])),
        protocol=ProxyProtocol.HTTP,
        status=ProxyStatus.ACTIVE,
        source=draw(texts),
        country=draw(texts),
        city=draw(texts),
        isp=draw(texts),
        asn=draw(numbers),
        latitude=latitude,
        longitude=longitude,
    )


proxies = some_proxies()


def decides(given: ProxyFilters, proxy: Proxy) -> bool:
    """Whether the answer for this pair depends on nothing but the filter."""
    children = [*(given.all_of or ()), *(given.any_of or ()), *(given.none_of or ())]
    return _own_place_decides(given, proxy) and all(decides(each, proxy) for each in children)


def _own_place_decides(given: ProxyFilters, proxy: Proxy) -> bool:
    here = (given.latitude, given.longitude, proxy.latitude, proxy.longitude)
    if given.radius_km is None or None in here or math.nan in here:
        return True
    try:
        lat1, lon1, lat2, lon2 = (math.radians(each) for each in here if each is not None)
        a = (
            math.sin((lat2 - lat1) / 2) ** 2
            + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
        )
        # A few units in the last place of every part, not of the (perhaps cancelled) sum.
        error = 1e-15 * max(1.0, abs(a))
        inside = [
            6371.0 * 2 * math.asin(math.sqrt(min(max(each, 0.0), 1.0))) <= given.radius_km
            for each in (a - error, a, a + error)
        ]
        math.asin(math.sqrt(a))
    except ValueError:
        return False
    if 0 <= a < 1e-12:
        # So near that only relative errors count: the cosines are off by a few last places.
        inside = [
            6371.0 * 2 * math.asin(math.sqrt(a * factor)) <= given.radius_km
            for factor in (1 - 1e-14, 1, 1 + 1e-14)
        ]
    return len(set(inside)) == 1 and a < 1 - 1e-15 and not math.isnan(a)
