"""The `history` view: the changes of each thing, and what it was at any position.

It is folded by the folds of the `monitors` view, so the past is what that view once held. The
table `things` says what exists, since when, and whose it is; `versions` what each event made of
a thing; `entries` what each event changed, as the API shows it.

An entry shows from what to what the audited keys of the thing's table changed. A secret appears
as its mask; that it changed is said by a word, and neither the secret nor its sealed text is
ever part of an entry. Events that only serve the log itself (`Registered`, `RequestAnswered`)
have no entry: each is recorded together with an event that has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from eventsourcing.utils import get_topic
from typing_extensions import override

from domain.check import ChecksArchived
from domain.clock import iso_milliseconds
from domain.config_secrets import dotted, mask_secrets, secrets_of
from domain.kinds import KINDS, MASK
from domain.tag import MonitorTags
from domain.values import is_same
from projections.core.projection import EventHandler, Projection, RowBuffer, batched
from projections.core.table import Table
from projections.views import monitors, records
from projections.views.resources import TAG_HANDLERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from domain.actor import Actor
    from domain.config_secrets import Place
    from domain.kinds import Config, Kind
    from projections.core.table import Record, Transaction
    from store.log_reader import LoggedEvent


FieldChange = dict[str, Any]
HistoryEntry = dict[str, Any]

SUBJECT_KINDS: Final = (
    *(kind.resource for kind in KINDS.values()),
    "customer",
    "organization",
    "token",
    "location",
    "archive",
    "maintenanceWindow",
    "notificationChannel",
    "tag",
    "packageConfig",
)
"""What an event may be about, in the words of the API."""

FOR_EVER: Final = 2**62
"""The position at which a thing ends that still exists."""

_VERSION: Final = 1
"""Raise it when versions or entries are made in another way."""

_VERSIONS: Final = 1000
"""Far more than this view will have, so that its versions and those of `monitors` do not mix."""

_OWNERS: Final = ("organization", "customer")
_ABSENT: Final[Any] = object()
_ARCHIVE_KEYS: Final = {
    "firstPosition": "first_position",
    "lastPosition": "last_position",
    "count": "count",
    "digest": "digest",
}
"""What an entry shows of archived checks."""

OF_NOBODY: Final = 0
"""The organization of what belongs to the whole installation."""

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
"""`made` and `gone` are positions: a thing exists from the first to before the second."""

VERSIONS: Final = Table(
    "versions",
    {"thing": "TEXT", "since": "INTEGER", "search": "TEXT"},
    lambda record: (record["thing"], record["since"], _searched(record)),
    indexes=(("thing", "since"),),
)
"""What a thing was from a position on, until its next version; `value` null: it was deleted."""

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


class HistoryProjection(Projection):
    """Folds each event into a version of its thing and an entry."""

    @override
    def fold(self, events: Iterable[LoggedEvent], transaction: Transaction) -> None:
        rows = RowBuffer(transaction)
        for batch in batched(events):
            self._read(rows, batch)
            for logged in batch:
                handler = self.handlers.get(type(logged.event))
                if handler is not None:
                    _record_change(rows, logged, handler)
                elif isinstance(logged.event, ChecksArchived):
                    _record_archive(rows, logged)
                elif type(logged.event) in TAG_HANDLERS:
                    _record_tag(rows, logged)
        rows.write()

    def _read(self, rows: RowBuffer, batch: Iterable[LoggedEvent]) -> None:
        """Read the rows that the events need: things, their owners, their last versions."""
        things: dict[str, None] = {}
        versions: dict[str, None] = {}
        for _, event in batch:
            handler = self.handlers.get(type(event))
            if handler is not None:
                key = handler.key_of(event)
                things[key] = None
                versions[_version(key, event.originator_version - 1)] = None
                owners = (getattr(event, f"{each}_id", None) for each in _OWNERS)
                things.update(dict.fromkeys(filter(None, owners)))
        rows.read(THINGS, things)
        rows.read(VERSIONS, versions)


def _record_change(rows: RowBuffer, logged: LoggedEvent, handler: EventHandler) -> None:
    event, table, key = logged.event, handler.table, handler.key_of(logged.event)
    known = rows.get(VERSIONS, _version(key, event.originator_version - 1))
    before = known["value"] if known else None
    after = handler.fold(before, event)
    last = records.existing(before) if after is None else after
    thing = rows.get(THINGS, key)
    if thing is None:
        thing = _new_thing(rows, table, last, logged.position)
        rows.put(THINGS, key, thing)
    if after is None:
        rows.put(THINGS, key, {**thing, "gone": logged.position})
    version = {"thing": key, "since": logged.position, "value": after}
    rows.put(VERSIONS, _version(key, event.originator_version), version)
    changes = () if after is None else record_changes(table, before, after)
    rows.put(
        ENTRIES, str(logged.position), _entry(logged, {**thing, "name": last["name"]}, changes)
    )


def _record_archive(rows: RowBuffer, logged: LoggedEvent) -> None:
    """Put the entry of archived checks: they belong to the installation, and have no versions."""
    segment = {
        "kind": "archive",
        "number": logged.event.originator_version,
        "name": "checks",
        "organization_number": None,
        "customer_number": None,
    }
    changes = _changes(_ARCHIVE_KEYS, None, vars(logged.event))
    rows.put(ENTRIES, str(logged.position), _entry(logged, segment, changes))


def _record_tag(rows: RowBuffer, logged: LoggedEvent) -> None:
    """Put the entry of a tag among those of its monitor. `version` is that of the tags' stream."""
    event = logged.event
    monitor = records.existing(rows.get(THINGS, event.monitor_id))
    was, now = None, event.tag_name
    if isinstance(event, MonitorTags.Removed):
        was, now = now, was
    entry = _entry(logged, {**monitor, "name": event.monitor_name}, [_change("tags", was, now)])
    subject = {**entry["subject"], "publicId": event.monitor_id}
    rows.put(ENTRIES, str(logged.position), {**entry, "subject": subject})


def _new_thing(rows: RowBuffer, table: Table, record: Record, position: int) -> Record:
    """Return what never changes of a thing: its kind, its number and its owners."""
    kind = table.kind or record["kind"]
    owners = {each: record.get(f"{each}_id") for each in _OWNERS}
    numbers = {each: _number(rows, owner) for each, owner in owners.items()}
    if kind in owners:  # entries about an owner belong to that owner
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


def _number(rows: RowBuffer, owner: str | None) -> int | None:
    found = rows.get(THINGS, owner) if owner else None
    return found["number"] if found else None


def _version(key: str, number: int) -> str:
    return f"{key} {number}"


def _searched(record: Record) -> str | None:
    """Return the text of a version in which a list searches, as the `monitors` view has it."""
    value = record["value"]
    return monitors.search_text(value) if value and "name" in value else None


def _entry(logged: LoggedEvent, subject: Record, changes: Iterable[FieldChange]) -> HistoryEntry:
    """Return the entry of an event; `subject` is a thing with its name at that time."""
    event, kind = logged.event, subject["kind"]
    return {
        "position": logged.position,
        "time": iso_milliseconds(event.timestamp),
        "type": type(event).TOPIC,
        "actor": _actor(event.actor),
        "organizationId": subject["organization_number"],
        "customerId": subject["customer_number"],
        "subject": {
            "kind": KINDS[kind].resource if kind in KINDS else kind,
            "id": subject["number"],
            "publicId": str(event.originator_id),
            "name": subject["name"],
        },
        "version": event.originator_version,
        "changes": list(changes),
    }


def _actor(actor: Actor) -> dict[str, str | None]:
    return {
        "type": actor["type"],
        "id": actor["id"],
        "name": actor.get("name"),
        "role": actor.get("role"),
        "requestId": actor.get("request_id"),
    }


def record_changes(table: Table, before: Record | None, after: Record) -> Iterator[FieldChange]:
    """Return the audited fields that changed between two records; a config field by field.

    A new record changes every field from null.
    """
    yield from _changes(table.audited, before, after)
    if table is monitors.MONITORS:
        was, now = before["config"] if before else {}, after["config"]
        if was is not now:
            yield from _config_changes(after["kind"], was, now)


def _changes(
    keys: Mapping[str, str], before: Record | None, after: Record
) -> Iterator[FieldChange]:
    for key, field in keys.items():
        was, now = None if before is None else before[field], after[field]
        # A fold leaves most fields alone, and a field that it leaves alone is the same object.
        if was is not now and not is_same(was, now):
            yield _change(key, was, now)


def _change(key: str, was: object, now: object) -> FieldChange:
    return {"field": key, "from": was, "to": now}


def _config_changes(kind: Kind, before: Config, after: Config) -> Iterator[FieldChange]:
    """Compare configs leaf by leaf; a leaf that one lacks is shown as null there."""
    was, now = (dict(_leaves((), mask_secrets(each))) for each in (before, after))
    hidden_was, hidden_now = dict(secrets_of(before)), dict(secrets_of(after))
    hidden = dict.fromkeys((*hidden_was, *hidden_now))
    for path in dict.fromkeys((*was, *now)):
        if path not in hidden and not is_same(was.get(path, _ABSENT), now.get(path, _ABSENT)):
            yield _change(_key(kind, path), was.get(path), now.get(path))
    for place in hidden:
        if not is_same(hidden_was.get(place, _ABSENT), hidden_now.get(place, _ABSENT)):
            masked = (MASK if place in each else None for each in (hidden_was, hidden_now))
            yield {**_change(_key(kind, place), *masked), "secret": "changed"}


def _leaves(path: Place, value: object) -> Iterator[tuple[Place, object]]:
    if isinstance(value, dict) and (value or not path):
        for key, each in value.items():
            yield from _leaves((*path, key), each)
    else:
        yield path, value


def _key(kind: Kind, place: Place) -> str:
    return dotted((KINDS[kind].config_key, *place))


PROJECTION: Final = HistoryProjection(
    name="history",
    log="monitoring",
    tables=(THINGS, VERSIONS, ENTRIES),
    handlers={
        event: handler
        for event, handler in monitors.PROJECTION.handlers.items()
        if event not in TAG_HANDLERS
    },
    # Other folds of the `monitors` view give other versions here.
    version=_VERSIONS * monitors.PROJECTION.version + _VERSION,
)

ENTRY_TYPES: Final = tuple(
    get_topic(each) for each in (*PROJECTION.handlers, ChecksArchived, *TAG_HANDLERS)
)
"""The types of events that have an entry."""
