"""Positions of the audit log in a query: where a page begins or ends."""

from __future__ import annotations

import falcon

from api.query import whole_number


def query_position(req: falcon.Request, name: str, *, head: int) -> int | None:
    """Return a position from the query, None when it is not there.

    Raises 400 for anything but a whole number up to the head of the log.
    """
    text = req.get_param(name)
    if text is None:
        return None
    position = whole_number(text)
    if position is None:
        raise falcon.HTTPBadRequest(description=f"Invalid {name}: must be a position of the log")
    if position > head:
        raise falcon.HTTPBadRequest(
            description=f"Invalid {name}: lies beyond the head of the log, which is {head}"
        )
    return position
