"""Monitors, events and outcomes that tests begin with."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count, islice
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, UUID, uuid5

from checker.runtime.location import Location
from checker.schedule.grid import unit_fraction
from domain.actor import operator
from domain.check import Category, Outcome, Verdict
from domain.commands import CreateCustomer, CreateMonitor, UpdateMonitor

if TYPE_CHECKING:
    from domain.kinds import Kind
    from domain.monitor import Monitor
    from store.store import Store


ME = operator("tester")
HERE = Location("de-nbg", "Nuremberg", "DE")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UP = Outcome(Verdict.UP, Category.OK, None, "the server can be used", {"total": 1.0})


def ids(number: int, begin: float = 0, end: float = 1) -> list[UUID]:
    """Return ids whose phases are from `begin` up to `end`: the same ones in every run.

    A phase is a part of a monitor's interval. Ids spread it, and the shard, like any others.
    """
    spread = (uuid5(NAMESPACE_OID, str(each)) for each in count())
    return list(islice((each for each in spread if begin <= unit_fraction(each) < end), number))


ORGANIZATION_ID, CUSTOMER_ID, MONITOR_ID = ids(3, 0.4, 0.41)
"""The monitor is due at four tenths of its interval: never at NOW or a round time after it."""

TEN_YEARS = 10 * 365 * 1440
"""In minutes. A monitor in a store has a random id, and with it a random phase."""


def command(*, owner: tuple[UUID, UUID] | None = None, **fields: Any) -> CreateMonitor:  # noqa: ANN401
    """Return a command for an ordinary SMTP monitor, changed as the test wants it."""
    organization_id, customer_id = owner or (ORGANIZATION_ID, CUSTOMER_ID)
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
        self._ids = self._with_customer(organization.id, details)

    def beside(self) -> Owner:
        """Return another customer of the same organization."""
        other = copy(self)
        other._ids = self._with_customer(self._ids[0], {})
        return other

    def _with_customer(self, organization_id: UUID, details: dict[str, Any]) -> tuple[UUID, UUID]:
        customer = self.monitoring.create_customer(
            CreateCustomer(organization_id, "Customer", None, details), ME
        )
        return (organization_id, customer.id)

    def create(self, **fields: Any) -> Monitor:  # noqa: ANN401 - any field of the command
        """Create a monitor; one whose own phase hardly comes while a test runs."""
        wanted = {"check_interval": TEN_YEARS, **fields}
        return self.monitoring.create_monitor(command(owner=self._ids, **wanted), ME)

    def update(self, monitor: Monitor, **changes: Any) -> Monitor:  # noqa: ANN401
        """Change a monitor."""
        return self.monitoring.update_monitor(UpdateMonitor(monitor.id, changes), ME)

    def delete(self, monitor: Monitor) -> None:
        """Delete a monitor."""
        self.monitoring.delete_monitor(monitor.id, ME)
