"""`postwatch location`: from where servers are checked, and from where no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode
from cli.failure import CommandError
from cli.presence import checkers_at, vacant
from cli.session import session
from cli.tables import print_json, print_rows
from domain.clock import utc_now
from projections.location_shapes import standing_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.view import Record


@click.group()
def location() -> None:
    """List and retire the places from which servers are checked.

    A place is made by the first start of a checker there, and named by its newest one.
    """


@location.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_locations(*, as_json: bool) -> None:
    """List locations by number, also retired ones, and which checkers run there now."""
    columns = {
        "number": "Number",
        "code": "Code",
        "name": "Name",
        "country": "Country",
        "status": "Status",
        "last_check_at": "Last check",
        "checkers": "Checkers",
    }
    with session("monitors") as opened:
        locations, now = opened.reader.locations(), utc_now()
        last = opened.read("checks", opened.reader.last_check_of_locations)
        present = checkers_at(opened.store.engine, locations)
        rows = [
            {
                **each,
                "status": standing_of(each, last.get(each["code"]), now),
                "last_check_at": last.get(each["code"]),
                "checkers": present[each["code"]],
            }
            for each in locations
        ]
    if as_json:
        print_json([{key: row[key] for key in columns} for row in rows])
        return
    shown = [{**row, "checkers": ", ".join(row["checkers"]) or None} for row in rows]
    print_rows(shown, columns, as_json=False)


@location.command()
@click.argument("code")
def retire(code: str) -> None:
    """Retire the location CODE, where no checker runs any more.

    It is not listed by the API from then on. Its checks stay, with its name. A checker that
    is started there again, by name, brings it back.
    """
    with session("monitors") as opened:
        record = _find(opened.reader.locations(), code)
        with vacant(opened.store.engine, record):
            opened.store.monitoring.retire_location(code, opened.actor)
        opened.catch_up()
        print(f"location {code} ({record['name']}) is retired")


def _find(locations: Sequence[Record], code: str) -> Record:
    for each in locations:
        if each["code"] == code:
            return each
    raise CommandError(
        ExitCode.FAILED, f"there is no location {code}; see `postwatch location list`"
    )
