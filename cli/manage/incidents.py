"""`postwatch incident`: what is wrong, since when and why, and who takes care of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import click

from cli.terminal.help import examples
from cli.terminal.output import camel_case, print_json, print_line, print_rows
from cli.terminal.session import operator_session
from domain.clock import iso_milliseconds
from domain.incident import Incident
from domain.notification import Notification
from projections.readers.incidents import IncidentFilter
from projections.shapes.incident import alert_shape
from service.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.terminal.session import OperatorSession
    from projections.readers.incidents import NamedIncident


_PAGE: Final = 500
_MOST_MESSAGES: Final = 1000
_COLUMNS: Final = {
    "number": "Number",
    "type": "Type",
    "state": "State",
    "about": "About",
    "since": "Since",
    "ended_at": "Ended",
    "acknowledged_by": "Acknowledged by",
}
_NOTE: Final = click.option("--note", metavar="TEXT", help="A note that the incident keeps.")


@click.group()
def incident() -> None:
    """Show incidents, and record that somebody takes care of one or that it is over.

    docs/alerting.md says what becomes an incident.
    """


@incident.command("list", epilog=examples("postwatch incident list --all --json"))
@click.option("--all", "with_ended", is_flag=True, help="Also list those that ended.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_incidents(*, with_ended: bool, as_json: bool) -> None:
    """List the open incidents, the newest first."""
    with operator_session("incidents") as opened:
        which = IncidentFilter(is_open=None if with_ended else True)
        rows = [_row(each) for each in _pages(opened, which)]
    print_rows(rows, _COLUMNS, as_json=as_json)


@incident.command(epilog=examples("postwatch incident show 7"))
@click.argument("number", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(number: int, *, as_json: bool) -> None:
    """Show incident NUMBER: what happened and which messages were planned, in their order."""
    with operator_session("incidents") as opened:
        found = _find(opened, number)
        row, story = _row(found), _story(opened, found)
    if as_json:
        print_json({**{camel_case(key): row[key] for key in row}, "events": story})
        return
    print_rows([row], _COLUMNS, as_json=False)
    print_line("")
    print_rows(story, {"time": "Time", "event": "Event", "details": "Details"}, as_json=False)


@incident.command(epilog=examples('postwatch incident ack 7 --note "replacing the disk"'))
@click.argument("number", type=int)
@_NOTE
def ack(number: int, *, note: str | None) -> None:
    """Record that somebody takes care of incident NUMBER: no reminders, no further channels."""
    with operator_session("incidents") as opened:
        opened.store.incidents.acknowledge(_id(opened, number), opened.actor, note)
    print_line(f"incident {number} is acknowledged")


@incident.command(epilog=examples("postwatch incident close 7"))
@click.argument("number", type=int)
@_NOTE
def close(number: int, *, note: str | None) -> None:
    """Close incident NUMBER. A monitor that goes on failing opens a new one."""
    with operator_session("incidents") as opened:
        opened.store.incidents.close_by_hand(_id(opened, number), opened.actor, note)
    print_line(f"incident {number} is closed")


def _pages(opened: OperatorSession, which: IncidentFilter) -> Iterator[NamedIncident]:
    offset = 0
    while page := opened.views.incidents.incidents(which, _PAGE, offset):
        yield from page
        offset += len(page)


def _find(opened: OperatorSession, number: int) -> NamedIncident:
    found = opened.views.incidents.incident(number)
    if found is None:
        raise CommandError(
            ExitCode.FAILED, f"there is no incident {number}; see `postwatch incident list --all`"
        )
    return found


def _id(opened: OperatorSession, number: int) -> UUID:
    return UUID(_find(opened, number).incident["public_id"])


def _row(found: NamedIncident) -> dict[str, Any]:
    incident, monitor, _ = found
    return {
        "number": incident["number"],
        "type": incident["type"],
        "state": incident["state"],
        "about": monitor["name"] if monitor else incident["monitor_id"] or incident["location"],
        "since": incident["outage_started_at"],
        "ended_at": incident["ended_at"],
        "acknowledged_by": incident["acknowledged_by"],
    }


def _story(opened: OperatorSession, found: NamedIncident) -> list[dict[str, str]]:
    """Return what happened and which messages were planned, as rows in the order of times."""
    public_id = found.incident["public_id"]
    events: list[Any] = list(opened.store.incidents.events.get(UUID(public_id)))
    first, *further = (
        {
            "time": iso_milliseconds(event.timestamp),
            "event": type(event).TOPIC,
            "details": _details(event),
        }
        for event in events
    )
    alerts = opened.views.incidents.alerts_of_incident(public_id, _MOST_MESSAGES)
    planned = [_planned(alert_shape(each)) for each in reversed(alerts)]
    return sorted([first, *planned, *further], key=lambda each: each["time"])


def _planned(alert: dict[str, Any]) -> dict[str, str]:
    return {
        "time": alert["plannedAt"],
        "event": Notification.Created.TOPIC,
        "details": f"{alert['kind']} by channel {alert['channelName']}",
    }


def _details(event: Any) -> str:  # noqa: ANN401 - any event about an incident
    match event:
        case Incident.Created() | Incident.Reopened() | Incident.Resolved():
            seen = (f"{each['location']}: {each.get('category', '')}" for each in event.rests_on)
            return ", ".join(seen)
        case Incident.Closed():
            return " ".join(each for each in (event.reason, event.note) if each)
        case Incident.Acknowledged():
            return " ".join(each for each in (event.actor["id"], event.note) if each)
    return ""
