"""Pure folds: a record and an event make the next record.

Records hold JSON-native values under the names of the domain. Times are ISO strings in the
documented form, in which they are shown and compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.clock import iso_milliseconds
from domain.config_secrets import hide_clear_secrets
from domain.fields import CUSTOMER_DEFAULTS, CUSTOMER_FIELDS, MONITOR_FIELDS, current_values

if TYPE_CHECKING:
    from domain.access_token import AccessToken
    from domain.check import CheckPerformed
    from domain.location import MonitoringLocation
    from domain.monitor import Monitor
    from domain.organization import Customer, Organization
    from projections.core.table import Record


def organization(_: Record | None, event: Organization.Created) -> Record:
    """Fold an organization."""
    return {
        "public_id": str(event.originator_id),
        "number": event.number,
        "name": event.name,
        "created_at": iso_milliseconds(event.timestamp),
    }


def customer(_: Record | None, event: Customer.Created) -> Record:
    """Fold a customer."""
    created_at = iso_milliseconds(event.timestamp)
    return {
        "public_id": str(event.originator_id),
        "number": event.number,
        "organization_id": event.organization_id,
        "name": event.name,
        "email": event.email,
        **CUSTOMER_DEFAULTS,
        **event.details,
        "created_at": created_at,
        "updated_at": created_at,
    }


def of_customer(customer: Customer) -> Record:
    """Return the record of a customer from the aggregate: what folding its events gives."""
    return {
        "public_id": str(customer.id),
        "number": customer.number,
        "organization_id": customer.organization_id,
        **current_values(customer, CUSTOMER_FIELDS),
        "created_at": iso_milliseconds(customer.created_on),
        "updated_at": iso_milliseconds(customer.modified_on),
    }


def updated_customer(record: Record | None, event: Customer.Updated) -> Record:
    """Fold a change."""
    updated_at = iso_milliseconds(event.timestamp)
    return {**existing(record), **event.changes, "updated_at": updated_at}


def location(_: Record | None, event: MonitoringLocation.Created) -> Record:
    """Fold a location."""
    return {
        "number": event.number,
        "code": event.code,
        "name": event.name,
        "country": event.country,
        "created_at": iso_milliseconds(event.timestamp),
        "retired_at": None,
    }


def updated_location(record: Record | None, event: MonitoringLocation.Updated) -> Record:
    """Fold another name or country."""
    return {**existing(record), **event.changes}


def retired_location(record: Record | None, event: MonitoringLocation.Retired) -> Record:
    """Fold a retirement: the row stays, because checks from there show its name."""
    return {**existing(record), "retired_at": iso_milliseconds(event.timestamp)}


def restored_location(record: Record | None, _: MonitoringLocation.Restored) -> Record:
    """Fold a restoration."""
    return {**existing(record), "retired_at": None}


def token(_: Record | None, event: AccessToken.Created) -> Record:
    """Fold an issued token."""
    return {
        "public_id": str(event.originator_id),
        "number": event.number,
        "organization_id": event.organization_id,
        "customer_id": event.customer_id,
        "name": event.name,
        "role": event.role,
        "token_hash": event.token_hash,
        "hint": event.hint,
        "expires_at": event.expires_at,
        "created_at": iso_milliseconds(event.timestamp),
        "revoked_at": None,
        "last_used_at": None,
    }


def used_token(record: Record | None, event: AccessToken.Used) -> Record:
    """Fold a use."""
    return {**existing(record), "last_used_at": iso_milliseconds(event.timestamp)}


def revoked_token(record: Record | None, event: AccessToken.Revoked) -> Record:
    """Fold a revocation: the row stays, so that lists can show it."""
    return {**existing(record), "revoked_at": iso_milliseconds(event.timestamp)}


def monitor(_: Record | None, event: Monitor.Created) -> Record:
    """Fold a created monitor."""
    created_at = iso_milliseconds(event.timestamp)
    return {
        "public_id": str(event.originator_id),
        "kind": event.kind,
        "number": event.number,
        "organization_id": event.organization_id,
        "customer_id": event.customer_id,
        **{name: getattr(event, name) for name in MONITOR_FIELDS},
        "config": hide_clear_secrets(event.kind, event.config),
        "version": event.originator_version,
        "created_at": created_at,
        "updated_at": created_at,
    }


def of_monitor(monitor: Monitor) -> Record:
    """Return the record of a monitor from the aggregate: what folding its events gives."""
    return {
        "public_id": str(monitor.id),
        "kind": monitor.kind,
        "number": monitor.number,
        "organization_id": monitor.organization_id,
        "customer_id": monitor.customer_id,
        **current_values(monitor, MONITOR_FIELDS),
        "config": hide_clear_secrets(monitor.kind, monitor.config),
        "version": monitor.version,
        "created_at": iso_milliseconds(monitor.created_on),
        "updated_at": iso_milliseconds(monitor.modified_on),
    }


def updated_monitor(record: Record | None, event: Monitor.Updated) -> Record:
    """Fold a change."""
    found, changes = existing(record), event.changes
    if "config" in changes:
        changes = {**changes, "config": hide_clear_secrets(found["kind"], changes["config"])}
    return {
        **found,
        **changes,
        "version": event.originator_version,
        "updated_at": iso_milliseconds(event.timestamp),
    }


def deleted_monitor(record: Record | None, _: Monitor.Deleted) -> None:
    """Fold a deletion: the row is removed."""
    existing(record)


def last_check(_: Record | None, event: CheckPerformed) -> Record:
    """Keep the newest check of a monitor at a location."""
    return {
        "check_id": f"{event.originator_id}/{event.originator_version}",
        "monitor_id": event.monitor_id,
        "monitor_version": event.monitor_version,
        "location": event.location,
        "due_at": event.due_at,
        "started_at": event.started_at,
        "checked_at": iso_milliseconds(event.timestamp),
        "outcome": event.outcome,
    }


def existing(record: Record | None) -> Record:
    """Return a record. Raises LookupError when the log has a change of a thing but no creation."""
    if record is None:
        raise LookupError("the log changes something that it never created: it is damaged")
    return record
