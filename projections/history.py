"""The `history` view: what happened to each thing, and what it was at any position.

Folded by the folds of the `monitors` view, so the past is what that view once held. Three
tables: `things` says what there is and to whom it belongs, `versions` what each event made
of a thing, `entries` each event as the API tells it.

Events that only keep the log's own books (`Registered`, `RequestAnswered`) have no entry:
each stands in one transaction with the event that it belongs to, and says nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from eventsourcing.utils import get_topic

from domain.archive.archived import ChecksArchived
from projections import monitors
from projections.audit_entries import changed_fields, entry
from projections.projection import Document, Projection
from projections.rows import Rows, portions
from projections.view import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.log_reader import LoggedEvent
    from projections.view import Record, Transaction

FOR_EVER: Final = 2**62
"""The position at which things end that have not ended."""

_VERSION: Final = 1
_VERSIONS: Final = 1000
"""Raise the first when versions or entries are made in another way."""

_OWNERS: Final = ("organization", "customer")

OF_NOBODY: Final = 0
"""Stands for the organization of what belongs to the whole installation."""

THINGS: Final = Table(
    "things",
    {
        "kind": "TEXT",
        "organization_id": "TEXT",
        "customer_id": "TEXT",
        "number": "INTEGER",
        "made": "INTEGER",
        "gone": "INTEGER",
    },
    lambda record: (
        record["kind"],
        record["organization_id"],
        record["customer_id"],
        record["number"],
        record["made"],
        record["gone"],
    ),
    indexes=(
        ("kind", "number"),
        ("kind", "organization_id", "number", "made", "gone"),
        ("kind", "customer_id", "number", "made", "gone"),
    ),
)
"""`made` and `gone` are positions: a thing is there from the first to before the second."""

VERSIONS: Final = Table(
    "versions",
    {"thing": "TEXT", "since": "INTEGER", "search": "TEXT"},
    lambda record: (record["thing"], record["since"], _searched(record)),
    indexes=(("thing", "since"),),
)
"""What a thing was from a position on, until the next one; `value` null: it was gone."""

ENTRIES: Final = Table(
    "entries",
    {
        "position": "INTEGER",
        "at": "TEXT",
        "type": "TEXT",
        "organization": "INTEGER",
        "customer": "INTEGER",
        "thing": "TEXT",
        "actor": "TEXT",
    },
    lambda record: (
        record["position"],
        record["time"],
        record["type"],
        record["organizationId"] or OF_NOBODY,
        record["customerId"],
        record["subject"]["publicId"],
        record["actor"]["id"],
    ),
    indexes=(
        ("position",),
        ("at", "position"),
        ("thing", "position"),
        ("customer", "position"),
        ("organization", "position"),
    ),
)
"""Every entry by its position; `organization` and `customer` are numbers."""

KIND_OF: Final = {
    monitors.ORGANIZATIONS.name: "organization",
    monitors.CUSTOMERS.name: "customer",
    monitors.TOKENS.name: "token",
    monitors.LOCATIONS.name: "location",
}


class HistoryProjection(Projection):
    """Folds each event into a version of its thing, and tells it as an entry."""

    def apply(self, events: Iterable[LoggedEvent], transaction: Transaction) -> None:
        """Write what events made, reading and writing each row once."""
        rows = Rows(transaction)
        for portion in portions(events):
            self._read(rows, portion)
            for logged in portion:
                document = self.documents.get(type(logged.event))
                if document is not None:
                    _tell(rows, logged, document)
                elif isinstance(logged.event, ChecksArchived):
                    _tell_of_archive(rows, logged)
        rows.write()

    def _read(self, rows: Rows, portion: Iterable[LoggedEvent]) -> None:
        """Read what telling of some events needs: the things, their owners, what they were."""
        things: dict[str, None] = {}
        versions: dict[str, None] = {}
        for _, event in portion:
            document = self.documents.get(type(event))
            if document is not None:
                key = document.key_of(event)
                things[key] = None
                versions[_version(key, event.originator_version - 1)] = None
                owners = (getattr(event, f"{each}_id", None) for each in _OWNERS)
                things.update(dict.fromkeys(filter(None, owners)))
        rows.read(THINGS, things)
        rows.read(VERSIONS, versions)


def _tell(rows: Rows, logged: LoggedEvent, document: Document) -> None:
    event, key = logged.event, document.key_of(logged.event)
    known = rows.get(VERSIONS, _version(key, event.originator_version - 1))
    before = known["value"] if known else None
    after = document.fold(before, event)
    shown: Any = before if after is None else after
    thing = rows.get(THINGS, key)
    if thing is None:
        thing = _thing(rows, document.table, shown, logged.position)
        rows.put(THINGS, key, thing)
    if after is None:
        rows.put(THINGS, key, {**thing, "gone": logged.position})
    version = {"thing": key, "since": logged.position, "value": after}
    rows.put(VERSIONS, _version(key, event.originator_version), version)
    changed = changed_fields(thing["kind"], before, after)
    told = entry(logged, {**thing, "name": shown["name"]}, changed)
    rows.put(ENTRIES, str(logged.position), told)


def _tell_of_archive(rows: Rows, logged: LoggedEvent) -> None:
    """Tell of checks that were archived: of the whole installation, and no thing with versions."""
    segment = {
        "kind": "archive",
        "number": logged.event.originator_version,
        "name": "checks",
        "organization_number": None,
        "customer_number": None,
    }
    changed = changed_fields("archive", None, vars(logged.event))
    rows.put(ENTRIES, str(logged.position), entry(logged, segment, changed))


def _thing(rows: Rows, table: Table, record: Record, position: int) -> Record:
    """Return what stays of a thing for ever: what it is, whose, and its number."""
    kind = KIND_OF.get(table.name) or record["kind"]
    owners = {each: record.get(f"{each}_id") for each in _OWNERS}
    numbers = {each: _number(rows, owner) for each, owner in owners.items()}
    if kind in owners:  # it is the owner of what is said about it
        owners[kind], numbers[kind] = record["public_id"], record["number"]
    return {
        "kind": kind,
        "number": record["number"],
        "organization_id": owners["organization"],
        "organization_number": numbers["organization"],
        "customer_id": owners["customer"],
        "customer_number": numbers["customer"],
        "made": position,
        "gone": FOR_EVER,
    }


def _number(rows: Rows, owner: str | None) -> int | None:
    found = rows.get(THINGS, owner) if owner else None
    return found["number"] if found else None


def _version(key: str, number: int) -> str:
    return f"{key} {number}"


def _searched(record: Record) -> str | None:
    """Return the text in which a list searches, as the `monitors` view has it."""
    value = record["value"]
    return monitors.search_text(value) if value and "name" in value else None


PROJECTION: Final = HistoryProjection(
    name="history",
    log="monitoring",
    tables=(THINGS, VERSIONS, ENTRIES),
    documents=monitors.PROJECTION.documents,
    # Other folds of the `monitors` view give other versions here.
    version=_VERSIONS * monitors.PROJECTION.version + _VERSION,
)

TYPES: Final = tuple(get_topic(each) for each in (*PROJECTION.documents, ChecksArchived))
"""The types of events that have an entry."""
