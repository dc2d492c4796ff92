"""Pages of lists: ``limit`` and ``after`` in, ``Link`` and ``X-Next-After`` out."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import quote, unquote

from fastapi import Query, Request, Response

from pharox_redis.service.limits import LARGEST_PAGE, LONGEST_NAME

Limit: TypeAlias = Annotated[
    int, Query(ge=1, le=LARGEST_PAGE, description="Entries of a page, at most.")
]
After: TypeAlias = Annotated[
    str,
    Query(
        max_length=200,
        description="Go on after the page before: what its X-Next-After header says.",
    ),
]

AfterName: TypeAlias = Annotated[
    str,
    Query(
        max_length=12 * LONGEST_NAME,  # four bytes a character, each as %XX
        description="Go on after the page before: what its X-Next-After header says.",
    ),
]
"""``After`` of a list by name: see ``cursor_of``."""

STORAGE_PAGE: Final = 500
"""What the storage reads in one trip, at most."""

PAGED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "headers": {
            "Link": {
                "description": 'The next page: `<...>; rel="next"`; missing at the end.',
                "schema": {"type": "string"},
            },
            "X-Next-After": {
                "description": "The `after` of the next page; missing at the end.",
                "schema": {"type": "string"},
            },
        }
    }
}
"""For OpenAPI: what the reply with a page has."""


_PLAIN: Final = "".join(chr(code) for code in range(ord("!"), ord("~") + 1) if chr(code) != "%")


def cursor_of(name: str) -> str:
    """A name as a cursor: a header has ASCII only, and no blanks at its ends."""
    return quote(name, safe=_PLAIN)


def name_of(cursor: str) -> str:
    """The name that a cursor stands for."""
    return unquote(cursor)


def name_next(request: Request, response: Response, after: str) -> None:
    """Tell of the next page in headers; ``""``: there is none. The link is relative: what this
    service is called from outside is not for it to know."""
    if after:
        url = request.url.include_query_params(after=after)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        response.headers["X-Next-After"] = after
