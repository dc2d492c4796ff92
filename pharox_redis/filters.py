"""Compiles pharox's ``ProxyFilters`` to the program that ``lua/includes/matches.lua`` runs.

A program is a JSON tree (the operators are listed there). It is canonical: clauses are flattened,
sorted, without repetition, so that filters that say the same have the same digest and share a
view. A filter that constrains nothing has the digest "".

Python code cannot run in Redis. For a predicate, or a class that overrides ``matches`` or one of
its parts, the program is the loosest filter that contains the real one (the predicate counts as
true; what it stands in is dropped inside ``none_of``), and :attr:`Compiled.exact` is False: the
candidates are then tested in Python.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from pharox.models import ProxyFilters

from pharox_redis.codec import INDEXED, index_text

Node = list[Any]
TRUE: Node = ["&"]
FALSE: Node = ["|"]
_PARTS = ("matches", "_matches_scalar_constraints", "_matches_geo", "_haversine_distance_km")
_TEXTS = ("source", "country", "city", "isp")


_scalars_of = attrgetter(*INDEXED, "radius_km")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A filter ready for the scripts: its program and digest ("" for none), and if that is all."""

    program: str
    digest: str
    exact: bool


NOTHING = Compiled("", "", True)
# Compiled filters without children, by their values: the usual case, met on every acquire.
_flat: dict[tuple[object, ...], Compiled] = {}


def compile_filters(filters: ProxyFilters | None) -> Compiled:
    """The program of a filter; O(size of the filter). No I/O. Raises ``TypeError``."""
    if filters is None:
        return NOTHING
    if not isinstance(filters, ProxyFilters):
        raise TypeError(
            f"filters must be a pharox ProxyFilters, not {type(filters).__qualname__}; "
            "write ProxyFilters(country='AR')."
        )
    if type(filters) is ProxyFilters and not (
        filters.predicate or filters.all_of or filters.any_of or filters.none_of
    ):
        scalars = _scalars_of(filters)
        known = _flat.get(scalars)
        if known is None:
            known = _compiled(filters)
            if len(_flat) >= 10_000:
                _flat.clear()
            _flat[scalars] = known
        return known
    return _compiled(filters)


def _compiled(filters: ProxyFilters) -> Compiled:
    node, exact = _compile(filters)
    if node == TRUE:
        return Compiled("", "", exact)
    program = _text(node)
    return Compiled(program, hashlib.sha256(program.encode()).hexdigest()[:20], exact)


def _compile(filters: ProxyFilters) -> tuple[Node, bool]:
    kind = type(filters)
    if any(getattr(kind, part) is not getattr(ProxyFilters, part) for part in _PARTS):
        return TRUE, False
    clauses: list[Node] = []
    exact = filters.predicate is None
    for name in _TEXTS:
        if value := getattr(filters, name):
            clauses.append(["=", INDEXED.index(name) + 1, index_text(value)])
    if filters.asn is not None:
        clauses.append(["=", INDEXED.index("asn") + 1, index_text(str(filters.asn))])
    clauses.append(_geo(filters))
    for child in filters.all_of or ():
        node, child_exact = _compile(child)
        clauses.append(node)
        exact = exact and child_exact
    if filters.any_of:
        children = [_compile(child) for child in filters.any_of]
        clauses.append(_join("|", [node for node, _ in children]))
        exact = exact and all(child_exact for _, child_exact in children)
    for child in filters.none_of or ():
        node, child_exact = _compile(child)
        clauses.append(_negate(node) if child_exact else TRUE)
        exact = exact and child_exact
    return _join("&", clauses), exact


def _geo(filters: ProxyFilters) -> Node:
    lat, lon, radius = filters.latitude, filters.longitude, filters.radius_km
    if lat is None or lon is None:
        return TRUE
    if not (math.isfinite(lat) and math.isfinite(lon)):
        return FALSE
    if radius is None:
        return ["~", lat, lon]
    return ["@", lat, lon, radius if math.isfinite(radius) else "inf"]


def _join(op: str, nodes: list[Node]) -> Node:
    """All of (``&``) or one of (``|``) the nodes, in canonical form."""
    parts: dict[str, Node] = {}
    for node in nodes:
        for part in node[1:] if node[0] == op else [node]:
            parts[_text(part)] = part
    absorbing = FALSE if op == "&" else TRUE
    if _text(absorbing) in parts:
        return absorbing
    ordered = [parts[text] for text in sorted(parts)]
    return ordered[0] if len(ordered) == 1 else [op, *ordered]


def _negate(node: Node) -> Node:
    if node == TRUE:
        return FALSE
    if node == FALSE:
        return TRUE
    inner: Node = node[1] if node[0] == "!" else ["!", node]
    return inner


def _text(node: Node) -> str:
    return json.dumps(node, ensure_ascii=False, separators=(",", ":"))
