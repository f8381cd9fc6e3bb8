"""The JSON of a monitor in the list of all kinds, with its state (api.md, "All monitors")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from projections.shapes.template import PLACEHOLDER, as_template

if TYPE_CHECKING:
    from domain.monitor_state import KnownState
    from projections.core.table import Record


_FIELDS: Final = {
    "name": "name",
    "hostname": "hostname",
    "port": "port",
    "status": "status",
    "checkInterval": "check_interval",
    "timeoutSeconds": "timeout_seconds",
}


def state_keys(known: KnownState) -> dict[str, Any]:
    """Return the keys that say what is known now (contract D-7)."""
    return {
        "state": known.state,
        "stateSince": known.since,
        "lastError": known.error,
        "openIncidentId": known.incident_id,
    }


def state_template(monitor: Record, known: KnownState) -> str:
    """Return the item of a monitor with `%s` for what other rows have.

    That is, in this order: the number of the organization, number and name of the customer, and
    when the monitor was last checked.
    """
    return as_template(
        {
            "id": monitor["number"],
            "publicId": monitor["public_id"],
            "monitorType": monitor["kind"],
            "organizationId": PLACEHOLDER,
            "customerId": PLACEHOLDER,
            "customerName": PLACEHOLDER,
            **{key: monitor[field] for key, field in _FIELDS.items()},
            **state_keys(known),
            "lastCheckedAt": PLACEHOLDER,
            "createdAt": monitor["created_at"],
            "updatedAt": monitor["updated_at"],
        }
    )
