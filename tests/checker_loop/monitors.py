"""Monitors, events and outcomes that tests begin with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from checker.location import Location
from domain.actor import operator
from domain.commands import CreateCustomer, CreateMonitor, UpdateMonitor
from domain.outcome import Category, Outcome, Verdict

if TYPE_CHECKING:
    from domain.mail_config import Kind
    from domain.monitor import Monitor
    from domain.store import Store

ME = operator("tester")
HERE = Location("de-nbg", "Nuremberg", "DE")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UP = Outcome(Verdict.UP, Category.OK, None, "the server can be used", {"total": 1.0})


def command(*, owner: tuple[UUID, UUID] | None = None, **fields: Any) -> CreateMonitor:  # noqa: ANN401
    """Return a command for an ordinary SMTP monitor, changed as the test wants it."""
    organization_id, customer_id = owner or (uuid4(), uuid4())
    kind: Kind = fields.pop("kind", "smtp")
    plain = CreateMonitor(
        kind=kind,
        organization_id=organization_id,
        customer_id=customer_id,
        name="Mail",
        hostname="mail.example.org",
        port=None,
        status="active",
        check_interval=5,
        timeout_seconds=30,
        notification_email=None,
        notification_phone_number=None,
        allowed_check_country_codes=None,
        config={},
    )
    return replace(plain, **fields)


class Owner:
    """A customer of a real store, and the commands that a test gives in its name."""

    def __init__(self, store: Store, **details: Any) -> None:  # noqa: ANN401 - of the customer
        self.monitoring = store.monitoring
        organization = self.monitoring.create_organization("Example", ME)
        customer = self.monitoring.create_customer(
            CreateCustomer(organization.id, "Customer", None, details), ME
        )
        self._ids = (organization.id, customer.id)

    def create(self, **fields: Any) -> Monitor:  # noqa: ANN401 - any field of the command
        """Create a monitor; one that is checked daily, so that no check comes by chance."""
        wanted = {"check_interval": 1440, **fields}
        return self.monitoring.create_monitor(command(owner=self._ids, **wanted), ME)

    def update(self, monitor: Monitor, **changes: Any) -> Monitor:  # noqa: ANN401
        """Change a monitor."""
        return self.monitoring.update_monitor(UpdateMonitor(monitor.id, changes), ME)

    def delete(self, monitor: Monitor) -> None:
        """Delete a monitor."""
        self.monitoring.delete_monitor(monitor.id, ME)
