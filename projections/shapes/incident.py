"""The documented JSON of incidents and of messages about them (contract part B, 11, 4.8, 5.7)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from domain.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from projections.core.table import Record
    from projections.readers.incidents import NamedIncident, PlannedAlert


Shape = dict[str, Any]

NUMBER_KEYS: Final[Mapping[str, str]] = {
    **{str(kind): f"{each.resource}Id" for kind, each in KINDS.items()},
    "mail_flow": "mailFlowMonitorId",
    "mail_domain": "mailDomainMonitorId",
}
"""The key of a monitor's number, by its kind. Of the kinds of later versions it is null."""

_ACRONYMS: Final = frozenset({"dns", "ehlo", "imap", "pop3", "smtp", "starttls", "tls"})
_MESSAGES: Final[Mapping[str, str]] = {
    "ssl_expiry": "The certificate ends soon",
    "performance": "The server is slow",
    "unwatched": "No location checks the monitor",
    "location": "The location cannot be trusted",
}
_OWN_ADDRESSES: Final[Mapping[str, str]] = {
    "email": "notificationEmail",
    "sms": "notificationPhoneNumber",
}


def listed_incident(found: NamedIncident) -> Shape:
    """Return an incident as the list shows it."""
    incident, _, customer = found
    return {
        "id": incident["number"],
        "websiteId": None,
        "status": status_of(incident),
        "severity": incident["type"],
        "started_at": incident["opened_at"],
        "resolved_at": incident["ended_at"],
        "last_notified_at": None,
        "error_message": message_of(incident),
        "status_code": None,
        "response_time_ms": None,
        "website": None,
        "customer": customer
        and {"id": customer["number"], "email": customer["email"], "company": customer["name"]},
        **_ours(found),
    }


def shown_incident(found: NamedIncident) -> Shape:
    """Return an incident as its details show it."""
    incident = found.incident
    return {
        "id": incident["number"],
        "websiteId": None,
        "type": incident["type"],
        "status": status_of(incident),
        "startedAt": incident["opened_at"],
        "resolvedAt": incident["ended_at"],
        "statusCode": None,
        "errorMessage": message_of(incident),
        "responseTimeMs": None,
        **_ours(found),
    }


def _ours(found: NamedIncident) -> Shape:
    """Return the keys that no documented page has."""
    incident, monitor, _ = found
    kind = monitor["kind"] if monitor else None
    return {
        "publicId": incident["public_id"],
        "monitorType": kind,
        **{
            key: monitor["number"] if monitor and kind == each else None
            for each, key in NUMBER_KEYS.items()
        },
        "monitor": monitor and _monitor(incident["monitor_id"], monitor),
        "locationCode": incident["location"],
        "outageStartedAt": incident["outage_started_at"],
        "reopenedAt": incident["reopened_at"],
        "closeReason": incident["close_reason"],
        "closeNote": incident["close_note"],
        "acknowledgedAt": incident["acknowledged_at"],
        "acknowledgedBy": incident["acknowledged_by"],
        "acknowledgementNote": incident["acknowledgement_note"],
        "isUnstable": incident["is_unstable"],
        "isHeld": incident["is_held"],
    }


def _monitor(public_id: str, monitor: Record) -> Shape:
    return {
        "id": monitor["number"],
        "publicId": public_id,
        **{key: monitor[key] for key in ("name", "hostname", "status")},
    }


def status_of(incident: Record) -> str:
    """Return the documented state: one that was closed is resolved, too."""
    return "open" if incident["state"] == "open" else "resolved"


def message_of(incident: Record) -> str:
    """Return in words what is wrong."""
    known = _MESSAGES.get(incident["type"])
    if known is not None:
        return known
    words = next((each["category"] for each in incident["rests_on"]), incident["type"]).split("_")
    text = " ".join(each.upper() if each in _ACRONYMS else each for each in words)
    return text[:1].upper() + text[1:]


def incident_of_monitor(incident: Record, now: datetime) -> Shape:
    """Return an incident as the history of its monitor shows it.

    The times are texts for people, as documented; UTC.
    """
    started = datetime.fromisoformat(incident["opened_at"])
    ended = incident["ended_at"]
    lasted = (datetime.fromisoformat(ended) if ended else now) - started
    is_open = incident["state"] == "open"
    return {
        "id": incident["number"],
        "type": incident["type"],
        "status": "active" if is_open else "resolved",
        "startedAt": display_time(started),
        "endedAt": display_time(datetime.fromisoformat(ended)) if ended else None,
        "duration": display_duration(lasted),
        "publicId": incident["public_id"],
        "startedAtIso": incident["opened_at"],
        "endedAtIso": ended,
        "durationMs": max(lasted // timedelta(milliseconds=1), 0),
        "details": message_of(incident),
        "isOngoing": is_open,
    }


_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"
_LETTERS: Final = 3


def display_time(moment: datetime) -> str:
    """Return a time such as `Feb 26, 2026, 12:10:00`, whatever the locale of this process."""
    end = moment.month * _LETTERS
    month = _MONTHS[end - _LETTERS : end]
    return f"{month} {moment.day}, {moment.year}, {moment:%H:%M:%S}"


def display_duration(lasted: timedelta) -> str:
    """Return a duration such as `2m 30s` or `1d 4h`; parts that are zero are left out."""
    seconds = max(lasted // timedelta(seconds=1), 0)
    parts = (
        (seconds // 86_400, "d"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "m"),
        (seconds % 60, "s"),
    )
    return " ".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def alert_shape(planned: PlannedAlert) -> Shape:
    """Return a message about an incident. Nothing sends messages yet, so `sentAt` is null.

    The id is the position of the plan in the log: it never changes.
    """
    about, alert, _ = planned
    channel_type, name = _channel(planned)
    return {
        "id": about["position"],
        "incidentId": about["incident_number"],
        "type": channel_type,
        "status": alert["status"],
        "channelName": name,
        "sentAt": None,
        "errorMessage": alert["reason"],
        "publicId": alert["public_id"],
        "kind": alert["kind"],
        "plannedAt": alert["planned_at"],
    }


def _channel(planned: PlannedAlert) -> tuple[str | None, str]:
    """Return type and name of a channel.

    The addresses of a monitor or a customer are channels without names of their own; their ids
    are such as `monitor:<public id>:email`.
    """
    channel_id: str = planned.alert["channel_id"]
    if planned.channel is not None:
        return planned.channel["type"], planned.channel["name"]
    owner, _, rest = channel_id.partition(":")
    switch = rest.rpartition(":")[2]
    if switch not in _OWN_ADDRESSES:
        return None, channel_id
    return switch, f"{_OWN_ADDRESSES[switch]} of the {owner}"
