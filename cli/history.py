"""`postwatch history`: everything that ever happened to one monitor's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import click
import orjson

from cli.exit_codes import ExitCode
from cli.failure import CommandError
from cli.session import session
from cli.tables import print_json, print_rows
from projections.history import FOR_EVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.audit_entries import Entry
    from projections.changes import Change
    from projections.history_reader import HistoryReader

_PAGE: Final = 500
_MONITORS: Final = frozenset({"smtp", "imap_pop"})
_COLUMNS: Final = {
    "position": "Position",
    "time": "When",
    "who": "Who",
    "type": "Event",
    "what": "What",
}


@click.command()
@click.argument("public_id")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def history(public_id: str, *, as_json: bool) -> None:
    """Show who changed what, when, of the monitor PUBLIC_ID, newest first; also of a deleted one.

    Each event is told as GET .../history of the API tells it. Secrets are shown as changed,
    never what they are.
    """
    with session("history") as opened:
        reader, key = opened.views.history, str(parse_public_id(public_id))
        thing = reader.thing(key)
        if thing is None or thing["kind"] not in _MONITORS:
            raise CommandError(ExitCode.FAILED, f"there is no monitor {public_id}")
        entries = list(_entries(reader, key))
    if as_json:
        print_json(entries)
    else:
        print_rows([_row(each) for each in entries], _COLUMNS, as_json=False)


def _entries(reader: HistoryReader, key: str) -> Iterator[Entry]:
    before = FOR_EVER
    while found := reader.entries_of(key, before, _PAGE):
        yield from (orjson.loads(each.body) for each in found)
        before = found[-1].position


def _row(entry: Entry) -> dict[str, object]:
    actor = entry["actor"]
    who = " ".join(part for part in (actor["name"], actor["role"]) if part)
    what = "\n".join(_told(each) for each in entry["changes"])
    return {**entry, "who": f"{actor['type']} {who or actor['id']}", "what": what or None}


def _told(change: Change) -> str:
    if "secret" in change:
        return f"{change['field']}: {change['secret']}"
    return f"{change['field']}: {_shown(change['from'])} → {_shown(change['to'])}"


def _shown(value: Any) -> str:  # noqa: ANN401 - any JSON
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def parse_public_id(text: str) -> UUID:
    """Return the id of a monitor that somebody typed. Raises CommandError."""
    try:
        return UUID(text)
    except ValueError:
        raise CommandError(
            ExitCode.USAGE, f"{text} is not a public id; it is the UUID that the API shows"
        ) from None
