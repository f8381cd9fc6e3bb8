"""The commands on the `monitoring` log, with all fields in their normal form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uuid import UUID

    from domain.actor import Role
    from domain.kinds import Config, Kind


@dataclass(frozen=True, slots=True)
class CreateMonitor:
    """Watch a mail server.

    `config` is as `parse_config` returned it and `check_credentials` accepted it. It still
    holds its secret in clear, so it has no repr.
    """

    kind: Kind
    organization_id: UUID
    customer_id: UUID
    name: str
    hostname: str
    port: int | None
    status: str
    check_interval: float
    timeout_seconds: float
    notification_email: str | None
    notification_phone_number: str | None
    allowed_check_country_codes: list[str] | None
    config: Config = field(repr=False)


@dataclass(frozen=True, slots=True)
class UpdateMonitor:
    """Change a monitor. In `changes`: absent is unchanged, null is cleared.

    With `expected_version` the change is made to that version of the monitor or not at all.
    """

    monitor_id: UUID
    changes: dict[str, Any] = field(repr=False)
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class CreateCustomer:
    """Add a customer to an organization."""

    organization_id: UUID
    name: str
    email: str | None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpdateCustomer:
    """Change a customer. In `changes`: absent is unchanged, null is cleared."""

    customer_id: UUID
    changes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class IssueToken:
    """Issue a token that may call the API. `token` is the secret itself."""

    organization_id: UUID
    customer_id: UUID | None
    name: str
    role: Role
    token: str = field(repr=False)
    expires_at: str | None = None
