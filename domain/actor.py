"""The actor that every event records, and the roles of tokens (contract Q-24).

What each role may do is the API's table of permissions.
"""

from __future__ import annotations

from typing import Final, Literal, NotRequired, TypedDict, get_args


class Actor(TypedDict):
    """Who gave a command, as JSON-native values.

    `type` says what kind of actor it is: `token` (a REST client, `id` is the token's
    public id), `operator` (the command line, `id` is the user of the operating system),
    `checker` (`id` is the location and process) or `system` (the first start, or the archiver).
    """

    type: Literal["token", "operator", "checker", "system"]
    id: str
    name: NotRequired[str]
    role: NotRequired[str]
    request_id: NotRequired[str]


SYSTEM: Actor = {"type": "system", "id": "first-start"}
ARCHIVER: Actor = {"type": "system", "id": "archiver"}
"""The projections process, which archives old checks by itself."""


def operator(user: str) -> Actor:
    """Return the actor for a person at the command line."""
    return {"type": "operator", "id": user}


Role = Literal["admin", "user", "readonly", "supporter", "operator", "metrics"]
"""`supporter` is the global supporter: reads every organization and writes nothing. The last two
are roles of the installation: `operator` also reads what concerns all of it, `metrics` reads the
numbers for Prometheus alone."""

INSTALLATION_ROLES: Final[tuple[Role, ...]] = ("supporter", "operator", "metrics")
"""Roles whose tokens are issued by command only, and for no single customer."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
