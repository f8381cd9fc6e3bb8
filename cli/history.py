"""`postwatch history`: everything that ever happened to one monitor's configuration."""

from __future__ import annotations

from uuid import UUID

import click

from cli.exit_codes import ExitCode
from cli.failure import CommandError
from cli.session import session
from cli.tables import print_json, print_rows
from domain.history import Entry, monitor_history


@click.command()
@click.argument("public_id")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def history(public_id: str, *, as_json: bool) -> None:
    """Show who changed what, when, of the monitor PUBLIC_ID; also of a deleted one."""
    with session() as opened:
        entries = monitor_history(opened.store.monitoring, _uuid(public_id))
        if not entries:
            raise CommandError(ExitCode.FAILED, f"there is no monitor {public_id}")
        if as_json:
            print_json([entry.as_json() for entry in entries])
            return
        columns = {"version": "Version", "at": "When", "who": "Who", "event": "Event"}
        print_rows([_row(entry) for entry in entries], {**columns, "what": "What"}, as_json=False)


def _row(entry: Entry) -> dict[str, object]:
    actor = entry.actor
    who = " ".join(part for part in (actor.get("name"), actor.get("role")) if part)
    what = "\n".join(
        f"{change.field}: {change.before} → {change.after}" for change in entry.changes
    )
    return {
        "version": entry.version,
        "at": entry.at,
        "who": f"{actor['type']} {who or actor['id']}",
        "event": entry.event,
        "what": what or None,
    }


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise CommandError(
            ExitCode.USAGE, f"{text} is not a public id; it is the UUID that the API shows"
        ) from None
