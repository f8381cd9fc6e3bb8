"""`postwatch replay`: the whole configuration as it was, folded anew from the log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

from cli.arguments import parsed
from cli.failure import exit_on_failure
from cli.opening import opened_store
from cli.output import whole
from cli.settings import Settings
from domain.clock import utc_now
from domain.log_reader import LogReader
from domain.moment import parse_point
from domain.secret_fields import mask_secret
from projections import customer_shapes, monitors
from projections.reader import MonitorView
from projections.replay import Replay, replay
from projections.shapes import monitor_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from projections.view import Record

Shape = dict[str, Any]
_KEY_OF: Final = {"smtp": "smtpMonitors", "imap_pop": "imapPopMonitors"}


@click.command("replay")
@click.option(
    "--as-of",
    "point",
    required=True,
    metavar="TIME|POSITION",
    help="A time with its offset from UTC, such as 2026-01-31T12:00:00Z, or a position.",
)
def command(point: str) -> None:
    """Print all organizations, customers and monitors as they were, as one JSON object.

    Everything is folded anew from the audit log; no view is read. `position` and `time` say
    which event was the last. Passwords are masked; when servers were checked is left out.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        with opened_store(settings) as store:
            log = LogReader(store.monitoring)
            head = log.head()
            until = parsed(
                "--as-of", lambda text: parse_point(text, head=head, now=utc_now()), point
            )
            folded = replay(log, until)
        with whole("configuration"):
            _print(folded)


def _print(folded: Replay) -> None:
    """Write one thing a line, so that nothing is held twice."""
    sys.stdout.write(
        f'{{"position": {folded.position()}, "time": {orjson.dumps(folded.time).decode()}'
    )
    organizations = dict(folded.rows(monitors.ORGANIZATIONS))
    customers = dict(folded.rows(monitors.CUSTOMERS))
    _print_list("organizations", map(_organization, organizations.values()))
    _print_list(
        "customers",
        (
            customer_shapes.read(each, organizations[each["organization_id"]])
            for each in customers.values()
        ),
    )
    for kind, key in _KEY_OF.items():
        _print_list(key, _monitors(folded, kind, customers, organizations))
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
        view = MonitorView(each, customer, organizations[each["organization_id"]], None)
        shape = monitor_shape(view, "read", mask_secret(each["kind"], each["config"]))
        # When it was checked is no configuration.
        yield {key: value for key, value in shape.items() if key != "lastCheckedAt"}


def _organization(record: Record) -> Shape:
    return {
        "id": record["number"],
        "publicId": record["public_id"],
        "name": record["name"],
        "createdAt": record["created_at"],
    }
