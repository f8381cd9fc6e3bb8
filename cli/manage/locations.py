"""`postwatch location`: the locations from which servers are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.terminal.help import examples
from cli.terminal.output import print_line, print_rows
from cli.terminal.session import operator_session
from domain.clock import utc_now
from projections.shapes.location import location_status
from service.errors import CommandError, ExitCode
from service.presence import checkers_at, without_checkers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.core.table import Record


@click.group()
def location() -> None:
    """List and retire the locations from which servers are checked.

    The first checker that starts with a new code creates the location. Each later start
    sets its name and country to those of that checker.
    """


@location.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_locations(*, as_json: bool) -> None:
    """List locations by number, also retired ones, and the checkers that run there now."""
    columns = {
        "number": "Number",
        "code": "Code",
        "name": "Name",
        "country": "Country",
        "status": "Status",
        "last_check_at": "Last check",
        "checkers": "Checkers",
    }
    with operator_session("monitors") as opened:
        locations, now = opened.reader.locations(), utc_now()
        last = opened.read("checks", opened.reader.last_check_of_locations)
        present = checkers_at(opened.store.engine, locations)
        rows = [
            {
                **each,
                "status": location_status(each, last.get(each["code"]), now),
                "last_check_at": last.get(each["code"]),
                "checkers": present[each["code"]],
            }
            for each in locations
        ]
    if not as_json:
        rows = [{**row, "checkers": ", ".join(row["checkers"]) or None} for row in rows]
    print_rows(rows, columns, as_json=as_json)


@location.command(epilog=examples("postwatch location retire de-nbg"))
@click.argument("code")
def retire(code: str) -> None:
    """Retire the location CODE. Stop its checkers first.

    The API no longer lists a retired location. Its checks and its name stay. A checker that
    starts with --location CODE brings it back.
    """
    with operator_session("monitors") as opened:
        record = _find(opened.reader.locations(), code)
        with without_checkers(opened.store.engine, record):
            opened.store.monitoring.retire_location(code, opened.actor)
        opened.catch_up()
        print_line(f"location {code} ({record['name']}) is retired")


def _find(locations: Sequence[Record], code: str) -> Record:
    for each in locations:
        if each["code"] == code:
            return each
    raise CommandError(
        ExitCode.FAILED, f"there is no location {code}; see `postwatch location list`"
    )
