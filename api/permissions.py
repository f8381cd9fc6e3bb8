"""What each role may do: one table, read by every endpoint (contract part B, 3).

A role says what, a scope says whose. Both are pure questions about a principal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from domain.access_token import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.actor import Actor


class Action(StrEnum):
    """Something that an endpoint does."""

    READ_MONITOR = "read a monitor"
    CREATE_MONITOR = "create monitors"
    UPDATE_MONITOR = "change more than a monitor's status"
    UPDATE_STATUS = "change a monitor"
    DELETE_MONITOR = "delete monitors"
    SEE_SECRETS = "see secrets that it writes"


_WRITERS: Final = frozenset[Role]({"admin", "user"})

ALLOWED: Final[Mapping[Action, frozenset[Role]]] = {
    Action.READ_MONITOR: frozenset({"admin", "user", "readonly", "supporter"}),
    Action.CREATE_MONITOR: _WRITERS,
    Action.UPDATE_MONITOR: _WRITERS,
    Action.UPDATE_STATUS: _WRITERS | {"readonly"},
    Action.DELETE_MONITOR: _WRITERS,
    Action.SEE_SECRETS: _WRITERS,
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: the token's role and scope. `customer_id` None means all customers."""

    token_id: str
    name: str
    role: Role
    organization_id: str
    customer_id: str | None

    def may(self, action: Action) -> bool:
        """Return whether the role allows an action."""
        return self.role in ALLOWED[action]

    def sees_organization(self, organization_id: str) -> bool:
        """Return whether anything of an organization may be known to the caller."""
        return self.role == "supporter" or organization_id == self.organization_id

    def covers_customer(self, customer_id: str) -> bool:
        """Return whether a customer is in the token's scope."""
        return self.customer_id is None or customer_id == self.customer_id

    def actor(self, request_id: str) -> Actor:
        """Return what an event records about the caller."""
        return {
            "type": "token",
            "id": self.token_id,
            "name": self.name,
            "role": self.role,
            "request_id": request_id,
        }
