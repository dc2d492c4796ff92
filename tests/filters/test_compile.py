"""The canonical form: filters that say the same have one digest, and the program contains the
filter.

Programs are judged in Python here, by :func:`tests.support.invariants.accepts`; that the Lua
function agrees is ``test_evaluation``'s part. ``ProxyFilters.matches`` is the oracle: where a
filter compiles exactly both say the same, and where Python must decide (a predicate, an overridden
``matches``) nothing that matches is refused.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pharox.models import Proxy, ProxyFilters

from pharox_redis.codec import INDEXED, encode_proxy
from pharox_redis.filters import NOTHING, compile_filters
from tests.filters.strategies import decides, filters, proxies
from tests.support.invariants import FIELDS, accepts

F = ProxyFilters


class Never(ProxyFilters):
    """A filter of its own kind."""

    def matches(self, proxy: Proxy) -> bool:
        return False


class ShortCountry(ProxyFilters):
    def _matches_scalar_constraints(self, proxy: Proxy) -> bool:
        return (proxy.country or "") < (self.country or "")


def refuse(proxy: Proxy) -> bool:
    return False


def digest(given: ProxyFilters | None) -> str:
    return compile_filters(given).digest


def program_accepts(given: ProxyFilters, proxy: Proxy) -> bool:
    program = compile_filters(given).program
    columns, _ = encode_proxy(proxy)
    fields = {
        key: value for key, value in zip(FIELDS, columns[: len(INDEXED)], strict=True) if value
    }
    return accepts(json.loads(program), fields) if program else True


DE, US, A = F(country="DE"), F(country="US"), F(source="a")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (F(country="DE", source="a"), F(source="a", country="DE")),
        (F(all_of=[DE, A]), F(all_of=[A, DE])),
        (F(all_of=[DE, A]), F(country="DE", source="a")),
        (F(all_of=[DE, DE, DE]), DE),
        (F(all_of=[F(all_of=[F(all_of=[DE]), A])]), F(country="DE", source="a")),
        (F(any_of=[DE, US]), F(any_of=[US, DE, US])),
        (F(any_of=[DE, F(any_of=[US, A])]), F(any_of=[F(any_of=[A, DE]), US])),
        (F(any_of=[DE]), DE),
        (F(any_of=[F(), DE]), F()),
        (F(none_of=[F(none_of=[DE])]), DE),
        (F(none_of=[DE, US]), F(all_of=[F(none_of=[US]), F(none_of=[DE])])),
        (F(none_of=[F()]), F(all_of=[DE, F(none_of=[F()])])),
        (F(country="", source="", city="", isp=""), F()),
        (F(country="", source="a"), A),
        (F(all_of=[], any_of=[], none_of=[]), F()),
        (F(all_of=[F(), F(country="")]), F()),
        (F(latitude=1, longitude=2), F(latitude=1.0, longitude=2.0)),
        (F(none_of=[F(all_of=[DE, A])]), F(none_of=[F(source="a", country="DE")])),
    ],
)
def test_same_meaning_same_digest(one: ProxyFilters, other: ProxyFilters) -> None:
    assert compile_filters(one) == compile_filters(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (DE, US),
        (DE, F(source="DE")),
        (F(city="x"), F(isp="x")),
        (F(asn=0), F()),
        (F(asn=0), F(asn=1)),
        (F(asn=1), F(isp="1")),
        (F(all_of=[DE, US]), F(any_of=[DE, US])),
        (F(none_of=[DE]), DE),
        (F(none_of=[F()]), F()),
        (F(latitude=1, longitude=2), F(latitude=2, longitude=1)),
        (F(latitude=1, longitude=2), F(latitude=1, longitude=2, radius_km=1e-9)),
        (F(latitude=1, longitude=2, radius_km=5), F(latitude=1, longitude=2, radius_km=5.5)),
        (F(latitude=1, longitude=2, radius_km=5), F(latitude=1, longitude=2, radius_km=1e999)),
        (F(country="é"), F(country="e\u0301")),
        (F(country="#" + "0" * 40), F(country="0" * 40)),
    ],
)
def test_other_meaning_other_digest(one: ProxyFilters, other: ProxyFilters) -> None:
    assert digest(one) != digest(other)


def test_no_filter_constrains_nothing() -> None:
    assert compile_filters(None) == NOTHING == compile_filters(F())


def test_python_code_is_true_or_dropped() -> None:
    assert compile_filters(F(predicate=refuse)).digest == ""
    assert not compile_filters(F(predicate=refuse)).exact
    assert digest(F(country="DE", predicate=refuse)) == digest(DE)
    assert digest(F(none_of=[F(country="DE", predicate=refuse), US])) == digest(F(none_of=[US]))
    assert digest(F(any_of=[F(predicate=refuse), US])) == ""
    assert digest(F(all_of=[Never(country="DE"), US])) == digest(US)
    assert digest(ShortCountry(country="DE")) == ""
    assert not compile_filters(F(none_of=[ShortCountry(country="DE")])).exact


def shuffled(given: ProxyFilters, how: random.Random) -> ProxyFilters:
    """The same filter, written otherwise: clauses moved to ``all_of``, in another order, twice."""
    moved: list[ProxyFilters] = []
    kept: dict[str, Any] = {"predicate": given.predicate}
    for name in ("source", "country", "city", "isp", "asn"):
        value = getattr(given, name)
        if value is not None and how.random() < 0.5:
            moved.append(F(**{name: value}))
        else:
            kept[name] = value
    kept["latitude"], kept["longitude"] = given.latitude, given.longitude
    kept["radius_km"] = given.radius_km
    for name in ("all_of", "any_of", "none_of"):
        children = [shuffled(child, how) for child in getattr(given, name) or ()]
        if children and how.random() < 0.5:
            children.append(how.choice(children))
        how.shuffle(children)
        kept[name] = children
    kept["all_of"] += moved
    whole = F(**kept)
    return F(all_of=[whole]) if how.random() < 0.3 else whole


@settings(deadline=None, max_examples=100)
@given(filters(python=False), st.randoms(use_true_random=False))
def test_however_it_is_written(given: ProxyFilters, how: random.Random) -> None:
    assert compile_filters(shuffled(given, how)) == compile_filters(given)


@settings(deadline=None, max_examples=80)
@given(filters(python=True), st.lists(proxies, min_size=1, max_size=6))
def test_the_program_contains_the_filter(given: ProxyFilters, some: list[Proxy]) -> None:
    contains(given, some)


@pytest.mark.slow
@settings(deadline=None, max_examples=3000)
@given(filters(python=True), st.lists(proxies, min_size=1, max_size=6))
def test_the_program_contains_the_filter_at_length(given: ProxyFilters, some: list[Proxy]) -> None:
    contains(given, some)


def contains(given: ProxyFilters, some: list[Proxy]) -> None:
    exact = compile_filters(given).exact
    assert exact or given.requires_python()
    for proxy in some:
        if not decides(given, proxy):
            continue
        matched, accepted = given.matches(proxy), program_accepts(given, proxy)
        assert accepted or not matched
        if exact:
            assert accepted == matched
