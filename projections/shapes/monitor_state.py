"""The JSON of a monitor in the list of all kinds, with its state (api.md, "All monitors")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

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


def known_text(known: KnownState) -> str:
    """Return these keys as a part of a JSON object, without its braces."""
    return orjson.dumps(state_keys(known)).decode()[1:-1]


NOT_KNOWN: Final = '"state":"pending","stateSince":null,"lastError":null,"openIncidentId":null'
"""The same while the `states` view does not have the monitor: it is behind, or being made."""


def with_state(body: str, known: str | None) -> str:
    """Return the JSON of a monitor with these keys after its own."""
    return f"{body[:-1]},{known or NOT_KNOWN}}}"


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
