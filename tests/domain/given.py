"""What tests of every layer begin with: an actor, owners, commands, checks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds
from domain.commands import CreateCustomer, CreateMonitor

if TYPE_CHECKING:
    from domain.actor import Actor
    from domain.monitor import Monitor
    from domain.monitoring import Monitoring
    from domain.organization import Customer, Organization
    from store.store import Store


TESTER: Actor = {"type": "operator", "id": "tester"}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ORGANIZATION_ID = UUID("00000000-0000-4000-8000-000000000001")
CUSTOMER_ID = UUID("00000000-0000-4000-8000-000000000002")
MONITOR_ID = UUID("00000000-0000-4000-8000-000000000003")

CREATE_SMTP = CreateMonitor(
    kind="smtp",
    organization_id=ORGANIZATION_ID,
    customer_id=CUSTOMER_ID,
    name="Outbound SMTP",
    hostname="smtp.example.com",
    port=587,
    status="active",
    check_interval=60,
    timeout_seconds=30,
    notification_email=None,
    notification_phone_number=None,
    allowed_check_country_codes=None,
    config={"secure": False},
)
CREATE_IMAP = replace(
    CREATE_SMTP,
    kind="imap_pop",
    name="Mailbox Access",
    hostname="mail.example.com",
    port=993,
    config={"protocol": "imap", "tls": True},
)


@dataclass(frozen=True, slots=True)
class Owners:
    """An organization with one customer."""

    organization: Organization
    customer: Customer

    def create(self, command: CreateMonitor = CREATE_SMTP, **fields: Any) -> CreateMonitor:  # noqa: ANN401 - any field
        """Return a command that creates a monitor of these owners."""
        return replace(
            command,
            organization_id=self.organization.id,
            customer_id=self.customer.id,
            **fields,
        )


def make_owners(store: Store, name: str = "Example") -> Owners:
    """Store an organization with one customer."""
    organization = store.monitoring.create_organization(f"{name} Organization", TESTER)
    command = CreateCustomer(organization.id, f"{name} Customer", "ops@example.com")
    return Owners(organization, store.monitoring.create_customer(command, TESTER))


def as_created(monitoring: Monitoring, monitor_id: UUID) -> Monitor:
    """Return a monitor as it was created, also of one that is deleted now."""
    monitor: Monitor = monitoring.repository.get(monitor_id, version=1)
    return monitor


def check_of(monitor: Monitor, minute: int = 0, verdict: str = "up") -> PerformedCheck:
    """Return a check of a monitor, some minutes after noon."""
    moment = NOON + timedelta(minutes=minute)
    return PerformedCheck(
        monitor_id=monitor.id,
        monitor_version=monitor.version,
        kind=monitor.kind,
        due_at=iso_milliseconds(moment),
        started_at=iso_milliseconds(moment),
        finished_at=moment,
        outcome={"verdict": verdict, "category": "ok" if verdict == "up" else "timeout"},
    )
