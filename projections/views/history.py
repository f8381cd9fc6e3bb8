"""The `history` view: what happened to each thing, and what it was at any position.

Folded by the folds of the `monitors` view, so the past is what that view once held. Three
tables: `things` says what there is and to whom it belongs, `versions` what each event made
of a thing, `entries` each event as the API tells it.

Events that only keep the log's own books (`Registered`, `RequestAnswered`) have no entry:
each stands in one transaction with the event that it belongs to, and says nothing more.

An event as the API tells it: position, time, actor, what it is about, what changed.

What an event changed, in the field terms of the API: from what, to what.

Pure. A secret is shown as the API shows it, by the mask; that it became another one is
said by a word, and neither the secret nor its sealed text is ever part of a change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from eventsourcing.utils import get_topic

from domain.check import ChecksArchived
from domain.clock import iso_milliseconds
from domain.fields import CUSTOMER_FIELDS, MONITOR_FIELDS, keys_of
from domain.kinds import KINDS, MASK
from domain.mail_config import read_secret
from domain.values import is_same
from projections.core.projection import EventHandler, Projection, RowBuffer, batched
from projections.core.table import Table
from projections.views import monitors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from domain.actor import Actor
    from domain.kinds import Config, Kind
    from projections.core.table import Record, Transaction
    from store.log_reader import LoggedEvent


FieldChange = dict[str, Any]
Path = tuple[str, ...]

MONITOR: Final[Mapping[str, str]] = {
    key: field for key, field in keys_of(MONITOR_FIELDS).items() if field != "config"
}
CUSTOMER: Final[Mapping[str, str]] = keys_of(CUSTOMER_FIELDS)
LOCATION: Final[Mapping[str, str]] = {"code": "code", "name": "name", "countryCode": "country"}
ARCHIVE: Final[Mapping[str, str]] = {
    "firstPosition": "first_position",
    "lastPosition": "last_position",
    "count": "count",
    "digest": "digest",
}
ORGANIZATION: Final[Mapping[str, str]] = {"name": "name"}
TOKEN: Final[Mapping[str, str]] = {"name": "name", "role": "role", "expiresAt": "expires_at"}
"""Keys of the API, and the fields of a record that they show."""

_ABSENT: Final[Any] = object()


def changes(keys: Mapping[str, str], before: Record | None, after: Record) -> Iterator[FieldChange]:
    """Return the fields that became others. What is made begins with null everywhere."""
    for key, field in keys.items():
        was, now = None if before is None else before[field], after[field]
        # What a fold leaves alone is the very same object, and most fields are left alone.
        if was is not now and not is_same(was, now):
            yield change(key, was, now)


def monitor_changes(before: Record | None, after: Record) -> Iterator[FieldChange]:
    """Return the fields of a monitor that became others; its config field by field."""
    yield from changes(MONITOR, before, after)
    was, now = before["config"] if before else {}, after["config"]
    if was is not now:
        yield from _config_changes(after["kind"], was, now)


def change(key: str, was: object, now: object) -> FieldChange:
    """Return one change."""
    return {"field": key, "from": was, "to": now}


def _config_changes(kind: Kind, before: Config, after: Config) -> Iterator[FieldChange]:
    """Compare configs leaf by leaf; null stands for what is not there, too."""
    was, now = dict(_leaves((), before)), dict(_leaves((), after))
    secret = KINDS[kind].secret_path
    if read_secret(kind, before) or read_secret(kind, after):
        hidden = read_secret(kind, before), read_secret(kind, after)
        was.pop(secret, None)
        now.pop(secret, None)
    else:
        hidden = None, None
    for path in _in_order(was, now):
        if not is_same(was.get(path, _ABSENT), now.get(path, _ABSENT)):
            yield change(_key(kind, path), was.get(path), now.get(path))
    if hidden[0] != hidden[1]:
        masked = [None if each is None else MASK for each in hidden]
        yield {**change(_key(kind, secret), *masked), "secret": "changed"}


def _leaves(path: Path, value: object) -> Iterator[tuple[Path, object]]:
    if isinstance(value, dict) and (value or not path):
        for key, each in value.items():
            yield from _leaves((*path, key), each)
    else:
        yield path, value


def _in_order(was: Iterable[Path], now: Iterable[Path]) -> dict[Path, None]:
    return dict.fromkeys((*was, *now))


def _key(kind: Kind, path: Path) -> str:
    return ".".join((KINDS[kind].config_key, *path))


HistoryEntry = dict[str, Any]

SUBJECT_KINDS: Final[Mapping[str, str]] = {
    **{kind.name: kind.resource for kind in KINDS.values()},
    "customer": "customer",
    "organization": "organization",
    "token": "token",
    "location": "location",
    "archive": "archive",
}
"""What an event may be about, and how the API calls it."""

_KEYS: Final[Mapping[str, Mapping[str, str]]] = {
    "customer": CUSTOMER,
    "organization": ORGANIZATION,
    "token": TOKEN,
    "location": LOCATION,
    "archive": ARCHIVE,
}


def entry(logged: LoggedEvent, thing: Record, changed: Iterable[FieldChange]) -> HistoryEntry:
    """Return the entry of an event about a thing; `thing` bears its name at that time."""
    event = logged.event
    return {
        "position": logged.position,
        "time": iso_milliseconds(event.timestamp),
        "type": type(event).TOPIC,
        "actor": _actor(event.actor),
        "organizationId": thing["organization_number"],
        "customerId": thing["customer_number"],
        "subject": {
            "kind": SUBJECT_KINDS[thing["kind"]],
            "id": thing["number"],
            "publicId": str(event.originator_id),
            "name": thing["name"],
        },
        "version": event.originator_version,
        "changes": list(changed),
    }


def changed_fields(kind: str, before: Record | None, after: Record | None) -> Iterable[FieldChange]:
    """Return what became another between two records of a thing; nothing when it is gone."""
    if after is None:
        return ()
    if kind in _KEYS:
        return changes(_KEYS[kind], before, after)
    return monitor_changes(before, after)


def _actor(actor: Actor) -> dict[str, str | None]:
    return {
        "type": actor["type"],
        "id": actor["id"],
        "name": actor.get("name"),
        "role": actor.get("role"),
        "requestId": actor.get("request_id"),
    }


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

    def fold(self, events: Iterable[LoggedEvent], transaction: Transaction) -> None:
        """Write what events made, reading and writing each row once."""
        rows = RowBuffer(transaction)
        for portion in batched(events):
            self._read(rows, portion)
            for logged in portion:
                document = self.handlers.get(type(logged.event))
                if document is not None:
                    _tell(rows, logged, document)
                elif isinstance(logged.event, ChecksArchived):
                    _tell_of_archive(rows, logged)
        rows.write()

    def _read(self, rows: RowBuffer, portion: Iterable[LoggedEvent]) -> None:
        """Read what telling of some events needs: the things, their owners, what they were."""
        things: dict[str, None] = {}
        versions: dict[str, None] = {}
        for _, event in portion:
            document = self.handlers.get(type(event))
            if document is not None:
                key = document.key_of(event)
                things[key] = None
                versions[_version(key, event.originator_version - 1)] = None
                owners = (getattr(event, f"{each}_id", None) for each in _OWNERS)
                things.update(dict.fromkeys(filter(None, owners)))
        rows.read(THINGS, things)
        rows.read(VERSIONS, versions)


def _tell(rows: RowBuffer, logged: LoggedEvent, document: EventHandler) -> None:
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


def _tell_of_archive(rows: RowBuffer, logged: LoggedEvent) -> None:
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


def _thing(rows: RowBuffer, table: Table, record: Record, position: int) -> Record:
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


def _number(rows: RowBuffer, owner: str | None) -> int | None:
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
    handlers=monitors.PROJECTION.handlers,
    # Other folds of the `monitors` view give other versions here.
    version=_VERSIONS * monitors.PROJECTION.version + _VERSION,
)

ENTRY_TYPES: Final = tuple(get_topic(each) for each in (*PROJECTION.handlers, ChecksArchived))
"""The types of events that have an entry."""
