"""What each role may do: one table, read by every endpoint (contract part B, 3).

The role of a principal decides which actions it may take, its scope decides whose monitors,
customers and tokens they may concern. Both are pure functions.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import falcon

from domain.actor import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.actor import Actor


class Action(StrEnum):
    """What an endpoint does; the text completes "may not ..."."""

    READ_MONITOR = "read a monitor"
    READ_HISTORY = "read the history of a monitor"
    READ_HISTORY_OF_DELETED = "read the history of a deleted monitor"
    READ_EVENTS = "read the audit log"
    CREATE_MONITOR = "create monitors"
    UPDATE_MONITOR = "change more than a monitor's status"
    UPDATE_STATUS = "change a monitor"
    DELETE_MONITOR = "delete monitors"
    SEE_SECRETS = "see secrets that it writes"
    READ_CUSTOMER = "read customers"
    MANAGE_CUSTOMERS = "create or change customers"
    MANAGE_ORGANIZATION_TOKENS = "manage the organization's tokens"
    MANAGE_CUSTOMER_TOKENS = "manage customers' tokens"
    READ_ORGANIZATION = "read the organization"
    MANAGE_TAGS = "create tags, or put them on monitors"
    MANAGE_ALL_TAGS = "change tags that others created"
    MANAGE_WINDOWS = "plan maintenance windows"
    READ_CHANNELS = "read notification channels"
    MANAGE_CHANNELS = "create or change notification channels"
    MANAGE_EXTRA_CHANNELS = "create or change channels of types that need an extra"
    MANAGE_PACKAGES = "change packages"
    READ_INCIDENT = "read incidents"
    MANAGE_INCIDENTS = "acknowledge or close incidents"
    READ_LOCATION_INCIDENTS = "read incidents of locations"
    READ_METRICS = "read metrics"
    READ_LOG_PROOFS = "read proofs of whole logs"
    READ_BLOCKED_ADDRESSES = "read addresses that the network policy does not allow"


_EVERYONE: Final = frozenset[Role]({"admin", "user", "readonly", "supporter", "operator"})
_WRITERS: Final = frozenset[Role]({"admin", "user"})
_ADMINS: Final = frozenset[Role]({"admin"})
_OVERSEERS: Final = frozenset[Role]({"admin", "supporter", "operator"})
_OPERATORS: Final = frozenset[Role]({"operator"})
"""What concerns all organizations is for roles of the installation."""
_GLOBAL: Final = frozenset[Role]({"supporter", "operator"})
"""Roles that see every organization."""

ALLOWED: Final[Mapping[Action, frozenset[Role]]] = {
    Action.READ_MONITOR: _EVERYONE,
    Action.READ_HISTORY: _EVERYONE,
    Action.READ_HISTORY_OF_DELETED: _OVERSEERS,
    Action.READ_EVENTS: _OVERSEERS,
    Action.CREATE_MONITOR: _WRITERS,
    Action.UPDATE_MONITOR: _WRITERS,
    Action.UPDATE_STATUS: _WRITERS | {"readonly"},
    Action.DELETE_MONITOR: _WRITERS,
    Action.SEE_SECRETS: _WRITERS,
    Action.READ_CUSTOMER: _EVERYONE,
    Action.MANAGE_CUSTOMERS: _ADMINS,
    Action.MANAGE_ORGANIZATION_TOKENS: _ADMINS,
    Action.MANAGE_CUSTOMER_TOKENS: _WRITERS,
    Action.READ_ORGANIZATION: _EVERYONE,
    Action.MANAGE_TAGS: _WRITERS | {"readonly"},
    Action.MANAGE_ALL_TAGS: _ADMINS,
    Action.MANAGE_WINDOWS: _WRITERS | {"readonly"},
    Action.READ_CHANNELS: _EVERYONE,
    Action.MANAGE_CHANNELS: _WRITERS,
    Action.MANAGE_EXTRA_CHANNELS: _ADMINS,
    Action.MANAGE_PACKAGES: _ADMINS,
    Action.READ_INCIDENT: _EVERYONE,
    Action.MANAGE_INCIDENTS: _WRITERS,
    Action.READ_LOCATION_INCIDENTS: _OPERATORS,
    Action.READ_METRICS: _OPERATORS | {"metrics"},
    Action.READ_LOG_PROOFS: _OPERATORS,
    Action.READ_BLOCKED_ADDRESSES: _OPERATORS,
}


class Principal(NamedTuple):
    """The caller: role and scope of its token. `customer_id` None means all customers."""

    token_id: str
    name: str
    role: Role
    organization_id: str
    customer_id: str | None
    last_used_at: str | None = None
    expires_at: str | None = None

    def may(self, action: Action) -> bool:
        """Return whether the role allows an action."""
        return self.role in ALLOWED[action]

    def sees_organization(self, organization_id: str) -> bool:
        """Return whether the caller may know that things of an organization exist."""
        if self.role == "metrics":
            return False
        return self.role in _GLOBAL or organization_id == self.organization_id

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


def require(principal: Principal, action: Action) -> None:
    """Raise 403 unless the caller's role allows the action."""
    if not principal.may(action):
        raise falcon.HTTPForbidden(description=f"The role {principal.role} may not {action.value}")
