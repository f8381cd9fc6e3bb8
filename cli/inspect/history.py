"""`postwatch history`, `replay` and `uptime`: what the logs say about the past."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

from cli.terminal.arguments import parse_argument, parse_public_id
from cli.terminal.help import examples
from cli.terminal.output import complete_output, print_json, print_rows
from cli.terminal.session import operator_session
from domain.clock import parse_point, utc_now
from domain.config_secrets import mask_secrets
from domain.errors import InvalidValueError
from domain.kinds import KINDS
from domain.monitor import Monitor
from projections.readers.monitors import MonitorRecords
from projections.shapes.customer import customer_shape
from projections.shapes.monitor import monitor_shape
from projections.views import monitors
from projections.views.history import FOR_EVER
from projections.views.time_travel import Replay, replay
from projections.views.uptime_report import (
    GRANULARITIES,
    RANGES,
    ReportPeriod,
    monitor_uptime,
    report_period,
    uptime_shape,
)
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import open_from_settings
from service.settings import Settings
from store.log_reader import LogReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from projections.core.table import Record
    from projections.readers.history import HistoryReader
    from projections.views.history import FieldChange, HistoryEntry
    from projections.views.uptime_report import Granularity


_PAGE: Final = 500
_COLUMNS: Final = {
    "position": "Position",
    "time": "When",
    "who": "Who",
    "type": "Event",
    "what": "What",
}


@click.command(epilog=examples("postwatch history 01935c5e-7a4b-7c39-9d2f-0123456789ab"))
@click.argument("public_id")
@click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON array, each entry as the API shows it."
)
def history(public_id: str, *, as_json: bool) -> None:
    """Show who changed the monitor PUBLIC_ID, when, and from what to what, newest first.

    Also of a deleted monitor. A changed password is named, its value never shown. The API
    shows the same at GET .../history.
    """
    show_history(public_id, as_json=as_json)


def show_history(public_id: str, *, as_json: bool) -> None:
    """Print the history of a monitor."""
    with operator_session("history") as opened:
        reader, key = opened.views.history, str(parse_public_id(public_id))
        thing = reader.thing(key)
        if thing is None or thing["kind"] not in KINDS:
            raise CommandError(ExitCode.FAILED, f"there is no monitor {public_id}")
        entries = list(_entries(reader, key))
    if as_json:
        print_json(entries)
    else:
        print_rows([_row(each) for each in entries], _COLUMNS, as_json=False)


def _entries(reader: HistoryReader, key: str) -> Iterator[HistoryEntry]:
    before = FOR_EVER
    while found := reader.entries_of(key, before, _PAGE):
        yield from (orjson.loads(each.body) for each in found)
        before = found[-1].position


def _row(entry: HistoryEntry) -> dict[str, object]:
    actor = entry["actor"]
    who = " ".join(part for part in (actor["name"], actor["role"]) if part)
    what = "\n".join(_describe(each) for each in entry["changes"])
    return {**entry, "who": f"{actor['type']} {who or actor['id']}", "what": what or None}


def _describe(change: FieldChange) -> str:
    if "secret" in change:
        return f"{change['field']}: {change['secret']}"
    return f"{change['field']}: {_shown(change['from'])} → {_shown(change['to'])}"


def _shown(value: Any) -> str:  # noqa: ANN401 - any JSON
    return value if isinstance(value, str) else orjson.dumps(value).decode()


Shape = dict[str, Any]


@click.command(
    "replay",
    epilog=examples(
        "postwatch replay --as-of 2026-01-31T12:00:00Z", "postwatch replay --as-of 1200"
    ),
)
@click.option(
    "--as-of",
    "point",
    required=True,
    metavar="TIME|POSITION",
    help="A time with its offset from UTC, or a position in the audit log.",
)
def replay_command(point: str) -> None:
    """Print all organizations, customers and monitors as they were, as one JSON object.

    The command folds the audit log anew and reads no view. `position` and `time` are those
    of the last event that counts. Passwords are masked. The times of checks are left out.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        with open_from_settings(settings) as store:
            log = LogReader(store.monitoring)
            head = log.head()
            until = parse_argument(
                "--as-of", lambda text: parse_point(text, head=head, now=utc_now()), point
            )
            folded = replay(log, until)
        with complete_output("configuration"):
            _print(folded)


def _print(folded: Replay) -> None:
    """Write one resource a line, so that the JSON is never in memory as a whole."""
    sys.stdout.write(
        f'{{"position": {folded.position()}, "time": {orjson.dumps(folded.time).decode()}'
    )
    organizations = dict(folded.rows(monitors.ORGANIZATIONS))
    customers = dict(folded.rows(monitors.CUSTOMERS))
    _print_list("organizations", map(_organization, organizations.values()))
    _print_list(
        "customers",
        (
            customer_shape(each, organizations[each["organization_id"]], "read")
            for each in customers.values()
        ),
    )
    for kind in KINDS.values():
        shapes = _monitors(folded, kind.name, customers, organizations)
        _print_list(f"{kind.resource}s", shapes)
    sys.stdout.write("\n}\n")


def _print_list(key: str, shapes: Iterable[Shape]) -> None:
    sys.stdout.write(f',\n"{key}": [')
    separator = "\n"
    for shape in shapes:
        sys.stdout.write(separator + orjson.dumps(shape).decode())
        separator = ",\n"
    sys.stdout.write("]")


def _monitors(
    folded: Replay, kind: str, customers: dict[str, Record], organizations: dict[str, Record]
) -> Iterator[Shape]:
    for _, each in folded.rows(monitors.MONITORS):
        if each["kind"] != kind:
            continue
        customer = customers[each["customer_id"]]
        view = MonitorRecords(each, customer, organizations[each["organization_id"]], None)
        shape = monitor_shape(view, "read", mask_secrets(each["config"]))
        # The time of the last check is not part of the configuration.
        yield {key: value for key, value in shape.items() if key != "lastCheckedAt"}


def _organization(record: Record) -> Shape:
    return {
        "id": record["number"],
        "publicId": record["public_id"],
        "name": record["name"],
        "createdAt": record["created_at"],
    }


@click.command(
    "uptime",
    epilog=examples(
        "postwatch uptime 01935c5e-7a4b-7c39-9d2f-0123456789ab --range month --granularity day"
    ),
)
@click.argument("public_id")
@click.option(
    "--range",
    "range_",
    type=click.Choice(list(RANGES)),
    default="day",
    show_default=True,
    help="How far back from now.",
)
@click.option("--granularity", type=click.Choice(GRANULARITIES), help="Length of each row, in UTC.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, as the API does.")
def uptime_of(
    public_id: str, range_: str, granularity: Granularity | None, *, as_json: bool
) -> None:
    """Show how long the monitor PUBLIC_ID was up and down, by hours or days.

    Also of a deleted monitor. Time that no check covers is unknown: it counts neither as up
    nor as down. The seconds of all locations are added, so an hour that two locations
    watched has 7200.
    """
    now = utc_now()
    time = _asked(range_, granularity, now)
    with operator_session() as opened:
        monitor_id = parse_public_id(public_id)
        if opened.store.monitoring.find(Monitor, monitor_id) is None:
            raise CommandError(ExitCode.FAILED, f"there is no monitor {public_id}")
        opened.require("roll_ups")
        monitoring, roll_ups = opened.store.monitoring, opened.views.roll_ups
        found = monitor_uptime(monitoring, roll_ups, monitor_id, time, now)
        shape = uptime_shape(found, time)
    if as_json:
        print_json(shape)
        return
    columns = {"start": "From", "percent": "Up %", "up": "Up s", "down": "Down s"}
    more = {"maintenance": "Maintenance s", "unknown": "Unknown s", "notWatched": "Not watched s"}
    figures = {"checks": "Checks", "failed": "Failed", "p50": "p50 ms", "p95": "p95 ms"}
    rows = [_uptime_row(each) for each in (*shape["data"], {**shape, "start": "all"})]
    print_rows(rows, {**columns, **more, **figures, "max": "max ms"}, as_json=False)


def _asked(range_: str, granularity: Granularity | None, now: datetime) -> ReportPeriod:
    try:
        return report_period(range_, granularity, now)
    except InvalidValueError as error:
        raise click.BadParameter(error.message, param_hint="--granularity") from None


def _uptime_row(figures: dict[str, Any]) -> dict[str, Any]:
    none = dict.fromkeys(("p50", "p95", "max"))
    return {
        "start": figures["start"],
        "percent": figures["uptimePercent"],
        **figures["seconds"],
        "checks": figures["checks"],
        "failed": figures["failed"],
        **figures["timings"].get("total", none),
    }
