"""`postwatch incident`: what is wrong, since when and why, and who takes care of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import click

from cli.terminal.help import examples
from cli.terminal.output import camel_case, print_json, print_line, print_rows
from cli.terminal.session import operator_session
from domain.clock import iso_milliseconds
from domain.incident import Incident
from domain.monitor import Monitor
from domain.notification import Notification
from service.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.terminal.session import OperatorSession
    from store.store import Store


_PAGE: Final = 5000
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
    """List the open incidents by number."""
    with operator_session() as opened:
        told = _Told.of(opened.store).values()
        rows = [_row(opened, each) for each in told if with_ended or each.incident.is_open]
    print_rows(rows, _COLUMNS, as_json=as_json)


@incident.command(epilog=examples("postwatch incident show 7"))
@click.argument("number", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(number: int, *, as_json: bool) -> None:
    """Show incident NUMBER: what happened and which messages were planned, in their order."""
    with operator_session() as opened:
        found = _find(opened, number)
        row, story = _row(opened, found), list(found.story())
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
    with operator_session() as opened:
        found = _find(opened, number)
        opened.store.incidents.acknowledge(found.incident.id, opened.actor, note)
    print_line(f"incident {number} is acknowledged")


@incident.command(epilog=examples("postwatch incident close 7"))
@click.argument("number", type=int)
@_NOTE
def close(number: int, *, note: str | None) -> None:
    """Close incident NUMBER. A monitor that goes on failing opens a new one."""
    with operator_session() as opened:
        found = _find(opened, number)
        opened.store.incidents.close_by_hand(found.incident.id, opened.actor, note)
    print_line(f"incident {number} is closed")


@dataclass(slots=True)
class _Told:
    """An incident, and the events and plans about it."""

    incident: Incident
    events: list[Any] = field(default_factory=list)

    @staticmethod
    def of(store: Store) -> dict[int, _Told]:
        """Return every incident of the log by number."""
        found: dict[str, _Told] = {}
        for event in _events(store):
            match event:
                case Incident.Created():
                    opened: Any = event.mutate(None)
                    found[str(event.originator_id)] = _Told(opened, [event])
                case Incident.Event():
                    told = found[str(event.originator_id)]
                    event.mutate(told.incident)
                    told.events.append(event)
                case Notification.Created():
                    for each in event.incidents:
                        found[each["id"]].events.append(event)
        return {each.incident.number: each for each in found.values()}

    def story(self) -> Iterator[dict[str, str]]:
        """Yield what happened, as rows."""
        for event in self.events:
            yield {
                "time": iso_milliseconds(event.timestamp),
                "event": type(event).TOPIC,
                "details": _details(event),
            }


def _events(store: Store) -> Iterator[Any]:
    reader, position = store.reader("incidents"), 0
    while page := reader.after(position, _PAGE):
        yield from (each.event for each in page)
        position = page[-1].position


def _details(event: Any) -> str:  # noqa: ANN401 - any event about an incident
    match event:
        case Notification.Created():
            return f"{event.kind} by channel {event.channel_id}"
        case Incident.Created() | Incident.Reopened() | Incident.Resolved():
            seen = (f"{each['location']}: {each.get('category', '')}" for each in event.rests_on)
            return ", ".join(seen)
        case Incident.Closed():
            return " ".join(each for each in (event.reason, event.note) if each)
        case Incident.Acknowledged():
            return " ".join(each for each in (event.actor["id"], event.note) if each)
    return ""


def _row(opened: OperatorSession, told: _Told) -> dict[str, Any]:
    found = told.incident
    ended, by = found.ended_at, found.acknowledged_by
    return {
        "number": found.number,
        "type": found.type,
        "state": found.state,
        "about": _name_of(opened, found),
        "since": found.outage_started_at,
        "ended_at": iso_milliseconds(ended) if ended else None,
        "acknowledged_by": by["id"] if by and found.acknowledged_at else None,
    }


def _name_of(opened: OperatorSession, found: Incident) -> str:
    """Return the name of the monitor, else its id; or the location."""
    if found.monitor_id is None:
        return found.subject
    monitor = opened.store.monitoring.find(Monitor, UUID(found.monitor_id))
    return monitor.name if monitor is not None else found.monitor_id


def _find(opened: OperatorSession, number: int) -> _Told:
    found = _Told.of(opened.store).get(number)
    if found is None:
        raise CommandError(
            ExitCode.FAILED, f"there is no incident {number}; see `postwatch incident list --all`"
        )
    return found
