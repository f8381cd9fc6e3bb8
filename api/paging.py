"""How much of a list is asked for: `page` and `perPage` (part B, 2.5; Q-28), or `limit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import falcon

from api.query import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULTS: Final[Mapping[str, int]] = {"page": 1, "perPage": 50, "limit": 50}
MAX_PER_PAGE: Final = 200
MAX_LIMIT: Final = 200
LARGEST: Final[Mapping[str, int]] = {"page": 10**9, "perPage": 10**9, "limit": 10**18 - 1}
"""What is refused above. A larger page is asked for by mistake; a larger size is cut."""


def read_page(req: falcon.Request) -> tuple[int, int]:
    """Return page and page size; a size above 200 is 200. Raises 400 on anything below 1."""
    return _number(req, "page"), min(_number(req, "perPage"), MAX_PER_PAGE)


def read_limit(req: falcon.Request) -> int:
    """Return how many entries a list shall have, 200 at most. Raises 400 on anything below 1."""
    return min(_number(req, "limit"), MAX_LIMIT)


def _number(req: falcon.Request, name: str) -> int:
    text = req.get_param(name)
    if text is None:
        return DEFAULTS[name]
    number = whole_number(text)
    if not number or number > LARGEST[name]:
        raise falcon.HTTPBadRequest(description=f"Invalid {name}: must be a whole number from 1")
    return number
