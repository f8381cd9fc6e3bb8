"""An event as the API tells it: position, time, actor, what it is about, what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from domain.clock import iso_milliseconds
from projections import changes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from domain.actor import Actor
    from domain.log_reader import LoggedEvent
    from projections.view import Record

Entry = dict[str, Any]

KINDS: Final[Mapping[str, str]] = {
    "smtp": "smtpMonitor",
    "imap_pop": "imapPopMonitor",
    "customer": "customer",
    "organization": "organization",
    "token": "token",
    "location": "location",
    "archive": "archive",
}
"""What an event may be about, and how the API calls it."""

_KEYS: Final[Mapping[str, Mapping[str, str]]] = {
    "customer": changes.CUSTOMER,
    "organization": changes.ORGANIZATION,
    "token": changes.TOKEN,
    "location": changes.LOCATION,
    "archive": changes.ARCHIVE,
}


def entry(logged: LoggedEvent, thing: Record, changed: Iterable[changes.Change]) -> Entry:
    """Return the entry of an event about a thing; `thing` bears its name at that time."""
    event = logged.event
    return {
        "position": logged.position,
        "time": iso_milliseconds(event.timestamp),
        "type": type(event).TOPIC,
        "actor": _actor(event.actor),
        "organizationId": thing["organization_number"],
        "customerId": thing["customer_number"],
        "subject": {
            "kind": KINDS[thing["kind"]],
            "id": thing["number"],
            "publicId": str(event.originator_id),
            "name": thing["name"],
        },
        "version": event.originator_version,
        "changes": list(changed),
    }


def changed_fields(
    kind: str, before: Record | None, after: Record | None
) -> Iterable[changes.Change]:
    """Return what became another between two records of a thing; nothing when it is gone."""
    if after is None:
        return ()
    if kind in _KEYS:
        return changes.changes(_KEYS[kind], before, after)
    return changes.monitor_changes(before, after)


def _actor(actor: Actor) -> dict[str, str | None]:
    return {
        "type": actor["type"],
        "id": actor["id"],
        "name": actor.get("name"),
        "role": actor.get("role"),
        "requestId": actor.get("request_id"),
    }
