"""Pages of lists: ``limit`` and ``after`` in, ``Link`` and ``X-Next-After`` out."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Query, Request, Response

from pharox_redis.service.limits import LARGEST_PAGE

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

STORAGE_PAGE = 500
"""What the storage reads in one trip, at most."""

HEADERS = {
    "Link": {
        "description": 'The next page: `<...>; rel="next"`; missing at the end.',
        "schema": {"type": "string"},
    },
    "X-Next-After": {
        "description": "The `after` of the next page; missing at the end.",
        "schema": {"type": "string"},
    },
}


def name_next(request: Request, response: Response, after: str) -> None:
    """Tell of the next page in headers; ``""``: there is none. The link is relative: what this
    service is called from outside is not for it to know."""
    if after:
        url = request.url.include_query_params(after=after)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        response.headers["X-Next-After"] = after
