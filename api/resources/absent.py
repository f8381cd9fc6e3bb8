"""Documented endpoints that this version does not have: they answer 501 and their name.

A 404 would tell a client that its monitor is gone. Who adds an endpoint removes its line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import falcon

if TYPE_CHECKING:
    from collections.abc import Callable


ABSENT: Final[tuple[tuple[str, str], ...]] = (
    ("PATCH", "/api/organization"),
    ("POST", "/api/users"),
    ("POST", "/api/notification-channels/test"),
    ("GET", "/api/escalation-config/{identifier}"),
    ("PATCH", "/api/escalation-config/{identifier}"),
    ("POST", "/api/escalation-config/{identifier}/test"),
    ("POST", "/api/status-pages"),
)
"""Method and path of each."""


def refuse(method: str, path: str) -> Callable[..., None]:
    """Return the handler of an absent endpoint."""

    def handler(_req: falcon.Request, _resp: falcon.Response, **_path_parameters: str) -> None:
        raise falcon.HTTPNotImplemented(
            description=f"{method} {path} is documented, and this version does not have it yet"
        )

    return handler
